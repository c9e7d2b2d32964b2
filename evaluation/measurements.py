"""What an evaluation measured as plain values, and the decision's arrays made of them. Pure.

Rows of the database become these values (`evaluation.comparison`), and so does a bundle of evidence: the same code
decides both. What a call becomes (decision.md 1): answered → as scored; a refusal → `answered` 0, and judged; failed by
the model → `answered` 0, quality 0, guards of the project's own 0, and no harm done; missing → nan everywhere.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from agentopt.lib.money import NANO
from evaluation.judges import panel, rules
from evaluation.statistics.decision import Samples
from evaluation.statistics.fixed_point import Array

ANSWERED, FAILED, MISSING = "answered", "failed", "missing"
LATENCY_LIMIT, COST_LIMIT = "latency_p95_s", "cost_per_call_usd"
_MICRO = 1_000_000


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

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types; `from_json` reads them."""
        return {
            "record": self.record,
            "unit": self.unit,
            "use_case": self.use_case,
            "cells": [cell and cell.to_json() for cell in self.cells],
            "again": self.again and self.again.to_json(),
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """Read what `to_json` gave."""
        cells = tuple(cell and Cell.from_json(cell) for cell in stored["cells"])
        again = stored["again"] and Cell.from_json(stored["again"])
        return cls(stored["record"], stored["unit"], stored["use_case"], cells, again)


@dataclass(frozen=True)
class Measurements:
    """All that was measured, in sampling order; column 0 is the model in production."""

    columns: int
    chairs: tuple[panel.Chair, ...]  # keyed by their place
    repeats: tuple[int, ...]  # how often each chair judges an answer
    limits: Mapping[str, float]  # hard limits of the goal
    baseline: Mapping[str, float | None]  # means of the model in production over all replayable prompts
    times_baseline: bool  # the model in production is called beside the candidates
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
            "times_baseline": self.times_baseline,
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
            times_baseline=stored["times_baseline"],
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

    def whole(line: Line, column: int) -> bool:
        cell = line.cells[column]
        if cell is None or (column == 0 and found.times_baseline and line.again is None):
            return False
        pairs = zip(cell.scores, found.repeats, strict=True)
        return cell.status != ANSWERED or all(len(scores) >= repeats for scores, repeats in pairs)

    n = len(found.lines)
    counts = [next((i for i, line in enumerate(found.lines) if not whole(line, c)), n) for c in range(found.columns)]
    return np.array(counts, dtype=np.int64)


@dataclass(frozen=True)
class _Arrays:
    """Builds the arrays of `Samples`, each of shape (prompts, 1 + candidates)."""

    found: Measurements

    def samples(self) -> Samples:
        lines, chairs = self.found.lines, self.found.chairs
        models = len(panel.models(chairs))
        cells = [[self._cell(cell) for cell in line.cells] for line in lines]
        quality = self._array([[cell.quality for cell in row] for row in cells])
        answered = self._array([[_answered(cell) for cell in line.cells] for line in lines])
        guards = {"quality": quality, "answered": answered}
        if panel.measures_safety(chairs):
            guards["safety"] = self._array([[cell.safety for cell in row] for row in cells])
        for name in panel.own_guards(chairs):
            guards[name] = self._array([[cell.guards.get(name) for cell in row] for row in cells])
        cost, latency = self._cost(), self._latency()
        by_judge = [[_padded(cell.by_model, models) for cell in row] for row in cells]
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

    def _array(self, values: Sequence[Sequence[float | None]]) -> Array:
        known = [[math.nan if x is None else x for x in row] for row in values]
        return np.array(known, float).reshape(-1, self.found.columns)

    def _cell(self, cell: Cell | None) -> panel.PanelScore:
        if cell is None:
            return panel.UNASKED
        own = dict(enumerate(cell.scores))
        return panel.of_call(self.found.chairs, own, failed=cell.status == FAILED, missing=cell.status == MISSING)

    def _cost(self) -> Array:
        lines = self.found.lines
        return self._array([[None if c is None else _over(c.cost_nanousd, NANO) for c in line.cells] for line in lines])

    def _latency(self) -> Array:
        """Seconds of calls that were made for this comparison; a logged latency had other conditions."""
        return self._array([[_seconds(c) for c in (line.again, *line.cells[1:])] for line in self.found.lines])

    def _levels(self, guards: Mapping[str, Array], cost: Array, latency: Array) -> dict[str, Array] | None:
        """Each hard limit of the goal as a mean of the candidate's to exceed (decision.md 1)."""
        limits = self.found.limits
        levels = {name: guards[name] for name in limits if name in guards}
        if LATENCY_LIMIT in limits and np.isfinite(latency[:, 1:]).any():
            within = (latency <= limits[LATENCY_LIMIT]).astype(float)
            levels[LATENCY_LIMIT] = np.where(np.isfinite(latency), within, np.nan)
        if COST_LIMIT in limits and np.isfinite(cost[:, 1:]).any():
            levels[COST_LIMIT] = np.clip(1 - cost / (2 * max(limits[COST_LIMIT], 1e-12)), 0, 1)
        return levels or None

    def _means(self, guards: Mapping[str, Array], cost: Array) -> dict[str, float] | None:
        """Means of the baseline over all replayable prompts, for the metrics that are measured here."""
        known, there = self.found.baseline, {*guards, *(["cost"] if _paired(cost) else [])}
        return {name: float(mean) for name, mean in sorted(known.items()) if mean is not None and name in there} or None


def _answered(cell: Cell | None) -> float | None:
    if cell is None or cell.status == MISSING:
        return None
    return rules.answered(failed=cell.status == FAILED, was_refused=cell.refused)


def _seconds(cell: Cell | None) -> float | None:
    return None if cell is None or cell.status != ANSWERED else _over(cell.latency_us, _MICRO)


def _over(amount: int | None, unit: int) -> float | None:
    return None if amount is None else amount / unit


def _padded(by_model: Sequence[float | None], models: int) -> list[float]:
    return [math.nan if x is None else x for x in by_model] or [math.nan] * models


def _paired(amounts: Array) -> bool:
    """Tell whether any prompt has the amount in the baseline and in a candidate."""
    return bool((np.isfinite(amounts[:, :1]) & np.isfinite(amounts[:, 1:])).any())
