"""What answers are made of, whatever it comes from: totals, counted values and products by group."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar

from ingestion.analytics.figures import Counted, Products

Group = tuple[str | None, ...]
"""One text a key, in the order asked for; None: not known, or not assigned."""
Value = TypeVar("Value")
CUT_AT = {"day": 10, "hour": 13}


@dataclass(frozen=True)
class Total:
    """Sums over the calls of a group; `known` of them tell the metric. `low` and `high`: None where none does."""

    calls: int = 0
    known: int = 0
    total: int = 0
    low: int | None = None
    high: int | None = None

    def __add__(self, other: "Total") -> "Total":
        lows = [low for low in (self.low, other.low) if low is not None]
        highs = [high for high in (self.high, other.high) if high is not None]
        return Total(
            self.calls + other.calls,
            self.known + other.known,
            self.total + other.total,
            min(lows, default=None),
            max(highs, default=None),
        )


@dataclass(frozen=True)
class Spread:
    """The values of a metric in a group, and how many calls do not tell it."""

    found: Counted
    unknown: int


@dataclass(frozen=True)
class Together:
    """Products of each two metrics in a group of calls; of their ranks where ranks were asked for."""

    calls: int
    pairs: Mapping[tuple[str, str], Products]


class Source(Protocol):
    """Where figures come from; every one concerns the calls of one project, window and filters."""

    name: str
    error: float | None
    """Relative error of its quantiles; None: exact."""

    def totals(self, groups: Sequence[str], metric: str) -> Mapping[Group, Total]:
        """Sums by group; without groups always one."""

    def spreads(self, groups: Sequence[str], metric: str) -> Mapping[Group, Spread]:
        """Values by group; without groups always one."""

    def together(self, groups: Sequence[str], metrics: Sequence[str], *, ranked: bool) -> Mapping[Group, Together]:
        """Products by group; without groups always one."""


def in_order(groups: Iterable[Group]) -> list[Group]:
    """By code points, what is not known first: each database sorts texts its own way."""
    return sorted(groups, key=lambda group: tuple((part is not None, part or "") for part in group))


def text(name: str, value: object) -> str | None:
    """A value of a group as it is shown; days and hours in UTC."""
    if value is None:
        return None
    if isinstance(value, datetime):
        value = value.isoformat()
    shown = str(value)
    if name == "hour":
        return f"{shown[:13].replace(' ', 'T')}:00Z"
    return shown[:10] if name == "day" else shown


def folded(found: Iterable[tuple[Group, Value]], add: Callable[[Value, Value], Value]) -> dict[Group, Value]:
    """Groups that turned out the same, added up."""
    out: dict[Group, Value] = {}
    for group, value in found:
        out[group] = add(out[group], value) if group in out else value
    return out
