"""Figures of an evaluation: looks at a candidate and spend, each with its sentence; looks with their table."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentopt.lib import charts
from agentopt.lib.wording import DASH, dollars
from evaluation import conditions


@dataclass(frozen=True)
class SpendBar:
    """Spend against its cap, as places in percent; no forecast: both of its places are None."""

    label: str
    fill: str
    forecast_start: str | None
    forecast_width: str | None
    forecast_text: str
    forecast_at: str | None


# ------------------------------------------------------------------------------------------------ the looks
@dataclass(frozen=True)
class _Growth:
    """One check over the looks that tested it, and the window of the figure."""

    check: Mapping[str, Any]
    rows: Sequence[tuple[int, Mapping[str, Any]]]  # prompts, the check as it stood
    bounds: Sequence[tuple[int, float]]
    x: tuple[float, float]
    y: tuple[float, float]
    limit: int  # prompts per candidate at most

    @property
    def last(self) -> int:
        """Prompts of the last look."""
        return self.rows[-1][0]


def looks(evidence: Mapping[str, Any], *, chart_id: str = "f-looks") -> charts.Chart | None:
    """How the check that decides grew from look to look; None where nothing was tested beyond the ranking.

    Args:
        evidence: of a recommendation, or what an evaluation has shown so far in the same form (`grounds`).
        chart_id: unique in its page.
    """
    growth = _growth(evidence)
    if growth is None:
        return None
    check, end = growth.check, _end(evidence["outcome"])
    name, last, said = conditions.label(check), growth.last, _reading(check)
    return charts.Chart(
        id=chart_id,
        title="How the evidence grew",
        note=f"{name.lower()}, the weakest check, at each look; thin: 95\u202f% interval",
        label=f"{name} after {last} prompts: {conditions.estimate(check)} {conditions.interval(check)}, "
        f"required {conditions.required(check)}; {_bound_said(growth, said)}; {len(growth.rows)} looks.",
        table=charts.Table(
            ("Prompts", "Estimate", "95\u202f% interval", "Bound that decides", "Shown"),
            [
                (f"{n:,}", conditions.estimate(one), conditions.interval(one).strip("()"), said(one["bound"]), _is(one))
                for n, one in growth.rows
            ],
        ),
        data=[_estimates(growth), *([_bounds(growth)] if growth.bounds else [])],
        layout=_looks_layout(growth, end),
        narrow={"annotations": _look_notes(growth, end, short=True)},
        size="tall",
    )


def _end(outcome: Mapping[str, Any]) -> str:
    """How the looks ended; empty: they go on."""
    if outcome["recommended"]:
        return "cleared: stopped"
    return "" if outcome.get("live") else "stopped"


def _is(check: Mapping[str, Any]) -> str:
    return "yes" if check["verdict"] == "shown" else DASH if check["bound"] is None else "no"


def _bound_said(growth: _Growth, said: Callable[[float | None], str]) -> str:
    if not growth.bounds:
        return "nothing could be shown yet"
    return f"the bound that decides is {said(growth.bounds[-1][1])}"


def _growth(evidence: Mapping[str, Any]) -> _Growth | None:
    # a cost limit is held upside down (conditions.level), which no axis can show
    check = conditions.weakest(evidence, without=("cost_per_call_usd",))
    if check is None:
        return None
    rows = [
        (look["prompts"], one)
        for look in evidence["looks"]
        for one in look["checks"]
        if not look["ranking"] and (one["metric"], one["kind"]) == (check["metric"], check["kind"])
    ]
    if not rows:
        return None
    bounds = [(prompts, one["bound"]) for prompts, one in rows if one["bound"] is not None]
    first, last, end = rows[0][0], rows[-1][0], evidence["question"]["limit"]
    right = end if last < end <= 3 * last else last * 1.35
    values = [x for _, one in rows for x in (one["low"], one["high"])] + [x for _, x in bounds] + [check["bar"]]
    if check["kind"] == "margin":
        values.append(0.0)
    room = 0.12 * ((max(values) - min(values)) or 1.0)
    window = (min(values) - room, max(values) + room)
    return _Growth(check, rows, bounds, x=(first - 0.06 * (right - first), right), y=window, limit=end)


def _reading(check: Mapping[str, Any]) -> Callable[[float | None], str]:
    say = conditions.level if check["kind"] == "limit" else conditions.difference
    return lambda value: say(check["metric"], value)


def _estimates(growth: _Growth) -> dict[str, Any]:
    known = [one for _, one in growth.rows]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": "estimate",
        "x": [n for n, _ in growth.rows],
        "y": [one["estimate"] for one in known],
        "marker": {"symbol": "square", "size": 6},
        "meta": {"c": "c0"},
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": [one["high"] - one["estimate"] for one in known],
            "arrayminus": [one["estimate"] - one["low"] for one in known],
        },
        "hovertemplate": f"%{{x}} prompts<br>estimate %{{y:{_unit(growth.check)}}}<extra></extra>",
    }


def _bounds(growth: _Growth) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": "bound that decides",
        "x": [n for n, _ in growth.bounds],
        "y": [x for _, x in growth.bounds],
        "marker": {"size": 6},
        "meta": {"c": "c1"},
        "hovertemplate": f"%{{x}} prompts<br>bound that decides %{{y:{_unit(growth.check)}}}<extra></extra>",
    }


def _looks_layout(growth: _Growth, end: str) -> dict[str, Any]:
    (left, right), (bottom, top), bar = growth.x, growth.y, float(growth.check["bar"])
    ends = [growth.limit] if growth.limit <= right else []
    ticks = _apart([*(n for n, _ in growth.rows), *ends], right - left)
    shapes = [charts.zone_y(bottom, bar), charts.line_y(bar, name="bad")]
    if growth.check["kind"] == "margin":
        shapes.append(charts.line_y(0.0, name="border-strong", dash=""))
    if end:
        shapes.append(charts.line_x(growth.last, name="c1" if "cleared" in end else "c0", y=(bottom, top)))
    return {
        "xaxis": {"range": [left, right], "tickvals": ticks, "title": {"text": "fresh prompts"}},
        "yaxis": {"range": [bottom, top], "tickformat": _unit(growth.check), "nticks": 6},
        "margin": {"l": 50, "r": 12, "t": 14, "b": 44},
        "shapes": shapes,
        "annotations": _look_notes(growth, end),
    }


def _unit(check: Mapping[str, Any]) -> str:
    """The format of the axis: scores and gains with a sign, shares in percent."""
    form = ".0%" if check["metric"] in conditions.SHARES else ".2f"
    return f"+{form}" if check["kind"] == "margin" else form


def _apart(places: Sequence[int], length: float) -> list[int]:
    """Ticks that leave room for their numbers; the last ones stay."""
    out: list[int] = []
    for place in sorted(set(places), reverse=True):
        if not out or out[-1] - place >= 0.07 * length:
            out.append(place)
    return sorted(out)


def _look_notes(growth: _Growth, end: str, *, short: bool = False) -> list[dict[str, Any]]:
    (left, right), (_, top), check, last = growth.x, growth.y, growth.check, growth.last
    is_late = last > (left + right) / 2
    side, shift = ("left", 4) if is_late else ("right", -4)
    needed = "required" if short else f"required: {conditions.required(check)}"
    notes: list[dict[str, Any]] = [
        {"x": 0 if is_late else 1, "xref": "paper", "y": check["bar"], "text": needed, "xanchor": side,
         "yanchor": "top", "xshift": shift, "yshift": -2, "name": "bad"},
    ]  # fmt: skip
    if end:
        notes.append({"x": last, "y": top, "text": end, "yanchor": "top", "xanchor": "right" if is_late else "left",
                      "xshift": -shift, "name": "c1" if "cleared" in end else "text-2"})  # fmt: skip
    if check["kind"] == "margin" and not short:
        notes.append({"x": 1, "xref": "paper", "y": 0, "text": "same as now", "xanchor": "right", "yanchor": "bottom",
                      "xshift": -4})  # fmt: skip
    if growth.bounds:
        at, value = growth.bounds[max(0, len(growth.bounds) - 2)]
        name = "bound" if short else "bound that decides"
        notes.append({"x": at, "y": value, "text": name, "xanchor": "left", "yanchor": "top", "xshift": 8,
                      "yshift": -6, "name": "c1", "font": {"weight": 600}})  # fmt: skip
    return notes


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


# ------------------------------------------------------------------------------------------------ words
def spoken(value: float) -> str:
    """A difference as a screen reader should say it: plus 0.001, minus 0.063."""
    text = f"{abs(value):.3f}"
    return text if float(text) == 0 else f"{'minus' if value < 0 else 'plus'} {text}"
