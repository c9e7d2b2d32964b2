"""Figures of an evaluation: looks at a candidate and spend, each with its sentence; looks with their table."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agentopt.lib import charts
from agentopt.lib.wording import DASH, THIN, dollars, signed

_ROOM = 0.08  # of an axis beyond the outermost mark
_APART = 0.06  # of an axis between two labels


@dataclass(frozen=True)
class LookPoint:
    """What was seen of a candidate after so many prompts; no bound: nothing could be shown at that look."""

    prompts: int
    estimate: float
    low: float
    high: float
    bound: float | None
    is_shown: bool


@dataclass(frozen=True)
class SpendBar:
    """Spend against its cap, as places in percent; no forecast: both of its places are None."""

    label: str
    fill: str
    forecast_start: str | None
    forecast_width: str | None
    forecast_text: str
    forecast_at: str | None


# ------------------------------------------------------------------------------------------------ looks
def looks(  # the sentence, the table and the figure tell the same points
    candidate: str,
    baseline: str,
    *,
    points: Sequence[LookPoint],
    bar: float,
    metric: str = "quality",
    note: str = "",
    chart_id: str = "looks",
) -> charts.Chart:
    """The bound that decides against the margin, look by look; it shows why an evaluation stopped or goes on.

    Args:
        points: by growing number of prompts, at least one.
        bar: what the bound must exceed, such as −0.05.
    """
    low, high = _span([*(p.low for p in points), *(p.high for p in points), *_bounds(points), bar, 0.0])
    layout = {
        "xaxis": {
            "range": _room(0, points[-1].prompts, share=0.06),
            "tickvals": _far_apart([p.prompts for p in points]),
            "title": {"text": "fresh prompts, one per conversation first"},
        },
        "yaxis": {"range": [low, high], **_difference_ticks(low, high)},
        "margin": {"l": 48, "r": 10, "t": 8, "b": 44},
        "shapes": [
            charts.zone_y(low, bar),
            charts.line_y(bar, name="bad"),
            charts.line_y(0, name="border-strong", dash=""),
        ],
        "annotations": _look_labels(points, bar=bar, wide=True),
    }
    return charts.Chart(
        id=chart_id,
        title=f"{candidate}: {_look_title(points)}",
        note=note or f"{metric} difference to {baseline}; upright lines: 95{THIN}% interval",
        label=_look_sentence(points[-1], bar=bar),
        table=charts.Table(
            ("Prompts", "Difference", f"95{THIN}% interval", "Bound that decides", "Shown"),
            [_look_row(point) for point in points],
        ),
        data=_look_traces(points),
        layout=layout,
        narrow={"annotations": _look_labels(points, bar=bar, wide=False)},
        size="tall",
    )


def _bounds(points: Sequence[LookPoint]) -> list[float]:
    return [point.bound for point in points if point.bound is not None]


def _look_traces(points: Sequence[LookPoint]) -> list[dict[str, Any]]:
    deciding = [point for point in points if point.bound is not None]
    seen = {
        "type": "scatter",
        "mode": "markers",
        "x": [point.prompts for point in points],
        "y": [point.estimate for point in points],
        "meta": {"c": "c0"},
        "marker": {"size": 7},
        "error_y": _error([(p.estimate, p.low, p.high) for p in points]),
        "customdata": [[signed(p.estimate), signed(p.low), signed(p.high)] for p in points],
        "hovertemplate": "%{x} prompts<br>%{customdata[0]} (%{customdata[1]} to %{customdata[2]})<extra></extra>",
    }
    decides = {
        "type": "scatter",
        "mode": "lines+markers",
        "x": [point.prompts for point in deciding],
        "y": [point.bound for point in deciding],
        "meta": {"c": "c1"},
        "line": {"width": 2.5},
        "marker": {"size": 7, "symbol": "diamond"},
        "customdata": [signed(point.bound) for point in deciding],
        "hovertemplate": "%{x} prompts<br>deciding bound %{customdata}<extra></extra>",
    }
    return [seen, decides] if deciding else [seen]


def _look_labels(points: Sequence[LookPoint], *, bar: float, wide: bool) -> list[dict[str, Any]]:
    left = {"x": 0, "xref": "paper", "xanchor": "left", "xshift": 4}  # before the first look nothing is drawn
    labels: list[dict[str, Any]] = [
        {**left, "y": bar, "text": f"margin {signed(bar, 2)}", "yanchor": "top", "name": "bad", "yshift": -1},
        {**left, "y": 0, "text": "same", "yanchor": "bottom"},
    ]
    deciding = [point for point in points if point.bound is not None]
    if deciding:
        point = deciding[(len(deciding) - 1) // 2]
        is_last = point is points[-1]  # beyond it there is no room for words
        labels.append(
            {"x": point.prompts, "y": point.bound, "text": "bound that decides" if wide else "bound", "name": "c1",
             "xanchor": "right" if is_last else "left", "yanchor": "top", "xshift": 0 if is_last else 6, "yshift": -6,
             "font": {"weight": 600}}
        )  # fmt: skip
    return labels


def _look_title(points: Sequence[LookPoint]) -> str:
    first = next((point.prompts for point in points if point.is_shown), None)
    return "the bound has to clear the margin" if first is None else f"the bound cleared the margin at {first} prompts"


def _look_sentence(last: LookPoint, *, bar: float) -> str:
    said = f"After {last.prompts} prompts the difference is {spoken(last.estimate)}, "
    said += f"95 percent interval {spoken(last.low)} to {spoken(last.high)}"
    if last.bound is None:
        return f"{said}; nothing could be shown at this look."
    verdict = "it is above" if last.is_shown else "it must rise above"
    return f"{said}; the bound that decides is {spoken(last.bound)}: {verdict} {spoken(bar)}."


def _look_row(point: LookPoint) -> tuple[str, ...]:
    interval = f"{signed(point.low)} to {signed(point.high)}"
    shown = DASH if point.bound is None else "yes" if point.is_shown else "no"
    return str(point.prompts), signed(point.estimate), interval, signed(point.bound), shown


# ------------------------------------------------------------------------------------------------ spend
def spend(spent_usd: float, *, cap_usd: float, low_usd: float | None, high_usd: float | None) -> SpendBar:
    """Lay out the spend against its cap; what of the forecast lies beyond the cap is cut, as the run would be."""
    label = f"Spent {spent_usd:.2f} of at most {cap_usd:.2f} dollars"
    fill = _share(spent_usd, cap_usd)
    if low_usd is None or high_usd is None:
        return SpendBar(label, f"{fill:.1f}%", None, None, "", None)
    start = max(fill, _share(low_usd, cap_usd))
    end = max(start, _share(high_usd, cap_usd))
    text = f"forecast {dollars(low_usd)} to {dollars(high_usd)}"
    at = min(72.0, max(38.0, (start + end) / 2))  # the words stay inside the picture, and clear of its $0
    return SpendBar(
        f"{label}; {text}", f"{fill:.1f}%", f"{start:.1f}%", f"{end - start:.1f}%", text, f"{at:.1f}%"
    )  # fmt: skip


def _share(part: float, whole: float) -> float:
    return 100.0 if whole <= 0 else 100 * min(1.0, max(0.0, part / whole))


# ------------------------------------------------------------------------------------------------ axes and words
def spoken(value: float) -> str:
    """A difference as a screen reader should say it: plus 0.001, minus 0.063."""
    text = f"{abs(value):.3f}"
    return text if float(text) == 0 else f"{'minus' if value < 0 else 'plus'} {text}"


def _error(rows: Sequence[tuple[float, float, float]]) -> dict[str, Any]:
    """Error bars of (value, low, high)."""
    return {
        "type": "data",
        "symmetric": False,
        "array": [round(max(0.0, high - value), 6) for value, _, high in rows],
        "arrayminus": [round(max(0.0, value - low), 6) for value, low, _ in rows],
    }


def _span(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    room = (high - low or 0.1) * _ROOM
    return round(low - room, 6), round(high + room, 6)


def _room(low: float, high: float, *, share: float) -> tuple[float, float]:
    room = (high - low) * share
    return round(low, 6), round(high + room, 6)


def _far_apart(values: Sequence[int]) -> list[int]:
    """The values whose labels do not touch; the last one always stays."""
    kept = [values[-1]]
    for value in reversed(values[:-1]):
        if kept[-1] - value >= _APART * values[-1]:
            kept.append(value)
    return sorted(kept)


def _difference_ticks(low: float, high: float) -> dict[str, Any]:
    """Five or so round steps, with a sign that a screen shows as one."""
    step = _nice((high - low) / 5)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    values = [round(i * step, 6) for i in range(math.ceil(low / step), math.floor(high / step) + 1)]
    return {"tickvals": values, "ticktext": ["0" if value == 0 else signed(value, digits) for value in values]}


def _nice(step: float) -> float:
    power = 10.0 ** math.floor(math.log10(step))
    return float(power * next(times for times in (1, 2, 5, 10) if times * power >= step * 0.999))
