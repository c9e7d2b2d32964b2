"""What an evaluation measured as plain values, and the decision's arrays made of them. Pure.

Rows of the database become these values (`evaluation.comparison`), and so does a bundle of evidence: the same code
decides both. What a call becomes (decision.md 1): answered → as scored; a refusal → `answered` 0, and judged; failed by
the model → `answered` 0, quality 0, guards of the project's own 0, and no harm done; missing → nan everywhere.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

import numpy as np
import numpy.typing as npt

from agentopt.lib.money import NANO
from evaluation.judges import panel, rules
from evaluation.repeating import Baseline, Repeating
from evaluation.statistics.decision import Samples
from evaluation.statistics.fixed_point import Array

ANSWERED, FAILED, MISSING = "answered", "failed", "missing"
LATENCY_LIMIT, COST_LIMIT = "latency_p95_s", "cost_per_call_usd"
_MICRO = 1_000_000
_T = TypeVar("_T")


@dataclass(frozen=True)
class Cell:
    """One call, as far as the decision needs it."""

    status: str  # answered, failed or missing
    refused: bool | None
    cost_nanousd: int | None
    latency_us: int | None
    scores: tuple[tuple[float | None, ...], ...] = ()  # of each chair: one per settled repetition; None: unscored
    human: float | None = None  # quality as people said; None: nobody did

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types; `from_json` reads them."""
        found: dict[str, Any] = {
            "status": self.status,
            "refused": self.refused,
            "cost_nanousd": self.cost_nanousd,
            "latency_us": self.latency_us,
            "scores": [list(scores) for scores in self.scores],
        }
        return found if self.human is None else found | {"human": self.human}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """Read what `to_json` gave."""
        return cls(
            status=stored["status"],
            refused=stored["refused"],
            cost_nanousd=stored["cost_nanousd"],
            latency_us=stored["latency_us"],
            scores=tuple(tuple(scores) for scores in stored["scores"]),
            human=stored.get("human"),
        )


@dataclass(frozen=True)
class Line:
    """One prompt with the calls on it, by column; None: not called yet."""

    record: int  # id of the logged call
    unit: int  # conversation, numbered by its first place in the sampling order
    use_case: str
    cells: tuple[Cell | None, ...]
    again: Cell | None = None  # the model in production, called beside the candidates
    more: tuple[tuple[Cell, ...], ...] = ()  # further answers by column, where the prompt was asked more than once

    def others(self, column: int) -> tuple[Cell, ...]:
        """Further answers of a column."""
        return self.more[column] if self.more else ()

    def called_baseline(self) -> tuple[Cell, ...]:
        """All calls of the model in production that were made beside the candidates."""
        return (*([self.again] if self.again else []), *self.others(0))

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types; `from_json` reads them."""
        found = {
            "record": self.record,
            "unit": self.unit,
            "use_case": self.use_case,
            "cells": [cell and cell.to_json() for cell in self.cells],
            "again": self.again and self.again.to_json(),
        }
        return found | ({"more": [[cell.to_json() for cell in own] for own in self.more]} if self.more else {})

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """Read what `to_json` gave."""
        cells = tuple(cell and Cell.from_json(cell) for cell in stored["cells"])
        again = stored["again"] and Cell.from_json(stored["again"])
        more = tuple(tuple(Cell.from_json(cell) for cell in own) for own in stored.get("more") or ())
        return cls(stored["record"], stored["unit"], stored["use_case"], cells, again, more)


@dataclass(frozen=True)
class Measurements:
    """All that was measured, in sampling order; column 0 is the model in production."""

    columns: int
    chairs: tuple[panel.Chair, ...]  # keyed by their place
    repeats: tuple[int, ...]  # how often each chair judges an answer
    limits: Mapping[str, float]  # hard limits of the goal
    baseline: Mapping[str, float | None]  # means of the model in production over all replayable prompts
    repeating: Repeating  # how often each prompt is put to each model
    lines: tuple[Line, ...] = field(repr=False)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types; `from_json` reads them."""
        return {
            "columns": self.columns,
            "chairs": [
                {
                    "rubric": chair.rubric,
                    "model": chair.model,
                    "exact": chair.exact,
                    "counts_as": chair.counts_as,
                    "repeats": repeats,
                }
                for chair, repeats in zip(self.chairs, self.repeats, strict=True)
            ],
            "limits": dict(self.limits),
            "baseline": dict(self.baseline),
            "times_baseline": self.repeating.times_all,
            "repeating": self.repeating.to_json(),
            "lines": [line.to_json() for line in self.lines],
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """Read what `to_json` gave."""
        chairs = stored["chairs"]
        return cls(
            columns=stored["columns"],
            chairs=tuple(
                panel.Chair(i, c["rubric"], c["model"], exact=c["exact"], counts_as=c.get("counts_as", ""))
                for i, c in enumerate(chairs)
            ),
            repeats=tuple(chair["repeats"] for chair in chairs),
            limits=stored["limits"],
            baseline=stored["baseline"],
            repeating=Repeating.of(stored, replay_baseline=stored["times_baseline"]),
            lines=tuple(Line.from_json(line) for line in stored["lines"]),
        )


@dataclass(frozen=True)
class Table:
    """The decision's samples, and how many leading rows each column has whole."""

    samples: Samples
    measured: npt.NDArray[np.int64]
    use_cases: tuple[str, ...]


def table(found: Measurements) -> Table:
    """Return the arrays of what was measured, in sampling order; what is not known is nan.

    Metrics that nobody measured are absent: safety without a judge of it, cost where no pair has one, latency unless
    the baseline was called beside the candidates.
    """
    return Table(_Arrays(found).samples(), _measured(found), tuple(line.use_case for line in found.lines))


def _measured(found: Measurements) -> npt.NDArray[np.int64]:
    """Count the leading rows of each column whose call was made and whose verdicts are all there."""

    def is_judged(cell: Cell) -> bool:
        pairs = zip(cell.scores, found.repeats, strict=True)
        return cell.status != ANSWERED or all(len(scores) >= repeats for scores, repeats in pairs)

    def whole(position: int, column: int) -> bool:
        line, wanted = found.lines[position], found.repeating
        cells = [line.cells[column], *([line.again] if column == 0 else []), *line.others(column)]
        planned = wanted.of_candidate(position) if column else range(wanted.of_baseline(position).stop)
        there = [cells[repetition] if repetition < len(cells) else None for repetition in planned]
        return all(
            cell is not None and (not wanted.is_judged(position, n, is_baseline=not column) or is_judged(cell))
            for n, cell in zip(planned, there, strict=True)
        )

    n = len(found.lines)
    counts = [next((i for i in range(n) if not whole(i, c)), n) for c in range(found.columns)]
    return np.array(counts, dtype=np.int64)


@dataclass(frozen=True)
class _Arrays:
    """Builds the arrays of `Samples`, each of shape (prompts, 1 + candidates)."""

    found: Measurements

    def samples(self) -> Samples:
        lines, chairs = self.found.lines, self.found.chairs
        models = len(panel.models(chairs))
        cells = self._each(self._scored)
        quality = self._array([[_mean(x.quality for x in cell) for cell in row] for row in cells])
        guards = {"quality": quality, "answered": self._means_of(_answered)}
        if panel.measures_safety(chairs):
            guards["safety"] = self._array([[_mean(x.safety for x in cell) for cell in row] for row in cells])
        for name in panel.own_guards(chairs):
            guards[name] = self._array([[_mean(x.guards.get(name) for x in cell) for cell in row] for row in cells])
        if self.found.repeating.repetitions > 1:
            guards["stability"] = self._array([self._stability(line) for line in lines])
        cost, latency = self._means_of(lambda cell: _over(cell.cost_nanousd, NANO)), self._latency()
        by_judge = [[_by_model(cell, models) for cell in row] for row in cells]
        human = self._array([[None if cell is None else cell.human for cell in line.cells] for line in lines])
        return Samples(
            guards=guards,
            unit=np.array([line.unit for line in lines], dtype=np.int64),
            cost_usd=cost if _paired(cost) else None,
            latency_s=latency if _paired(latency) else None,
            scores_by_judge=np.array(by_judge, float).reshape(*quality.shape, models) if models else None,
            human=human if _paired(human) else None,
            levels=self._levels(guards, cost, latency),
            baseline=self._means(guards, cost),
        )

    def _counting(self, line: Line, column: int) -> tuple[Cell, ...]:
        """The calls that make a cell: all answers of a candidate; of the model in production those of the design."""
        if not column and self.found.repeating.baseline == Baseline.REPLAYED:
            return line.called_baseline()
        first = line.cells[column]
        return () if first is None else (first, *(line.others(column) if column else ()))

    def _each(self, read: Callable[[Cell], _T]) -> list[list[list[_T]]]:
        columns = range(self.found.columns)
        return [[[read(cell) for cell in self._counting(line, c)] for c in columns] for line in self.found.lines]

    def _means_of(self, read: Callable[[Cell], float | None]) -> Array:
        return self._array([[_mean(cell) for cell in row] for row in self._each(read)])

    def _stability(self, line: Line) -> list[float | None]:
        """1 - mean absolute difference of quality between a model's answers to one prompt; None: fewer than two."""
        calls = [line.called_baseline(), *(self._counting(line, c) for c in range(1, self.found.columns))]
        scored = [[x for cell in own if (x := self._scored(cell).quality) is not None] for own in calls]
        return [1 - mean_distance(own) if len(own) > 1 else None for own in scored]

    def _array(self, values: Sequence[Sequence[float | None]]) -> Array:
        known = [[math.nan if x is None else x for x in row] for row in values]
        return np.array(known, float).reshape(-1, self.found.columns)

    def _scored(self, cell: Cell) -> panel.PanelScore:
        own = dict(enumerate(cell.scores))
        return panel.of_call(self.found.chairs, own, failed=cell.status == FAILED, missing=cell.status == MISSING)

    def _latency(self) -> Array:
        """Seconds of calls that were made for this comparison; a logged latency had other conditions."""
        return self._timed(_seconds)

    def _timed(self, read: Callable[[Cell], float | None]) -> Array:
        columns = range(1, self.found.columns)
        # calls of some prompts only tell how latency moved since the log, and are too few to compare models by
        is_timed = self.found.repeating.times_all
        rows = [
            [line.called_baseline() if is_timed else (), *(self._counting(line, c) for c in columns)]
            for line in self.found.lines
        ]
        return self._array([[_mean(read(cell) for cell in own) for own in row] for row in rows])

    def _levels(self, guards: Mapping[str, Array], cost: Array, latency: Array) -> dict[str, Array] | None:
        """Each hard limit of the goal as a mean of the candidate's to exceed (decision.md 1)."""
        limits = self.found.limits
        levels = {name: guards[name] for name in limits if name in guards}
        if LATENCY_LIMIT in limits and np.isfinite(latency[:, 1:]).any():
            most = limits[LATENCY_LIMIT]
            levels[LATENCY_LIMIT] = self._timed(
                lambda cell: None if (s := _seconds(cell)) is None else float(s <= most)
            )
        if COST_LIMIT in limits and np.isfinite(cost[:, 1:]).any():
            levels[COST_LIMIT] = np.clip(1 - cost / (2 * max(limits[COST_LIMIT], 1e-12)), 0, 1)
        return levels or None

    def _means(self, guards: Mapping[str, Array], cost: Array) -> dict[str, float] | None:
        """Means of the baseline over all replayable prompts, for the metrics that are measured here."""
        if self.found.repeating.baseline == Baseline.REPLAYED:
            return None  # these means are of its logged calls
        known, there = self.found.baseline, {*guards, *(["cost"] if _paired(cost) else [])}
        return {name: float(mean) for name, mean in sorted(known.items()) if mean is not None and name in there} or None


def mean_distance(values: Sequence[float]) -> float:
    """Mean absolute difference over all pairs of at least two values."""
    pairs = [abs(a - b) for a, b in itertools.combinations(values, 2)]
    return sum(pairs) / len(pairs)


def _mean(values: Iterable[float | None]) -> float | None:
    return panel.mean(list(values))


def _by_model(cell: Sequence[panel.PanelScore], models: int) -> list[float]:
    """Quality by judge model, the mean over a cell's answers."""
    columns = [_mean(column) for column in zip(*(one.by_model for one in cell if one.by_model), strict=True)]
    return _padded(columns, models)


def _answered(cell: Cell) -> float | None:
    if cell.status == MISSING:
        return None
    return rules.answered(failed=cell.status == FAILED, was_refused=cell.refused)


def _seconds(cell: Cell) -> float | None:
    return None if cell.status != ANSWERED else _over(cell.latency_us, _MICRO)


def _over(amount: int | None, unit: int) -> float | None:
    return None if amount is None else amount / unit


def _padded(by_model: Sequence[float | None], models: int) -> list[float]:
    return [math.nan if x is None else x for x in by_model] or [math.nan] * models


def _paired(amounts: Array) -> bool:
    """Tell whether any prompt has the amount in the baseline and in a candidate."""
    return bool((np.isfinite(amounts[:, :1]) & np.isfinite(amounts[:, 1:])).any())
