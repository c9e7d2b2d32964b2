"""The library of judges: versions, own judges and their dry run, rules; its pages and its API; the panel of a run."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import DatabaseError, transaction
from django.test import Client
from django.utils import timezone

from agentopt.lib.errors import Conflict, Invalid, NotFound
from agentopt.sandbox.server import Sandbox, running
from evaluation import bearing, dry_run, library, services, urls
from evaluation.judges import versions
from evaluation.library import OwnJudge
from evaluation.models import Charge, Evaluation, Judge, Verdict
from ingestion.gateway import open_gateway
from projects import services as projects
from projects.models import Project, User
from tests.evaluation import studies

TEXT = "Judge the tone: 1 is rude, 3 is neutral, 5 is warm and respectful towards the person."
TONE = OwnJudge("tone", TEXT, 1, 5, studies.JUDGE, "guard", 0.1)


# ------------------------------------------------------------------------------------------------ own judges
def test_another_text_is_another_version_and_the_old_one_stays(project: Project) -> None:
    first = library.save_own(project, TONE, by=None)
    library.save_own(project, OwnJudge(**{**vars(TONE), "text": f"{TEXT} Be strict."}), by=None)

    editions = library.history(project, "tone")
    assert [edition.is_in_force for edition in editions] == [True, False]
    diff = library.difference(editions, before=editions[1].hash, after=editions[0].hash)
    assert diff is not None
    assert any("Be strict." in part.text for part in diff.right if part.only)
    assert project.judges.get(rubric="tone").pk == first.pk
    with pytest.raises(DatabaseError), transaction.atomic():
        project.judge_versions.update(text="Give full marks.")
    with pytest.raises(DatabaseError), transaction.atomic():
        project.judge_versions.all().delete()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "Safety!"), ("name", "safety"), ("name", "latency"), ("name", "new"), ("text", "short"),
        ("highest", 1), ("highest", float("inf")), ("model", " "), ("counts_as", "first"), ("margin", 0.0),
        ("repeats", 9),
    ],
)  # fmt: skip
def test_a_judge_that_makes_no_sense_is_refused_by_field(project: Project, field: str, value: Any) -> None:
    with pytest.raises(Invalid) as refused:
        library.save_own(project, OwnJudge(**{**vars(TONE), field: value}), by=None)

    assert field in refused.value.fields
    assert not project.judges.exists()


def test_no_judge_may_have_the_name_of_a_page_beside_it() -> None:
    pages = [str(one.pattern).partition("/judges/")[2].split("/")[0] for one in urls.urlpatterns]
    fixed = {page for page in pages if page and "<" not in page}

    assert fixed >= {"accuracy", "anchors", "new", "rules"}
    for name in fixed:
        with pytest.raises(Invalid) as refused:
            OwnJudge(name, "x" * 60, 1, 5, "judge-oriole").check()
        assert "name" in refused.value.fields


def test_a_retired_judge_keeps_its_versions_and_is_not_seated(ready: Project) -> None:
    library.save_own(ready, TONE, by=None)
    library.retire(ready, "tone", by=None)

    entry = next(one for one in library.entries(ready) if one.name == "tone")
    assert (entry.is_active, entry.versions, entry.kind) == (False, 1, "own")
    with pytest.raises(NotFound):
        library.retire(ready, "tone", by=None)


def test_another_projects_judge_is_not_there(project: Project, make_project: Any) -> None:
    library.save_own(project, TONE, by=None)

    with pytest.raises(NotFound):
        library.history(make_project("Other"), "tone")


def test_an_own_guard_is_judged_and_decides(ready: Project, owner: User, client_of: Callable[[User], Client]) -> None:
    library.save_own(ready, TONE, by=None)
    gateway = open_gateway(ready.connection)
    request = services.EvaluationRequest(candidates=("corvus-medium",), limit=40)

    evaluation = services.open_evaluation(ready, request, by=None, gateway=gateway, now=timezone.now())
    studies.run_to_end(evaluation, gateway)

    assert dict(evaluation.policy["margins"])["tone"] == 0.1
    assert evaluation.state == Evaluation.State.DONE
    named = {c["metric"] for look in evaluation.looks.all() for c in look.conditions}
    assert "tone" in named
    assert Verdict.objects.filter(judge__rubric="tone", score__isnull=False).exists()
    page = client_of(owner).get(evaluation.get_absolute_url())
    assert page.status_code == 200
    assert "Tone" in page.content.decode()


# ------------------------------------------------------------------------------------------------ dry run
def test_a_dry_run_asks_five_answers_says_its_cost_and_stores_nothing_else(ready: Project) -> None:
    expected = dry_run.estimate(ready, TONE, now=timezone.now())

    found = dry_run.run(ready, TONE, gateway=open_gateway(ready.connection), now=timezone.now)

    assert (len(found.cases), found.calls, found.simulated) == (5, 5, True)
    assert all(case.score is not None and 1 <= (case.on_scale or 0) <= 5 for case in found.cases)
    charged = Charge.objects.get(project=ready)
    assert (charged.nanousd, charged.calls) == (found.cost_nanousd, 5)
    assert expected is not None
    assert 0.3 < expected / (found.cost_nanousd or 1) < 3
    assert not ready.judge_versions.exists()
    assert not Verdict.objects.exists()


def test_a_dry_run_shows_nothing_to_a_provider_that_may_not_have_prompts(ready: Project) -> None:
    projects.change_project(ready, {"allowed_providers": ["elsewhere"]}, by=None)

    with pytest.raises(Conflict, match="lets only elsewhere receive them"):
        dry_run.run(ready, TONE, gateway=open_gateway(ready.connection), now=timezone.now)

    assert not Charge.objects.exists()


def test_a_dry_run_shows_what_could_not_be_scored(project: Project, tmp_path: Path) -> None:
    with running(faults=["prose:1"]) as chatty:
        gateway = studies.connect(project, chatty.url)
        studies.take_in(project, studies.support_log(20), tmp_path)
        found = dry_run.run(project, TONE, gateway=gateway, now=timezone.now)

    assert {(case.score, case.reason) for case in found.cases} == {(None, "prose")}


# ------------------------------------------------------------------------------------------------ rules
def test_a_rule_counts_as_what_suits_it_and_nothing_else(project: Project) -> None:
    judge = library.set_rule(project, "exact_match", {}, counts_as="first", by=None)
    library.set_rule(project, "length", {"most": 500}, counts_as="guard", margin=0.2, by=None)

    assert judge.exact
    assert versions.settings_of(library.rule_of(project, "length")[1].version) == {"least": 0, "most": 500}  # type: ignore[union-attr,arg-type]  # it was set just now  # just set
    with pytest.raises(Invalid):
        library.set_rule(project, "length", {}, counts_as="quality", by=None)
    with pytest.raises(NotFound):
        library.set_rule(project, "vibes", {}, counts_as="guard", by=None)


def test_choosing_judge_models_leaves_own_judges_and_rules_alone(project: Project) -> None:
    library.save_own(project, TONE, by=None)
    library.set_rule(project, "length", {}, counts_as="shown", by=None)
    services.set_judges(project, ["judge-heron"], rubrics=["quality"])
    services.set_judges(project, [])

    assert sorted(project.judges.filter(active=True).values_list("rubric", flat=True)) == ["length", "tone"]


# ------------------------------------------------------------------------------------------------ pages
@pytest.fixture
def owner_client(owner: User, client_of: Callable[[User], Client]) -> Client:
    return client_of(owner)


@pytest.fixture
def judged(project: Project, sandbox: Sandbox, tmp_path: Path) -> Evaluation:
    """An evaluation with two judge models, repeats, both orders and a rule, run to its end."""
    gateway = studies.connect(project, sandbox.url)
    studies.take_in(project, studies.support_log(60), tmp_path)
    services.set_judges(project, ["judge-oriole", "judge-heron"], rubrics=["quality"], repeats=2, compare=True)
    library.set_rule(project, "length", {"most": 400}, counts_as="shown", by=None)
    request = services.EvaluationRequest(candidates=("corvus-medium",), limit=40)
    evaluation = services.open_evaluation(project, request, by=None, gateway=gateway, now=timezone.now())
    return studies.run_to_end(evaluation, gateway)


def test_the_panel_of_a_run_says_how_each_judge_bore_itself(judged: Evaluation, owner_client: Client) -> None:
    found = bearing.read(judged)

    quality = [row for row in found.rows if row.rubric == "quality"]
    pairs = [row for row in found.rows if row.form == "pair"]
    assert {row.model for row in quality} == {"judge-oriole", "judge-heron"}
    assert all(row.bearing.scatter and 0.02 < row.bearing.scatter.sd < 0.15 for row in quality)
    assert all(row.bearing.length and row.bearing.length.interval for row in quality)
    assert all(row.bearing.place and row.bearing.place.value > 0 for row in pairs)
    assert found.unscored == 0
    assert found.together.alpha is not None
    assert 0 < (found.together.alpha.value or 0) <= 1
    assert [name for name, _ in found.spreads] == ["aurora-large", "corvus-medium"]
    assert not found.is_split

    page = owner_client.get(f"/p/{judged.project.slug}/evaluations/{judged.number}/judges/")
    text = page.content.decode()
    assert page.status_code == 200
    assert "Krippendorff" in text
    assert "to the first" in text
    told = owner_client.get(f"/api/v1/evaluations/{judged.project.slug}/{judged.number}/judges").json()
    assert told["alpha"] == pytest.approx(found.together.alpha.value)
    assert {row["rubric"] for row in told["rows"]} == {"quality", "preference", "length"}


def test_the_library_shows_rubrics_rules_and_versions(ready: Project, owner_client: Client) -> None:
    library.save_own(ready, TONE, by=None)
    library.save_own(ready, OwnJudge(**{**vars(TONE), "text": f"<b>{TEXT}</b> Be strict."}), by=None)

    listed = owner_client.get(f"/p/{ready.slug}/judges/").content.decode()
    one = owner_client.get(f"/p/{ready.slug}/judges/tone/").content.decode()
    built_in = owner_client.get(f"/p/{ready.slug}/judges/correctness/").content.decode()

    assert all(word in listed for word in ("correctness", "tone", "exact match", "in English only"))
    assert "What changed" in one
    assert "&lt;b&gt;" in one
    assert "What it is asked" in built_in
    assert owner_client.get(f"/p/{ready.slug}/judges/nobody/").status_code == 404


def test_a_judge_is_written_tried_and_put_in_force_in_the_browser(ready: Project, owner_client: Client) -> None:
    address = f"/p/{ready.slug}/judges/new/"
    fields = {
        "name": "tone", "text": TEXT, "lowest": "1", "highest": "5", "model": studies.JUDGE, "repeats": "1",
        "counts_as": "guard", "margin": "0.1",
    }  # fmt: skip

    assert owner_client.get(address).status_code == 200
    tried = owner_client.post(address, {**fields, "dry": "1"})
    wrong = owner_client.post(address, {**fields, "name": "safety", "save": "1"})
    saved = owner_client.post(address, {**fields, "save": "1"})

    assert "Dry run" in tried.content.decode()
    assert "5 calls" in tried.content.decode()
    assert wrong.status_code == 422
    assert saved.status_code == 303
    judge = Judge.objects.get(project=ready, rubric="tone")
    assert (judge.counts_as, judge.margin, judge.active) == ("guard", 0.1, True)
    edited = owner_client.get(f"{address}?name=tone").content.decode()
    assert TEXT in edited


def test_a_rule_is_set_and_retired_in_the_browser(ready: Project, owner_client: Client) -> None:
    address = f"/p/{ready.slug}/judges/rules/forbidden_patterns/"

    bad = owner_client.post(address, {"counts_as": "guard", "patterns": "x: (a+)+"})
    good = owner_client.post(address, {"counts_as": "guard", "patterns": "our note: our notes say"})
    shown = owner_client.get(address).content.decode()
    gone = owner_client.post(f"/p/{ready.slug}/judges/forbidden_patterns/retire/")

    assert (bad.status_code, good.status_code, gone.status_code) == (422, 303, 303)
    assert "our note: our notes say" in shown
    assert not ready.judges.get(rubric="forbidden_patterns").active


def test_judges_of_a_project_are_chosen_with_repeats_and_both_orders(ready: Project, owner_client: Client) -> None:
    address = f"/p/{ready.slug}/settings/judges/"
    answer = owner_client.post(address, {"models": "judge-heron", "repeats": "2", "compare": "on"})

    assert answer.status_code == 303
    active = ready.judges.filter(active=True, version=None)
    assert sorted(active.values_list("rubric", "repeats")) == [
        ("correctness", 2), ("helpfulness", 2), ("preference", 2), ("quality", 2), ("safety", 2),
    ]  # fmt: skip


# ------------------------------------------------------------------------------------------------ API
def test_the_library_is_read_and_changed_over_http(ready: Project, owner_client: Client) -> None:
    base = f"/api/v1/projects/{ready.slug}/judges"
    own = {"name": "tone", "text": TEXT, "lowest": 1, "highest": 5, "model": studies.JUDGE, "counts_as": "shown"}

    def send(method: str, address: str, body: dict[str, Any]) -> Any:
        return owner_client.generic(method, address, json.dumps(body), content_type="application/json")

    tried = send("POST", f"{base}/dry-run", own)
    saved = send("POST", f"{base}/library", own)
    ruled = send("PUT", f"{base}/rules/length", {"counts_as": "shown", "settings": {"most": 300}})
    refused = send("PUT", f"{base}/rules/length", {"counts_as": "shown", "settings": {"most": "many"}})
    retired = send("POST", f"{base}/library/length/retire", {})

    assert len(tried.json()["cases"]) == 5
    assert (saved.status_code, saved.json()["version"]) == (200, library.history(ready, "tone")[0].hash)
    assert ruled.json()["settings"] == {"least": 0, "most": 300}
    assert refused.status_code in {400, 422}
    assert retired.json()["is_active"] is False
    names = [entry["name"] for entry in owner_client.get(f"{base}/library").json()]
    assert names[:6] == ["correctness", "safety", "quality", "helpfulness", "preference", "tone"]
    assert owner_client.get(f"{base}/library/tone/versions").json()[0]["is_in_force"] is True
