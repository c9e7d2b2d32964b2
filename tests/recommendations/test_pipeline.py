"""Evaluations that start by themselves: only where something changed, and only within the month's cap."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone
from pytest_django import Settings

from agentopt.lib.errors import Invalid
from agentopt.lib.money import nanousd
from agentopt.sandbox.server import Sandbox
from evaluation import services as evaluations
from evaluation.models import Charge, Evaluation
from ingestion.gateway import Gateway
from ingestion.models import Batch, ModelOffer, Price
from projects import services as projects
from projects.models import Job, Notice, Project
from recommendations import pipeline
from tests.evaluation import studies

pytestmark = pytest.mark.django_db


@pytest.fixture
def gateway(project: Project, sandbox: Sandbox, tmp_path: Path, settings: Settings) -> Gateway:
    """Logs and judges on a sandbox, a cap of $50 a month, and jobs that wait for a worker."""
    settings.Q_CLUSTER = {**settings.Q_CLUSTER, "sync": False}
    gateway = studies.connect(project, sandbox.url)
    studies.take_in(project, studies.support_log(60), tmp_path)
    evaluations.set_judges(project, [studies.JUDGE], rubrics=["correctness", "safety"])
    projects.change_project(project, {"monthly_cap_nanousd": nanousd(50)}, by=None)
    return gateway


Turn = Callable[..., pipeline.Turn]


@pytest.fixture
def turn(project: Project, gateway: Gateway) -> Turn:
    """One turn of the schedule."""

    def make(*, job: Job | None = None, asked: bool = False, later: timedelta = timedelta(0)) -> pipeline.Turn:
        own = job or Job.objects.create(kind="scheduled_evaluation", project=project)
        now = timezone.now() + later
        return pipeline.evaluate(project, connect=lambda: gateway, now=now, job=own, asked=asked)

    return make


def end(evaluation: Evaluation | None) -> None:
    assert evaluation is not None
    Evaluation.objects.filter(pk=evaluation.pk).update(state="done")


def codes(project: Project) -> list[str]:
    return [one.code for one in pipeline.changes(project, now=timezone.now())]


def test_the_first_turn_starts_an_evaluation_within_the_cap_of_the_month(project: Project, turn: Turn) -> None:
    Charge.objects.create(project=project, kind="replays", nanousd=nanousd(45), calls=9, at=timezone.now())

    found = turn()

    assert found.evaluation is not None
    assert [one.code for one in found.because] == ["first"]
    assert found.evaluation.cap_nanousd == nanousd(5)  # what the month has left, below the $25 of a run
    assert project.jobs.filter(kind="evaluation", subject_id=found.evaluation.pk).exists()


def test_a_turn_on_which_nothing_changed_starts_none_and_bothers_nobody(project: Project, turn: Turn) -> None:
    end(turn().evaluation)

    found = turn()

    assert found.evaluation is None
    assert found.held is not None
    assert found.held.code == "unchanged"
    assert not Notice.objects.exists()


def test_a_turn_waits_for_the_evaluation_before(turn: Turn) -> None:
    turn()

    held = turn().held

    assert held is not None
    assert held.code == "under_way"


def test_each_change_that_matters_is_seen(project: Project, turn: Turn) -> None:
    first = turn().evaluation
    end(first)
    assert codes(project) == []
    assert first is not None

    tried = ModelOffer.objects.get(name="corvus-medium", project=project)
    today = timezone.now().date()
    Price.objects.create(
        offer=tried, valid_from=today, revision=9, input_nanousd=1, output_nanousd=1, source="a test"
    )  # fmt: skip
    assert codes(project) == ["price"]

    ModelOffer.objects.create(project=project, name="novel-one", model="novel-one")
    assert codes(project) == ["price", "offer"]

    projects.change_goal(project, {"min_gain": 0.3}, by=None)
    assert codes(project) == ["goal", "price", "offer"]

    newest = project.batches.latest("number").number
    for number, added in ((newest + 1, 999), (newest + 2, 1)):
        before = codes(project)
        Batch.objects.create(project=project, number=number, source="push", format="portkey", added=added)
    assert before == ["goal", "price", "offer"]
    assert codes(project) == ["goal", "price", "offer", "calls"]


def test_another_prompt_version_and_another_mix_are_seen() -> None:
    old = [("v1", 1)] * 600 + [("v1", 2)] * 400
    same = [("v1", 1)] * 310 + [("v1", 2)] * 190
    moved = [("v2", 1)] * 100 + [("v1", 2)] * 400

    assert pipeline._versions(old, same) is None
    assert pipeline._mix(old, same) is None
    version, mix = pipeline._versions(old, moved), pipeline._mix(old, moved)
    assert version is not None
    assert version.text == "New prompt versions: v2."
    assert mix is not None  # 40 points moved, of which chance explains some
    assert pipeline._mix(old, moved[:100]) is None  # too few to tell


def test_without_a_cap_per_month_nothing_starts_and_that_is_told_once_a_month(project: Project, turn: Turn) -> None:
    projects.change_project(project, {"monthly_cap_nanousd": None}, by=None)

    held = [turn().held for _ in range(2)]

    assert [one.code for one in held if one is not None] == ["no_monthly_cap"] * 2
    assert Notice.objects.get().kind == "evaluation_held"
    assert turn(asked=True).evaluation is not None  # a person may all the same


def test_a_month_that_is_used_up_starts_none_even_for_a_person(project: Project, turn: Turn) -> None:
    Charge.objects.create(project=project, kind="replays", nanousd=nanousd(50), calls=9, at=timezone.now())

    for asked in (False, True):
        held = turn(asked=asked).held
        assert held is not None
        assert held.code == "monthly_cap"


def test_what_would_cost_more_than_is_left_is_not_begun(project: Project, turn: Turn) -> None:
    projects.change_project(project, {"monthly_cap_nanousd": 1_000_000}, by=None)

    found = turn()

    assert found.held is not None
    assert found.held.code == "forecast"
    assert not project.evaluations.exists()


def test_a_worker_that_died_between_opening_and_starting_opens_no_second_one(
    project: Project, turn: Turn, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = Job.objects.create(kind="scheduled_evaluation", project=project)
    with monkeypatch.context() as patch:
        patch.setattr(pipeline.evaluations, "start", _die)  # type: ignore[attr-defined]  # imported under a name of its own
        with pytest.raises(KeyboardInterrupt):
            turn(job=job)

    found = turn(job=job)

    assert project.evaluations.count() == 1
    assert found.evaluation == project.evaluations.get()
    assert project.jobs.filter(kind="evaluation").count() == 1


def _die(*_: object) -> None:
    raise KeyboardInterrupt


def test_what_cannot_be_evaluated_is_a_reason_not_a_failure(project: Project, turn: Turn) -> None:
    def none() -> Gateway:
        raise Invalid("The gateway is not configured.")

    job = Job.objects.create(kind="scheduled_evaluation", project=project)

    found = pipeline.evaluate(project, connect=none, now=timezone.now(), job=job)

    assert found.held == pipeline.Said("cannot", "The gateway is not configured.")


def test_the_end_of_the_model_in_production_is_told_in_stages_each_once(project: Project, gateway: Gateway) -> None:
    ends = studies.LOGGED_UNTIL.date() + timedelta(days=100)
    ModelOffer.objects.filter(project=project, model="aurora-large").update(retires_on=ends)

    for days in (0, 20, 21, 29):
        pipeline.warn_of_retirement(project, now=studies.LOGGED_UNTIL + timedelta(days=days))
        notices = list(Notice.objects.filter(kind="model_retires").values_list("context__sentence", flat=True))

    assert notices == ["aurora-large, which serves most calls, retires in 80 days (2027-02-09)."]
