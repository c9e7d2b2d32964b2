"""Pull logs from the gateway: ask for an export, wait, fetch, store; resumes where it stopped, never stores twice.

Each window of time is a SyncRun. Windows are worked off in the order of time, and one counts as done only after its
rows are committed, so the end of the last one done is the watermark. Source ids make a repeat harmless.

A run's state says where a killed process has to go on: `draft` (ask), `waiting` (the gateway is at it), `downloading`
(the file grows in DATA_DIR), `storing` (it is whole; `read_rows` of it are committed), `done`, `failed` (ask anew).
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice

import structlog
from django.db import transaction
from django.db.models import Count, Max, Min, QuerySet, Sum

from agentopt.lib.errors import AgentOptError, Invalid
from agentopt.lib.windows import Window
from ingestion import downloads, store, turns
from ingestion.catalog import loader
from ingestion.gateway import Gateway, errors, open_gateway
from ingestion.models import Batch, SyncRun
from projects.models import Job, Project

OVERLAP = timedelta(minutes=10)  # calls reach the gateway's log up to 3 minutes late
FIRST_PULL = timedelta(days=30)
MAX_ROWS = 20_000  # of one export: 50,000 take the gateway 10 to 20 minutes
PAGE_ROWS = 50_000  # the gateway silently leaves out what is beyond
SHORT_SHARE = 0.05  # of the counted calls: a file that lacks more was cut, one that lacks less lost old calls meanwhile
WAIT_LIMIT = timedelta(minutes=60)
POLL_FIRST_S, POLL_MAX_S = 0.5, 15.0
BEAT_S = 10.0
log = structlog.get_logger(__name__)
State = SyncRun.State
Beat = Callable[..., object]


class ExportFailed(AgentOptError):
    """The gateway did not produce what was asked; a later sync tries again."""

    code = "export_failed"
    status = 502


class _TimeUp(Exception):
    """The slice is over; everything so far is kept."""


@dataclass(frozen=True)
class SyncResult:
    """What a pull did. `finished` False: time was up, another call goes on; the counts are those so far.

    Counts are of whole windows, also where an earlier pull that was killed had stored a part of one. `missing` are
    calls that the gateway counted and did not put into its file.
    """

    finished: bool
    windows: int
    added: int
    already_there: int
    set_aside: int
    missing: int
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
    deadline: float | None
    finished: list[int] = field(default_factory=list)  # keys of the windows that this call brought to their end
    renewed: set[Window] = field(default_factory=set)  # whose export was gone, and asked for anew

    def done(self) -> "QuerySet[SyncRun]":
        """Windows of this pull that are done, those of earlier slices included."""
        runs = self.project.sync_runs.filter(state=State.DONE)
        return runs.filter(pk__in=self.finished) if self.job is None else runs.filter(job=self.job)

    def moment(self) -> datetime:
        """Now, as far as time has passed since the start."""
        return self.now + timedelta(seconds=time.monotonic() - self.began)

    def time_is_up(self) -> bool:
        return self.deadline is not None and time.monotonic() >= self.deadline


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
        until: None means now, and so does what lies after it.
        beat: called with done=, total= and message= at least every 15 seconds; may raise to stop.
        job: its windows are planned by its first slice; later slices go on with them.
        deadline: on the monotonic clock; None goes on until all is there.

    Raises:
        Invalid: the window is empty.
        ExportFailed: the gateway gave an export up.
        CallFailed: one of its children; the next pull resumes.
        NoRoom: the disk is full.
    """
    work = _Pull(project, gateway, now, time.monotonic(), beat, job, deadline)
    until = min(until or now, now)
    if since and since >= until:
        raise _empty()
    with turns.turn(
        gateway.endpoint, deadline=deadline, waiting=lambda: beat(message="waiting for another pull of this workspace")
    ) as ours:
        if ours:
            _prepare(work, since=since, until=until)
            _work_off(work)
    return _result(work, finished=ours and _next(project) is None)


def _prepare(work: _Pull, *, since: datetime | None, until: datetime) -> None:
    downloads.sweep()
    for failed in work.project.sync_runs.filter(state=State.FAILED):
        _renew(work.project, Window(failed.since, failed.until), job=work.job)
    if work.job is None or not work.project.sync_runs.filter(job=work.job).exists():
        _plan(work.project, since=since, until=until, now=work.now, job=work.job)
        _learn(work)


def _learn(work: _Pull) -> None:
    """Note the models that the gateway offers, once a pull; a key that may not list them can pull all the same."""
    work.beat(message="asking for the list of models")
    try:
        loader.learn(work.gateway.models(), work.project)
    except AgentOptError as error:
        log.info("models not listed", code=error.code)


def _work_off(work: _Pull) -> None:
    polls = 0
    while (run := _next(work.project)) is not None:
        try:
            least_s = _advance(work, run)
        except _TimeUp:
            return
        if run.state == State.DONE:
            work.finished.append(run.pk)
        polls = 0 if least_s is None else polls + 1
        wait_s = 0.0 if least_s is None else max(least_s, min(POLL_FIRST_S * 2 ** (polls - 1), POLL_MAX_S))
        if not _wait(work, wait_s):
            return


def _wait(work: _Pull, wait_s: float) -> bool:
    """Sleep, giving signs of life; False: the deadline came first."""
    ends = time.monotonic() + wait_s
    while not work.time_is_up():
        left_s = min(ends, work.deadline or ends) - time.monotonic()
        if left_s <= 0:
            return not work.time_is_up()
        time.sleep(min(left_s, BEAT_S))
        work.beat()
    return False


def _empty() -> Invalid:
    return Invalid("There is no time between start and end.", fields={"since": "Expected a moment before `until`."})


def _plan(project: Project, *, since: datetime | None, until: datetime, now: datetime, job: Job | None) -> None:
    """Make the rows that this pull works off: what is left over, then the new window."""
    reached = project.sync_runs.aggregate(reached=Max("until"))["reached"]
    if since is None:
        since = reached - OVERLAP if reached else now - FIRST_PULL
    if since >= until:
        raise _empty()
    with transaction.atomic():
        for run in project.sync_runs.exclude(state=State.DONE):
            if run.export_id:
                # its patience counts from now
                project.sync_runs.filter(pk=run.pk).update(job=job, error="", error_code="", started_at=None)
            else:
                _renew(project, Window(run.since, run.until), job=job)
        _renew(project, Window(since, until), job=job)


def _renew(project: Project, window: Window, *, job: Job | None) -> None:
    project.sync_runs.filter(since=window.since, until=window.until).delete()
    SyncRun.objects.create(project=project, job=job, since=window.since, until=window.until)


def _next(project: Project) -> SyncRun | None:
    return project.sync_runs.exclude(state=State.DONE).order_by("since", "pk").first()


# ------------------------------------------------------------------------------------------------ one step
def _advance(work: _Pull, run: SyncRun) -> float | None:
    """Take one window one step on; otherwise the seconds that must pass at least before the next try."""
    if run.started_at is None:
        run.started_at = work.moment()
        run.save(update_fields=["started_at"])
    if run.hold_until and run.hold_until > work.moment():
        _say(work, run, f"waiting until {run.hold_until:%T} UTC: the gateway limits the rate")
        return (run.hold_until - work.moment()).total_seconds()
    try:
        if run.export_id and not downloads.is_complete(run):
            return _follow(work, run)
        (_store if run.export_id else _ask)(work, run)
    except errors.CallFailed as error:
        _hint(error)
        run.error_code, run.error = error.code, error.message
        if isinstance(error, errors.RateLimited) and work.moment() - run.started_at < WAIT_LIMIT:
            pause = timedelta(seconds=min(error.retry_after_s or POLL_MAX_S, WAIT_LIMIT.total_seconds()))
            run.hold_until = work.moment() + pause
            run.save(update_fields=["error_code", "error", "hold_until"])
            return pause.total_seconds()
        run.save(update_fields=["error_code", "error"])
        raise
    return None


def _ask(work: _Pull, run: SyncRun) -> None:
    """Make the draft of an export; its total tells whether the window is too long."""
    _say(work, run, "asking for an export")
    draft = work.gateway.exports.create(run.since, run.until)
    if draft.total == 0:
        _done(work, run)
        return
    if draft.total is not None and draft.total > MAX_ROWS:
        if _split(run, math.ceil(draft.total / (MAX_ROWS * 0.8))):
            return
        if draft.total > PAGE_ROWS:
            raise _failed(run, f"More than {PAGE_ROWS:,} calls within a second: the gateway cannot export them.")
    # kept before anything is started: a worker that dies now finds the same draft again
    run.export_id, run.expected = draft.id, draft.total
    run.save(update_fields=["export_id", "expected"])


def _split(run: SyncRun, n_parts: int) -> bool:
    """Cut a window; False where it is too short for that."""
    parts = Window(run.since, run.until).parts(n_parts)
    if len(parts) < 2:
        return False
    with transaction.atomic():
        run.delete()
        for part in parts:
            _renew(run.project, part, job=run.job)
    return True


def _follow(work: _Pull, run: SyncRun) -> float | None:
    """Start, wait for or fetch an export, whatever it is ready for."""
    exports = work.gateway.exports
    try:
        state = exports.state(run.export_id)
    except errors.Rejected as error:
        if error.upstream_status not in (404, 410):
            raise
        _ask_anew(work, run)
        return None
    if state.failed:
        raise _failed(run, _why(state.status))
    if state.draft:
        if _elsewhere(work, run):
            _say(work, run, "waiting for another project's export of this workspace")
            return 0.0
        exports.start(run.export_id)
        _save_state(run, State.WAITING)
    if state.ready:
        run.expected = run.expected if state.total is None else state.total
        _take_in(work, run)
        return None
    _say(work, run, f"waiting for the gateway ({'queued' if state.draft else state.status[:40]})")
    if run.started_at and work.moment() - run.started_at > WAIT_LIMIT:
        minutes = int(WAIT_LIMIT.total_seconds() // 60)
        raise _failed(run, f"The export is still {state.status[:40]!r} after {minutes} minutes; sync again later.")
    return 0.0


def _ask_anew(work: _Pull, run: SyncRun) -> None:
    """The gateway no longer knows the export: once a pull that is no more than a detour."""
    window = Window(run.since, run.until)
    if window in work.renewed:
        raise _failed(run, "The gateway does not know an export that it has just made; sync again later.")
    work.renewed.add(window)
    downloads.remove(run)
    _renew(run.project, window, job=run.job)


def _elsewhere(work: _Pull, run: SyncRun) -> bool:
    """Whether the gateway is at work on an export of another project that shares the workspace."""
    others = SyncRun.objects.filter(state=State.WAITING, started_at__gt=work.moment() - WAIT_LIMIT)
    for other in others.exclude(project=run.project).select_related("project__connection"):
        try:
            same = open_gateway(other.project.connection).endpoint == work.gateway.endpoint
            state = work.gateway.exports.state(other.export_id) if same else None
        except (Invalid, errors.Rejected):
            continue  # it has lost its gateway, or the gateway its export
        if state and not (state.draft or state.ready or state.failed):
            return True
    return False


# ------------------------------------------------------------------------------------------------ the file
def _take_in(work: _Pull, run: SyncRun) -> None:
    """Fetch the file of an export and store its rows; where time is up, the next slice goes on."""
    run.state = State.DOWNLOADING
    run.save(update_fields=["state", "expected"])
    _note_simulated(work)
    if downloads.keeps_files(run):
        downloads.fetch(work.gateway.exports, run, lambda got, size: _tell_bytes(work, run, got, size))
        _save_state(run, State.STORING)
    _store(work, run)


def _note_simulated(work: _Pull) -> None:
    """Kept for a process that stores a file which this one fetched."""
    if work.project.connection.simulated != work.gateway.simulated:
        work.project.connection.simulated = work.gateway.simulated
        work.project.connection.save(update_fields=["simulated"])


def _tell_bytes(work: _Pull, run: SyncRun, got: int, size: int | None) -> None:
    whole = "" if size is None else f" of {size / 1024**2:,.0f}"
    _say(work, run, f"fetching {got / 1024**2:,.0f}{whole} MB")
    if work.time_is_up():
        raise _TimeUp


def _store(work: _Pull, run: SyncRun) -> None:
    before = work.done().aggregate(rows=Sum("read_rows"))["rows"] or 0
    ahead = work.project.sync_runs.exclude(state=State.DONE).aggregate(rows=Sum("expected"))["rows"] or 0
    first = run.read_rows

    def beat(*, done: int) -> None:
        run.read_rows = first + done
        run.save(update_fields=["read_rows"])
        rows = before + run.read_rows
        _say(work, run, "storing", done=rows, total=max(before + ahead, rows))
        if work.time_is_up():
            raise _TimeUp

    store.append(
        work.project,
        islice(_rows(downloads.lines(work.gateway.exports, run)), first, None),
        format="portkey",
        source=Batch.Source.EXPORT,
        label=run.export_id,
        simulated=work.project.connection.simulated,
        now=work.moment(),
        beat=beat,
    )
    downloads.remove(run)
    if not _is_cut(run):
        _count(run)
        _done(work, run)


def _rows(lines: Iterator[bytes]) -> Iterator[tuple[int, bytes]]:
    return ((number, line) for number, line in enumerate(lines, start=1) if line.strip())


def _is_cut(run: SyncRun) -> bool:
    """Whether the file ended too early; its window is then asked for in parts. What it held is stored."""
    read = max(run.read_rows, 1)
    if run.expected is None:
        return read >= PAGE_ROWS and _split(run, 2)
    lacks = run.expected - run.read_rows
    return lacks > run.expected * SHORT_SHARE and _split(run, max(2, math.ceil(run.expected / (read * 0.8))))


def _count(run: SyncRun) -> None:
    """What became of the rows, out of what was written, so that a pull in pieces counts as one in one go."""
    label = run.export_id[:200]
    run.added = run.project.batches.filter(label=label).aggregate(rows=Sum("added"))["rows"] or 0
    run.set_aside = run.project.set_aside.filter(label=label).count()
    run.already_there = max(0, run.read_rows - run.added - run.set_aside)
    run.missing = max(0, (run.expected or 0) - run.read_rows)


def _done(work: _Pull, run: SyncRun) -> None:
    """Move the watermark: everything of the window is committed."""
    run.state, run.ended_at, run.error, run.error_code, run.doing = State.DONE, work.moment(), "", "", ""
    run.save()
    log.info("logs pulled", added=run.added, already_there=run.already_there, set_aside=run.set_aside)


def _save_state(run: SyncRun, state: str) -> None:
    run.state = state
    run.save(update_fields=["state"])


def _say(work: _Pull, run: SyncRun, doing: str, **progress: int) -> None:
    """Tell what a window is at, to whoever watches this pull and to the page."""
    if run.doing != doing:
        run.doing = doing[:200]
        run.save(update_fields=["doing"])
    work.beat(message=f"{run.since:%F %R} to {run.until:%F %R}: {doing}", **progress)


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
    hint, status = "", error.upstream_status
    if isinstance(error, errors.AuthRefused):
        hint = (
            "Log export needs an Enterprise plan and a key with the scope logs.export; files can be imported without."
        )
    elif isinstance(error, errors.RateLimited):
        hint = "Exports are asked for one by one; what came is stored, and the sync goes on once the limit allows it."
    elif isinstance(error, errors.GatewayDown):
        hint = "What came is stored; the next sync goes on from there."
    elif isinstance(error, errors.Rejected) and status == 402:
        hint = "The plan of this workspace has no log export; files can be imported instead."
    elif isinstance(error, errors.Rejected) and status == 404:
        hint = "This gateway may have no log export; files can be imported instead."
    if hint:
        error.message = f"{error.message} {hint}"
        error.args = (error.message,)


def _result(work: _Pull, *, finished: bool) -> SyncResult:
    names = ("added", "already_there", "set_aside", "missing")
    told = work.done().aggregate(
        **{f"n_{name}": Sum(name) for name in names}, first=Min("since"), last=Max("until"), windows=Count("pk")
    )
    return SyncResult(
        finished=finished,
        windows=told["windows"],
        **{name: told[f"n_{name}"] or 0 for name in names},
        since=told["first"],
        until=told["last"],
        simulated=work.gateway.simulated,
    )
