"""Roll-ups: the figures of each hour and day by group, kept up to the logs; what dashboards read instead of calls.

Whoever writes calls, or what roll-ups say of them, marks their hours in the same transaction. `refresh` makes marked
hours anew from the calls themselves, so late calls, new versions and new use cases end up right, and a rebuild gives
the same bytes.
"""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import chain
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Max, Q
from django.utils import timezone

from agentopt.lib.errors import Invalid
from ingestion import cube_parts, cubes, grouped
from ingestion.cubes import Cube
from ingestion.grouped import Grouped, Piece
from ingestion.models import DirtyHour, LogRecord, Rollup, RollupState, UseCase
from ingestion.rollup_rows import Reader
from projects import jobs
from projects.models import Job, Project

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
REST = 19  # times the seconds that a refresh took; so keeping up costs a twentieth of the time at most
SHORTEST_REST_S = 10.0
_MARKS_A_STATEMENT = 200
Beat = Callable[..., object]


def mark(project_id: int, hours: Iterable[datetime]) -> None:
    """Say that the roll-ups of these hours are older than the calls; part of the caller's transaction.

    Args:
        hours: any moments within them, aware; one an hour is enough, and cheapest. A new version changes two: its own
            and that of the version it replaces.
    """
    found = sorted({_floor(hour) for hour in hours})
    kept = [connection.ops.adapt_datetimefield_value(hour) for hour in found]
    with connection.cursor() as cursor:
        # in order of time: two writers that mark the same hours must not wait for each other
        for start in range(0, len(kept), _MARKS_A_STATEMENT):
            chunk = kept[start : start + _MARKS_A_STATEMENT]
            places = ",".join(["(%s,%s,1)"] * len(chunk))
            cursor.execute(
                # a count instead of a mere row: a refresh that is under way sees that the hour was marked again
                f"INSERT INTO ingestion_dirtyhour (project_id, hour, marks) VALUES {places} "  # noqa: S608
                "ON CONFLICT (project_id, hour) DO UPDATE SET marks = ingestion_dirtyhour.marks + 1",
                [value for hour in chunk for value in (project_id, hour)],
            )


# ------------------------------------------------------------------------------------------------ keeping up
def refresh(project: Project, *, beat: Beat | None = None, deadline: float | None = None) -> int:
    """Make marked hours anew from the calls, day by day, each day in one transaction.

    Safe to kill, to repeat, and to run twice at once: a mark goes only with the roll-up that covers it.

    Args:
        beat: called as it goes with `done=` and `total=`, the hours made; may raise to stop.
        deadline: of `time.monotonic()`; what is left stays marked.

    Returns:
        The watermark: every batch up to this number is in the roll-ups.
    """
    began = time.monotonic()
    _prepare(project)
    newest = project.batches.aggregate(number=Max("number"))["number"] or 0
    # read after the newest batch: its marks were committed with it
    days = _by_day(DirtyHour.objects.filter(project=project))
    total, done, reader = sum(map(len, days.values())), 0, Reader(project)
    for day in sorted(days, reverse=True):  # the newest days are looked at most
        done += _remake(project, day, days[day], reader=reader, beat=beat, deadline=deadline)
        if beat is not None:
            beat(done=done, total=total)
        if deadline is not None and time.monotonic() > deadline:
            break
    if done >= total:
        RollupState.objects.filter(project=project, watermark__lt=newest).update(watermark=newest)
    RollupState.objects.filter(project=project).update(seconds=time.monotonic() - began, refreshed_at=timezone.now())
    return watermark(project)


def rebuild(project: Project, *, beat: Beat | None = None) -> int:
    """Throw away a project's roll-ups and make all anew: the same bytes."""
    with transaction.atomic():
        RollupState.objects.select_for_update().filter(project=project).delete()
        Rollup.objects.filter(project=project).delete()
    return refresh(project, beat=beat)


def watermark(project: Project) -> int:
    """Every batch up to this number is in the roll-ups."""
    return RollupState.objects.filter(project=project).values_list("watermark", flat=True).first() or 0


def waits(project: Project) -> bool:
    """Whether some hours are older than the calls."""
    return DirtyHour.objects.filter(project=project).exists()


def ask(project: Project) -> Job | None:
    """Start a job that refreshes, unless nothing waits, one waits already, or the last one was just now."""
    if not waits(project):
        return None
    state = RollupState.objects.filter(project=project).first()
    if state is not None and state.refreshed_at is not None and not settings.Q_CLUSTER["sync"]:
        rest = max(SHORTEST_REST_S, REST * state.seconds)
        if timezone.now() < state.refreshed_at + timedelta(seconds=rest):
            return None  # the marks stay, and the next look finds them
    mine = project.jobs.filter(kind="rollups")
    if mine.filter(state__in=jobs.ACTIVE).exists():
        return None
    mine.filter(state=Job.State.DONE).delete()  # they come every few seconds, and nobody looks back at them
    return jobs.start("rollups", project)


def ask_all() -> None:
    """Ask for every project with hours that wait, such as those that a crash left."""
    for project in Project.objects.filter(pk__in=DirtyHour.objects.values("project").distinct()):
        ask(project)


def _prepare(project: Project) -> None:
    """Make the project's state; where there is none, or roll-ups have another form, all its hours are marked first."""
    if RollupState.objects.filter(project=project, form=cube_parts.FORM).exists():
        return
    with transaction.atomic():
        RollupState.objects.filter(project=project).exclude(form=cube_parts.FORM).delete()
        Rollup.objects.filter(project=project).delete()
        mark(project.pk, _hours(project))
        RollupState.objects.get_or_create(project=project, defaults={"form": cube_parts.FORM})


def _hours(project: Project) -> Iterator[datetime]:
    """The hours with calls: one step through the index each, however many calls they hold."""
    moments = LogRecord.objects.filter(project=project).order_by("occurred_at").values_list("occurred_at", flat=True)
    at = moments.first()
    while at is not None:
        hour = _floor(at)
        yield hour
        at = moments.filter(occurred_at__gte=hour + HOUR).first()


def _by_day(dirty: Any) -> dict[date, dict[datetime, tuple[int, int]]]:
    """Marked hours by day, each with the id of its mark and how often it was marked."""
    days: dict[date, dict[datetime, tuple[int, int]]] = {}
    for pk, hour, marks in dirty.values_list("pk", "hour", "marks"):
        days.setdefault(hour.date(), {})[hour] = (pk, marks)
    return days


def _remake(
    project: Project,
    day: date,
    marked: Mapping[datetime, tuple[int, int]],
    *,
    reader: Reader,
    beat: Beat | None,
    deadline: float | None,
) -> int:
    """Make hours of a day anew, as many as the deadline lets; return how many."""
    parts: list[Cube] = []
    made: list[datetime] = []
    for run in _runs(sorted(marked), reader):
        for rows in reader.chunks(run[0], run[-1] + HOUR):
            parts.append(cubes.of(rows))
            if len(parts) > 8:
                parts = [cubes.merge(parts)]
            if beat is not None:
                beat()
        made += run
        if deadline is not None and time.monotonic() > deadline:
            break
    _write(project, day, cubes.merge(parts), {hour: marked[hour] for hour in made})
    return len(made)


def _runs(hours: Sequence[datetime], reader: Reader) -> Iterator[list[datetime]]:
    """Hours that follow each other, together while one chunk holds their calls, else each by itself."""
    runs: list[list[datetime]] = []
    for hour in hours:
        if runs and runs[-1][-1] + HOUR == hour:
            runs[-1].append(hour)
        else:
            runs.append([hour])
    for run in runs:
        if len(run) > 1 and reader.step(run[0], run[-1] + HOUR) is not None:
            yield from ([hour] for hour in run)
        else:
            yield run


def _write(project: Project, day: date, fresh: Cube, marked: Mapping[datetime, tuple[int, int]]) -> None:
    """Put hours in place of the old ones, the day with them, and take away the marks that this covers."""
    with transaction.atomic():
        # one writer of a project's roll-ups at a time: the day is the sum of what all of them made
        RollupState.objects.select_for_update().filter(project=project).first()
        standing = set(
            DirtyHour.objects.filter(pk__in=[pk for pk, _ in marked.values()]).values_list("hour", flat=True)
        )
        gone = [hour.hour for hour in marked if hour not in standing]  # another worker was faster
        hours = [hour.hour for hour in standing]
        if not hours:
            return
        old = _stored(project, day)
        whole = cubes.merge([cubes.without_hours(old, hours), cubes.without_hours(fresh, gone)])
        _store(project, day, Rollup.Tier.HOUR, whole)
        all_day = cubes.without(whole, cubes.HOUR)
        _store(project, day, Rollup.Tier.DAY, all_day)
        _store(project, day, Rollup.Tier.BARE, cubes.without(all_day, cubes.PROMPT_VERSION, cubes.USE_CASE))
        # last, as a writer of calls may hold the row of a mark; a mark that came meanwhile stays
        covered = Q()
        for hour in standing:
            covered |= Q(pk=marked[hour][0], marks=marked[hour][1])
        DirtyHour.objects.filter(covered).delete()


def _stored(project: Project, day: date) -> Cube:
    found = Rollup.objects.filter(project=project, day=day, tier=Rollup.Tier.HOUR).values_list("part", "payload")
    parts = {part: bytes(payload) for part, payload in found}
    return cube_parts.unpack(parts) if parts else cubes.empty()


def _store(project: Project, day: date, tier: str, found: Cube) -> None:
    if not found.n_groups:
        Rollup.objects.filter(project=project, day=day, tier=tier).delete()
        return
    Rollup.objects.bulk_create(
        [
            Rollup(project=project, day=day, tier=tier, part=part, payload=payload)
            for part, payload in cube_parts.pack(found).items()
        ],
        update_conflicts=True,
        unique_fields=["project", "tier", "part", "day"],
        update_fields=["payload"],
    )


# ------------------------------------------------------------------------------------------------ reading
def read(
    project: Project,
    since: datetime | None = None,
    until: datetime | None = None,
    *,
    groups: Sequence[str] = (),
    filters: Mapping[str, Sequence[Any]] | None = None,
    sketches: Sequence[str] = (),
    products: bool = False,
) -> Grouped:
    """The figures of [since, until) by group, merged over time and over use cases merged by hand.

    Args:
        since: on the hour, as is `until`; None: without that end.
        groups: of day, hour, provider, model, prompt_version, use_case (id or None), status (ok, failed, refused).
        filters: the values of those fields (not of day and hour) that count; an empty one leaves a field free.
        sketches: metrics whose quantiles are wanted: cost, latency, first_token, input_tokens, output_tokens.
        products: whether correlations are wanted.

    Raises:
        Invalid: a window off the hour, an unknown group, filter or sketch.
    """
    return read_each(project, since, until, groupings=[groups], filters=filters, sketches=sketches, products=products)[
        0
    ]


def read_each(
    project: Project,
    since: datetime | None = None,
    until: datetime | None = None,
    *,
    groupings: Sequence[Sequence[str]],
    filters: Mapping[str, Sequence[Any]] | None = None,
    sketches: Sequence[str] = (),
    products: bool = False,
    merged: Mapping[int, int] | None = None,
) -> list[Grouped]:
    """As `read`, for several groupings of one window, whose rows are read once.

    Args:
        merged: the use case that stands for each one that was merged into it, where the caller has them.
    """
    wanted = dict(filters or {})
    apart = {*chain(*groupings)}
    _check(since, until, groups=apart, filters=wanted, sketched=sketches)
    parts = cube_parts.needed(sketches, products=products)
    if merged is None:
        merged = _merged(project) if "use_case" in apart or wanted.get("use_case") else {}
    tier = _tier({*apart, *(name for name, values in wanted.items() if values)})
    pieces = list(_pieces(project, since, until, parts=parts, tier=tier))
    return [grouped.gather(pieces, groups=groups, filters=wanted, stands_for=merged) for groups in groupings]


def _merged(project: Project) -> dict[int, int]:
    """The use case that stands for each one that was merged into it."""
    return dict(UseCase.objects.filter(project=project, merged_into__isnull=False).values_list("pk", "merged_into_id"))


def _check(
    since: datetime | None,
    until: datetime | None,
    *,
    groups: Collection[str],
    filters: Mapping[str, Any],
    sketched: Sequence[str],
) -> None:
    wrong = {
        name: "Expected a full hour: roll-ups know no less."
        for name, moment in (("since", since), ("until", until))
        if moment is not None and _floor(moment) != moment
    }
    for name, given, allowed in (
        ("group_by", groups, grouped.GROUPS), ("filters", filters, grouped.FILTERS),
        ("sketches", sketched, cubes.SKETCHED),
    ):  # fmt: skip
        if not set(given) <= set(allowed):
            wrong[name] = f"Expected {', '.join(allowed)}."
    if not set(filters.get("status", ())) <= set(cubes.STATUSES):
        wrong["filters.status"] = f"Expected {', '.join(cubes.STATUSES)}."
    if wrong:
        raise Invalid("Roll-ups cannot tell this: " + " ".join(wrong.values()), fields=wrong)


def _tier(told_apart: Collection[str]) -> str:
    """The coarsest tier that tells apart what a question does."""
    if "hour" in told_apart:
        return Rollup.Tier.HOUR
    return Rollup.Tier.DAY if {"prompt_version", "use_case"} & set(told_apart) else Rollup.Tier.BARE


def _pieces(
    project: Project, since: datetime | None, until: datetime | None, *, parts: Sequence[str], tier: str
) -> Iterator[Piece]:
    """Whole days from the tier given, cut ones from the tier of hours."""
    found = Rollup.objects.filter(project=project, part__in=parts)
    first, last = _day_from(since), _day_until(until)
    whole = found.filter(tier=tier)
    whole = whole.filter(day__gte=first) if first else whole
    whole = whole.filter(day__lt=last) if last else whole
    cut: dict[date, tuple[int, int]] = {}
    if since is not None and first is not None and since.astimezone(UTC).date() < first:
        cut[since.astimezone(UTC).date()] = (since.astimezone(UTC).hour, 24)
    if until is not None and last is not None and until > datetime(last.year, last.month, last.day, tzinfo=UTC):
        begun = cut.get(last, (0, 24))[0]
        cut[last] = (begun, until.astimezone(UTC).hour)
    columns = ("day", "part", "payload")
    rows = whole.values_list(*columns)
    if cut:  # a day is whole or cut, so one query can bring both
        rows = rows.union(found.filter(tier=Rollup.Tier.HOUR, day__in=list(cut)).values_list(*columns), all=True)
    for day, cube in _unpacked(rows):
        yield Piece(day, cube, *cut.get(day, (0, 24)))


def _day_from(since: datetime | None) -> date | None:
    """The first whole day from a moment on."""
    if since is None:
        return None
    utc = since.astimezone(UTC)
    return utc.date() if utc.hour == 0 else utc.date() + DAY


def _day_until(until: datetime | None) -> date | None:
    """The day in which a moment lies: the first that is not whole before it."""
    return None if until is None else until.astimezone(UTC).date()


def _unpacked(rows: Iterable[tuple[date, str, bytes]]) -> Iterator[tuple[date, Cube]]:
    days: dict[date, dict[str, bytes]] = {}
    for day, part, payload in rows:
        days.setdefault(day, {})[part] = bytes(payload)
    for day in sorted(days):
        yield day, cube_parts.unpack(days[day])


def _floor(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
