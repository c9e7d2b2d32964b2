"""Figures of an evaluation: looks, quality against cost, spend; each with its table and its sentence."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agentopt.lib import charts
from agentopt.lib.wording import DASH, MINUS, amount, dollars, score, signed

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
class ModelPoint:
    """A model's quality and cost; intervals are central 95 %, None where not known."""

    name: str
    cost_usd: float  # per 1,000 calls
    quality: float
    cost_low_usd: float | None = None
    cost_high_usd: float | None = None
    quality_low: float | None = None
    quality_high: float | None = None
    prompts: int = 0
    is_baseline: bool = False
    is_leader: bool = False


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
        note=note or f"{metric} difference to {baseline}; upright lines: 95{_THIN}% interval",
        label=_look_sentence(points[-1], bar=bar),
        table=charts.Table(
            ("Prompts", "Difference", f"95{_THIN}% interval", "Bound that decides", "Shown"),
            [_look_row(point) for point in points],
        ),
        data=_look_traces(points),
        layout=layout,
        narrow={"annotations": _look_labels(points, bar=bar, wide=False)},
        size="tall",
    )


_THIN = "\u202f"


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
        point = deciding[len(deciding) // 2]
        labels.append(
            {"x": point.prompts, "y": point.bound, "text": "bound that decides" if wide else "bound", "name": "c1",
             "xanchor": "left", "yanchor": "top", "xshift": 6, "yshift": -6, "font": {"weight": 600}}
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


# ------------------------------------------------------------------------------------------------ quality against cost
def trade_off(
    points: Sequence[ModelPoint],
    *,
    colors: dict[str, str],
    lowest: float | None,
    is_difference: bool = False,
    note: str = "",
    chart_id: str = "trade-off",
) -> charts.Chart:
    """Quality against cost of every model; only those of known cost, of which there must be one above 0.

    Args:
        colors: token of each model, from `charts.series`.
        lowest: the lowest quality that is allowed, where there is one.
        is_difference: quality is the difference to the baseline, and not a score.
    """
    points = [point for point in points if point.cost_usd > 0]
    say = signed if is_difference else score
    low, high = _span(_heights(points, lowest))
    costs = [cost for p in points for cost in (p.cost_usd, p.cost_low_usd, p.cost_high_usd) if cost]
    x_range = _log_range(costs)
    shapes = [] if lowest is None else [charts.zone_y(low, lowest), charts.line_y(lowest, name="bad")]
    ticks = _difference_ticks(low, high) if is_difference else {"tickformat": ".2f"}
    return charts.Chart(
        id=chart_id,
        title="Quality against cost",
        note=note or "per 1,000 calls; up and left is better",
        label=_trade_sentence(points, say),
        table=charts.Table(("Model", "$ per 1,000", "Quality", f"95{_THIN}% interval", "Prompts"),
                           [_trade_row(point, say) for point in points]),
        data=[_trade_trace(point, colors.get(point.name, "c0"), say) for point in points],
        layout={
            "xaxis": {"type": "log", "range": x_range, **_money_ticks(x_range), "showgrid": True,
                      "title": {"text": "US dollars per 1,000 calls, log scale"}},
            "yaxis": {"range": [low, high], **ticks},
            "margin": {"l": 48, "r": 10, "t": 8, "b": 44},
            "shapes": shapes,
            "annotations": _trade_labels(points, colors, x_range=x_range, y_range=(low, high), lowest=lowest),
        },
        size="tall",
    )  # fmt: skip


def _heights(points: Sequence[ModelPoint], lowest: float | None) -> list[float]:
    found = [y for p in points for y in (p.quality, p.quality_low, p.quality_high) if y is not None]
    return found if lowest is None else [*found, lowest]


def _trade_trace(point: ModelPoint, color: str, say: Any) -> dict[str, Any]:
    trace: dict[str, Any] = {
        "type": "scatter",
        "mode": "markers",
        "x": [point.cost_usd],
        "y": [point.quality],
        "marker": {"symbol": charts.symbol(color), "size": 11 if point.is_leader or point.is_baseline else 9},
        "meta": {"c": color, "role": "line" if point.is_leader or point.is_baseline else "open"},
        "customdata": [[plain(point.name), dollars(point.cost_usd), say(point.quality), point.prompts]],
        "hovertemplate": "%{customdata[0]}<br>%{customdata[1]} per 1,000<br>quality %{customdata[2]}"
        "<br>n = %{customdata[3]}<extra></extra>",
    }
    if point.quality_low is not None and point.quality_high is not None:
        trace["error_y"] = _error([(point.quality, point.quality_low, point.quality_high)])
    if point.cost_low_usd is not None and point.cost_high_usd is not None:
        trace["error_x"] = _error([(point.cost_usd, point.cost_low_usd, point.cost_high_usd)])
    return trace


def _trade_labels(
    points: Sequence[ModelPoint],
    colors: dict[str, str],
    *,
    x_range: tuple[float, float],
    y_range: tuple[float, float],
    lowest: float | None,
) -> list[dict[str, Any]]:
    """Names beside their marks, each at the first place that no mark and no other name takes."""
    labels = []
    marks = [(_place(math.log10(p.cost_usd), x_range, _WIDE), _place(p.quality, y_range, _TALL)) for p in points]
    taken = [_Box(x - 7, x + 7, y - 7, y + 7) for x, y in marks]
    lines = [_interval(point, x, y_range) for point, (x, _) in zip(points, marks, strict=True)]
    if lowest is not None:
        height = _place(lowest, y_range, _TALL)
        lines.append(_Box(0, _WIDE, height - 1, height + 1))
        taken.append(_Box.of(_LOWEST, x=_WIDE - 4, y=height - 9, is_left=True))
    for point, (x, y) in sorted(zip(points, marks, strict=True), key=lambda pair: (-pair[0].quality, pair[0].name)):
        text = plain(point.name) + (" (now)" if point.is_baseline else "")
        places = [(dx, dy, _Box.of(text, x=x + dx, y=y + dy, is_left=dx < 0)) for dx, dy in _PLACES]
        free = [place for place in places if place[2].is_inside and not place[2].meets_any(taken)]
        clear = [place for place in free if not place[2].meets_any(lines)]  # a line under a name can still be read
        dx, dy, box = (clear or free or places)[0]
        taken.append(box)
        labels.append({
            "x": math.log10(point.cost_usd), "y": point.quality, "text": text, "name": colors.get(point.name, "c0"),
            "xanchor": "left" if dx > 0 else "right", "yanchor": "middle", "xshift": dx, "yshift": dy,
            **({"font": {"weight": 600}} if point.is_leader else {}),
        })  # fmt: skip
    if lowest is not None:
        labels.append({"x": 1, "xref": "paper", "y": lowest, "text": _LOWEST, "xanchor": "right",
                       "yanchor": "top", "xshift": -4, "yshift": -1, "name": "bad"})  # fmt: skip
    return labels


_LOWEST = "lowest quality allowed"
_WIDE, _TALL = 430.0, 250.0  # pixels of the drawing, about
_PLACES = tuple((dx, dy) for dy in (0, 15, -15, 30, -30, 45, -45) for dx in (11, -11))


def _interval(point: ModelPoint, x: float, y_range: tuple[float, float]) -> "_Box":
    low = point.quality if point.quality_low is None else point.quality_low
    high = point.quality if point.quality_high is None else point.quality_high
    return _Box(x - 2, x + 2, _place(low, y_range, _TALL), _place(high, y_range, _TALL))


def _place(value: float, ends: tuple[float, float], pixels: float) -> float:
    return (value - ends[0]) / (ends[1] - ends[0]) * pixels


@dataclass(frozen=True)
class _Box:
    """Where a mark or a name stands, in pixels from the lower left."""

    left: float
    right: float
    bottom: float
    top: float

    @classmethod
    def of(cls, text: str, *, x: float, y: float, is_left: bool) -> "_Box":
        wide = 6.6 * len(text)
        return cls(x - wide if is_left else x, x if is_left else x + wide, y - 8, y + 8)

    @property
    def is_inside(self) -> bool:
        return self.left >= 0 and self.right <= _WIDE and self.bottom >= 0 and self.top <= _TALL

    def meets_any(self, others: Sequence["_Box"]) -> bool:
        return any(
            self.left <= one.right and one.left <= self.right and self.bottom <= one.top and one.bottom <= self.top
            for one in others
        )


def _trade_sentence(points: Sequence[ModelPoint], say: Any) -> str:
    ordered = sorted(points, key=lambda p: (not p.is_leader, not p.is_baseline, p.cost_usd))
    said = [f"{p.name} costs {amount(p.cost_usd)} dollars per 1,000 calls at quality {say(p.quality)}" for p in ordered]
    return "; ".join(said[:3]).replace(MINUS, "minus ") + "."


def _trade_row(point: ModelPoint, say: Any) -> tuple[str, ...]:
    known = point.quality_low is not None and point.quality_high is not None
    interval = f"{say(point.quality_low)} to {say(point.quality_high)}" if known else DASH
    return point.name, amount(point.cost_usd), say(point.quality), interval, str(point.prompts)


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
    at = min(78.0, max(22.0, (start + end) / 2))  # the words stay inside the picture
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


def plain(text: str) -> str:
    """A name inside a figure: plotly reads angle brackets as markup and %{…} as a variable."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("%{", "% {")


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


def _log_range(costs: Sequence[float]) -> tuple[float, float]:
    low, high = math.log10(min(costs)), math.log10(max(costs))
    room = max(0.12, (high - low) * 0.12)
    return round(low - room, 6), round(high + room, 6)


def _money_ticks(log_range: tuple[float, float]) -> dict[str, Any]:
    first, last = math.floor(log_range[0]), math.ceil(log_range[1])
    values = [times * 10.0**power for power in range(first, last + 1) for times in (1, 2, 5)]
    inside = [value for value in values if log_range[0] <= math.log10(value) <= log_range[1]]
    while len(inside) > 6:
        inside = inside[::2]
    return {"tickvals": inside, "ticktext": [_short_dollars(value) for value in inside]}


def _short_dollars(value: float) -> str:
    if value >= 1:
        return f"${value:,.0f}"
    return f"${value:.2f}" if value >= 0.01 else f"${value:.{-math.floor(math.log10(value))}f}"
