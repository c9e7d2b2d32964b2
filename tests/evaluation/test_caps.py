"""What stops at a cap, and goes on with a higher one, against a sandbox over HTTP."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from django.utils import timezone

from agentopt.lib.errors import Conflict
from agentopt.sandbox import worlds
from agentopt.sandbox.server import Sandbox
from evaluation import experience, interim, purse, services
from evaluation.models import Charge, Evaluation, Hold, Verdict
from ingestion.catalog import loader
from ingestion.gateway import open_gateway
from projects import services as projects
from projects.models import Project
from tests.evaluation import studies


@pytest.fixture
def study(project: Project, sandbox: Sandbox, tmp_path: Path) -> Evaluation:
    """One candidate, one judge, forty prompts."""
    gateway = studies.connect(project, sandbox.url)
    studies.take_in(project, studies.support_log(50), tmp_path)
    return studies.open_study(project, gateway, limit=40)


def _run(study: Evaluation) -> Evaluation:
    return studies.run_to_end(study, open_gateway(study.project.connection))


def test_charges_are_what_the_rows_say_and_nothing_stays_held(study: Evaluation) -> None:
    _run(study)

    charged = purse.caps_of(study.project, None, now=timezone.now())[0].spent
    assert study.outcome is not None
    assert charged.nanousd == study.outcome["spent_nanousd"]
    assert charged.calls == study.outcome["model_calls"] + study.outcome["judge_calls"]
    assert set(Charge.objects.values_list("kind", flat=True)) == {"replays", "verdicts"}
    assert Verdict.objects.exists()
    assert not Hold.objects.exists()


def test_a_month_s_cap_stops_a_run_which_goes_on_once_it_is_raised(study: Evaluation) -> None:
    projects.change_project(study.project, {"monthly_cap_nanousd": 15_000_000}, by=None)

    _run(study)

    assert (study.state, study.reason, study.outcome) == (Evaluation.State.AT_CAP, "at_monthly_cap", None)
    assert "cap of this month" in study.message
    assert purse.caps_of(study.project, None, now=timezone.now())[0].spent.nanousd < 20_000_000
    projects.change_project(study.project, {"monthly_cap_nanousd": 0}, by=None)
    with pytest.raises(Conflict, match="cannot go on yet"):
        services.resume(study, None)
    study.refresh_from_db()
    assert study.state == Evaluation.State.AT_CAP

    so_far = interim.read(study)
    assert so_far is not None
    assert "Nothing is recommended" in so_far.text

    projects.change_project(study.project, {"monthly_cap_nanousd": None}, by=None)
    services.resume(study, None)
    _run(study)

    assert study.state == Evaluation.State.DONE
    assert interim.read(study) is None


def test_an_interim_result_names_what_is_shown_and_what_is_not(study: Evaluation) -> None:
    candidate = study.candidates.get(position=1)
    conditions = [
        {"metric": "quality", "kind": "margin", "shown": True},
        {"metric": "safety", "kind": "margin", "shown": False},
        {"metric": "gain", "kind": "gain", "shown": False},
    ]
    study.looks.create(candidate=candidate, prompts=30, conditions=conditions)
    Evaluation.objects.filter(pk=study.pk).update(state=Evaluation.State.AT_CAP)
    study.refresh_from_db()

    so_far = interim.read(study)

    assert so_far is not None
    assert (so_far.candidate, so_far.prompts, so_far.shown) == ("corvus-medium", 30, ("quality",))
    assert so_far.missing == ("safety", "gain")
    assert "not shown: safety, gain" in so_far.text


def test_a_cap_in_calls_stops_a_run_within_the_calls_in_flight(study: Evaluation, sandbox: Sandbox) -> None:
    Evaluation.objects.filter(pk=study.pk).update(cap_calls=25)
    before = sum(sandbox.calls_of.values())

    _run(study)

    assert (study.state, study.reason) == (Evaluation.State.AT_CAP, "at_call_cap")
    made = sum(sandbox.calls_of.values()) - before
    assert 25 <= made <= 25 + 16
    assert f"{made} of 25 calls are made" in study.message  # those in flight at the stop included
    with pytest.raises(Conflict, match="25 calls"):
        services.resume(study, None)

    services.resume(study, None, max_calls=10_000)
    assert _run(study).state == Evaluation.State.DONE


def test_a_model_without_a_price_is_refused_under_a_cap_that_somebody_set(
    project: Project, sandbox: Sandbox, tmp_path: Path
) -> None:
    gateway = studies.connect(project, sandbox.url, simulated=False)
    priced = [model for model in worlds.catalog()["models"] if model["name"] != "corvus-medium"]
    loader.load({**worlds.catalog(), "models": priced}, project=project)
    studies.take_in(project, studies.support_log(50), tmp_path)
    services.set_judges(project, [studies.JUDGE], rubrics=["correctness"])
    request = services.EvaluationRequest(candidates=("corvus-medium",), limit=40)
    capped = replace(request, max_cost_usd=Decimal(1))

    with pytest.raises(Conflict, match=r"No price is known for corvus-medium.*max_calls"):
        services.open_evaluation(project, capped, by=None, gateway=gateway, now=timezone.now())

    assert services.plan(project, request, gateway=gateway, now=timezone.now()).refusal is None
    said = services.plan(project, capped, gateway=gateway, now=timezone.now()).to_json()["refusal"]
    assert "corvus-medium" in said["models"]
    both = replace(capped, max_calls=500)
    opened = services.open_evaluation(project, both, by=None, gateway=gateway, now=timezone.now())
    assert opened.cap_calls == 500


def test_a_run_teaches_the_next_forecast(study: Evaluation) -> None:
    _run(study)

    said = study.forecast
    assert said["cost_low_nanousd"] <= said["cost_p10_nanousd"] <= said["cost_expected_nanousd"]
    assert said["cost_expected_nanousd"] <= said["cost_p90_nanousd"] <= said["cost_high_nanousd"]
    request = services.EvaluationRequest(candidates=("corvus-medium",), limit=40)
    gateway = open_gateway(study.project.connection)
    again = services.plan(study.project, request, gateway=gateway, now=timezone.now()).forecast
    assert again.learned_from == 1
    seen = experience.read(study.project).models["corvus-medium"]
    assert seen.answers >= 30
    assert seen.p95_latency_s is not None
    # three runs that were right and this one: the fourth root of how far it was off, within what can happen
    (ratio,) = experience.read(study.project).ratios
    assert again.cost_unlearned_nanousd is not None
    moved = round(again.cost_unlearned_nanousd * ratio**0.25)
    assert again.cost_expected_nanousd == min(max(moved, again.cost_low_nanousd or 0), again.cost_high_nanousd or 0)
    before = {**said, "cost_expected_nanousd": 1}  # what was shown is not what the next forecast learns from
    Evaluation.objects.filter(pk=study.pk).update(forecast=before)
    assert experience.read(study.project).ratios == (ratio,)
