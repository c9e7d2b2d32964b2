"""An evaluation from its opening to its outcome, against a sandbox over HTTP."""

import time
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from agentopt.lib.errors import GatewayError
from agentopt.sandbox.server import Sandbox, running
from evaluation import comparison, run, services
from evaluation.models import Candidate, Evaluation, Replay, Verdict
from ingestion.gateway import open_gateway
from projects import services as projects
from projects.models import Project, User
from projects.services import create_project
from tests.evaluation import studies


@pytest.fixture
def study(project: Project, sandbox: Sandbox, tmp_path: Path) -> Evaluation:
    """Two candidates, one judge, sixty prompts."""
    gateway = studies.connect(project, sandbox.url)
    studies.take_in(project, studies.support_log(70), tmp_path)
    return studies.open_study(project, gateway, candidates=("corvus-medium", "lumen-flash"), limit=60)


def gateway_of(evaluation: Evaluation) -> Any:
    return open_gateway(evaluation.project.connection)


def test_a_run_measures_what_the_decision_wants_and_says_what_it_took(study: Evaluation, sandbox: Sandbox) -> None:
    before = (sandbox.chat_calls, sandbox.judge_calls)
    told: list[str] = []

    studies.run_to_end(study, gateway_of(study), beat=lambda **progress: told.append(progress["message"]))

    outcome = study.outcome
    assert outcome is not None
    assert (study.state, study.reason, study.simulated) == (Evaluation.State.DONE, outcome["code"], True)
    assert outcome["model_calls"] == sandbox.chat_calls - before[0]
    assert outcome["judge_calls"] == sandbox.judge_calls - before[1]
    assert 0 < outcome["spent_nanousd"] < study.cap_nanousd
    assert outcome["not_measured"] == ["stability"]
    assert outcome["unknown"] == ["latency"]
    assert {row["state"] for row in outcome["candidates"]} <= set(comparison.STATES)
    assert study.looks.filter(ranking=True).count() == 2
    assert study.comparisons.filter(use_case="", metric="quality").count() == 2
    assert not study.candidates.filter(state__in=[Candidate.State.WAITING, Candidate.State.TRYING]).exists()
    assert any(message.startswith("Ranking 2 candidates: ") for message in told)


def test_the_outcome_is_recomputed_from_rows_alone(study: Evaluation) -> None:
    studies.run_to_end(study, gateway_of(study))

    again = comparison.recompute(study)

    assert comparison.outcome_json(study, again) == study.outcome
    assert comparison.recompute(study) == again


def test_slices_of_any_length_come_to_the_same_outcome(study: Evaluation, tmp_path: Path) -> None:
    whole = studies.run_to_end(study, gateway_of(study))
    twin = copy_of(study, tmp_path)

    slices = 0
    while not run.advance(
        twin, gateway=gateway_of(twin), now=timezone.now, deadline=time.monotonic() + 0.05, beat=studies.silent
    ):
        slices += 1
    twin.refresh_from_db()

    assert slices > 2
    assert studies.said(twin) == studies.said(whole)


def test_the_order_in_which_replies_come_does_not_matter(study: Evaluation, tmp_path: Path, settings: Any) -> None:
    whole = studies.run_to_end(study, gateway_of(study))
    twin = copy_of(study, tmp_path)
    settings.MAX_CONCURRENT_CALLS = 40

    with running(latency_ms=30) as shuffled:
        projects.connect(twin.project, by=None, base_url=shuffled.url)
        studies.run_to_end(twin, gateway_of(twin))

    assert studies.said(twin) == studies.said(whole)


def copy_of(study: Evaluation, folder: Path) -> Evaluation:
    """The same study in another project, which shares no cache with it."""
    project = create_project("Twin", owner=User.objects.get(email="owner@example.com"))
    project.hash_key = study.project.hash_key  # by it use cases are drawn, and by those the sample
    project.save()
    gateway = studies.connect(project, study.project.connection.base_url)
    studies.take_in(project, studies.support_log(70), folder)
    names = list(study.candidates.filter(position__gt=0).order_by("position").values_list("offer__name", flat=True))
    return studies.open_study(project, gateway, candidates=names, limit=60)


def test_a_second_evaluation_over_the_same_samples_makes_no_call(study: Evaluation, sandbox: Sandbox) -> None:
    first = studies.run_to_end(study, gateway_of(study))
    sent = (sandbox.chat_calls, sandbox.judge_calls)

    again = studies.open_study(study.project, gateway_of(study), candidates=("corvus-medium", "lumen-flash"), limit=60)
    studies.run_to_end(again, gateway_of(again))

    assert (sandbox.chat_calls, sandbox.judge_calls) == sent
    assert studies.said(again) == studies.said(first)
    assert again.outcome is not None
    assert [again.outcome[key] for key in ("model_calls", "judge_calls", "spent_nanousd")] == [0, 0, 0]


def test_the_cap_stops_a_run_which_goes_on_to_the_same_end_once_it_is_raised(study: Evaluation, tmp_path: Path) -> None:
    whole = studies.run_to_end(study, gateway_of(study))
    twin = copy_of(study, tmp_path)
    Evaluation.objects.filter(pk=twin.pk).update(cap_nanousd=20_000_000)

    studies.run_to_end(twin, gateway_of(twin))

    assert (twin.state, twin.reason, twin.outcome) == (Evaluation.State.AT_CAP, "at_cap", None)
    spent = sum(Replay.objects.filter(sample__evaluation=twin).values_list("paid_nanousd", flat=True))
    spent += sum(Verdict.objects.filter(replay__sample__evaluation=twin).values_list("paid_nanousd", flat=True))
    assert 15_000_000 < spent < 25_000_000  # what calls in flight may cost above their estimates

    Evaluation.objects.filter(pk=twin.pk).update(cap_nanousd=whole.cap_nanousd, state=Evaluation.State.QUEUED)
    studies.run_to_end(twin, gateway_of(twin))

    assert studies.said(twin) == studies.said(whole)


def test_cancelling_keeps_what_was_paid(study: Evaluation) -> None:
    with running(latency_ms=400) as slow:
        projects.connect(study.project, by=None, base_url=slow.url)

        def cancel(**_progress: Any) -> None:
            if slow.chat_calls >= 10:
                Evaluation.objects.filter(pk=study.pk).update(state=Evaluation.State.CANCELLED)

        studies.run_to_end(study, gateway_of(study), beat=cancel)
        sent = slow.chat_calls

    called = Replay.objects.filter(sample__evaluation=study, source=Replay.Source.CALLED)
    assert (study.state, study.outcome) == (Evaluation.State.CANCELLED, None)
    assert 10 <= called.count() == sent < 40


def test_a_paused_run_goes_on_where_it_stopped(study: Evaluation, sandbox: Sandbox) -> None:
    with running(latency_ms=400) as slow:
        projects.connect(study.project, by=None, base_url=slow.url)

        def pause(**_progress: Any) -> None:
            if slow.chat_calls >= 10 and study.state != Evaluation.State.PAUSED:
                services.pause(study, None)

        Evaluation.objects.filter(pk=study.pk).update(state=Evaluation.State.RUNNING)
        run.advance(study, gateway=gateway_of(study), now=timezone.now, deadline=time.monotonic() + 60, beat=pause)
        paid = slow.chat_calls
    projects.connect(study.project, by=None, base_url=sandbox.url)
    before = sandbox.chat_calls
    assert study.state == Evaluation.State.PAUSED

    Evaluation.objects.filter(pk=study.pk).update(state=Evaluation.State.QUEUED)
    studies.run_to_end(study, gateway_of(study))

    assert study.outcome is not None
    assert study.outcome["model_calls"] == paid + sandbox.chat_calls - before


def test_a_refused_key_pauses_the_run_and_stores_nothing(study: Evaluation) -> None:
    projects.connect(study.project, by=None, api_key="no-such-key")

    with pytest.raises(GatewayError):
        studies.run_to_end(study, gateway_of(study))

    study.refresh_from_db()
    assert (study.state, study.reason) == (Evaluation.State.PAUSED, "gateway")
    assert "refused the key" in study.message
    assert not Replay.objects.filter(sample__evaluation=study, source=Replay.Source.CALLED).exists()


def test_too_few_prompts_end_at_once_without_a_call(project: Project, sandbox: Sandbox, tmp_path: Path) -> None:
    gateway = studies.connect(project, sandbox.url)
    studies.take_in(project, studies.support_log(20), tmp_path)
    evaluation = studies.open_study(project, gateway)
    sent = sum(sandbox.calls_of.values())

    studies.run_to_end(evaluation, gateway)

    assert evaluation.outcome is not None
    assert evaluation.outcome["code"] == "too_few_prompts"
    assert evaluation.outcome["saved_nanousd"] is None
    assert sum(sandbox.calls_of.values()) == sent


def test_without_a_candidate_it_ends_at_once(study: Evaluation, sandbox: Sandbox) -> None:
    study.candidates.filter(position__gt=0).update(position=None, state=Candidate.State.PRUNED)
    sent = sum(sandbox.calls_of.values())

    studies.run_to_end(study, gateway_of(study))

    assert study.outcome is not None
    assert (study.outcome["code"], study.outcome["leader"]) == ("no_candidate", None)
    assert sum(sandbox.calls_of.values()) == sent


def test_an_ended_evaluation_is_left_alone(study: Evaluation) -> None:
    studies.run_to_end(study, gateway_of(study))
    before = (study.outcome, study.ended_at)

    studies.run_to_end(study, gateway_of(study))

    assert (study.outcome, study.ended_at) == before
