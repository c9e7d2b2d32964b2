"""Figures of the overview: spend by model, latency and calls by status, per day or hour in UTC. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from agentopt.lib import charts, wording
from agentopt.lib.wording import DASH

MOST_MODELS = 5
OTHER = "other models"
STATUSES = (("ok", "c0"), ("refused", "c2"), ("failed", "c4"))
SPARK = (68.0, 20.0)


@dataclass(frozen=True)
class Bucket:
    """A day or hour that begins at `at` (UTC): what is known of its calls; None: not known.

    `spend` is US dollars by model, `calls` counts by status, latencies are seconds.
    """

    at: datetime
    spend: Mapping[str, float | None]
    calls: Mapping[str, int]
    p50_s: float | None
    p95_s: float | None


@dataclass(frozen=True)
class Span:
    """The buckets of a window in order, without a gap, and whether the last one is still filling."""

    unit: str  # day or hour
    buckets: Sequence[Bucket]
    unfinished: bool
    models: Sequence[str]  # by spend, the largest first

    @property
    def x(self) -> list[str]:
        """Places on the axis, as naive UTC times: plotly ignores offsets."""
        return [
            f"{bucket.at:%Y-%m-%d}" if self.unit == "day" else f"{bucket.at:%Y-%m-%d %H:00}" for bucket in self.buckets
        ]

    @property
    def names(self) -> list[str]:
        """Rows of a table."""
        form = "%b %-d" if self.unit == "day" else "%b %-d %H:00"
        return [bucket.at.strftime(form) for bucket in self.buckets]


def spend(span: Span, tokens: Mapping[str, str]) -> charts.Chart:
    """Spend by model, stacked: the largest five and the others."""
    shown = list(span.models[:MOST_MODELS])
    rest = span.models[MOST_MODELS:]
    columns = {model: [bucket.spend.get(model, 0.0) for bucket in span.buckets] for model in shown}
    if rest:
        columns[OTHER] = [_sum(bucket.spend.get(model, 0.0) for model in rest) for bucket in span.buckets]
    total = [_sum(column[i] for column in columns.values()) for i in range(len(span.buckets))]
    token = {**tokens, OTHER: "c0"}
    whole = wording.dollars(_sum(total))
    most = f" {shown[0]} is the largest." if shown else ""
    return charts.Chart(
        id="f-spend",
        title="Spend by model",
        note=f"US dollars per {span.unit}, UTC{_hatched(span)}",
        label=f"Stacked bars, {len(span.buckets)} {span.unit}s, {whole} in all.{most}",
        table=charts.Table(
            (span.unit.capitalize(), *columns, "Total"),
            [
                (name, *(wording.dollars(column[i]) for column in columns.values()), wording.dollars(total[i]))
                for i, name in enumerate(span.names)
            ],
        ),
        data=[_bars(span, name, column, token=token.get(name, "c0"), form="$.4~r") for name, column in columns.items()],
        layout=_layout(span, {"tickformat": _dollar_format(total), "rangemode": "tozero", "nticks": 5}, left=48),
        legend=[(token.get(name, "c0"), name) for name in columns],
    )


def _dollar_format(totals: Sequence[float | None]) -> str:
    """Whole dollars from 10 on, cents below, and what it takes below 10 cents."""
    highest = max((value for value in totals if value is not None), default=0.0)
    return "$,.0f" if highest >= 10 else "$.2f" if highest >= 0.1 else "$.2~g"


def _sum(values: Any) -> float | None:
    """The sum of what is known; None where nothing is."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def latency(span: Span) -> charts.Chart:
    """Two lines, p95 and p50; gaps where no call tells."""
    p50, p95 = [bucket.p50_s for bucket in span.buckets], [bucket.p95_s for bucket in span.buckets]
    highest = max((value for value in p95 if value is not None), default=1.0)
    factor, unit, digits = (1000, "ms", 0) if highest < 0.1 else (1, "s", 2)
    notes = [
        {
            "x": span.x[i],
            "y": factor * value,
            "text": name,
            "xanchor": "left",
            "xshift": 6,
            "yshift": shift,
            "name": token,
        }
        for name, values, token, shift in (("p95", p95, "c3", 5), ("p50", p50, "text-3", -5))
        for i, value in _last(values)
    ]
    cells = [[DASH if v is None else f"{factor * v:.{digits}f}" for v in values] for values in (p50, p95)]
    ends = ", ".join(
        f"{name} {column[-1]} {unit}" for name, column in zip(("p50", "p95"), cells, strict=True) if column
    )
    return charts.Chart(
        id="f-latency",
        title="Latency",
        note=f"{'milliseconds' if unit == 'ms' else 'seconds'} per call, p95 and p50 of each {span.unit}, UTC",
        label=f"Two lines over {len(span.buckets)} {span.unit}s; at the end {ends}.",
        table=charts.Table(
            (span.unit.capitalize(), f"p50, {unit}", f"p95, {unit}"),
            [(name, cells[0][i], cells[1][i]) for i, name in enumerate(span.names)],
        ),
        data=[
            _line(span, "p95", p95, series="c3", factor=factor, unit=unit, digits=digits),
            _line(span, "p50", p50, series="c0", factor=factor, unit=unit, digits=digits),
        ],
        layout={
            **_layout(
                span, {"range": [0, 1.25 * factor * highest], "ticksuffix": f" {unit}", "nticks": 5}, left=48, right=34
            ),
            "annotations": notes,
        },
    )


def _last(values: Sequence[float | None]) -> list[tuple[int, float]]:
    """The last known value with its place."""
    known = [(i, value) for i, value in enumerate(values) if value is not None]
    return known[-1:]


def _line(
    span: Span, name: str, values: Sequence[float | None], *, series: str, factor: int, unit: str, digits: int
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines+markers" if len(span.buckets) < 3 else "lines",
        "name": name,
        "x": span.x,
        "y": [None if value is None else factor * value for value in values],
        "connectgaps": False,
        "meta": {"c": series},
        **({"line": {"dash": "dot"}} if name == "p50" else {}),
        "hovertemplate": f"{name} %{{y:.{digits}f}} {unit}<extra></extra>",
    }


def calls(span: Span) -> charts.Chart:
    """Calls by status, stacked."""
    columns = {name: [bucket.calls.get(name, 0) for bucket in span.buckets] for name, _ in STATUSES}
    totals = {name: sum(column) for name, column in columns.items()}
    told = ", ".join(f"{totals[name]:,} {name}" for name, _ in STATUSES)
    return charts.Chart(
        id="f-calls",
        title="Calls by status",
        note=f"calls per {span.unit}, UTC{_hatched(span)}",
        label=f"Stacked bars, {len(span.buckets)} {span.unit}s: {told}.",
        table=charts.Table(
            (span.unit.capitalize(), *columns),
            [(name, *(f"{column[i]:,}" for column in columns.values())) for i, name in enumerate(span.names)],
        ),
        data=[_bars(span, name, columns[name], token=token, form=",") for name, token in STATUSES if totals[name]],
        layout=_layout(span, {"rangemode": "tozero", "nticks": 5}, left=44),
        legend=[(token, name) for name, token in STATUSES if totals[name]],
    )


def _hatched(span: Span) -> str:
    if not span.unfinished:
        return ""
    return "; hatched: today, so far" if span.unit == "day" else "; hatched: this hour, so far"


def _bars(span: Span, name: str, values: Sequence[float | None], *, token: str, form: str) -> dict[str, Any]:
    patterns = ["/" if span.unfinished and i == len(values) - 1 else "" for i in range(len(values))]
    safe = name.translate(str.maketrans("<>&{}", "‹›+()"))
    return {
        "type": "bar",
        "name": name,
        "x": span.x,
        "y": list(values),
        "meta": {"c": token},
        "marker": {"pattern": {"shape": patterns}},
        "hovertemplate": f"{safe} %{{y:{form}}}<extra></extra>",
    }


def _layout(span: Span, y_axis: Mapping[str, Any], *, left: int, right: int = 8) -> dict[str, Any]:
    step = timedelta(days=1) if span.unit == "day" else timedelta(hours=1)
    first, last = span.buckets[0].at, span.buckets[-1].at
    every = max(1, -(-len(span.buckets) // 5))
    ends = [f"{end:%Y-%m-%d %H:%M}" for end in (first - step / 2, last + step / 2)]
    return {
        "xaxis": {
            "type": "date",
            "range": ends,
            "tickformat": "%b %-d" if span.unit == "day" else "%H:%M",
            "tick0": span.x[0],
            "dtick": every * step.total_seconds() * 1000,
        },
        "yaxis": dict(y_axis),
        "margin": {"l": left, "r": right, "t": 12, "b": 26},
    }


def spark(values: Sequence[float | None]) -> str:
    """The path of a line without axes through what is known; empty for fewer than three values."""
    known = [(i, value) for i, value in enumerate(values) if value is not None]
    if len(known) < 3:
        return ""
    low, high = min(value for _, value in known), max(value for _, value in known)
    width, height = SPARK[0] - 2, SPARK[1] - 4
    places = [
        (1 + width * i / (len(values) - 1), 2 + height * (1 - (value - low) / ((high - low) or 1.0)))
        for i, value in known
    ]
    return "M" + " L".join(f"{x:.1f} {y:.1f}" for x, y in places)
