"""Figures of volume, cost and latency over time. Pure: figures of the analytics engine in, charts out."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from agentopt.lib import charts
from agentopt.lib.charts import Chart, Table
from agentopt.lib.filters import DASH, amount, count, dollars, seconds
from agentopt.lib.money import NANO
from ingestion.analytics.summaries import Slice

SHOWN = 3  # models with a color of their own; the rest is "other"
MARGIN = {"l": 44, "r": 12, "t": 12, "b": 26}


def spend(rows: Iterable[Mapping[str, Any]], *, days: Sequence[str], until: datetime) -> Chart | None:
    """Spend a day, stacked by model. `rows`: {day, model, value in US dollars or None}; None when no cost is known."""
    by_model: dict[str, dict[str, float]] = {}
    for row in rows:
        if row["value"] is not None:
            by_model.setdefault(row["model"], {})[row["day"]] = float(row["value"])
    if not by_model or not days:
        return None
    order = sorted(by_model, key=lambda name: (-sum(by_model[name].values()), name))
    colors = charts.series(order)
    named = order[:SHOWN] if len(order) > SHOWN + 1 else order[:4]
    parts = [(name, colors[name], by_model[name]) for name in named]
    rest = [by_model[name] for name in order if name not in named]
    if rest:
        parts.append((f"other {len(rest)}", "c0", {day: sum(one.get(day, 0.0) for one in rest) for day in days}))
    unfinished = until.astimezone(UTC).date().isoformat()
    hatch = ["/" if day == unfinished else "" for day in days]
    data = [
        {"type": "bar", "name": name, "x": list(days), "y": [round(found.get(day, 0.0), 6) for day in days],
         "meta": {"c": token}, "marker": {"pattern": {"shape": hatch}},
         "hovertemplate": f"{_plain(name)} %{{y:$.4f}}<extra></extra>"}
        for name, token, found in parts
    ]  # fmt: skip
    total = sum(sum(found.values()) for _, _, found in parts)
    table = Table(
        ("Day", *(name for name, _, _ in parts), "Total"),
        [
            (said(day), *(dollars(f.get(day)) for _, _, f in parts), dollars(sum(f.get(day, 0.0) for _, _, f in parts)))
            for day in days
        ],
    )
    return Chart(
        id="f-spend", title="Spend by model", note="US dollars per day", table=table, data=data,
        label=f"Stacked bars of {len(days)} days, {dollars(total)} in all; {order[0]} is the largest.",
        layout={"xaxis": days_axis(days), "yaxis": {"tickprefix": "$", "rangemode": "tozero", "nticks": 5},
                "margin": MARGIN},
        legend=[(token, name) for name, token, _ in parts],
    )  # fmt: skip


def latency(days: Sequence[Slice]) -> Chart | None:
    """p50 and p95 a day; None when no latency is known."""
    known = [day for day in days if day.latency_p95_us is not None]
    if not known:
        return None
    x = [day.key for day in known]
    p95 = [round((day.latency_p95_us or 0) / 1e6, 3) for day in known]
    p50 = [round((day.latency_p50_us or 0) / 1e6, 3) for day in known]
    mode = "lines" if len(x) > 1 else "markers"
    data = [
        {"type": "scatter", "mode": mode, "x": x, "y": p95, "meta": {"c": "c3"},
         "hovertemplate": "p95 %{y:.2f} s<extra></extra>"},
        {"type": "scatter", "mode": mode, "x": x, "y": p50, "meta": {"c": "c0"}, "line": {"dash": "dot"},
         "hovertemplate": "p50 %{y:.2f} s<extra></extra>"},
    ]  # fmt: skip
    ends = [
        {"x": x[-1], "y": y, "text": name, "xanchor": "left", "xshift": 6, "name": token}
        for name, y, token in (("p95", p95[-1], "c3"), ("p50", p50[-1], "c0"))
    ]
    return Chart(
        id="f-latency", title="Latency", note="seconds per call, p95 and p50", data=data,
        label=f"p95 went from {p95[0]:.2f} to {p95[-1]:.2f} seconds, p50 from {p50[0]:.2f} to {p50[-1]:.2f}.",
        table=Table(("Day", "p50, s", "p95, s", "Calls"),
                    [(said(d.key), seconds(d.latency_p50_us), seconds(d.latency_p95_us), count(d.n_latency))
                     for d in known]),
        layout={"xaxis": days_axis(x), "yaxis": {"range": [0, max(p95) * 1.25], "ticksuffix": " s", "nticks": 5},
                "margin": {**MARGIN, "r": 36}, "annotations": ends},
    )  # fmt: skip


def calls(days: Sequence[Slice]) -> Chart | None:
    """Calls a day by status, as a strip over a list."""
    if not days:
        return None
    x = [day.key for day in days]
    bad = [day.failed for day in days]
    data = [
        {"type": "bar", "x": x, "y": [day.calls - day.failed for day in days], "meta": {"c": "c0", "role": "faint"},
         "hovertemplate": "%{y} ok<extra></extra>"},
        {"type": "bar", "x": x, "y": bad, "meta": {"c": "bad"}, "hovertemplate": "%{y} failed<extra></extra>"},
    ]  # fmt: skip
    total = sum(day.calls for day in days)
    return Chart(
        id="f-calls", title="Calls", size="strip", data=data,
        note=f"per day; {count(sum(bad))} of {count(total)} failed",
        label=f"{count(total)} calls on {len(days)} days, {count(sum(bad))} of them failed.",
        table=Table(("Day", "Calls", "Failed", "Spend, $"),
                    [(said(d.key), count(d.calls), count(d.failed),
                      DASH if d.cost_nanousd is None else amount(d.cost_nanousd / NANO)) for d in days]),
        layout={"xaxis": days_axis(x), "yaxis": {"nticks": 3, "rangemode": "tozero"},
                "margin": {"l": 44, "r": 8, "t": 4, "b": 22}},
    )  # fmt: skip


def every_day(days: Sequence[Slice]) -> list[str]:
    """All days from the first to the last that has calls, so that a gap is seen as one."""
    if not days:
        return []
    first, last = date.fromisoformat(days[0].key), date.fromisoformat(days[-1].key)
    return [(first + timedelta(days=n)).isoformat() for n in range((last - first).days + 1)]


def days_axis(days: Sequence[str]) -> dict[str, Any]:
    """A date axis with at most about five labels, the first day at the first tick."""
    span = (date.fromisoformat(days[-1]) - date.fromisoformat(days[0])).days + 1
    step = max(1, -(-span // 5))
    half = timedelta(hours=12)
    ends = [datetime.fromisoformat(days[0]) - half, datetime.fromisoformat(days[-1]) + half]
    return {"type": "date", "tickformat": "%b %-d", "tick0": days[0], "dtick": step * 86_400_000,
            "range": [end.isoformat(sep=" ") for end in ends]}  # fmt: skip


def said(day: str) -> str:
    """2026-11-09 as Nov 9."""
    found = date.fromisoformat(day[:10])
    return f"{found:%b} {found.day}"


def _plain(name: str) -> str:
    """A model's name without what plotly would read as markup or as a template."""
    return "".join(c for c in name if c not in "<>{}%")
