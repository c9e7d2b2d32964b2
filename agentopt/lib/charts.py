"""Plotly figures as plain dictionaries, range bars, and plotly.js as a static file.

A figure carries tokens (`meta.c`, `name`), never colors, so that one serves light, dark and paper.
"""

import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from django.contrib.staticfiles.finders import BaseFinder
from django.core.files.storage import FileSystemStorage

TRACES = frozenset({"bar", "scatter", "box", "histogram"})  # others set style attributes, which the CSP blocks
SERIES = ("c1", "c2", "c3", "c4", "c5", "c6")
_SYMBOLS = dict(zip(SERIES, ("circle", "square", "diamond", "x", "triangle-up", "cross"), strict=True))


def package_data() -> Path:
    """The folder in which the plotly wheel carries plotly.js; plotly itself is not imported."""
    spec = find_spec("plotly")
    assert spec is not None and spec.origin is not None  # noqa: S101, PT018
    return Path(spec.origin).parent / "package_data"


@cache
def maplibre_id() -> str:
    """The id of the element that keeps plotly.js from adding the styles of its maps, which the CSP would block."""
    found = re.search(
        r'getElementById\("([0-9a-f]{64})"\)', (package_data() / "plotly.min.js").read_text(encoding="utf-8")
    )
    return found.group(1) if found else ""


class PlotlyFinder(BaseFinder):
    """Publish exactly one file of the plotly wheel; its 5 MB widget bundle and data sets stay out."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.storage = FileSystemStorage(location=package_data())
        self.storage.prefix = "plotly"  # type: ignore[attr-defined]
        super().__init__(*args, **kwargs)

    def check(self, **_kwargs: Any) -> list[Any]:
        return []

    def find(self, path: str, find_all: bool = False, **_kwargs: Any) -> Any:  # noqa: FBT001, FBT002
        if path.replace("\\", "/") != "plotly/plotly.min.js":
            return []  # never None: Django would wrap it and answer 500 for every missing file
        hit = self.storage.path("plotly.min.js")
        return [hit] if find_all else hit

    def list(self, _ignore_patterns: Any) -> Iterator[tuple[str, FileSystemStorage]]:
        yield "plotly.min.js", self.storage


# ------------------------------------------------------------------------------------------------ figures
@dataclass(frozen=True)
class Table:
    """What a chart shows, as cells of text: the first column names the row."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Chart:
    """A figure with all that stands around it; `id` is unique on its page, `label` tells it in one sentence."""

    id: str
    title: str
    label: str
    table: Table
    data: Sequence[Mapping[str, Any]]
    layout: Mapping[str, Any]
    note: str = ""
    narrow: Mapping[str, Any] | None = None
    legend: Sequence[tuple[str, str]] = ()  # (token, name)
    size: str = ""  # "", "tall" or "strip"

    @property
    def figure(self) -> dict[str, Any]:
        """What the script draws."""
        found: dict[str, Any] = {"data": list(self.data), "layout": dict(self.layout)}
        return {**found, "narrow": dict(self.narrow)} if self.narrow else found


def series(names: Iterable[str]) -> dict[str, str]:
    """A token for each name: the same name gets the same one on every page, unless another of the page has it."""
    out: dict[str, str] = {}
    for name in sorted(set(names)):
        start = zlib.crc32(name.encode()) % len(SERIES)
        free = [token for token in (*SERIES[start:], *SERIES[:start]) if token not in out.values()]
        out[name] = free[0] if free else "c0"
    return out


def symbol(token: str) -> str:
    """The marker of a series: a second code beside its color."""
    return _SYMBOLS.get(token, "circle")


def line_y(y: float, *, name: str, dash: str = "dash") -> dict[str, Any]:
    """A level line across the figure."""
    line = {"dash": dash} if dash else {"width": 1}
    return {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": y, "y1": y, "name": name, "line": line,
            "layer": "below"}  # fmt: skip


def line_x(x: float, *, name: str, y: tuple[float, float], dash: str | None = None) -> dict[str, Any]:
    """An upright line."""
    line = {"width": 1, "dash": dash} if dash else {"width": 1.5}
    return {"type": "line", "x0": x, "x1": x, "y0": y[0], "y1": y[1], "name": name, "line": line}


def zone_y(low: float, high: float) -> dict[str, Any]:
    """The shade beyond a margin."""
    return {"type": "rect", "xref": "paper", "x0": 0, "x1": 1, "y0": low, "y1": high, "name": "zone", "layer": "below"}


# ------------------------------------------------------------------------------------------------ range bars
@dataclass(frozen=True)
class Scale:
    """The stretch that the bars of one table share; `edge` is the margin or the least gain."""

    low: float
    high: float
    edge: float

    @classmethod
    def of(cls, values: Iterable[float | None], *, edge: float) -> "Scale":
        """A scale that holds all values, zero and the edge, with a little room."""
        known = [value for value in values if value is not None]
        low, high = min([*known, edge, 0.0]), max([*known, edge, 0.0])
        room = (high - low or 1.0) * 0.06
        return cls(low - room, high + room, edge)

    def at(self, value: float) -> str:
        """The place of a value, in percent."""
        return f"{100 * min(1.0, max(0.0, (value - self.low) / (self.high - self.low))):.1f}%"


@dataclass(frozen=True)
class Range:
    """An estimate with its interval (thin), the side that decides (thick) and the margin, as places in percent."""

    label: str
    tone: str  # "ok" | "warn" | "bad" | "ctx"
    zone: str
    zero: str
    low: str
    high: str
    dot: str
    core: tuple[str, str] | None


def range_bar(
    label: str,
    scale: Scale,
    *,
    estimate: float,
    low: float,
    high: float,
    bound: float | None = None,
    tone: str = "ctx",
) -> Range:
    """Lay out one bar; without a bound there is no thick line."""
    core = None if bound is None else (scale.at(min(bound, estimate)), scale.at(max(bound, estimate)))
    return Range(
        label=label,
        tone=tone,
        zone=scale.at(scale.edge),
        zero=scale.at(0.0),
        low=scale.at(low),
        high=scale.at(high),
        dot=scale.at(estimate),
        core=core,
    )
