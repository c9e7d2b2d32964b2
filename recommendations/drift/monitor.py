"""Take in what closed since the last check, window by window, and record what it shows.

A window is an hour or a part of a day at most. All that one changes is one transaction that begins by moving the cursor
from where this process found it: of two workers the second finds it moved and leaves; a killed one leaves nothing half
done. Every call is read once, apart from the overlap of windows; everything later reads packed conversations.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from datetime import time as clock
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import F, Max, Min, Q

from agentopt.lib.windows import Window
from projects.models import Project
from recommendations.drift import judges, reading, rules
from recommendations.drift.models import DriftCheck, DriftObservations, DriftRule, DriftWatch

if TYPE_CHECKING:
    from recommendations.drift.columns import Observations
    from recommendations.models import Alert

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SILENT_FOR = timedelta(hours=6)  # then even the last conversations count as closed
BACKFILL = timedelta(days=120)
KEPT, CHECKS_KEPT = timedelta(days=400), timedelta(days=90)  # a year that a pinned reference may be chosen from
Beat = Callable[..., object]


@dataclass
class Outcome:
    """What a run of checks did. `finished`: nothing that closed is left."""

    windows: int = 0
    conversations: int = 0
    calls: int = 0
    alerts: list[Alert] = field(default_factory=list)
    finished: bool = True


def check(project: Project, *, now: datetime, deadline: float | None = None, beat: Beat | None = None) -> Outcome:
    """Check all that closed since the last check.

    Args:
        deadline: `time.monotonic()` after which no new window is begun.
    """
    rules.ensure(project)
    watch, _ = DriftWatch.objects.get_or_create(project=project)
    out = Outcome(alerts=judges.tell(project, since=watch.checked_at, now=now))
    until = _closed_until(project, now=now)
    if until is None:
        return out
    _begin(watch, project, until)
    while (window := _next(watch, until)) is not None:
        if deadline is not None and time.monotonic() > deadline:
            out.finished = False
            break
        _take_in(project, watch, window, now=now, out=out)
        watch.refresh_from_db()
        if beat is not None:
            beat(message=f"{window.until:%b %-d %H:%M} UTC: {out.conversations:,} conversations", done=out.windows)
    if out.windows:
        _forget(project, until)
    DriftWatch.objects.filter(pk=project.pk).update(checked_at=now)
    return out


def _forget(project: Project, until: datetime) -> None:
    """Old conversations and checks go; what a pinned reference is learnt from stays, as it may be learnt again."""
    pinned = DriftRule.objects.filter(project=project, reference=DriftRule.Kind.PINNED)
    kept = Q()
    for since, end in pinned.values_list("pinned_since", "pinned_until"):
        if since is not None and end is not None:
            first, last = (datetime.combine(day, clock.min, tzinfo=UTC) for day in (since, end))
            kept |= Q(until__gt=first, since__lt=last)
    old = DriftObservations.objects.filter(project=project, until__lte=until - KEPT)
    (old.exclude(kept) if kept else old).delete()
    DriftCheck.objects.filter(project=project, until__lte=until - CHECKS_KEPT).delete()


def _closed_until(project: Project, *, now: datetime) -> datetime | None:
    """The full hour up to which conversations are closed: half an hour before the newest call, or after silence."""
    newest = project.logs.filter(occurred_at__lte=now).aggregate(at=Max("occurred_at"))["at"]
    if newest is None:
        return None
    if now - newest >= SILENT_FOR:
        return _floor(newest) + HOUR
    return _floor(newest - HOUR / 2)


def _floor(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _begin(watch: DriftWatch, project: Project, until: datetime) -> None:
    """Where nothing was watched yet, begin with the first call, but not more than 120 days back."""
    if watch.cursor is not None:
        return
    first = project.logs.filter(occurred_at__gte=until - BACKFILL).aggregate(at=Min("occurred_at"))["at"]
    if first is not None:
        start = _floor(first)
        DriftWatch.objects.filter(pk=watch.pk, cursor=None).update(cursor=start, since=start)
        watch.refresh_from_db()


def _next(watch: DriftWatch, until: datetime) -> Window | None:
    if watch.cursor is None or watch.cursor >= until:
        return None
    midnight = watch.cursor.astimezone(UTC).replace(hour=0, minute=0) + DAY
    return Window(watch.cursor, min(until, midnight))


def _take_in(project: Project, watch: DriftWatch, window: Window, *, now: datetime, out: Outcome) -> None:
    from recommendations.drift import checking, columns

    began = time.perf_counter()
    read, calls = reading.conversations(project, window)
    packed = columns.pack(read)
    found = columns.unpack(packed)  # as it is read later, so that no result depends on how windows were cut
    wanted = list(DriftRule.objects.filter(project=project, active=True).prefetch_related("series").order_by("pk"))
    plan = checking.examine(project, watch, window, found=found, wanted=wanted)
    with transaction.atomic():
        mine = DriftWatch.objects.filter(pk=watch.pk, cursor=window.since)
        if not mine.update(
            cursor=window.until, seen=plan.seen, calls=F("calls") + calls,
            seconds=F("seconds") + (time.perf_counter() - began),
        ):  # fmt: skip
            return  # another worker was faster
        made = _write(project, window, packed, n=len(found), plan=plan, calls=calls, now=now)
    out.windows += 1
    out.conversations += len(found)
    out.calls += calls
    out.alerts += made


def _write(
    project: Project, window: Window, packed: bytes, *, n: int, plan: Any, calls: int, now: datetime
) -> list[Alert]:
    from recommendations.drift import alerts

    if n:
        DriftObservations.objects.create(project=project, since=window.since, until=window.until, n=n, payload=packed)
    for one in plan.series:
        one.save()
    made = alerts.write(project, plan, until=window.until, now=now)
    DriftCheck.objects.create(
        project=project, since=window.since, until=window.until, n_conversations=n, n_calls=calls,
        findings=plan.findings, n_alerts=len(made), checked_at=now,
    )  # fmt: skip
    return made


def stored(project: Project, since: datetime, until: datetime) -> Observations:
    """The conversations of [since, until) that were taken in before."""
    from recommendations.drift import columns

    rows = DriftObservations.objects.filter(project=project, until__gt=since, since__lt=until).order_by("since")
    parts = [columns.unpack(bytes(packed)) for packed in rows.values_list("payload", flat=True)]
    return columns.joined(parts).between(since.timestamp(), until.timestamp())
