"""A real supervisor with a real cluster: what dies is replaced, and the work still ends."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from django.conf import settings as given
from django.db import connection
from django.utils import timezone
from django_q.models import Schedule
from pytest_django import Settings

from agentopt.schedules import JOBS, JobKind
from projects import jobs, scheduling, supervisor
from projects.models import AuditEntry, IdempotencyKey, Job, NoticeDelivery, Project, ScheduleRun
from projects.notifications import addresses, send
from tests.projects.notifications.receivers import http_receiver

pytestmark = pytest.mark.worker
WAIT_S = 90.0


@pytest.fixture
def counting(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.Q_CLUSTER = {**settings.Q_CLUSTER, "sync": False}
    monkeypatch.setitem(JOBS, "counting", JobKind("tests.projects.counting.count", "Counting"))


@contextmanager
def supervised(folder: Path, *, schedules: bool = False) -> Iterator[subprocess.Popen[bytes]]:
    """A supervisor on the test's database, with short limits; what is left of it is ended."""
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.worker_settings",
        "TEST_DATABASE_NAME": str(connection.settings_dict["NAME"]),
        "TEST_STATUS_FOLDER": str(folder),
        "AGENTOPT_ENCRYPTION_KEYS": ",".join(given.AGENTOPT_ENCRYPTION_KEYS),
        "JOB_STALL_S": "6",
        "JOB_LEASE_S": "4",
        "WORKERS": "2",
        "ENABLE_SCHEDULER": str(schedules).lower(),
        "LOG_LEVEL": "ERROR",
    }
    command = [sys.executable, str(given.BASE_DIR / "manage.py"), "run_worker"]
    process = subprocess.Popen(command, env=environment, cwd=given.BASE_DIR)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(40)
        finally:
            process.kill()


def until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end, f"waited {WAIT_S:g} s in vain until {what}"
        time.sleep(0.1)


def is_done(job: Job) -> bool:
    job.refresh_from_db()
    assert job.state != "failed", job.error
    return job.state == "done"


def is_gone(pid: int) -> bool:
    """Ended, or ended and not yet collected by its parent."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def busy_worker(job: Job) -> int:
    until(lambda: bool(Job.objects.get(pk=job.pk).message), "a worker has begun")
    return int(Job.objects.get(pk=job.pk).message)


def counted(job: Job) -> int:
    return IdempotencyKey.objects.filter(owner=f"job {job.pk}").count()


def test_a_worker_killed_in_mid_slice_and_idle_workers_killed_cost_no_work(
    transactional_db: None, project: Project, counting: None, tmp_path: Path
) -> None:
    with supervised(tmp_path) as process:
        job = jobs.start("counting", project, options={"n": 40})
        killed = busy_worker(job)
        until(lambda: counted(job) > 3, "it is in mid-slice")

        os.kill(killed, signal.SIGKILL)

        until(lambda: is_done(job), "the job is done by another worker")
        assert counted(job) == 40
        # the one number in flight when the worker died, at most, was done twice
        assert AuditEntry.objects.filter(action="counted").count() in (40, 41)

        twins = [jobs.start("counting", project, options={"n": 30}) for _ in range(2)]
        idle = {busy_worker(twin) for twin in twins}
        until(lambda: all(is_done(twin) for twin in twins), "both workers have worked")
        time.sleep(1)

        for pid in idle:
            os.kill(pid, signal.SIGKILL)
        late = jobs.start("counting", project, options={"n": 5})

        until(lambda: is_done(late), "the stalled cluster was started again")
        assert counted(late) == 5
        seen = supervisor.last_seen()
        assert seen is not None
        assert timezone.now() - seen < timedelta(seconds=30)

        process.terminate()
        assert process.wait(40) == 0


def test_a_supervisor_that_is_killed_takes_its_cluster_with_it_and_the_next_one_goes_on(
    transactional_db: None, project: Project, counting: None, tmp_path: Path
) -> None:
    with supervised(tmp_path) as process:
        job = jobs.start("counting", project, options={"n": 60})
        worker = busy_worker(job)

        process.kill()
        process.wait(10)

        until(lambda: is_gone(worker), "the worker is gone")
    with supervised(tmp_path):
        until(lambda: is_done(job), "the next supervisor ends the job")
    assert counted(job) == 60


def missed_turn() -> datetime:
    """A turn that came round while nothing ran."""
    due = timezone.now() - timedelta(days=3)
    Schedule.objects.create(
        name="agentopt:counting", func=scheduling.TASK, args="'counting',", cron="0 3 29 2 *", schedule_type="C",
        intended_date_kwarg="due",
    )  # fmt: skip
    Schedule.objects.update(next_run=due)  # a new row gets its next turn by itself, whatever it says
    return due


def test_a_turn_that_was_missed_for_days_runs_once_though_two_clusters_look_for_it(
    transactional_db: None, project: Project, counting: None, tmp_path: Path
) -> None:
    due = missed_turn()

    with supervised(tmp_path / "one", schedules=True), supervised(tmp_path / "two", schedules=True):
        until(lambda: ScheduleRun.objects.filter(name="counting").exists(), "the turn has come")
        until(lambda: is_done(Job.objects.get(kind="counting")), "its job is done")
        time.sleep(35)  # both clusters look every 30 s: time enough for a second turn

    assert ScheduleRun.objects.get(name="counting").due_at == due
    assert Job.objects.filter(kind="counting").count() == 1
    assert AuditEntry.objects.filter(action="counted").count() == 5
    assert Schedule.objects.get(name="agentopt:counting").next_run > timezone.now()


def test_with_schedules_off_nothing_comes_by_itself_but_notices_still_go_out(
    transactional_db: None, project: Project, counting: None, tmp_path: Path
) -> None:
    missed_turn()

    with http_receiver() as receiver, supervised(tmp_path):
        addresses.add(project, form="chat", name="room", address=receiver.url, by=None)
        for n in range(20):
            send(project, "sync_failed", {"sentence": f"Sync {n} failed.", "path": "/"})
        sent = NoticeDelivery.objects.filter(state="sent")
        until(lambda: sent.count() == 20, "all notices have gone out")
        time.sleep(35)  # longer than the scheduler's own cycle

    assert len(receiver.posts) == 20
    assert not ScheduleRun.objects.exists()
    assert Schedule.objects.filter(name="agentopt:digest").exists()
