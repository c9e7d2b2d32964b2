"""An evaluation as a job: what a person sees of it, and what follows."""

from decimal import Decimal
from pathlib import Path

import pytest

from agentopt.sandbox.server import Sandbox
from evaluation import services, tasks
from evaluation.models import Evaluation
from ingestion.gateway import open_gateway
from projects import services as projects
from projects.models import Job, Project, User
from tests.evaluation import studies

State = Evaluation.State


@pytest.fixture
def study(project: Project, sandbox: Sandbox, tmp_path: Path) -> Evaluation:
    gateway = studies.connect(project, sandbox.url)
    studies.take_in(project, studies.support_log(40), tmp_path)
    return studies.open_study(project, gateway, limit=30)


def test_a_job_brings_an_evaluation_to_its_outcome_and_a_recommendation_follows(
    study: Evaluation, member: User
) -> None:
    job = services.start(study, member)

    study.refresh_from_db()
    assert (job.state, study.state) == (Job.State.DONE, State.DONE)
    assert job.result == {"evaluation": study.number, "code": study.reason}
    assert study.project.jobs.filter(kind="recommendation", subject_id=study.pk).count() == 1


def test_a_job_at_the_cap_fails_by_name_and_a_higher_cap_resumes_it(study: Evaluation, member: User) -> None:
    Evaluation.objects.filter(pk=study.pk).update(cap_nanousd=10_000_000)

    job = services.start(study, member)

    study.refresh_from_db()
    assert (job.state, job.error_code) == (Job.State.FAILED, "budget_exceeded")
    assert (study.state, study.reason, study.outcome) == (State.AT_CAP, "at_cap", None)
    assert not study.project.jobs.filter(kind="recommendation").exists()

    again = services.resume(study, member, max_cost_usd=Decimal(5))

    study.refresh_from_db()
    assert (again.state, study.state) == (Job.State.DONE, State.DONE)


def test_a_job_whose_key_is_refused_fails_and_leaves_the_evaluation_paused(study: Evaluation, member: User) -> None:
    projects.connect(study.project, by=None, api_key="no-such-key")

    job = services.start(study, member)

    study.refresh_from_db()
    assert (job.state, job.error_code) == (Job.State.FAILED, "auth_refused")
    assert (study.state, study.reason) == (State.PAUSED, "gateway")


def test_a_paused_evaluation_ends_its_job_without_a_recommendation(study: Evaluation, member: User) -> None:
    services.pause(study, member)

    job = services.start(study, member)

    study.refresh_from_db()
    assert (job.state, study.state) == (Job.State.CANCELLED, State.PAUSED)
    assert not study.project.jobs.filter(kind="recommendation").exists()


@pytest.mark.parametrize(
    ("job_state", "state", "expected"),
    [
        (Job.State.CANCELLED, State.RUNNING, State.CANCELLED),
        (Job.State.FAILED, State.RUNNING, State.FAILED),
        (Job.State.FAILED, State.PAUSED, State.PAUSED),
        (Job.State.FAILED, State.AT_CAP, State.AT_CAP),
        (Job.State.CANCELLED, State.DONE, State.DONE),
    ],
)
def test_an_ended_job_marks_an_evaluation_that_would_seem_to_run(
    study: Evaluation, job_state: str, state: str, expected: str
) -> None:
    Evaluation.objects.filter(pk=study.pk).update(state=state)
    job = Job.objects.create(
        kind="evaluation", project=study.project, subject_id=study.pk, state=job_state, error="It broke."
    )

    tasks.mark_ended(job)

    study.refresh_from_db()
    assert study.state == expected


def test_a_project_that_lost_its_address_fails_before_any_call(study: Evaluation, member: User) -> None:
    projects.connect(study.project, by=None, base_url="")

    job = services.start(study, member)

    assert (job.state, job.error_code) == (Job.State.FAILED, "invalid")
    with pytest.raises(Exception, match="not configured"):
        open_gateway(study.project.connection)
