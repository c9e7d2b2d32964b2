"""Figures from the roll-ups: as fast however many calls there are, quantiles within a stated error, all else exact.

They serve whole hours, and only once they are up to the calls: an hour that waits is made anew first where that takes
a moment; where it takes longer, the calls themselves answer.
"""

import functools
import itertools
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Exists

from ingestion import cube_parts, cubes, grouped, rollups, sketches, usecases
from ingestion.analytics.figures import Counted, Products
from ingestion.analytics.metrics import METRICS
from ingestion.analytics.requests import (
    Aggregation,
    Clustering,
    Correlation,
    Distribution,
    Filters,
    Percentiles,
    Question,
    Sampling,
)
from ingestion.analytics.sources import Group, Spread, Together, Total, folded, text
from ingestion.grouped import Grouped
from ingestion.models import DirtyHour, RollupState
from projects.models import Project

REFRESH_S = 2.0
"""How long a question waits for hours to be made anew."""
_HOUR = timedelta(hours=1)


def serves(request: Question) -> bool:
    """Whether roll-ups hold what a question needs; of a sample, the sizes of its strata."""
    keys = (*request.groups, *(["model"] if isinstance(request, Sampling) else []))
    if request.filters.metadata or not set(keys) <= set(grouped.GROUPS):
        return False
    if not is_whole_hours(request.since, request.until):
        return False
    if isinstance(request, Percentiles | Distribution | Clustering):
        return not request.exact and request.metric in cubes.SKETCHED
    if isinstance(request, Correlation):
        return request.method == "pearson" and set(request.metrics) <= set(cubes.METRICS)
    if isinstance(request, Aggregation):
        return not METRICS[request.metric].column or request.metric in cubes.METRICS
    return True


def is_whole_hours(since: datetime | None, until: datetime | None) -> bool:
    """Whether a window begins and ends on the hour, or has no end."""
    return all(at is None or _floor(at) == at for at in (since, until))


def are_current(project: Project, since: datetime | None, until: datetime | None) -> bool:
    """Whether the roll-ups of a window are up to the calls, if need be after making some hours anew."""
    if _are_made(project, since, until):
        return True
    rollups.refresh(project, deadline=time.monotonic() + REFRESH_S)
    return _are_made(project, since, until)


def _are_made(project: Project, since: datetime | None, until: datetime | None) -> bool:
    waiting = DirtyHour.objects.filter(project=project)
    if since is not None:
        waiting = waiting.filter(hour__gte=_floor(since))
    if until is not None:
        waiting = waiting.filter(hour__lt=until)
    return RollupState.objects.filter(~Exists(waiting), project=project, form=cube_parts.FORM).exists()


def calls(project: Project, request: Question) -> int:
    """How many calls the hours of a question's window hold, of its models if it names some."""
    since, until = request.since, request.until
    if until is not None and _floor(until) != until:
        until = _floor(until) + _HOUR
    since = None if since is None else _floor(since)
    return sum(rollups.read(project, since, until, filters={"model": request.filters.model}).calls)


def _floor(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


@dataclass(frozen=True)
class _Sketched(Counted):
    """Buckets in place of values; what stands for one lies within the extremes, which are exact."""

    low: int
    high: int

    def at(self, rank: int) -> int:
        return min(self.high, max(self.low, _middle(self.values[bisect_left(self.up_to, rank)])))

    def plain(self) -> Counted:
        """With a value for each bucket."""
        return Counted([min(self.high, max(self.low, _middle(bucket))) for bucket in self.values], self.up_to)


@functools.cache
def _middle(bucket: int) -> int:
    return round(sketches.middle(bucket))


class Rollups:
    """Roll-ups as the source of figures."""

    name = "rollup"

    def __init__(self, project: Project, since: datetime | None, until: datetime | None, *, filters: Filters) -> None:
        self.project, self.since, self.until = project, since, until
        self.error: float | None = None
        self.filters: dict[str, Sequence[Any]] = {
            name: getattr(filters, name) for name in ("provider", "model", "prompt_version", "status")
        }
        if filters.use_case:
            ids: list[int | None] = [pk for pk, name in self.use_cases.items() if name in filters.use_case]
            # an empty list would leave the field free
            self.filters["use_case"] = [*ids, *([None] if "" in filters.use_case else []), -1]

    @functools.cached_property
    def use_cases(self) -> dict[int, str]:
        """The name to show for each id that a roll-up may hold."""
        return usecases.names(self.project)

    def totals(self, groups: Sequence[str], metric: str) -> Mapping[Group, Total]:
        if METRICS[metric].unit == "share":
            return self._shares(groups, metric)
        found = self._read(groups)
        n = found.calls
        if metric == "calls":
            totals = [Total(calls, calls) for calls in n]
        else:
            columns = zip(n, found.known(metric), found.total(metric), found.extremes(metric), strict=True)
            totals = [Total(calls, known, total, *(ends or (None, None))) for calls, known, total, ends in columns]
        return folded(zip(self._groups(found, groups), totals, strict=True), Total.__add__) or _none(groups, Total())

    def _shares(self, groups: Sequence[str], metric: str) -> Mapping[Group, Total]:
        """By status besides, which tells what is counted."""
        with_status = (*groups, *(() if "status" in groups else ("status",)))
        place = with_status.index("status")
        found = self._read(with_status)
        told = found.calls if metric == "failed" else found.told_refusal
        totals = [
            Total(n, known, n if key[place] == metric else 0)
            for key, n, known in zip(found.keys, found.calls, told, strict=True)
        ]
        shown = (group[: len(groups)] for group in self._groups(found, with_status))
        return folded(zip(shown, totals, strict=True), Total.__add__) or _none(groups, Total())

    def spreads(self, groups: Sequence[str], metric: str) -> Mapping[Group, Spread]:
        self.error = sketches.ACCURACY
        found = self._read(groups, sketches=[metric])
        columns = zip(
            self._groups(found, groups), found.sketch(metric), found.extremes(metric), found.calls, found.known(metric),
            strict=True,
        )  # fmt: skip
        spreads = (
            (group, Spread(counted(sketch, ends, is_plain=not groups), n - known))
            for group, sketch, ends, n, known in columns
        )
        return folded(spreads, _both) or _none(groups, Spread(Counted([], []), 0))

    def together(self, groups: Sequence[str], metrics: Sequence[str], *, ranked: bool) -> Mapping[Group, Together]:
        assert not ranked  # noqa: S101 - `serves` lets only Pearson's in
        found = self._read(groups, products=True)
        shown, pairs = self._groups(found, groups), list(itertools.combinations(metrics, 2))
        sums = [found.moments(one, other) for one, other in pairs]
        by_group = (
            (group, Together(n, {pair: _products(moments[place]) for pair, moments in zip(pairs, sums, strict=True)}))
            for place, (group, n) in enumerate(zip(shown, found.calls, strict=True))
        )
        bare = Together(0, dict.fromkeys(pairs, Products(0, 0, 0, 0, 0, 0)))
        return folded(by_group, _all) or _none(groups, bare)

    def _read(self, groups: Sequence[str], *, sketches: Sequence[str] = (), products: bool = False) -> Grouped:
        return rollups.read(
            self.project, self.since, self.until, groups=groups, filters=self.filters, sketches=sketches,
            products=products,
        )  # fmt: skip

    def _groups(self, found: Grouped, groups: Sequence[str]) -> list[Group]:
        return [
            tuple(
                self.use_cases.get(value) if name == "use_case" else text(name, value)
                for name, value in zip(groups, key, strict=True)
            )
            for key in found.keys
        ]


def _none(groups: Sequence[str], value: Any) -> dict[Group, Any]:
    """Without groups there is always one."""
    return {} if groups else {(): value}


def counted(sketch: sketches.Sketch, ends: tuple[int, int] | None, *, is_plain: bool = False) -> Counted:
    """The values of a sketch by rank; `is_plain`: in a list besides."""
    if ends is None:
        return Counted([], [])
    found = _Sketched(sketch.bucket.tolist(), sketch.count.cumsum().tolist(), *ends)
    return found.plain() if is_plain else found


def _both(one: Spread, other: Spread) -> Spread:
    """Two use cases by one name."""
    counts: Counter[int] = Counter()
    for found in (one.found, other.found):
        plain = found.plain() if isinstance(found, _Sketched) else found
        for value, up_to, before in zip(plain.values, plain.up_to, [0, *plain.up_to], strict=False):
            counts[value] += up_to - before
    return Spread(Counted.of(counts), one.unknown + other.unknown)


def _products(found: grouped.Moments) -> Products:
    return Products(found.n, found.sum_x, found.sum_y, found.sum_xx, found.sum_yy, found.sum_xy)


def _all(one: Together, other: Together) -> Together:
    pairs = {
        pair: Products(*(a + b for a, b in zip(_tuple(sums), _tuple(other.pairs[pair]), strict=True)))
        for pair, sums in one.pairs.items()
    }
    return Together(one.calls + other.calls, pairs)


def _tuple(sums: Products) -> tuple[int, ...]:
    return (sums.n, sums.x, sums.y, sums.xx, sums.yy, sums.xy)
