"""How far the pulls of a project are: its windows, what they wait for, rows of how many."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q

from ingestion.models import SyncRun
from projects.models import Job, Project

MAX_RUNS = 200


@dataclass(frozen=True)
class Progress:
    """The windows of one pull, in the order of time. `expected` counts the calls of those that were asked for so far.

    `current` is the window that is worked at, or comes next; None: all are done.
    """

    runs: tuple[SyncRun, ...]
    n_windows: int
    n_done: int
    rows: int
    expected: int
    current: SyncRun | None

    @property
    def missing(self) -> int:
        """Calls that the gateway counted and did not put into its files."""
        return sum(run.missing for run in self.runs)

    @property
    def doing(self) -> str:
        """What is being done, or waited for; "" where nothing is."""
        return "" if self.current is None else self.current.doing or "waiting for its turn"

    @property
    def started_at(self) -> datetime | None:
        return min((run.started_at for run in self.runs if run.started_at), default=None)


def of(project: Project, *, job: Job | None = None, since: datetime | None = None) -> Progress:
    """The windows of a job; without one those that are not done, and those done since a moment."""
    if job is not None:
        found = project.sync_runs.filter(job=job)
    else:
        recent = Q(ended_at__gte=since) if since else Q(pk=None)
        found = project.sync_runs.filter(recent | ~Q(state=SyncRun.State.DONE))
    return _told(tuple(found.order_by("since", "pk")))


def _told(found: Sequence[SyncRun]) -> Progress:
    runs = tuple(found)
    left = [run for run in runs if run.state != SyncRun.State.DONE]
    return Progress(
        runs=runs[-MAX_RUNS:],
        n_windows=len(runs),
        n_done=len(runs) - len(left),
        rows=sum(run.read_rows for run in runs),
        expected=sum(max(run.expected or 0, run.read_rows) for run in runs),
        current=left[0] if left else None,
    )


def newest(project: Project) -> Progress:
    """The newest pull: what is left to do, whoever began it; otherwise the windows of the last job."""
    return newest_of(project, project.jobs.filter(kind="sync").order_by("-pk").first())


def newest_of(project: Project, job: Job | None) -> Progress:
    """The same, where the caller has the newest pull."""
    found = list(project.sync_runs.filter(Q(job=job) | ~Q(state=SyncRun.State.DONE)).order_by("since", "pk"))
    left = [run for run in found if run.state != SyncRun.State.DONE]
    if job is None or (left and left[0].job_id != job.pk):
        return _told(left)
    return _told([run for run in found if run.job_id == job.pk])
