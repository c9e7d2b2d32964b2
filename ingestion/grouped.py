"""Cubes of days to the figures of the groups that someone asks for. Pure; whole numbers until the last step."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ingestion import cubes
from ingestion.cubes import METRICS, STATUSES, Cube
from ingestion.sketches import Sketch, Sketches

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

GROUPS = ("day", "hour", "provider", "model", "prompt_version", "use_case", "status")
FILTERS = GROUPS[2:]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_DAY = _EPOCH.date()
_ROW_OF = {
    "day": cubes.HOUR, "hour": cubes.HOUR, "provider": cubes.PROVIDER, "model": cubes.MODEL,
    "prompt_version": cubes.PROMPT_VERSION, "use_case": cubes.USE_CASE, "status": cubes.STATUS,
}  # fmt: skip


@dataclass(frozen=True)
class Piece:
    """A day's cube, and which of its hours [first, last) count; of the tier of days all do."""

    day: date
    cube: Cube
    first: int = 0
    last: int = 24


@dataclass(frozen=True)
class Moments:
    """Sums over the `n` calls that tell both of two metrics."""

    n: int
    sum_x: int
    sum_y: int
    sum_xx: int
    sum_yy: int
    sum_xy: int

    @property
    def pearson(self) -> float | None:
        """The correlation, rounded once from whole numbers; None where one of the two does not vary."""
        var_x = self.n * self.sum_xx - self.sum_x**2
        var_y = self.n * self.sum_yy - self.sum_y**2
        if var_x <= 0 or var_y <= 0:
            return None
        found = (self.n * self.sum_xy - self.sum_x * self.sum_y) / (math.sqrt(var_x) * math.sqrt(var_y))
        return max(-1.0, min(1.0, found))


@dataclass(frozen=True, eq=False)
class Grouped:
    """Figures by group, each a list in the order of `keys`. A key holds the values of the groups asked for, in order.

    Days are dates, hours moments, a use case its id or None. Keys stand in order of time, provider, model, prompt
    version, use case and status, whatever the order of the groups.
    """

    keys: tuple[tuple[Any, ...], ...]
    _cube: Cube
    _starts: Ints

    def _sums(self, amounts: Ints) -> list[int]:
        import numpy as np

        return [int(one) for one in np.add.reduceat(amounts, self._starts)] if self.keys else []

    def _told(self, bit: int) -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = (self._cube.keys[cubes.TOLD] >> bit & 1) > 0
        return found

    def _cut(self, found: Sequence[int]) -> list[int]:
        ends = [*self._starts[1:].tolist(), len(found)]
        return [sum(found[a:b]) for a, b in zip(self._starts.tolist(), ends, strict=True)] if self.keys else []

    @property
    def calls(self) -> list[int]:
        """All calls."""
        return self._sums(self._cube.amounts[0])

    @property
    def told_refusal(self) -> list[int]:
        """Calls whose answer tells whether it refuses; those of status refused are among them."""
        return self._sums(self._cube.amounts[0] * self._told(cubes.TELLS_REFUSAL))

    @property
    def own_price(self) -> list[int]:
        """Calls whose cost we computed."""
        return self._sums(self._cube.amounts[0] * self._told(cubes.OWN_PRICE))

    @property
    def replayable(self) -> list[int]:
        """Calls without an obstacle."""
        return self._sums(self._cube.amounts[0] * self._told(cubes.REPLAYABLE))

    def known(self, *metrics: str) -> list[int]:
        """Calls that tell all of these metrics."""
        told = self._cube.amounts[0].copy()
        for metric in metrics:
            told = told * self._told(METRICS.index(metric))
        return self._sums(told)

    def total(self, metric: str) -> list[int]:
        """Exact sums; 0 where no call tells the metric."""
        return self._cut(cubes.totals(self._cube, metric))

    def extremes(self, metric: str) -> list[tuple[int, int] | None]:
        """The lowest and the highest value; None where no call tells the metric."""
        import numpy as np

        if not self.keys:
            return []
        place = METRICS.index(metric)
        told = self._told(place)
        ends = np.iinfo(np.int64)
        lows = np.minimum.reduceat(np.where(told, self._cube.lows[place], ends.max), self._starts)
        highs = np.maximum.reduceat(np.where(told, self._cube.highs[place], ends.min), self._starts)
        some = np.logical_or.reduceat(told, self._starts)
        return [(int(low), int(high)) if any_ else None for low, high, any_ in zip(lows, highs, some, strict=True)]

    def sketch(self, metric: str) -> list[Sketch]:
        """Quantiles within `sketches.ACCURACY`; the metric must have been read."""
        return self._sketches(metric).of(len(self.keys))

    def quantiles(self, metric: str, wanted: Sequence[float]) -> list[list[int | float | None]]:
        """Quantiles of each group, in less time than those of each `sketch`."""
        return self._sketches(metric).quantiles(len(self.keys), wanted)

    def _sketches(self, metric: str) -> Sketches:
        import numpy as np

        found = self._cube.sketches[metric]
        # the first of the groups of a key holds the values of all
        return Sketches(np.searchsorted(self._starts, found.group), found.bucket, found.count)

    def moments(self, one: str, other: str) -> list[Moments]:
        """What the correlation of two metrics needs; the products must have been read."""
        both = self._told(METRICS.index(one)) & self._told(METRICS.index(other))
        kept = both.tolist()

        def told(found: Sequence[int]) -> list[int]:
            return self._cut([value if keep else 0 for value, keep in zip(found, kept, strict=True)])

        cube = self._cube
        columns = (
            self._sums(cube.amounts[0] * both),
            told(cubes.totals(cube, one)), told(cubes.totals(cube, other)),
            told(cubes.product_sums(cube, one, one)), told(cubes.product_sums(cube, other, other)),
            told(cubes.product_sums(cube, one, other)),
        )  # fmt: skip
        return [Moments(*row) for row in zip(*columns, strict=True)]


def gather(
    pieces: Iterable[Piece],
    *,
    groups: Sequence[str],
    filters: Mapping[str, Sequence[Any]],
    stands_for: Mapping[int, int],
) -> Grouped:
    """Add up pieces by group.

    Args:
        filters: values of FILTERS that count; an empty one leaves its field free.
        stands_for: the use case that stands for one that was merged into it.
    """
    import numpy as np

    chosen = []
    for piece in pieces:
        cube = _merged_use_cases(piece.cube, stands_for) if {"use_case"} & {*groups, *filters} else piece.cube
        kept = _kept(cube, filters)
        if (piece.first, piece.last) != (0, 24):
            hours = cube.keys[cubes.HOUR]
            kept &= (hours >= piece.first) & (hours < piece.last)
        cube = cubes.only(cube, kept)
        if cube.n_groups:
            chosen.append(_coarse(cube, groups, start=(piece.day - _FIRST_DAY).days * 24))
    whole = cubes.added(chosen) if chosen else cubes.empty()
    apart = whole.keys[: cubes.TOLD]
    starts = np.flatnonzero(np.concatenate([[whole.n_groups > 0], (apart[:, 1:] != apart[:, :-1]).any(axis=0)]))
    return Grouped(_keys(whole, starts, groups), whole, starts)


def _merged_use_cases(cube: Cube, stands_for: Mapping[int, int]) -> Cube:
    import numpy as np

    if not stands_for:
        return cube
    ids, place = np.unique(cube.keys[cubes.USE_CASE], return_inverse=True)
    keys = cube.keys.copy()
    keys[cubes.USE_CASE] = np.array([stands_for.get(int(one), int(one)) for one in ids], dtype=np.int64)[place]
    return replace(cube, keys=keys)


def _kept(cube: Cube, filters: Mapping[str, Sequence[Any]]) -> NDArray[np.bool_]:
    import numpy as np

    kept = np.ones(cube.n_groups, dtype=bool)
    for name, wanted in filters.items():
        if not wanted:
            continue
        row = _ROW_OF[name]
        if name == "status":
            places = [STATUSES.index(status) for status in wanted]
        elif name == "use_case":
            places = [0 if one is None else int(one) for one in wanted]
        else:
            texts = cube.texts[row - cubes.PROVIDER]
            places = [texts.index(text) for text in wanted if text in texts]
        kept &= np.isin(cube.keys[row], places)
    return kept


def _coarse(cube: Cube, groups: Sequence[str], *, start: int) -> Cube:
    """Keys of the groups asked for alone; hours count from 1970 on."""
    import numpy as np

    keys, texts = np.zeros_like(cube.keys), list(cube.texts)
    keys[cubes.TOLD] = cube.keys[cubes.TOLD]
    for name in FILTERS:
        row = _ROW_OF[name]
        if name in groups:
            keys[row] = cube.keys[row]
        elif name in cubes.TEXTS:
            texts[cubes.TEXTS.index(name)] = ("",)
    if "hour" in groups:
        keys[cubes.HOUR] = cube.keys[cubes.HOUR] + start
    elif "day" in groups:
        keys[cubes.HOUR] = start
    return replace(cube, keys=keys, texts=tuple(texts))


def _keys(whole: Cube, starts: Ints, groups: Sequence[str]) -> tuple[tuple[Any, ...], ...]:
    columns: list[list[Any]] = []
    for name in groups:
        row = _ROW_OF[name]
        found = whole.keys[row][starts].tolist()
        if name == "hour":
            columns.append([_EPOCH + timedelta(hours=one) for one in found])
        elif name == "day":
            columns.append([_FIRST_DAY + timedelta(days=one // 24) for one in found])
        elif name == "status":
            columns.append([STATUSES[one] for one in found])
        elif name == "use_case":
            columns.append([one or None for one in found])
        else:
            texts = whole.texts[row - cubes.PROVIDER]
            columns.append([texts[one] for one in found])
    return tuple(zip(*columns, strict=True)) if groups else ((),) * len(starts)
