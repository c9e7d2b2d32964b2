"""Background work that a person sees: a Job row that runs in slices, each under a lease.

django-q2 only delivers ids, at least once. The row decides who works: a slice claims it by one conditional update,
renews its lease by `beat`, and ends by handing in its result in the transaction that queues the next slice. A worker
that dies leaves a lease that ends; `sweep` delivers the id again. Three deaths without progress fail the job.

    @jobs.slice_of("evaluation")
    def run_evaluation(job: Job, beat: Beat) -> bool:
        ...                                   # at most a minute of work; beat at least every 20 s
        return True                           # done; False asks for another slice
"""

import functools
import time
import uuid
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone
from django.utils.module_loading import import_string
from django_q.models import OrmQ
from django_q.tasks import async_task

from agentopt.lib.errors import AgentOptError, Conflict, Invalid
from agentopt.schedules import JOBS
from projects.models import Job, Project, User

SLICE_S = 60.0
MAX_ATTEMPTS = 3
STOPPED_TOO_OFTEN = "The worker stopped three times without a result."
ACTIVE = (Job.State.QUEUED, Job.State.RUNNING)
_BEATS_S = 0.5
log = structlog.get_logger(__name__)


class LeaseLost(Exception):
    """Another worker has the job now: stop, and write nothing more."""


class Cancelled(Exception):
    """A person asked to stop: leave the rows consistent and let this pass."""


class Beat:
    """Says that the slice lives, and how far it is.

    Call it often, from one thread and not inside `atomic()`; it writes at most twice a second.
    """

    def __init__(self, job: Job, token: str) -> None:
        self._job_id, self._token = job.pk, token
        self._done, self._waiting, self._written = job.done, dict[str, Any](), 0.0

    def __call__(
        self,
        *,
        done: int | None = None,
        total: int | None = None,
        message: str | None = None,
        result: Mapping[str, Any] | None = None,
    ) -> None:
        """Renew the lease and note progress; a higher `done` shows that the job is no poison.

        Raises:
            LeaseLost: another worker took over.
            Cancelled: a person asked to stop.
        """
        if done is not None:
            if done > self._done:
                self._waiting["attempts"] = 0
            self._done = self._waiting["done"] = done
        if total is not None:
            self._waiting["total"] = total
        if message is not None:
            self._waiting["message"] = message[:300]
        if result is not None:
            self._waiting["result"] = dict(result)
        if time.monotonic() - self._written >= _BEATS_S:
            self._write()

    def _write(self) -> None:
        now = timezone.now()
        held = Job.objects.filter(pk=self._job_id, token=self._token, state=Job.State.RUNNING)
        lease = now + timedelta(seconds=settings.JOB_LEASE_S)
        if not held.filter(cancel=False).update(lease_until=lease, heartbeat_at=now, **self._waiting):
            raise Cancelled if held.exists() else LeaseLost
        self._waiting, self._written = {}, time.monotonic()

    def rest(self) -> dict[str, Any]:
        """What was said since the last write, for the update that ends the slice."""
        return self._waiting


Body = Callable[[Job, Beat], bool]
_BODIES: dict[str, Body] = {}


def slice_of(kind: str) -> Callable[[Body], Callable[[int], None]]:
    """Make a body the task of a job kind: the function that django-q2 calls with the job's id."""

    def decorate(body: Body) -> Callable[[int], None]:
        _BODIES[kind] = body

        @functools.wraps(body)
        def run(job_id: int) -> None:
            job = _claim(job_id)
            if job is not None:
                _work(job, body, deliver=True)

        return run

    return decorate


# ------------------------------------------------------------------------------------------------ start and stop
def start(
    kind: str,
    project: Project,
    *,
    subject_id: int | None = None,
    options: Mapping[str, Any] | None = None,
    by: User | None = None,
) -> Job:
    """Queue a job; it and its delivery commit with the caller's transaction.

    Where the queue is set to `sync`, as in tests, the job runs to its end before this returns.

    Raises:
        Invalid: there is no such kind.
    """
    if kind not in JOBS:
        raise Invalid(f"There is no job {kind}.", fields={"job": f"Expected {', '.join(JOBS)}."})
    with transaction.atomic():
        job = Job.objects.create(
            kind=kind, project=project, subject_id=subject_id, options=dict(options or {}), created_by=by
        )
        if not _is_sync():
            _deliver(job)
    return run_here(job) if _is_sync() else job


def _is_sync() -> bool:
    return bool(settings.Q_CLUSTER["sync"])


def _deliver(job: Job) -> None:
    async_task(JOBS[job.kind].task, job.pk, task_name=f"{job.kind} job {job.pk}", sync=False)


def cancel(job: Job) -> None:
    """Stop a job: at once while it waits, at its next beat while it runs.

    Raises:
        Conflict: it has ended already.
    """
    now = timezone.now()
    waits = Job.objects.filter(pk=job.pk, state=Job.State.QUEUED)
    if waits.update(state=Job.State.CANCELLED, cancel=True, ended_at=now, lease_until=None, token=""):
        _tell_end(job)
    elif not Job.objects.filter(pk=job.pk, state=Job.State.RUNNING).update(cancel=True):
        job.refresh_from_db()
        raise Conflict(f"The job has ended already: {job.get_state_display()}.")
    job.refresh_from_db()


def retry(job: Job) -> Job:
    """Queue a failed or cancelled job again; what it did is kept, so it goes on where it stopped.

    Raises:
        Conflict: it is queued, runs, or is done.
    """
    ended = Job.objects.filter(pk=job.pk, state__in=[Job.State.FAILED, Job.State.CANCELLED])
    fresh = {"error_code": "", "error": "", "attempts": 0, "cancel": False, "ended_at": None, "message": ""}
    with transaction.atomic():
        if not ended.update(state=Job.State.QUEUED, token="", lease_until=None, **fresh):
            job.refresh_from_db()
            raise Conflict(f"Only a job that failed or was cancelled can be tried again; this one is {job.state}.")
        job.refresh_from_db()
        if not _is_sync():
            _deliver(job)
    return run_here(job) if _is_sync() else job


def run_here(job: Job, *, follow: bool = True, watch: Callable[[Job], None] | None = None) -> Job:
    """Run a job to its end in this process, without the queue, and return it as it then stands.

    Args:
        follow: also run the job that follows when it is done; else none is made.
        watch: called after each slice, for a progress bar.
    """
    import_string(JOBS[job.kind].task)  # registers the body
    while True:
        claimed = _claim(job.pk)
        if claimed is None:
            break
        following = _work(claimed, _BODIES[job.kind], deliver=False, follow=follow)
        if watch is not None:
            claimed.refresh_from_db()
            watch(claimed)
        if following is not None:
            run_here(following, watch=watch)
    job.refresh_from_db()
    return job


# ------------------------------------------------------------------------------------------------ one slice
def _claim(job_id: int) -> Job | None:
    """Take a job for one slice; None when another worker has it, when it has ended, or when it is poison."""
    now, token = timezone.now(), uuid.uuid4().hex
    free = Job.objects.filter(Q(lease_until=None) | Q(lease_until__lt=now), pk=job_id, state__in=ACTIVE)
    taken = free.filter(attempts__lt=MAX_ATTEMPTS, cancel=False).update(
        state=Job.State.RUNNING,
        token=token,
        attempts=F("attempts") + 1,
        lease_until=now + timedelta(seconds=settings.JOB_LEASE_S),
        heartbeat_at=now,
    )
    if not taken:
        _bury(job_id)
        return None
    job = Job.objects.select_related("project", "created_by").get(pk=job_id)
    if job.started_at is None:
        job.started_at = now
        job.save(update_fields=["started_at"])
    return job


def _bury(job_id: int) -> None:
    """End a job that nobody works on and that may not be tried again."""
    now = timezone.now()
    dead = Job.objects.filter(pk=job_id, state=Job.State.RUNNING, lease_until__lt=now)
    ended: dict[str, Any] = {"ended_at": now, "token": "", "lease_until": None}
    if dead.filter(cancel=True).update(state=Job.State.CANCELLED, **ended) or dead.filter(
        attempts__gte=MAX_ATTEMPTS
    ).update(state=Job.State.FAILED, error_code="worker_stopped", error=STOPPED_TOO_OFTEN, **ended):
        _tell_end(Job.objects.get(pk=job_id))


def _work(job: Job, body: Body, *, deliver: bool, follow: bool = True) -> Job | None:
    """Run one slice of a claimed job and hand in how it ended; return the job that follows, if one does."""
    beat = Beat(job, job.token)
    with structlog.contextvars.bound_contextvars(job=job.pk, kind=job.kind, project=job.project.slug):
        try:
            finished = body(job, beat)
        except LeaseLost:
            log.warning("lease lost")
            return None
        except Cancelled:
            _end(job, beat, state=Job.State.CANCELLED)
            return None
        except AgentOptError as error:
            log.warning("job failed", code=error.code)
            _end(job, beat, state=Job.State.FAILED, error_code=error.code, error=error.message)
            return None
        except Exception as error:  # the row must tell that it failed, whatever it was
            log.exception("job failed")
            what = f"An error of our own ({type(error).__name__}) stopped the job. The worker's log has the place."
            _end(job, beat, state=Job.State.FAILED, error_code="internal", error=what)
            return None
        if not finished:
            _go_on(job, beat, deliver=deliver)
            return None
        return _finish(job, beat, deliver=deliver, then=JOBS[job.kind].then if follow else None)


def _end(job: Job, beat: Beat, *, state: Job.State, **fields: Any) -> None:
    held = Job.objects.filter(pk=job.pk, token=job.token, state=Job.State.RUNNING)
    ended = {"ended_at": timezone.now(), "token": "", "lease_until": None, "slices": F("slices") + 1}
    if held.update(**{**beat.rest(), **ended, **fields, "state": state}):
        _tell_end(job)


def _go_on(job: Job, beat: Beat, *, deliver: bool) -> None:
    with transaction.atomic():
        held = Job.objects.filter(pk=job.pk, token=job.token, state=Job.State.RUNNING)
        fields = {**beat.rest(), "attempts": 0, "slices": F("slices") + 1, "token": "", "lease_until": None}
        if held.filter(cancel=False).update(**{**fields, "state": Job.State.QUEUED}):
            if deliver:
                _deliver(job)
            return
    _end(job, beat, state=Job.State.CANCELLED)


def _finish(job: Job, beat: Beat, *, deliver: bool, then: str | None) -> Job | None:
    with transaction.atomic():
        held = Job.objects.filter(pk=job.pk, token=job.token, state=Job.State.RUNNING)
        ended = {"ended_at": timezone.now(), "token": "", "lease_until": None, "slices": F("slices") + 1, "attempts": 0}
        if not held.update(**{**beat.rest(), **ended, "state": Job.State.DONE}) or then is None:
            return None
        following = Job.objects.create(
            kind=then, project=job.project, subject_id=job.subject_id, created_by=job.created_by
        )
        if deliver:
            _deliver(following)
    return following


def _tell_end(job: Job) -> None:
    """Let the kind's owner mark the subject of a job that failed or was cancelled."""
    ended = JOBS[job.kind].ended if job.kind in JOBS else None
    if ended is not None:
        job.refresh_from_db()
        import_string(ended)(job)


# ------------------------------------------------------------------------------------------------ lost work
def sweep() -> int:
    """Deliver lost jobs again and return how many.

    Lost are queued jobs without a row in the queue, and running ones whose lease has ended.
    """
    now = timezone.now()
    dead = Job.objects.filter(state=Job.State.RUNNING, lease_until__lt=now)
    for job_id in list(dead.filter(Q(cancel=True) | Q(attempts__gte=MAX_ATTEMPTS)).values_list("pk", flat=True)):
        _bury(job_id)
    lost = list(Job.objects.filter(Q(state=Job.State.QUEUED) | Q(state=Job.State.RUNNING, lease_until__lt=now)))
    if not lost:
        return 0
    rows = _rows_by_job()
    return sum(_redeliver(job, rows.get(job.pk, [])) for job in lost)


def _rows_by_job() -> dict[int, list[OrmQ]]:
    tasks = {kind.task for kind in JOBS.values()}
    found: dict[int, list[OrmQ]] = {}
    for row in OrmQ.objects.all():
        task = row.task
        if task.get("func") in tasks:
            found.setdefault(task["args"][0], []).append(row)
    return found


def _redeliver(job: Job, rows: list[OrmQ]) -> bool:
    """Free the job's row in the queue when a dead worker holds it; queue a new one when there is none."""
    now = timezone.now()
    if any(row.lock <= now for row in rows):
        return False
    if rows and job.state == Job.State.QUEUED:
        return False  # taken by a cluster that has not started it yet
    if rows:
        return bool(OrmQ.objects.filter(pk=rows[0].pk, lock=rows[0].lock).update(lock=now))
    with transaction.atomic():
        # again under the transaction: a slice may have ended meanwhile and queued the next one
        same = Job.objects.filter(pk=job.pk, state=job.state, slices=job.slices, token=job.token)
        if not same.update(message=F("message")):
            return False
        _deliver(job)
    log.warning("job delivered again", job=job.pk, state=job.state)
    return True
