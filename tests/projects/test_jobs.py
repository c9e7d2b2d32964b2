"""Jobs: a lease per slice, progress, cancelling, and work that was lost."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from django_q.models import OrmQ
from pytest_django import Settings

from agentopt.lib.errors import Conflict, Invalid
from agentopt.schedules import JOBS, JobKind
from projects import jobs
from projects.jobs import Beat
from projects.models import Job, Project

script: list[Any] = []
ended: list[str] = []


@jobs.slice_of("scripted")
def scripted(job: Job, beat: Beat) -> bool:
    """Do what the test wrote down for this slice: return it, raise it, or call it."""
    step = script.pop(0)
    if isinstance(step, Exception):
        raise step
    if callable(step):
        step = step(job, beat)
    return bool(step)


@jobs.slice_of("sequel")
def sequel(job: Job, beat: Beat) -> bool:
    beat(message=f"after {job.subject_id}")
    return True


def note_end(job: Job) -> None:
    ended.append(job.state)


@pytest.fixture(autouse=True)
def kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    here = __name__
    monkeypatch.setitem(JOBS, "scripted", JobKind(f"{here}.scripted", "Scripted", "sequel", f"{here}.note_end"))
    monkeypatch.setitem(JOBS, "sequel", JobKind(f"{here}.sequel", "Sequel"))
    script.clear()
    ended.clear()


@pytest.fixture
def queue(settings: Settings) -> None:
    """Deliveries wait in the queue, as they do outside tests."""
    settings.Q_CLUSTER = {**settings.Q_CLUSTER, "sync": False}


def deliver() -> None:
    """Run the oldest delivery as a worker does: call by id, then acknowledge."""
    row = OrmQ.objects.order_by("pk")[0]
    task = {"scripted": scripted, "sequel": sequel}[row.task["func"].rpartition(".")[2]]
    assert task(*row.task["args"]) is None
    row.delete()


def test_a_job_and_its_delivery_commit_or_vanish_together(project: Project, queue: None) -> None:
    with transaction.atomic():
        jobs.start("scripted", project, subject_id=7)
        transaction.set_rollback(True)

    assert (Job.objects.count(), OrmQ.objects.count()) == (0, 0)


def test_an_unknown_kind_is_refused_by_name(project: Project) -> None:
    with pytest.raises(Invalid, match="no job nonsense"):
        jobs.start("nonsense", project)


def test_a_job_runs_slice_by_slice_and_the_next_kind_follows_on_the_same_subject(project: Project, queue: None) -> None:
    script[:] = [False, False, True]
    job = jobs.start("scripted", project, subject_id=7)

    for _ in range(4):
        deliver()

    job.refresh_from_db()
    following = Job.objects.get(kind="sequel")
    assert (job.state, job.slices, job.attempts) == ("done", 3, 0)
    assert (following.state, following.message) == ("done", "after 7")
    assert OrmQ.objects.count() == 0


def test_a_sync_queue_runs_a_job_and_its_sequel_before_start_returns(project: Project) -> None:
    script[:] = [False, True]

    job = jobs.start("scripted", project, subject_id=3)

    assert job.state == "done"
    assert Job.objects.get(kind="sequel").state == "done"


def test_a_job_that_someone_works_on_is_not_taken_twice(project: Project, queue: None) -> None:
    def deliver_it_again(job: Job, beat: Beat) -> bool:
        scripted(job.pk)
        return True

    script[:] = [deliver_it_again]
    job = jobs.start("scripted", project)

    deliver()

    job.refresh_from_db()
    assert (job.state, job.slices) == ("done", 1)


def test_progress_is_kept_and_clears_the_count_of_attempts(project: Project, queue: None) -> None:
    def progress(job: Job, beat: Beat) -> bool:
        beat(done=5, total=9, message="halfway", result={"n": 1})
        assert Job.objects.get(pk=job.pk).attempts == 0
        beat(done=6)
        return False

    script[:] = [progress]
    job = jobs.start("scripted", project)

    deliver()

    job.refresh_from_db()
    assert (job.state, job.done, job.total, job.message, job.result) == ("queued", 6, 9, "halfway", {"n": 1})


def test_a_queued_job_is_cancelled_at_once(project: Project, queue: None) -> None:
    job = jobs.start("scripted", project)

    jobs.cancel(job)
    deliver()

    assert job.state == "cancelled"
    assert ended == ["cancelled"]


def test_a_running_job_is_cancelled_at_its_next_beat(project: Project, queue: None) -> None:
    def be_cancelled(job: Job, beat: Beat) -> bool:
        jobs.cancel(Job.objects.get(pk=job.pk))
        beat(done=1)
        raise AssertionError("the beat must not return")

    script[:] = [be_cancelled]
    job = jobs.start("scripted", project)

    deliver()

    job.refresh_from_db()
    assert (job.state, ended, OrmQ.objects.count()) == ("cancelled", ["cancelled"], 0)


def test_an_ended_job_cannot_be_cancelled(project: Project) -> None:
    script[:] = [True]
    job = jobs.start("scripted", project)

    with pytest.raises(Conflict, match="ended already"):
        jobs.cancel(job)


def test_a_named_error_is_told_and_another_one_keeps_its_words(
    project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    script[:] = [Invalid("The window is empty."), ValueError("prompt: my card is 4111")]

    named = jobs.start("scripted", project)
    other = jobs.start("scripted", project)

    assert (named.state, named.error_code, named.error) == ("failed", "invalid", "The window is empty.")
    assert (other.state, other.error_code) == ("failed", "internal")
    assert "4111" not in other.error
    assert ended == ["failed", "failed"]


def test_a_failed_job_can_be_tried_again(project: Project) -> None:
    script[:] = [Invalid("The window is empty."), True]
    job = jobs.start("scripted", project)

    jobs.retry(job)

    job.refresh_from_db()
    assert (job.state, job.error, job.error_code) == ("done", "", "")
    with pytest.raises(Conflict):
        jobs.retry(job)


def test_a_worker_that_lost_its_lease_writes_nothing_more(project: Project, queue: None) -> None:
    def lose(job: Job, beat: Beat) -> bool:
        Job.objects.filter(pk=job.pk).update(token="another worker")
        beat(done=99)
        raise AssertionError("the beat must not return")

    script[:] = [lose]
    job = jobs.start("scripted", project)

    deliver()

    job.refresh_from_db()
    assert (job.state, job.done, job.token) == ("running", 0, "another worker")


def die(job: Job, *, times: int = 1) -> None:
    """What a kill -9 in mid-slice leaves: claimed, the lease over, the delivery held by nobody."""
    now = timezone.now()
    for _ in range(times):
        assert jobs._claim(job.pk) is not None
        Job.objects.filter(pk=job.pk).update(lease_until=now - timedelta(seconds=1))
    OrmQ.objects.update(lock=now + timedelta(seconds=600))


def test_the_sweep_frees_the_delivery_that_a_dead_worker_holds(project: Project, queue: None) -> None:
    script[:] = [True]
    job = jobs.start("scripted", project)
    die(job)

    swept = jobs.sweep()

    assert (swept, OrmQ.objects.filter(lock__lte=timezone.now()).count(), OrmQ.objects.count()) == (1, 1, 1)
    deliver()
    job.refresh_from_db()
    assert job.state == "done"


@pytest.mark.parametrize("dead", [False, True])
def test_the_sweep_queues_a_job_whose_delivery_is_gone(project: Project, queue: None, dead: bool) -> None:
    job = jobs.start("scripted", project)
    if dead:
        die(job)
    OrmQ.objects.all().delete()

    assert (jobs.sweep(), jobs.sweep()) == (1, 0)
    assert OrmQ.objects.count() == 1


def test_the_sweep_leaves_waiting_and_living_jobs_alone(project: Project, queue: None) -> None:
    waiting, living = jobs.start("scripted", project), jobs.start("scripted", project)
    assert jobs._claim(living.pk) is not None

    assert jobs.sweep() == 0
    assert OrmQ.objects.count() == 2
    waiting.refresh_from_db()
    assert waiting.state == "queued"


def test_three_deaths_without_progress_fail_the_job(project: Project, queue: None) -> None:
    job = jobs.start("scripted", project)
    die(job, times=3)

    assert jobs.sweep() == 0

    job.refresh_from_db()
    assert (job.state, job.error_code, job.error) == ("failed", "worker_stopped", jobs.STOPPED_TOO_OFTEN)
    assert ended == ["failed"]


def test_a_dead_job_that_was_cancelled_ends_cancelled(project: Project, queue: None) -> None:
    job = jobs.start("scripted", project)
    die(job)
    jobs.cancel(job)

    jobs.sweep()

    job.refresh_from_db()
    assert job.state == "cancelled"


def test_a_job_runs_here_to_its_end_without_the_queue(project: Project, queue: None) -> None:
    script[:] = [False, False, True]
    job = jobs.start("scripted", project)
    OrmQ.objects.all().delete()
    seen: list[int] = []

    jobs.run_here(job, watch=lambda row: seen.append(row.slices), follow=False)

    assert (job.state, seen, OrmQ.objects.count()) == ("done", [1, 2, 3], 0)
    assert not Job.objects.filter(kind="sequel").exists()
