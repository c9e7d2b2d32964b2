"""Keeps django-q2's cluster alive, and hands out lost jobs whether schedules are on or off.

The cluster runs in a process group of its own. Two faults of django-q2 make it needful: when an idle worker is killed,
the whole cluster stops taking work for good, and when its sentinel is killed, the rest lives on as orphans. So the
group as a whole is killed and started again when work waits and nothing moves. Leases make that safe at any moment.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from datetime import datetime, timedelta
from types import FrameType

import structlog
from django.conf import settings
from django.core.cache import cache
from django.db import DatabaseError, connections
from django.utils import timezone
from django.utils.module_loading import import_string
from django_q.models import OrmQ, Task
from django_q.status import Stat

from agentopt.lib.processes import PR_SET_PDEATHSIG
from agentopt.schedules import SWEEPS
from projects import jobs, scheduling
from projects.models import Job

STOP_GRACE_S = 25.0
_SEEN_KEY = "agentopt:worker-seen"
_LOOK_EVERY_S, _SWEEP_EVERY_S = 1.0, 5.0
log = structlog.get_logger(__name__)


def last_seen() -> datetime | None:
    """When a supervisor last saw its cluster alive; None when none ever ran on this database."""
    seen: datetime | None = cache.get(_SEEN_KEY)
    return seen


# ------------------------------------------------------------------------------------------------ the child
def become_cluster() -> None:
    """Be django-q2's cluster until told to stop; called in the process that `run` starts.

    When the supervisor dies, even by kill -9, the kernel sends SIGHUP, and the group ends as a whole: the cluster's
    workers are not the supervisor's children, so nobody else would end them.
    """
    from django.core.management import call_command

    if os.getpgrp() != os.getpid():
        os.setsid()
    parent = os.getppid()
    signal.signal(signal.SIGHUP, _end_group)
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGHUP)
    if os.getppid() != parent:  # it died before the kernel knew
        _end_group(signal.SIGHUP, None)
    call_command("qcluster")


def _end_group(_number: int, _frame: FrameType | None) -> None:
    os.killpg(os.getpgrp(), signal.SIGKILL)


class Cluster:
    """The running group."""

    def __init__(self) -> None:
        _free_deliveries()
        command = [sys.executable, "-W", "ignore", str(settings.BASE_DIR / "manage.py"), "run_worker", "--cluster"]
        environment = {**os.environ, "AGENTOPT_WORKER": "true"}
        self._child = subprocess.Popen(command, start_new_session=True, env=environment)  # noqa: S603
        log.info("cluster started", pid=self._child.pid)

    def is_alive(self) -> bool:
        """Whether the group's first process lives."""
        return self._child.poll() is None

    def kill(self) -> None:
        """End every process of the group now."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._child.pid, signal.SIGKILL)
        self._child.wait()

    def stop(self) -> None:
        """Let running slices end, for STOP_GRACE_S at most, then end what is left."""
        self._child.terminate()
        try:
            self._child.wait(STOP_GRACE_S)
        except subprocess.TimeoutExpired:
            log.warning("cluster did not stop in time")
        self.kill()


def _free_deliveries() -> None:
    """What an ended cluster had taken into its memory is due again; if another cluster has it, the lease decides."""
    now = timezone.now()
    OrmQ.objects.filter(lock__gt=now).update(lock=now)


# ------------------------------------------------------------------------------------------------ the watch
def run() -> None:
    """Run a cluster until SIGTERM or SIGINT; start it again when it ends or stalls."""
    asked_to_stop: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda got, _frame: asked_to_stop.append(got))
    watch = Watch()
    while not asked_to_stop:
        try:
            watch.look()
        except DatabaseError as error:
            # nothing can be said about work that waits; the cluster waits for the database by itself
            log.warning("database does not answer", error=type(error).__name__)
            watch.moved_at = time.monotonic()
        finally:
            connections.close_all()
        time.sleep(_LOOK_EVERY_S)
    watch.cluster.stop()


class Watch:
    """A cluster, and when it last moved, in seconds of the monotonic clock."""

    def __init__(self) -> None:
        self.cluster = Cluster()
        self.moved_at = time.monotonic()
        self._swept_at, self._is_installed = 0.0, False

    def look(self) -> None:
        """Start the cluster again if it is needful, and every few seconds hand out lost jobs and say that it lives."""
        now = time.monotonic()
        if not self.cluster.is_alive():
            self._start_again("cluster ended by itself")
        elif not _is_stalled():
            self.moved_at = now
        elif now - self.moved_at > settings.JOB_STALL_S:
            self._start_again("cluster stalled")
        if now - self._swept_at > _SWEEP_EVERY_S:
            self._swept_at = now
            if not self._is_installed:
                scheduling.install()
                self._is_installed = True
            jobs.sweep()
            for name in SWEEPS:
                import_string(name)()
            cache.set(_SEEN_KEY, timezone.now(), timeout=None)

    def _start_again(self, why: str) -> None:
        log.error(why)
        self.cluster.kill()
        self.cluster, self.moved_at = Cluster(), time.monotonic()


def _is_stalled() -> bool:
    """Whether work waits, in the table or in the cluster's memory, and nothing has moved within the stall limit."""
    now = timezone.now()
    waits = (
        OrmQ.objects.filter(lock__lt=now - timedelta(seconds=3)).exists()
        or Job.objects.filter(state=Job.State.QUEUED).exists()
        or any(stat.task_q_size > 0 for stat in Stat.get_all())
    )
    if not waits:
        return False
    recently = now - timedelta(seconds=settings.JOB_STALL_S)
    return not (
        Job.objects.filter(state=Job.State.RUNNING, lease_until__gt=now).exists()
        or Task.objects.filter(stopped__gt=recently).exists()
    )
