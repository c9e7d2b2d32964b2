"""What questions over rows may cost: rows and seconds, each for itself and per project and day; and how one is stopped.

A question is booked before it runs and keeps counting if its process dies. The database ends it at the deadline: a
statement timeout on PostgreSQL, a progress handler on SQLite. Who gave it a token can stop it from anywhere.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self

from django.conf import settings
from django.db import OperationalError, connection, transaction
from django.db.models import Sum

from agentopt.lib.errors import AgentOptError, NotFound
from ingestion.analytics import requests, rows
from ingestion.analytics.requests import AnalyticsRequest
from ingestion.models import AnalyticsRun, LogRecordQuerySet
from projects.models import Project

_HOUR = timedelta(hours=1)
_KEPT_FOR = timedelta(days=2)
_STEPS = 20_000  # of SQLite's machine between two looks at the clock: well under a millisecond
_POLL_S = 0.2


class _OverBudget(AgentOptError):
    def __init__(self, message: str, *, fields: Mapping[str, str], proposal: Mapping[str, Any] | None = None) -> None:
        super().__init__(message, fields=fields)
        self.proposal = proposal


class TooManyRows(_OverBudget):
    """The window holds more calls than one question may read; `proposal` is one that fits."""

    code = "too_many_rows"
    status = 422


class DayUsedUp(_OverBudget):
    """The project's questions have read what they may in a day; `proposal` fits what is left."""

    code = "day_used_up"
    status = 429


class TookTooLong(AgentOptError):
    """The question ran into its deadline."""

    code = "took_too_long"
    status = 422


class Stopped(AgentOptError):
    """Somebody stopped the question."""

    code = "stopped"
    status = 409


# ------------------------------------------------------------------------------------------------ before
def check_rows(project: Project, request: AnalyticsRequest, *, known: int | None = None) -> int:
    """How many rows a question reads: those of its window, of its models if it names some.

    Args:
        known: as roll-ups tell, to the hour; counted where they do not, or where the hours hold too many.

    Raises:
        TooManyRows: more than ANALYTICS_MAX_ROWS.
    """
    most = settings.ANALYTICS_MAX_ROWS
    if known is not None and known <= most:
        return known
    n = _read_by(project, request).order_by()[: most + 1].count()
    if n <= most:
        return n
    narrower = _narrower(project, request, most)
    raise TooManyRows(
        f"The question needs more than {most:,} calls, which is what one may read. " + _way_out(narrower),
        fields={
            "since": "Expected a later moment." if narrower else "Expected a shorter window, or a filter by model."
        },
        proposal=narrower,
    )


def _read_by(project: Project, request: AnalyticsRequest) -> LogRecordQuerySet:
    logs = rows.within(project, request.since, request.until)
    return logs.filter(model__in=request.filters.model) if request.filters.model else logs


def _narrower(project: Project, request: AnalyticsRequest, most: int) -> dict[str, Any] | None:
    """The same question about the newest calls that fit, on the hour; None: not even an hour does."""
    newest_first = _read_by(project, request).order_by("-occurred_at").values_list("occurred_at", flat=True)
    newest, too_old = newest_first.first(), newest_first[most : most + 1].first() if most > 0 else None
    if newest is None or too_old is None:
        return None
    since = too_old.astimezone(UTC).replace(minute=0, second=0, microsecond=0) + _HOUR
    until = request.until or newest.astimezone(UTC).replace(minute=0, second=0, microsecond=0) + _HOUR
    return requests.changed(request, since=since, until=until) if since < until else None


def _way_out(narrower: Mapping[str, Any] | None) -> str:
    if narrower is None:
        return "Take a shorter window, fewer models, or whole hours without exact and metadata, which need no calls."
    return f"From {narrower['since']} to {narrower['until']} it fits."


# ------------------------------------------------------------------------------------------------ booking
@contextmanager
def running(
    project: Project, request: AnalyticsRequest, *, n: int, token: str, now: datetime
) -> Iterator[Callable[[], None]]:
    """Book a question over n rows and run it within its deadline; gives a check to call between steps.

    Raises:
        DayUsedUp: the project's day is.
        TookTooLong: it ran for ANALYTICS_MAX_S.
        Stopped: by its token.
    """
    run = _booked(project, request, n=n, token=token, now=now)
    started = time.monotonic()
    try:
        with _Limits(run, started + settings.ANALYTICS_MAX_S) as limits:
            yield limits.check
    finally:
        AnalyticsRun.objects.filter(pk=run.pk).update(seconds=time.monotonic() - started)


def _booked(project: Project, request: AnalyticsRequest, *, n: int, token: str, now: datetime) -> AnalyticsRun:
    mine = AnalyticsRun.objects.filter(project=project)
    mine.filter(started_at__lt=now - _KEPT_FOR).delete()
    run = AnalyticsRun.objects.create(project=project, token=token, rows=n, started_at=now)
    # booked first, then looked at: two at once both see each other
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    used = mine.filter(started_at__gte=today).exclude(pk=run.pk).aggregate(rows=Sum("rows"), seconds=Sum("seconds"))
    left = settings.ANALYTICS_DAY_ROWS - (used["rows"] or 0)
    if n <= left and (used["seconds"] or 0) < settings.ANALYTICS_DAY_S:
        return run
    run.delete()
    narrower = _narrower(project, request, left) if n > left else None
    raise DayUsedUp(
        f"The project's questions have used up what they may read today ({settings.ANALYTICS_DAY_ROWS:,} calls, "
        f"{settings.ANALYTICS_DAY_S:g} seconds); it starts anew at midnight UTC. " + _way_out(narrower),
        fields={"exact": "Whole hours without exact and metadata need no calls."},
        proposal=narrower,
    )


def cancel(project: Project, token: str) -> int:
    """Stop the running questions of a token; returns how many.

    Raises:
        NotFound: none runs by that name.
    """
    asked = AnalyticsRun.objects.filter(project=project, token=token, seconds=None) if token else None
    n = asked.update(stop=True) if asked is not None else 0
    if not n:
        raise NotFound("No question of that token is running.")
    return n


# ------------------------------------------------------------------------------------------------ while it runs
class _Limits:
    """The deadline of one question, and the look-out for who stops it."""

    def __init__(self, run: AnalyticsRun, deadline: float) -> None:
        self.run, self.deadline = run, deadline
        self.stopped, self.ended = threading.Event(), threading.Event()
        self._lock = threading.Lock()
        self._watcher = threading.Thread(target=self._watch, daemon=True) if run.token else None
        self._statements: Any = nullcontext()

    def __enter__(self) -> Self:
        connection.ensure_connection()
        self._raw = connection.connection
        if connection.vendor == "sqlite":
            self._raw.set_progress_handler(self._is_over, _STEPS)
        else:
            self._statements = _statement_timeout(max(1, round(1000 * (self.deadline - time.monotonic()))))
        self._statements.__enter__()
        if self._watcher is not None:
            self._watcher.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self.ended.set()
        if self._watcher is not None:
            self._watcher.join()
        if connection.vendor == "sqlite":
            self._raw.set_progress_handler(None, 0)
        self._statements.__exit__(kind, error, trace)
        if isinstance(error, OperationalError) and _was_interrupted(error):
            raise self._reason() from error

    def check(self) -> None:
        """Raise if it is over."""
        if self._is_over():
            raise self._reason()

    def _is_over(self) -> bool:
        return self.stopped.is_set() or time.monotonic() > self.deadline

    def _reason(self) -> AgentOptError:
        if self.stopped.is_set():
            return Stopped("The question was stopped.")
        return TookTooLong(
            f"The question ran for {settings.ANALYTICS_MAX_S:g} seconds without an end: take a shorter window, or "
            "whole hours without exact and metadata.",
            fields={"since": "Expected a later moment."},
        )

    def _watch(self) -> None:
        try:
            while not self.ended.wait(_POLL_S):
                if AnalyticsRun.objects.filter(pk=self.run.pk, stop=True).exists():
                    self._stop()
                    return
        finally:
            connection.close()  # this thread's own

    def _stop(self) -> None:
        # under the lock the statement that is cancelled is still the question's
        with self._lock:
            self.stopped.set()
            if not self.ended.is_set() and hasattr(self._raw, "cancel_safe"):
                self._raw.cancel_safe()


@contextmanager
def _statement_timeout(milliseconds: int) -> Iterator[None]:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('statement_timeout', %s, true)", [str(milliseconds)])
        yield
        cursor.execute("SET LOCAL statement_timeout TO DEFAULT")


def _was_interrupted(error: OperationalError) -> bool:
    """By a progress handler, a statement timeout or a cancel; nothing else counts."""
    return str(error) == "interrupted" or type(error.__cause__).__name__ == "QueryCanceled"
