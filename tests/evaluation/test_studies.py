"""Deciding use case by use case, and the model in production against itself."""

import json
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from agentopt.lib.errors import Conflict
from agentopt.sandbox.server import Sandbox
from evaluation import noise, services, studies
from evaluation.models import Candidate, Evaluation, Replay
from evaluation.statistics.policy import Policy, level_of
from ingestion.gateway import open_gateway
from projects.models import Project, User
from recommendations import services as recommendations
from tests.evaluation import studies as small

Clients = Callable[[User], Client]
REQUEST = services.EvaluationRequest(candidates=("corvus-medium",), limit=40)


@pytest.fixture
def split(project: Project, sandbox: Sandbox, tmp_path: Path) -> Project:
    """120 calls of two use cases that the log names: 80 refunds, 40 deliveries."""
    small.connect(project, sandbox.url)
    rows = small.support_log(120)
    for place, row in enumerate(rows):
        row["metadata"] = {**(row.get("metadata") or {}), "use_case": "delivery" if place % 3 == 0 else "refunds"}
        row["trace_id"] = f"trace-{place}"
    small.take_in(project, rows, tmp_path)
    services.set_judges(project, [small.JUDGE], rubrics=["correctness", "safety"])
    return project


def test_each_use_case_gets_an_evaluation_of_its_own_calls_with_its_share_of_error_and_cap(split: Project) -> None:
    gateway = open_gateway(split.connection)

    opened = studies.open_study(split, REQUEST, by=None, gateway=gateway, now=timezone.now())

    assert [one.use_case for one in opened] == ["refunds", "delivery"]
    assert {one.study for one in Evaluation.objects.all()} == {opened[0].number}
    for one in opened:
        assert set(one.samples.values_list("use_case", flat=True)) == {one.use_case}
    policies = [Policy.from_json(one.policy) for one in opened]
    assert [policy.share for policy in policies] == pytest.approx([0.666, 0.333])
    spent = sum(level_of(policy.threshold, 0.2) * policy.share for policy in policies)
    assert spent == pytest.approx(level_of(0.7, 0.2), rel=2e-3)
    assert spent <= level_of(0.7, 0.2)
    assert sum(one.cap_nanousd for one in opened) <= 25_000_000_000


def test_a_study_ends_in_one_sentence_and_a_recommendation_for_each_use_case(
    split: Project, reader: User, client_of: Clients
) -> None:
    gateway = open_gateway(split.connection)
    opened = studies.open_study(split, REQUEST, by=None, gateway=gateway, now=timezone.now())
    assert "open for" in studies.sentence(studies.parts(opened[0])).lower()

    for one in opened:
        small.run_to_end(one, gateway)
        made = recommendations.recommend(one, now=timezone.now())
        assert made.evidence["question"]["use_case"] == one.use_case
    parts = studies.parts(opened[1])
    page = client_of(reader).get(opened[1].get_absolute_url()).content.decode()
    # each recommendation tells the verdicts of all, with one confidence for the whole
    of_refunds = opened[0].recommendation
    beside = client_of(reader).get(of_refunds.get_absolute_url()).content.decode()
    told = client_of(reader).get(f"/api/v1/recommendations/{split.slug}/{of_refunds.pk}").json()["study"]
    switching = [part["confidence"] for part in told["parts"] if part["recommended"]]

    assert [part.row.state for part in parts] == ["done", "done"]
    said = studies.sentence(parts)
    assert said.startswith("corvus-medium for") or said == "Stay with aurora-large everywhere"
    assert "Decided per use case" in page
    assert said in page
    assert "Decided use case by use case" in beside
    assert said in beside
    assert opened[1].recommendation.get_absolute_url() in beside
    assert told["outcome"] == said
    assert [part["use_case"] for part in told["parts"]] == ["refunds", "delivery"]
    assert told["confidence"] == min(switching, default=None)


def test_too_few_use_cases_are_refused_with_the_way_out(ready: Project) -> None:
    with pytest.raises(Conflict, match="Group the calls first"):
        studies.open_study(ready, REQUEST, by=None, gateway=open_gateway(ready.connection), now=timezone.now())

    assert not ready.evaluations.exists()


def test_the_command_decides_per_use_case(split: Project) -> None:
    out = StringIO()

    call_command(
        "evaluate", split.slug, "--candidates", "corvus-medium", "--limit", "35", "--per-use-case", "--json", stdout=out
    )

    told = json.loads(out.getvalue())
    assert [one["use_case"] for one in told["evaluations"]] == ["refunds", "delivery"]
    assert told["outcome"]


# ------------------------------------------------------------------------------------------------ noise
def test_the_model_in_production_is_held_against_itself_through_the_whole_path(
    ready: Project, reader: User, client_of: Clients
) -> None:
    gateway = open_gateway(ready.connection)
    request = replace(REQUEST, candidates=None, noise=True, limit=35)
    measured = services.open_evaluation(ready, request, by=None, gateway=gateway, now=timezone.now())
    small.run_to_end(measured, gateway)

    other = services.open_evaluation(ready, replace(REQUEST, limit=30), by=None, gateway=gateway, now=timezone.now())
    small.run_to_end(other, gateway)
    found = noise.floor(other)
    page = client_of(reader).get(other.get_absolute_url()).content.decode()
    told = client_of(reader).get(f"/api/v1/evaluations/{ready.slug}/{other.number}").json()

    arms = [arm.offer.name for arm in measured.candidates.filter(position__isnull=False).order_by("position")]
    assert arms == ["aurora-large", "aurora-large"]
    assert measured.state == Evaluation.State.DONE
    assert measured.outcome is not None
    assert measured.outcome["recommended"] is None
    assert (measured.outcome["next_step"], measured.outcome["saving"]) == (None, None)
    assert found is not None
    assert (found.number, found.prompts) == (measured.number, 35)
    quality = found.metrics["quality"]
    assert quality.low is not None
    assert quality.high is not None
    assert quality.low < 0 < quality.high
    fresh = dict(Replay.objects.filter(candidate=measured.candidates.get(position=1)).values_list("sample", "answer"))
    logged = Replay.objects.filter(candidate=measured.candidates.get(position=0), repetition=0)
    assert {row.answer != fresh[row.sample_id] for row in logged} == {True, False}
    assert "What is the noise floor?" in page
    assert told["noise_floor"]["evaluation"] == measured.number
    assert {one["metric"]: one["unit"] for one in told["noise_floor"]["metrics"]}["quality"] == "score"
    assert noise.floor(measured) is None


def test_a_noise_floor_recommends_nothing_and_counts_as_no_try(ready: Project) -> None:
    gateway = open_gateway(ready.connection)
    request = replace(REQUEST, candidates=None, noise=True, limit=30)
    measured = services.open_evaluation(ready, request, by=None, gateway=gateway, now=timezone.now())
    small.run_to_end(measured, gateway)

    with pytest.raises(Conflict, match="recommends nothing"):
        recommendations.recommend(measured, now=timezone.now())

    assert Candidate.objects.get(evaluation=measured, position=1).state == Candidate.State.NOT_SHOWN
