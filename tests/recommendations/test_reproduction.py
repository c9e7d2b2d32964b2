"""Recomputing a recommendation: from rows, after bodies are gone, and from a bundle without a database."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from django.test import Client
from django.utils import timezone

from agentopt.lib.immutable import door
from evaluation.models import Evaluation, Replay, Verdict
from ingestion import retention
from projects.models import Project, User
from recommendations import bundles, reproduction, services
from recommendations.models import Basis, Recommendation
from recommendations.reproduction import Difference


@pytest.fixture
def finished(finished_once: int, db: None) -> Evaluation:
    return Evaluation.objects.get(pk=finished_once)


@pytest.fixture
def made(finished: Evaluation) -> Recommendation:
    made = services.recommend(finished, now=timezone.now())
    made.refresh_from_db()
    return made


def bundle_of(made: Recommendation) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(reproduction.canonical(bundles.make(made)))
    return found


def test_it_is_recomputed_from_rows_bit_for_bit(made: Recommendation) -> None:
    assert reproduction.reproduce(made) is None


def test_a_changed_verdict_is_found_and_its_place_named(made: Recommendation) -> None:
    first = Verdict.objects.filter(replay__candidate__position=1, replay__sample__position=0).order_by("judge_id")[0]
    Verdict.objects.filter(pk=first.pk).update(score=0.0)

    difference = reproduction.reproduce(made)

    assert difference == Difference(
        "inputs.measurements.lines[0].cells[1].scores[0][0]", reproduction.canonical(first.score), "0.0"
    )


def test_another_name_of_the_project_is_no_difference(made: Recommendation) -> None:
    Project.objects.filter(pk=made.project_id).update(name="Renamed")
    made = Recommendation.objects.get(pk=made.pk)

    assert reproduction.reproduce(made) is None


def test_it_is_recomputed_after_retention_removed_all_bodies(made: Recommendation) -> None:
    retention.work(retention.open_by_age(made.project, days=0, now=timezone.now(), by=None))

    assert not Replay.objects.exclude(answer="").exists()
    assert reproduction.reproduce(made) is None


def test_the_inputs_hold_policy_order_scores_costs_and_dated_prices_and_no_prompt(made: Recommendation) -> None:
    inputs = made.basis.inputs

    evaluation = made.evaluation
    assert inputs["policy"] == evaluation.policy
    assert inputs["samples"] == list(evaluation.samples.order_by("position").values_list("record_id", flat=True))
    assert [arm["name"] for arm in inputs["arms"]] == ["aurora-large", "corvus-medium"]
    assert {price["model"] for price in inputs["prices"]} == {"aurora-large", "corvus-medium"}
    assert all(price["valid_from"] for price in inputs["prices"])
    cell = inputs["measurements"]["lines"][0]["cells"][1]
    assert len(cell["scores"]) == len(inputs["seats"]) == 4
    assert cell["cost_nanousd"] > 0
    asked = evaluation.samples.first().record.body.request  # type: ignore[union-attr]  # there is one
    assert json.loads(asked)["messages"][-1]["content"][:30] not in reproduction.canonical(bundle_of(made))


def test_the_database_refuses_to_change_what_it_rests_on(made: Recommendation) -> None:
    for statement in ("UPDATE recommendations_basis SET inputs_hash = ''", "DELETE FROM recommendations_basis"):
        with pytest.raises(DatabaseError, match="immutable"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)

    assert Basis.objects.count() == 1


def test_evidence_of_an_earlier_schema_is_held_against_what_it_has(made: Recommendation) -> None:
    old = {name: value for name, value in made.evidence.items() if name != "by_use_case"} | {"schema": 1}
    with door():
        Recommendation.objects.filter(pk=made.pk).update(evidence=old, evidence_hash=reproduction.fingerprint(old))
    made.refresh_from_db()
    assert reproduction.reproduce(made) is None

    old["worse"] += 1
    with door():
        Recommendation.objects.filter(pk=made.pk).update(evidence=old, evidence_hash=reproduction.fingerprint(old))
    made.refresh_from_db()

    found = reproduction.reproduce(made)
    assert found is not None
    assert found.path == "evidence.worse"


def test_a_recommendation_without_kept_inputs_is_recomputed_from_rows(made: Recommendation) -> None:
    from agentopt.lib.immutable import door

    with door():
        Basis.objects.all().delete()

    assert reproduction.reproduce(Recommendation.objects.get()) is None


# ------------------------------------------------------------------------------------------------ bundles
def test_a_bundle_follows_the_schema_that_it_carries(made: Recommendation) -> None:
    bundle = bundle_of(made)

    jsonschema.Draft202012Validator.check_schema(bundle["schema"])
    jsonschema.validate(bundle, bundle["schema"])


def test_page_and_api_give_the_same_bundle(made: Recommendation, client: Client, reader: User) -> None:
    client.force_login(reader)
    slug = made.project.slug

    page = client.get(f"/p/{slug}/recommendations/{made.pk}/evidence.json")
    api = client.get(f"/api/v1/recommendations/{slug}/{made.pk}/bundle")

    assert page["Content-Disposition"] == f'attachment; filename="evidence-{made.pk}.json"'
    assert json.loads(page.content) == json.loads(api.content) == bundle_of(made)


def test_a_bundle_is_recomputed_by_the_command(
    made: Recommendation, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "evidence.json"
    file.write_text(json.dumps(bundle_of(made), indent=1))

    with connection.execute_wrapper(refuse):  # nothing is read but the file
        call_command("reproduce", bundle=str(file), json=True)

    answer = json.loads(capsys.readouterr().out)
    assert answer["identical"] is True
    assert answer["same_engine"] is True
    assert answer["recommendation"] == made.pk


def refuse(*_args: Any) -> None:
    raise AssertionError("a bundle is recomputed without a database")


def test_a_tampered_score_shows_in_the_evidence(made: Recommendation) -> None:
    bundle = bundle_of(made)
    for line in bundle["inputs"]["measurements"]["lines"]:
        line["cells"][1]["scores"] = [[0.0] for _ in line["cells"][1]["scores"]]

    hashed = reproduction.reproduce_bundle(bundle)
    bundle["inputs_hash"] = reproduction.fingerprint(bundle["inputs"])
    recomputed = reproduction.reproduce_bundle(bundle)

    assert hashed is not None
    assert hashed.path == "inputs_hash"
    assert recomputed is not None
    assert recomputed.path.startswith("evidence.")


@pytest.mark.parametrize(
    ("part", "change", "path"),
    [
        ("recommendation", {"confidence": 0.999}, "recommendation.confidence"),
        ("recommendation", {"kind": "other"}, "recommendation.kind"),
        ("recommendation", {"model": "sable-pro"}, "recommendation.model"),
        ("provenance", {"seed": 8}, "provenance.seed"),
        ("provenance", {"prices": []}, "provenance.prices"),
    ],
)
def test_what_is_said_around_the_evidence_must_follow_from_it(
    made: Recommendation, part: str, change: dict[str, Any], path: str
) -> None:
    bundle = bundle_of(made)

    found = reproduction.reproduce_bundle(bundle | {part: bundle[part] | change})

    assert found is not None
    assert found.path == path


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": "something"}, "no evidence bundle"),
        ({"version": 99}, "version 99"),
        ({"inputs": {}}, "form"),
    ],
)
def test_what_is_no_bundle_is_refused_by_name(
    made: Recommendation, tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    file = tmp_path / "evidence.json"
    file.write_text(json.dumps(bundle_of(made) | change))

    with pytest.raises(CommandError, match=said):
        call_command("reproduce", bundle=str(file))


def test_a_file_that_is_no_json_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "evidence.json"
    file.write_text("{")

    with pytest.raises(CommandError, match="no JSON"):
        call_command("reproduce", bundle=str(file))
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("reproduce", bundle=str(tmp_path / "absent.json"))
    with pytest.raises(CommandError, match="Name a recommendation"):
        call_command("reproduce")


def test_the_first_difference_is_found_in_order_of_names() -> None:
    difference = reproduction.first_difference({"b": [1, 2], "a": {"x": 1}}, {"b": [1, 3], "a": {"x": 1}})

    assert difference == Difference("evidence.b[1]", "2", "3")
