"""Planning and opening evaluations, and what a person may do to one that runs."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from agentopt.lib.errors import Conflict, Invalid
from agentopt.sandbox import traffic
from agentopt.sandbox.server import Sandbox
from evaluation import run, selectors, services
from evaluation.models import Candidate, Evaluation, Judge, Look, Replay
from evaluation.services import EvaluationRequest, Plan
from ingestion.gateway import Gateway
from projects import services as projects
from projects.models import Privacy, Project
from tests.evaluation import studies


@pytest.fixture
def gateway(project: Project, sandbox: Sandbox, tmp_path: Path) -> Gateway:
    """The project connected to the sandbox, with 60 logged calls and a judge."""
    found = studies.connect(project, sandbox.url)
    studies.take_in(project, studies.support_log(60), tmp_path)
    services.set_judges(project, [studies.JUDGE])
    return found


def _plan(project: Project, gateway: Gateway, **request: Any) -> Plan:
    return services.plan(project, EvaluationRequest(**request), gateway=gateway, now=timezone.now())


def _open(project: Project, gateway: Gateway, **request: Any) -> Evaluation:
    return services.open_evaluation(
        project, EvaluationRequest(**request), by=None, gateway=gateway, now=timezone.now()
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------ planning
def test_a_plan_stores_no_evaluation_and_says_what_a_run_would_take(project: Project, gateway: Gateway) -> None:
    planned = _plan(project, gateway, sample=10)

    assert not project.evaluations.exists()
    assert planned.limit == 30
    assert planned.kept
    assert planned.forecast.cost_expected_nanousd
    assert planned.forecast.judge_calls_at_most > planned.forecast.replay_calls_at_most > 0
    assert {choice.offer.name for choice in planned.choices} >= {planned.baseline.name, studies.JUDGE}


def test_the_limit_is_three_times_the_sample_unless_given_and_never_more_than_there_are(
    project: Project, gateway: Gateway
) -> None:
    there = len(_plan(project, gateway).population.prompts)

    assert _plan(project, gateway, sample=12).limit == 36
    assert _plan(project, gateway, sample=12, limit=17).limit == 17
    assert _plan(project, gateway, sample=10_000).limit == there


def test_a_judge_among_the_offers_is_not_tried_and_one_that_is_asked_for_is_refused(
    project: Project, gateway: Gateway
) -> None:
    by_name = {choice.offer.name: choice for choice in _plan(project, gateway).choices}

    assert "judge" in [reason.code for reason in by_name[studies.JUDGE].reasons]
    with pytest.raises(Invalid, match="cannot judge an evaluation it takes part in"):
        _plan(project, gateway, candidates=(studies.JUDGE,))


def test_an_unknown_candidate_is_refused_with_what_exists(project: Project, gateway: Gateway) -> None:
    with pytest.raises(Invalid, match=r"No such model: nope\.") as refused:
        _plan(project, gateway, candidates=("corvus-medium", "nope"))

    assert "corvus-medium" in refused.value.fields["candidates"]
    assert studies.JUDGE not in refused.value.fields["candidates"]


def test_a_project_without_logs_is_refused(project: Project, sandbox: Sandbox) -> None:
    found = studies.connect(project, sandbox.url)

    with pytest.raises(Conflict, match="There are no logs to evaluate"):
        _plan(project, found)


def test_a_baseline_that_no_log_knows_is_refused_with_those_that_are(project: Project, gateway: Gateway) -> None:
    with pytest.raises(Invalid) as refused:
        _plan(project, gateway, baseline="nope")

    assert traffic.AGENTS[0].model in refused.value.fields["baseline"]


def test_hashed_prompts_are_refused_since_nothing_can_be_replayed(project: Project, gateway: Gateway) -> None:
    project.privacy = Privacy.HASHED

    with pytest.raises(Conflict, match="nothing can be replayed"):
        _plan(project, gateway)


def test_without_judges_the_refusal_says_where_to_set_them_and_those_of_the_instance_stand_in(
    project: Project, gateway: Gateway, settings: Any
) -> None:
    services.set_judges(project, [])

    with pytest.raises(Conflict, match=r"Settings → Judges.*JUDGE_MODELS"):
        _plan(project, gateway)
    settings.JUDGE_MODELS = [studies.JUDGE]
    evaluation = _open(project, gateway, limit=30)

    assert sorted(evaluation.seats.values_list("judge__rubric", flat=True)) == sorted(Judge.Rubric.values)
    assert not project.judges.filter(active=True).exists()


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        ({"sample": 0}, "sample"),
        ({"limit": 10**9}, "limit"),
        ({"seed": -1}, "seed"),
        ({"max_cost_usd": Decimal(-1)}, "max_cost_usd"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused_by_name(
    project: Project, gateway: Gateway, request_: dict[str, Any], field: str
) -> None:
    with pytest.raises(Invalid) as refused:
        _plan(project, gateway, **request_)

    assert set(refused.value.fields) == {field}


def test_guards_that_nobody_measures_and_an_unknown_latency_are_said_beforehand(
    project: Project, gateway: Gateway
) -> None:
    services.set_judges(project, [studies.JUDGE], rubrics=["quality"])

    codes = [note.code for note in _plan(project, gateway).notes]

    assert "safety_not_measured" in codes
    assert "latency_unknown" in codes
    assert "latency_unknown" not in [note.code for note in _plan(project, gateway, replay_baseline=True).notes]


# ------------------------------------------------------------------------------------------------ opening
def test_opening_freezes_candidates_judges_prompts_and_the_logged_answers(project: Project, gateway: Gateway) -> None:
    evaluation = _open(project, gateway, limit=30, max_cost_usd=Decimal("1.5"))

    baseline = evaluation.candidates.get(position=0)
    kept = evaluation.candidates.filter(position__gt=0).order_by("position")
    assert evaluation.number == 1
    assert evaluation.cap_nanousd == 1_500_000_000
    assert [candidate.position for candidate in kept] == list(range(1, kept.count() + 1))
    assert evaluation.candidates.filter(state=Candidate.State.PRUNED, position=None).exists()
    assert evaluation.seats.count() == 4
    assert list(evaluation.samples.order_by("position").values_list("position", flat=True)) == list(range(30))
    logged = Replay.objects.filter(candidate=baseline)
    assert logged.count() == 30
    assert set(logged.values_list("repetition", "source", "paid_nanousd")) == {(0, Replay.Source.LOGGED, 0)}
    assert all(row.answer or row.tool_calls for row in logged if row.status == Replay.Status.ANSWERED)
    assert evaluation.population["replayable"] >= 30
    assert 0 <= evaluation.population["baseline"]["answered"] <= 1


def test_the_same_seed_draws_the_same_prompts_and_another_seed_others(project: Project, gateway: Gateway) -> None:
    drawn = [
        list(_open(project, gateway, limit=20, seed=seed).samples.order_by("position").values_list("record", flat=True))
        for seed in (1, 1, 2)
    ]

    assert drawn[0] == drawn[1]
    assert drawn[0] != drawn[2]
    assert list(project.evaluations.order_by("pk").values_list("number", flat=True)) == [1, 2, 3]


def test_the_population_can_be_narrowed_to_named_records(project: Project, gateway: Gateway) -> None:
    wanted = list(project.logs.filter(obstacle="").values_list("pk", flat=True)[:7])

    evaluation = _open(project, gateway, records=wanted)

    assert set(evaluation.samples.values_list("record", flat=True)) == set(wanted)


def test_too_few_prompts_are_opened_all_the_same_and_end_without_a_call(project: Project, gateway: Gateway) -> None:
    evaluation = _open(project, gateway, limit=29)

    studies.run_to_end(evaluation, gateway)

    assert (evaluation.state, evaluation.reason) == (Evaluation.State.DONE, "too_few_prompts")
    assert selectors.spend(evaluation).model_calls == 0
    assert evaluation.forecast["replay_calls_at_most"] == 0


def test_with_every_model_pruned_it_ends_with_no_candidate(project: Project, gateway: Gateway) -> None:
    project.allowed_providers = ["nobody"]
    project.save()

    evaluation = studies.run_to_end(_open(project, gateway), gateway)

    assert (evaluation.state, evaluation.reason) == (Evaluation.State.DONE, "no_candidate")
    assert evaluation.candidates.exclude(position=0).exclude(state=Candidate.State.PRUNED).count() == 0


def test_judges_and_the_called_baseline_are_held_to_the_list_of_providers_too(
    project: Project, gateway: Gateway
) -> None:
    projects.change_project(project, {"allowed_providers": ["rookery"]}, by=None)  # corvus-medium's
    with pytest.raises(Conflict, match=r"judge-oriole \(aviary\).*allowed_providers"):
        _open(project, gateway, limit=30)
    projects.change_project(project, {"allowed_providers": ["rookery", "aviary"]}, by=None)
    with pytest.raises(Conflict, match=r"aurora-large \(northlight\)"):
        _open(project, gateway, limit=30, replay_baseline=True)

    refusal = _plan(project, gateway, replay_baseline=True).refusal

    assert refusal is not None
    assert refusal.to_json()["models"] == ["aurora-large"]
    assert _plan(project, gateway, limit=30).forecast.providers == ("aviary", "rookery")
    assert _open(project, gateway, limit=30).state == Evaluation.State.QUEUED


def test_a_list_of_providers_that_became_shorter_pauses_what_runs_before_a_call(
    project: Project, gateway: Gateway
) -> None:
    evaluation = _open(project, gateway, candidates=("corvus-medium",), limit=30)
    projects.change_project(project, {"allowed_providers": ["aviary"]}, by=None)

    studies.run_to_end(evaluation, gateway)

    assert (evaluation.state, evaluation.reason) == (Evaluation.State.PAUSED, "provider_not_allowed")
    assert "corvus-medium (rookery)" in evaluation.message
    assert selectors.spend(evaluation).model_calls == 0
    projects.change_project(project, {"allowed_providers": []}, by=None)
    services.resume(evaluation, None)
    assert studies.run_to_end(evaluation, gateway).state == Evaluation.State.DONE


def test_an_exact_panel_carries_no_judge_error_and_measures_no_safety(project: Project, gateway: Gateway) -> None:
    services.set_judges(project, ["judge-heron"], rubrics=["correctness"], exact=True)

    policy = _open(project, gateway, limit=30).policy

    assert policy["judge_sd"] == 0
    assert [name for name, _ in policy["margins"]] == ["quality", "answered"]


# ------------------------------------------------------------------------------------------------ repeats
def _look_in_vain(evaluation: Evaluation, name: str) -> None:
    candidate = evaluation.candidates.get(offer__name=name)
    Look.objects.create(evaluation=evaluation, candidate=candidate, ranking=False, prompts=30, conditions=[])
    Candidate.objects.filter(pk=candidate.pk).update(state=Candidate.State.DROPPED)


def test_an_evaluation_in_vain_halves_the_prior_odds_of_its_candidates_only(project: Project, gateway: Gateway) -> None:
    names = ("corvus-medium", "aurora-mini")
    first = _open(project, gateway, candidates=names, limit=30, seed=1)
    _look_in_vain(first, "corvus-medium")

    second = _open(project, gateway, candidates=names, limit=30, seed=2)

    kept = second.candidates.filter(position__gt=0).order_by("position")
    by_name = dict(zip([candidate.offer.name for candidate in kept], second.policy["prior"], strict=True))
    assert by_name == {"corvus-medium": pytest.approx(1 / 9), "aurora-mini": pytest.approx(1 / 5)}


def test_the_very_same_run_again_is_no_further_try(project: Project, gateway: Gateway) -> None:
    first = _open(project, gateway, candidates=("corvus-medium",), limit=30, seed=1)
    _look_in_vain(first, "corvus-medium")
    other = _open(project, gateway, candidates=("corvus-medium",), limit=30, seed=2)
    _look_in_vain(other, "corvus-medium")

    again = _open(project, gateway, candidates=("corvus-medium",), limit=30, seed=1)

    assert again.policy == first.policy
    assert other.policy["prior"] != first.policy["prior"]


def test_after_ninety_days_a_vain_evaluation_no_longer_counts(project: Project, gateway: Gateway) -> None:
    first = _open(project, gateway, candidates=("corvus-medium",), limit=30, seed=1)
    _look_in_vain(first, "corvus-medium")
    Evaluation.objects.filter(pk=first.pk).update(created_at=timezone.now() - timedelta(days=91))

    assert _open(project, gateway, candidates=("corvus-medium",), limit=30, seed=2).policy["prior"] == 0.2


# ------------------------------------------------------------------------------------------------ pause and judges
def test_a_paused_evaluation_sends_nothing_until_it_is_resumed(project: Project, gateway: Gateway) -> None:
    evaluation = _open(project, gateway, candidates=("corvus-medium",), limit=30)

    services.pause(evaluation, None)
    run.advance(evaluation, gateway=gateway, now=timezone.now, deadline=float("inf"), beat=studies.silent)

    assert evaluation.state == Evaluation.State.PAUSED
    assert selectors.spend(evaluation).model_calls == 0


def test_what_has_ended_can_be_neither_paused_nor_resumed(project: Project, gateway: Gateway) -> None:
    evaluation = _open(project, gateway, limit=30)
    services.cancel(evaluation, None)

    assert evaluation.state == Evaluation.State.CANCELLED
    for change in (services.pause, services.resume, services.cancel):
        with pytest.raises(Conflict, match="that cannot be done now"):
            change(evaluation, None)


def test_an_evaluation_at_its_cap_needs_a_higher_one(project: Project, gateway: Gateway) -> None:
    evaluation = _open(project, gateway, limit=30, max_cost_usd=Decimal(2))
    Evaluation.objects.filter(pk=evaluation.pk).update(state=Evaluation.State.AT_CAP)
    evaluation.refresh_from_db()

    with pytest.raises(Conflict, match=r"stopped at its cap of \$2\.00"):
        services.resume(evaluation, None, max_cost_usd=Decimal(2))


def test_setting_judges_replaces_the_earlier_ones(project: Project) -> None:
    services.set_judges(project, ["a"], rubrics=["quality"], repeats=2)
    services.set_judges(project, ["b", "a"], rubrics=["safety", "quality"])

    active = project.judges.filter(active=True).order_by("model", "rubric")
    assert [(judge.model, judge.rubric, judge.repeats) for judge in active] == [
        ("a", "quality", 1), ("a", "safety", 1), ("b", "quality", 1), ("b", "safety", 1),
    ]  # fmt: skip


def test_judges_that_make_no_sense_are_refused_by_name(project: Project) -> None:
    with pytest.raises(Invalid) as refused:
        services.set_judges(project, [" "], rubrics=["beauty"], repeats=9)

    assert set(refused.value.fields) == {"models", "rubrics", "repeats"}


def test_a_judge_that_evaluations_rest_on_stays_exact_or_not(project: Project, gateway: Gateway) -> None:
    _open(project, gateway, limit=30)

    with pytest.raises(Conflict, match="cannot change"):
        services.set_judges(project, [studies.JUDGE], exact=True)


def test_a_logged_answer_with_a_nul_becomes_a_replay_that_any_database_holds(
    project: Project, sandbox: Sandbox, tmp_path: Path
) -> None:
    gateway = studies.connect(project, sandbox.url)
    row = studies.chat_row(1, "Where is my order?", "It is\x00 here.")
    studies.take_in(project, [row, *studies.support_log(30)], tmp_path)

    evaluation = studies.open_study(project, gateway)

    answers = Replay.objects.filter(sample__evaluation=evaluation).values_list("answer", flat=True)
    assert "It is\ufffd here." in answers


def test_a_try_on_another_version_of_the_prompt_does_not_count(project: Project, gateway: Gateway) -> None:
    first = _open(project, gateway, candidates=("corvus-medium",), limit=30, seed=1)
    _look_in_vain(first, "corvus-medium")
    same = _open(project, gateway, candidates=("corvus-medium",), limit=30, seed=2)
    assert first.population["prompt_version"]

    Evaluation.objects.filter(pk=first.pk).update(population=first.population | {"prompt_version": "an earlier one"})
    other = _open(project, gateway, candidates=("corvus-medium",), limit=30, seed=2)

    assert same.policy["prior"] != 0.2
    assert other.policy["prior"] == 0.2
