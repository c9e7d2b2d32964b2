"""The fixed set of answers that every judge scores: a change of judge is named as such."""

import time
from collections.abc import Callable

import pytest
from django.test import Client
from django.utils import timezone

from agentopt.lib.errors import Conflict
from agentopt.sandbox.server import Sandbox
from evaluation import anchors, people_pages, services
from evaluation.models import Anchor, AnchorVerdict, Charge, Evaluation, Judge, JudgeVersion, Seat
from evaluation.statistics.judge_shift import Shift
from projects import services as projects
from projects.models import Notice, Project, User
from recommendations.drift import monitor
from tests.evaluation import people, studies

OTHER = "judge-heron"


def _judge(place: int, candidate: bool) -> float | None:
    return place / 100 + 0.2 * candidate


@pytest.fixture
def study(ready: Project, sandbox: Sandbox) -> Evaluation:
    """A judged evaluation, without anchors."""
    return people.study(ready, sandbox, _judge, limit=40)


def _with_judge(study: Evaluation, sandbox: Sandbox, name: str) -> Evaluation:
    """A further evaluation of the same calls by another judge."""
    gateway = studies.connect(study.project, sandbox.url)
    return studies.open_study(study.project, gateway, judges=[name], rubrics=["correctness"], limit=40)


def _rejudge(project: Project, sandbox: Sandbox) -> bool:
    gateway = studies.connect(project, sandbox.url)
    deadline = time.monotonic() + 60
    return anchors.rejudge(project, gateway=gateway, now=timezone.now, deadline=deadline, beat=studies.silent)


def test_the_set_is_drawn_once_and_takes_over_the_scores_that_were_paid(study: Evaluation) -> None:
    assert anchors.keep(study) is False  # nothing lacks: the judge has scored these very answers
    first = list(Anchor.objects.values_list("replay_id", flat=True))

    anchors.keep(study)

    assert list(Anchor.objects.values_list("replay_id", flat=True)) == first
    assert len(first) == anchors.ANCHORS
    assert AnchorVerdict.objects.count() == anchors.ANCHORS


def test_a_judge_that_is_new_scores_the_whole_set_once_and_is_paid_once(study: Evaluation, sandbox: Sandbox) -> None:
    anchors.keep(study)
    _with_judge(study, sandbox, OTHER)

    assert len(anchors.lacking(study.project)) == anchors.ANCHORS
    projects.change_project(study.project, {"allowed_providers": ["elsewhere"]}, by=None)
    with pytest.raises(Conflict, match="allowed_providers"):
        _rejudge(study.project, sandbox)
    projects.change_project(study.project, {"allowed_providers": []}, by=None)
    assert _rejudge(study.project, sandbox) is True
    charged = sum(charge.calls for charge in Charge.objects.filter(kind=Charge.Kind.VERDICTS))
    again = _rejudge(study.project, sandbox)

    assert again is True
    assert anchors.lacking(study.project) == []
    assert AnchorVerdict.objects.filter(judge__model=OTHER).count() == anchors.ANCHORS
    assert (
        sum(charge.calls for charge in Charge.objects.filter(kind=Charge.Kind.VERDICTS)) == charged >= anchors.ANCHORS
    )


def test_a_run_whose_time_is_over_goes_on_where_it_stopped(study: Evaluation, sandbox: Sandbox) -> None:
    anchors.keep(study)
    _with_judge(study, sandbox, OTHER)
    gateway = studies.connect(study.project, sandbox.url)

    ended = anchors.rejudge(study.project, gateway=gateway, now=timezone.now, deadline=0.0, beat=studies.silent)

    assert ended is False
    assert _rejudge(study.project, sandbox) is True


def test_a_harsher_judge_is_named_as_a_change_of_judge(study: Evaluation, sandbox: Sandbox) -> None:
    anchors.keep(study)
    later = _with_judge(study, sandbox, OTHER)
    seat = later.seats.get()
    AnchorVerdict.objects.bulk_create(
        AnchorVerdict(anchor=one.anchor, judge=seat.judge, version=seat.version, score=max(0.0, (one.score or 0) - 0.1))
        for one in AnchorVerdict.objects.select_related("anchor")
    )

    (change,) = anchors.changes(study.project)
    page = people_pages.accuracy_page(study.project)

    assert (change.evaluation, change.kind) == (later, "model")
    assert change.shift.verdict is Shift.MOVED
    assert change.shift.shift is not None
    assert -0.1 <= change.shift.shift.estimate < -0.05
    assert page.changes[0].text.startswith("The judge moved, not the agent: −0.")


def test_a_harsher_judge_is_an_alert_of_its_own_told_once(
    study: Evaluation, sandbox: Sandbox, member: User, client_of: Callable[[User], Client]
) -> None:
    anchors.keep(study)
    now = timezone.now()
    before = monitor.check(study.project, now=now)
    seat = _with_judge(study, sandbox, OTHER).seats.get()
    AnchorVerdict.objects.bulk_create(
        AnchorVerdict(anchor=one.anchor, judge=seat.judge, version=seat.version, score=max(0.0, (one.score or 0) - 0.1))
        for one in AnchorVerdict.objects.select_related("anchor")
    )

    told, again = monitor.check(study.project, now=now), monitor.check(study.project, now=now)
    (alert,) = told.alerts
    page = client_of(member).get(alert.get_absolute_url()).content.decode()

    assert (before.alerts, again.alerts) == ([], [])
    assert alert.rise is False
    assert "The judges changed, and score the same answers" in page
    assert "The agent has no part in it: 30 stored answers were judged again." in page
    assert OTHER in page
    assert Notice.objects.get(project=study.project, kind="alert").context["metric"] == "new_judge"


def test_a_new_wording_of_the_same_judge_is_a_change_too(study: Evaluation, sandbox: Sandbox) -> None:
    later = _with_judge(study, sandbox, studies.JUDGE)
    seat = later.seats.get()
    fields = {"rubric": "correctness", "text": "other", "lowest": 1, "highest": 10, "text_hash": "f" * 64}
    Seat.objects.filter(pk=seat.pk).update(version=JudgeVersion.objects.create(**fields))

    (change,) = anchors.changes(study.project)

    assert change.kind == "wording"
    assert change.shift.verdict is Shift.UNKNOWN  # nobody scored the set: there is none


def test_the_end_of_an_evaluation_by_a_new_judge_starts_the_job(study: Evaluation, sandbox: Sandbox) -> None:
    anchors.keep(study)
    later = _with_judge(study, sandbox, OTHER)
    people.fill(later, _judge)

    services.start(later, None)

    job = study.project.jobs.get(kind="anchors")
    assert (job.state, job.done) == ("done", anchors.ANCHORS)
    assert anchors.lacking(study.project) == []


def test_a_project_that_keeps_hashes_only_has_no_set(study: Evaluation) -> None:
    Project.objects.filter(pk=study.project_id).update(privacy="hashed")
    study.project.refresh_from_db()

    assert anchors.keep(study) is False
    assert not Anchor.objects.exists()


def test_the_same_judges_are_no_change(study: Evaluation, sandbox: Sandbox) -> None:
    _with_judge(study, sandbox, studies.JUDGE)

    assert anchors.changes(study.project) == []
    assert Judge.objects.filter(active=True).count() == 1
