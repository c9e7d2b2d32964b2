"""Pull logs from the gateway: ask for an export, wait, fetch, store; resumes where it stopped, never stores twice.

Each window of time is a SyncRun. Windows are worked off in the order of time, and one counts as done only after its
rows are committed, so the end of the last one done is the watermark. Source ids make a repeat harmless.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog
from django.db import transaction
from django.db.models import Max, QuerySet, Sum

from agentopt.lib.errors import AgentOptError, Invalid
from agentopt.lib.windows import Window
from ingestion import store
from ingestion.gateway import Gateway, errors
from ingestion.models import Batch, SyncRun
from projects.models import Job, Project

OVERLAP = timedelta(minutes=10)  # calls reach the gateway's log up to 3 minutes late
FIRST_PULL = timedelta(days=30)
MAX_ROWS = 20_000  # of one export: 50,000 take the gateway 10 to 20 minutes
PAGE_ROWS = 50_000  # the gateway silently leaves out what is beyond
WAIT_LIMIT = timedelta(minutes=60)
POLL_FIRST_S, POLL_MAX_S = 0.5, 15.0
log = structlog.get_logger(__name__)
State = SyncRun.State
Beat = Callable[..., object]


class ExportFailed(AgentOptError):
    """The gateway did not produce what was asked; a later sync tries again."""

    code = "export_failed"
    status = 502


@dataclass(frozen=True)
class SyncResult:
    """What a pull did. `finished` False: time was up, another call goes on; the counts are those so far."""

    finished: bool
    windows: int
    added: int
    already_there: int
    set_aside: int
    since: datetime | None
    until: datetime | None
    simulated: bool


@dataclass(frozen=True)
class _Pull:
    """What stays the same from window to window."""

    project: Project
    gateway: Gateway
    now: datetime
    began: float
    beat: Beat
    job: Job | None
    finished: list[int] = field(default_factory=list)  # keys of the windows that this call brought to their end

    def done(self) -> "QuerySet[SyncRun]":
        """Windows of this pull that are done, those of earlier slices included."""
        runs = self.project.sync_runs.filter(state=State.DONE)
        return runs.filter(pk__in=self.finished) if self.job is None else runs.filter(job=self.job)

    def moment(self) -> datetime:
        """Now, as far as time has passed since the start."""
        return self.now + timedelta(seconds=time.monotonic() - self.began)


def pull(
    project: Project,
    *,
    since: datetime | None,
    until: datetime | None,
    gateway: Gateway,
    now: datetime,
    beat: Beat,
    job: Job | None = None,
    deadline: float | None = None,
) -> SyncResult:
    """Take in all calls of a window, and first what earlier pulls left unfinished.

    Args:
        since: None continues at the watermark, with an overlap; the first time 30 days back.
        until: None means now.
        beat: called with done=, total= and message= at least every 15 seconds; may raise to stop.
        job: its windows are planned by its first slice; later slices go on with them.
        deadline: on the monotonic clock; None goes on until all is there.

    Raises:
        Invalid: the window is empty.
        ExportFailed: the gateway gave an export up.
        CallFailed: one of its children; the next pull resumes.
    """
    work = _Pull(project, gateway, now, time.monotonic(), beat, job)
    for failed in project.sync_runs.filter(state=State.FAILED):
        _renew(project, Window(failed.since, failed.until), job=job)
    if job is None or not project.sync_runs.filter(job=job).exists():
        _plan(project, since=since, until=until or now, now=now, job=job)
    polls = 0
    while (run := _next(project)) is not None:
        moved = _advance(work, run)
        if run.state == State.DONE:
            work.finished.append(run.pk)
        polls = 0 if moved else polls + 1
        wait_s = 0.0 if moved else min(POLL_FIRST_S * 2 ** (polls - 1), POLL_MAX_S)
        if deadline is not None and time.monotonic() + wait_s >= deadline:
            break
        time.sleep(wait_s)
    return _result(work)


def _plan(project: Project, *, since: datetime | None, until: datetime, now: datetime, job: Job | None) -> None:
    """Make the rows that this pull works off: what is left over, then the new window."""
    reached = project.sync_runs.aggregate(reached=Max("until"))["reached"]
    if since is None:
        since = reached - OVERLAP if reached else now - FIRST_PULL
    if since >= until:
        raise Invalid("There is no time between start and end.", fields={"since": "Expected a moment before `until`."})
    with transaction.atomic():
        for run in project.sync_runs.exclude(state=State.DONE):
            if run.export_id:
                project.sync_runs.filter(pk=run.pk).update(job=job, error="", error_code="")
            else:  # anew, so that its patience counts from now
                _renew(project, Window(run.since, run.until), job=job)
        _renew(project, Window(since, until), job=job)


def _renew(project: Project, window: Window, *, job: Job | None) -> None:
    project.sync_runs.filter(since=window.since, until=window.until).delete()
    SyncRun.objects.create(project=project, job=job, since=window.since, until=window.until)


def _next(project: Project) -> SyncRun | None:
    return project.sync_runs.exclude(state=State.DONE).order_by("since", "pk").first()


def _advance(work: _Pull, run: SyncRun) -> bool:
    """Take one window one step on; False: the gateway is at it, ask again later."""
    try:
        return _ask(work, run) if not run.export_id else _follow(work, run)
    except errors.CallFailed as error:
        _hint(error)
        run.error_code, run.error = error.code, error.message
        run.save(update_fields=["error_code", "error"])
        raise


def _ask(work: _Pull, run: SyncRun) -> bool:
    """Make the draft of an export; its total tells whether the window is too long."""
    work.beat(message=f"{_span(run)}: asking for an export")
    draft = work.gateway.exports.create(run.since, run.until)
    if draft.total == 0:
        _done(work, run)
        return True
    if draft.total is not None and draft.total > MAX_ROWS:
        parts = Window(run.since, run.until).parts(math.ceil(draft.total / (MAX_ROWS * 0.8)))
        if len(parts) > 1:
            _split(run, parts)
            return True
        if draft.total > PAGE_ROWS:
            raise _failed(run, f"More than {PAGE_ROWS:,} calls within a second: the gateway cannot export them.")
    # kept before anything is started: a worker that dies now finds the same draft again
    run.export_id, run.expected = draft.id, draft.total
    run.save(update_fields=["export_id", "expected"])
    return True


def _split(run: SyncRun, parts: list[Window]) -> None:
    with transaction.atomic():
        run.delete()
        for part in parts:
            _renew(run.project, part, job=run.job)


def _follow(work: _Pull, run: SyncRun) -> bool:
    """Start, wait for or fetch an export, whatever it is ready for."""
    exports = work.gateway.exports
    state = exports.state(run.export_id)
    if state.draft:
        exports.start(run.export_id)
        _save_state(run, State.WAITING)
        return False
    if state.failed:
        raise _failed(run, _why(state.status))
    if state.ready:
        _fetch(work, run)
        return True
    work.beat(message=f"{_span(run)}: waiting for the gateway ({state.status[:40]})")
    if work.moment() - _may_start(run) > WAIT_LIMIT:
        minutes = int(WAIT_LIMIT.total_seconds() // 60)
        raise _failed(run, f"The export is still {state.status[:40]!r} after {minutes} minutes; sync again later.")
    return False


def _may_start(run: SyncRun) -> datetime:
    """From when on a window was the one being worked at: its creation, or the end of the one before."""
    before = run.project.sync_runs.aggregate(ended=Max("ended_at"))["ended"]
    return max(run.created_at, before) if before else run.created_at


def _fetch(work: _Pull, run: SyncRun) -> None:
    _save_state(run, State.DOWNLOADING)
    simulated = work.gateway.simulated
    if simulated and not work.project.connection.simulated:
        work.project.connection.simulated = True
        work.project.connection.save(update_fields=["simulated"])

    before = work.done().aggregate(rows=Sum("expected"))["rows"] or 0
    ahead = work.project.sync_runs.exclude(state=State.DONE).aggregate(rows=Sum("expected"))["rows"] or 0

    def beat(*, done: int) -> None:
        work.beat(done=before + done, total=before + ahead, message=f"{_span(run)}: storing")

    stored = store.append(
        work.project,
        enumerate(work.gateway.exports.lines(run.export_id), start=1),
        format="portkey",
        source=Batch.Source.EXPORT,
        label=run.export_id,
        simulated=simulated,
        now=work.moment(),
        beat=beat,
    )
    run.added, run.already_there, run.set_aside = stored.added, stored.already_there, stored.set_aside
    _done(work, run)


def _done(work: _Pull, run: SyncRun) -> None:
    """Move the watermark: everything of the window is committed."""
    run.state, run.ended_at, run.error, run.error_code = State.DONE, work.moment(), "", ""
    run.save(update_fields=["state", "ended_at", "error", "error_code", "added", "already_there", "set_aside"])
    log.info("logs pulled", added=run.added, already_there=run.already_there, set_aside=run.set_aside)


def _save_state(run: SyncRun, state: str) -> None:
    run.state = state
    run.save(update_fields=["state"])


def _failed(run: SyncRun, message: str) -> ExportFailed:
    """Note that a window has to be asked for anew, and return what to raise."""
    run.state, run.error_code, run.error = State.FAILED, ExportFailed.code, message
    run.save(update_fields=["state", "error_code", "error"])
    return ExportFailed(message)


def _why(status: str) -> str:
    word = status.lower()
    if word in ("stopped", "cancelled", "canceled"):
        return "The export was stopped at the gateway; sync again to ask for a new one."
    if word == "expired":
        return "The export expired at the gateway before it was fetched; sync again to ask for a new one."
    return "The gateway could not produce the export; sync again, over a shorter time if it fails once more."


def _hint(error: errors.CallFailed) -> None:
    """Say what it takes to export logs, where the gateway's refusal alone does not."""
    hint = ""
    if isinstance(error, errors.AuthRefused):
        hint = (
            "Log export needs an Enterprise plan and a key with the scope logs.export; files can be imported without."
        )
    elif isinstance(error, errors.Rejected) and error.upstream_status == 404:
        hint = "This gateway may have no log export; files can be imported instead."
    if hint:
        error.message = f"{error.message} {hint}"
        error.args = (error.message,)


def _span(run: SyncRun) -> str:
    return f"{run.since:%F %R} to {run.until:%F %R}"


def _result(work: _Pull) -> SyncResult:
    runs = work.done()
    sums = runs.aggregate(Sum("added"), Sum("already_there"), Sum("set_aside"), until=Max("until"))
    first = runs.order_by("since").first()
    return SyncResult(
        finished=_next(work.project) is None,
        windows=runs.count(),
        added=sums["added__sum"] or 0,
        already_there=sums["already_there__sum"] or 0,
        set_aside=sums["set_aside__sum"] or 0,
        since=first.since if first else None,
        until=sums["until"],
        simulated=work.gateway.simulated,
    )
