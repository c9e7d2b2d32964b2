"""Figures of a recommendation and of the overview as plain plotly dictionaries with tokens for colors. Pure.

Ranges of axes and places of labels are set here; `narrow` holds what differs on a phone. Each figure has the same
numbers as a table, and one sentence that tells it.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from agentopt.lib import charts, wording
from recommendations.sections import tokens

Evidence = Mapping[str, Any]
Trace = dict[str, Any]
MARGIN = {"l": 42, "r": 12, "t": 14, "b": 44}
# pixels inside the axes, for placing labels; paper is as narrow as a phone and lower
WIDE, NARROW = (540.0, 262.0), (262.0, 150.0)
SPARE = 10.0  # pixels above the axes that a label may use
LETTER, LINE = 6.7, 15.0  # pixels of a letter and of a line of 12 px text
_OPEN = ("dropped_at_ranking", "not_reached")


# ------------------------------------------------------------------------------------------------ cost against quality
@dataclass(frozen=True)
class _Point:
    """An arm with both figures known; lows and highs are its 95 % intervals."""

    name: str
    token: str
    state: str
    n: int
    x: float
    x_low: float
    x_high: float
    y: float
    y_low: float
    y_high: float
    bold: bool

    @property
    def text(self) -> str:
        """Its label."""
        return f"{self.name} (now)" if self.state == "baseline" else self.name


def trade(evidence: Evidence) -> charts.Chart | None:
    """Cost against quality with intervals and the Pareto front; None where fewer than two arms have both."""
    points = _points(evidence)
    if len(points) < 2:
        return None
    front = pareto([(point.x, point.y) for point in points])
    x_range = _log_range(points)
    bottom, top = _quality_range(points)
    floor = _floor(evidence, points)
    layout: dict[str, Any] = {
        "xaxis": {
            "type": "log", "range": x_range, **_money_ticks(x_range), "showgrid": True,
            "title": {"text": "US dollars per 1,000 calls, log scale"},
        },
        "yaxis": {"range": [bottom, top], "tickformat": ".2f", "nticks": 6},
        "margin": MARGIN,
        "shapes": [],
    }  # fmt: skip
    notes = []
    if floor is not None and floor > bottom:
        layout["shapes"] = [charts.zone_y(bottom, floor), charts.line_y(floor, name="bad")]
        notes = [_floor_note(bottom, f"below the lowest quality allowed, {floor:.3f}")]
    layout["annotations"] = [*_labels(points, x_range, (bottom, top), size=WIDE, floor=floor), *notes]
    narrow = {
        "annotations": [
            *_labels(points, x_range, (bottom, top), size=NARROW, floor=floor),
            *([_floor_note(bottom, "quality not allowed")] if notes else []),
        ]
    }
    line = [points[i] for i in front]
    data: list[Trace] = [
        {
            "type": "scatter", "mode": "lines", "x": [p.x for p in line], "y": [p.y for p in line],
            "line": {"dash": "dot", "width": 1.5}, "meta": {"c": "c0", "role": "faint"}, "hoverinfo": "skip",
        },
        *(_dot(point) for point in points),
    ]  # fmt: skip
    on_front = {points[i].name for i in front}
    return charts.Chart(
        id="f-trade",
        title="Cost against quality",
        note="bars are 95\u202f% intervals; hollow: ranked only; dotted: Pareto front",
        label=_trade_label(evidence, points),
        table=charts.Table(
            ("Model", "$ per 1,000", "95\u202f% interval", "Quality", "95\u202f% interval", "Prompts", "On the front"),
            [_trade_row(point, on_front=point.name in on_front) for point in points],
        ),
        data=data,
        layout=layout,
        narrow=narrow,
        size="tall",
    )


def _points(evidence: Evidence) -> list[_Point]:
    token, leader = tokens(evidence), evidence["outcome"]["leader"]
    out = []
    for arm in evidence["candidates"]:
        cost, quality = arm["cost_per_1000_usd"], arm["quality"]
        if not cost or not quality or cost["value"] <= 0:
            continue
        out.append(
            _Point(
                name=arm["name"],
                token=token[arm["name"]],
                state=arm["state"],
                n=quality["n"],
                x=cost["value"],
                x_low=max(cost["low"], cost["value"] / 20),
                x_high=cost["high"],
                y=quality["value"],
                y_low=max(0.0, quality["low"]),
                y_high=min(1.0, quality["high"]),
                bold=arm["name"] == leader,
            )
        )
    return sorted(out, key=lambda p: (p.x, p.name))


def pareto(points: Sequence[tuple[float, float]]) -> list[int]:
    """Places of the (cost, quality) points that no cheaper or equal one reaches in quality, by rising cost."""
    out: list[int] = []
    best = -math.inf
    for i in sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1])):
        if points[i][1] > best:
            out.append(i)
            best = points[i][1]
    return out


def _dot(point: _Point) -> Trace:
    is_open = point.state in _OPEN
    interval = f"({point.x_low:,.2f} to {point.x_high:,.2f})"
    return {
        "type": "scatter",
        "mode": "markers",
        "name": point.name,
        "x": [point.x],
        "y": [point.y],
        "marker": {"symbol": charts.symbol(point.token), "size": 9 if is_open else 11},
        "meta": {"c": point.token, "role": "open" if is_open else "line"},
        "error_x": _whiskers(point.x, point.x_low, point.x_high),
        "error_y": _whiskers(point.y, point.y_low, point.y_high),
        "hovertemplate": f"{_plain(point.name)}<br>{wording.dollars(point.x)} {interval} per 1,000"
        f"<br>quality {point.y:.3f} ({point.y_low:.3f} to {point.y_high:.3f})<br>n = {point.n}<extra></extra>",
    }


def _plain(name: str) -> str:
    """A name without what plotly reads as markup or as a placeholder."""
    return name.translate(str.maketrans("<>&{}", "‹›+()"))


def _whiskers(value: float, low: float, high: float) -> dict[str, Any]:
    return {"type": "data", "symmetric": False, "array": [high - value], "arrayminus": [value - low]}


def _trade_row(point: _Point, *, on_front: bool) -> tuple[str, ...]:
    return (
        point.name,
        wording.amount(point.x),
        f"{wording.amount(point.x_low)} to {wording.amount(point.x_high)}",
        wording.score(point.y),
        f"{wording.score(point.y_low)} to {wording.score(point.y_high)}",
        wording.count(point.n),
        "yes" if on_front else "no",
    )


def _trade_label(evidence: Evidence, points: Sequence[_Point]) -> str:
    named = {evidence["outcome"]["leader"], evidence["question"]["baseline"]}
    told = [f"{p.name} costs {wording.dollars(p.x)} per 1,000 calls at quality {p.y:.3f}" for p in points]
    chosen = [text for text, point in zip(told, points, strict=True) if point.name in named] or told[:2]
    return f"{len(points)} models: {'; '.join(chosen)}."


def _floor(evidence: Evidence, points: Sequence[_Point]) -> float | None:
    """The lowest quality that the margin allows, from the model in production."""
    check = next((c for c in evidence["checks"] if (c["metric"], c["kind"]) == ("quality", "margin")), None)
    now = next((point.y for point in points if point.state == "baseline"), None)
    return None if check is None or now is None else now + float(check["bar"])


def _floor_note(bottom: float, text: str) -> dict[str, Any]:
    return {"x": 1, "xref": "paper", "y": bottom, "text": text, "xanchor": "right", "yanchor": "bottom", "yshift": 2,
            "xshift": -4, "name": "bad"}  # fmt: skip


def _log_range(points: Sequence[_Point]) -> list[float]:
    low, high = math.log10(min(p.x_low for p in points)), math.log10(max(p.x_high for p in points))
    room = max(0.12, 0.10 * (high - low))
    return [low - room, high + room]


def _quality_range(points: Sequence[_Point]) -> tuple[float, float]:
    low, high = min(p.y_low for p in points), max(p.y_high for p in points)
    room = max(0.02, 0.12 * (high - low))
    return max(0.0, low - room), min(1.04, high + room)


def _money_ticks(x_range: Sequence[float]) -> dict[str, Any]:
    """At most six of 1, 2 and 5 times a power of ten."""
    steps = [m * 10.0**e for e in range(math.floor(x_range[0]) - 1, math.ceil(x_range[1]) + 1) for m in (1, 2, 5)]
    inside = [step for step in steps if x_range[0] <= math.log10(step) <= x_range[1]]
    if len(inside) > 6:
        inside = [step for step in inside if f"{step:e}".startswith("1")] or inside[:6]
    text = [f"${step:,.0f}" if step >= 1 else f"${step:.10f}".rstrip("0") for step in inside]
    return {"tickvals": inside, "ticktext": [t + "0" if t.startswith("$0.") and len(t) == 4 else t for t in text]}


# ------------------------------------------------------------------------------------------------ places of labels
_SPOTS = (  # xanchor, xshift, yshift: right and left of the point, above and below; then farther
    ("left", 10, 15), ("right", -10, 15), ("left", 10, -15), ("right", -10, -15), ("center", 0, 22), ("center", 0, -22),
    ("left", 12, 0), ("right", -12, 0), ("left", 8, 22), ("right", -8, 22),
    ("left", 10, 30), ("right", -10, 30), ("left", 10, -30), ("right", -10, -30),
)  # fmt: skip
_Box = tuple[float, float, float, float]


def _labels(
    points: Sequence[_Point],
    x_range: Sequence[float],
    y_range: tuple[float, float],
    *,
    size: tuple[float, float],
    floor: float | None,
) -> list[dict[str, Any]]:
    """A name beside each point, where it covers least of points, whiskers and other names."""
    width, height = size

    def across(value: float) -> float:
        return (math.log10(value) - x_range[0]) / (x_range[1] - x_range[0]) * width

    def up(value: float) -> float:
        return (value - y_range[0]) / (y_range[1] - y_range[0]) * height

    taken: list[_Box] = [] if floor is None else [(0.0, up(floor) - 2, width, up(floor) + 2)]
    for p in points:
        taken.append((across(p.x) - 7, up(p.y) - 7, across(p.x) + 7, up(p.y) + 7))
        taken.append((across(p.x) - 2, up(p.y_low), across(p.x) + 2, up(p.y_high)))
        taken.append((across(p.x_low), up(p.y) - 2, across(p.x_high), up(p.y) + 2))
    front = [points[i] for i in pareto([(p.x, p.y) for p in points])]
    for one, other in pairwise(front):
        taken += _along((across(one.x), up(one.y)), (across(other.x), up(other.y)))
    out = []
    for p in sorted(points, key=lambda p: (not p.bold, p.state != "baseline", p.x)):
        text = p.text if width > 400 else p.name
        spots = [(_box(across(p.x), up(p.y), spot=spot, letters=len(text)), spot) for spot in _SPOTS]
        box, (anchor, x_shift, y_shift) = min(spots, key=lambda found: _cost_of(found[0], taken, size=size))
        taken.append(box)
        out.append(
            {
                "x": math.log10(p.x),
                "y": p.y,
                "text": _plain(text),
                "name": p.token,
                "xanchor": anchor,
                "yanchor": "middle",
                "xshift": x_shift,
                "yshift": y_shift,
                **({"font": {"weight": 600}} if p.bold else {}),
            }
        )
    return out


def _along(start: tuple[float, float], end: tuple[float, float]) -> list[_Box]:
    """A straight line as small boxes."""
    n = max(1, int(math.dist(start, end) / 6))
    places = [(start[0] + (end[0] - start[0]) * i / n, start[1] + (end[1] - start[1]) * i / n) for i in range(n + 1)]
    return [(x - 3, y - 3, x + 3, y + 3) for x, y in places]


def _box(x: float, y: float, *, spot: tuple[str, int, int], letters: int) -> _Box:
    anchor, x_shift, y_shift = spot
    wide = letters * LETTER
    left = x + x_shift - {"left": 0.0, "center": wide / 2, "right": wide}[anchor]
    return left, y + y_shift - LINE / 2, left + wide, y + y_shift + LINE / 2


def _cost_of(box: _Box, taken: Iterable[_Box], *, size: tuple[float, float]) -> float:
    """Pixels covered, and ten times those outside."""
    covered = sum(
        max(0.0, min(box[2], other[2]) - max(box[0], other[0]))
        * max(0.0, min(box[3], other[3]) - max(box[1], other[1]))
        for other in taken
    )
    outside = max(0.0, -box[0]) + max(0.0, box[2] - size[0]) + max(0.0, -box[1]) + max(0.0, box[3] - size[1] - SPARE)
    return covered + 10 * LINE * outside
