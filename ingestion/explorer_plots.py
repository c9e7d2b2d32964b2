"""Figures and tables of the analytics page. Pure: answers of the analytics engine in, charts and cells out."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from agentopt.lib import charts, wording
from agentopt.lib.charts import Chart, Table
from agentopt.lib.wording import DASH

NOTHING = "not told"
OTHERS = "others"
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "solid")
_SAFE = str.maketrans("<>&{}", "‹›+()")  # what plotly would read as markup
Points = Sequence[tuple[str, Any]]
"""Buckets as answers name them, with a value in the metric's unit; None: not known."""
Row = Mapping[str, Any]
SIGNS = {"usd": "$", "share": "%"}
STATUS_TOKENS = {"ok": "c0", "refused": "c2", "failed": "c4"}
UNITS = {"usd": "US dollars", "s": "seconds", "share": "share of calls", "tokens": "tokens", "calls": "calls"}


@dataclass(frozen=True)
class Line:
    """One group through time."""

    name: str
    token: str
    points: Points


def said(value: Any, unit: str) -> str:
    """A figure in the metric's unit, as cells show it."""
    if value is None:
        return DASH
    if unit == "usd":
        return wording.amount(value)
    if unit == "share":
        return wording.percent(value)
    return f"{value:.2f}" if unit == "s" else wording.count(value)


def _sign(unit: str) -> str:
    return SIGNS.get(unit, unit)


def capital(text: str) -> str:
    """With a capital at its start; p95 stays as it is."""
    return text if text[1:2].isdigit() else text[:1].upper() + text[1:]


def lines(series: Mapping[str, Points], names: Mapping[str, str]) -> list[Line]:
    """A line for each series, in order, each with a colour of its own."""
    tokens = colours(names.values())
    return [Line(names[key], tokens[names[key]], points) for key, points in series.items()]


def colours(names: Iterable[str]) -> dict[str, str]:
    """A token for each name; those of statuses say good and bad on every page."""
    found = list(names)
    return STATUS_TOKENS if set(found) <= set(STATUS_TOKENS) else charts.series(found)


def rest(whole: Points, shown: Sequence[Line]) -> Line:
    """What all calls have beyond the groups shown."""
    taken: dict[str, float] = {}
    for line in shown:
        for at, value in line.points:
            taken[at] = taken.get(at, 0) + (value or 0)
    left = [(at, None if value is None else max(0, value - taken.get(at, 0))) for at, value in whole]
    return Line(OTHERS, "c0", left)


# ------------------------------------------------------------------------------------------------ over time
def over_time(
    shown: Sequence[Line], *, measure: str, unit: str, bucket: str, stacked: bool, window: Mapping[str, str]
) -> Chart | None:
    """Lines, or stacked bars where groups add up; None where no bucket has a value.

    Args:
        bucket: day or hour.
        window: `since` and `until` of the answer.
    """
    starts = _buckets(window, bucket)
    values = [dict(line.points) for line in shown]
    if not any(value is not None for found in values for value in found.values()):
        return None
    last_known = max(at for found in values for at, value in found.items() if value is not None)
    # nothing counted is 0; nothing measured is not known
    missing = 0 if stacked else None
    columns = [[found.get(at, missing) for at in starts] for found in values]
    x = [at.replace("T", " ").removesuffix("Z") for at in starts]
    traces = [
        _bars(line, x, column) if stacked else _line(line, x, column, unit=unit, dash=DASHES[place % len(DASHES)])
        for place, (line, column) in enumerate(zip(shown, columns, strict=True))
    ]
    newest = "; ".join(
        f"{line.name} {said(found.get(last_known), unit)}" for line, found in zip(shown, values, strict=True)
    )
    names = [_bucket_name(at) for at in starts]
    layout = _layout(x, unit, bucket=bucket, stacked=stacked)
    few = {**layout["xaxis"], "dtick": max(1, len(x) // 3) * _step(bucket)}
    return Chart(
        id="f-time", title=f"{capital(measure)} per {bucket}", size="tall", data=traces,
        note=f"{UNITS[unit]} per {bucket}, UTC; the last {bucket} is still filling",
        label=f"{measure} over {len(starts)} {bucket}s; at the end {newest}.",
        table=Table((bucket.capitalize(), *(line.name for line in shown)),
                    [(name, *(said(column[i], unit) for column in columns)) for i, name in enumerate(names)]),
        layout=layout, narrow={"xaxis": few, "margin": {"l": 48, "r": 8, "t": 12, "b": 28}},
        legend=[(line.token, line.name) for line in shown] if len(shown) > 1 else (),
    )  # fmt: skip


def _buckets(window: Mapping[str, str], bucket: str) -> list[str]:
    """The names of all buckets of a window, as answers name them."""
    at, until = (datetime.fromisoformat(window[name]) for name in ("since", "until"))
    step = timedelta(days=1) if bucket == "day" else timedelta(hours=1)
    out = []
    while at < until:
        out.append(f"{at:%Y-%m-%d}" if bucket == "day" else f"{at:%Y-%m-%dT%H}:00Z")
        at += step
    return out


def _bucket_name(at: str) -> str:
    moment = datetime.fromisoformat(at)
    day = f"{moment:%b} {moment.day}"
    return day if len(at) == len("2026-01-01") else f"{day} {moment:%H:%M}"


def _line(line: Line, x: Sequence[str], column: Sequence[Any], *, unit: str, dash: str) -> dict[str, Any]:
    return {
        "type": "scatter", "mode": "lines+markers" if len(x) < 3 or sum(y is not None for y in column) < 3 else "lines",
        "name": line.name.translate(_SAFE), "x": list(x), "y": list(column), "connectgaps": False,
        "meta": {"c": line.token}, "line": {"width": 1.75, "dash": dash},
        "hovertemplate": f"{line.name.translate(_SAFE)} %{{y{_hover(unit)}}}<extra></extra>",
    }  # fmt: skip


def _bars(line: Line, x: Sequence[str], column: Sequence[Any]) -> dict[str, Any]:
    patterns = ["/" if place == len(x) - 1 else "" for place in range(len(x))]
    return {
        "type": "bar", "name": line.name.translate(_SAFE), "x": list(x), "y": list(column), "meta": {"c": line.token},
        "marker": {"pattern": {"shape": patterns}},
        "hovertemplate": f"{line.name.translate(_SAFE)} %{{y:,.4~r}}<extra></extra>",
    }  # fmt: skip


def _hover(unit: str) -> str:
    """How plotly writes a value, after the name of its axis."""
    return {"s": ":.2f", "share": ":.1%", "usd": ":$.4~r"}.get(unit, ":,.4~r")


def _step(bucket: str) -> int:
    """Milliseconds."""
    return 3_600_000 * (24 if bucket == "day" else 1)


def _layout(x: Sequence[str], unit: str, *, bucket: str, stacked: bool) -> dict[str, Any]:
    step = timedelta(milliseconds=_step(bucket))
    first, last = datetime.fromisoformat(x[0]), datetime.fromisoformat(x[-1])
    every = max(1, -(-len(x) // 7))
    ticks = {"s": {"ticksuffix": " s"}, "share": {"tickformat": ".1~%"}, "usd": {"tickprefix": "$"}}.get(unit, {})
    return {
        "xaxis": {"type": "date", "range": [f"{end:%Y-%m-%d %H:%M}" for end in (first - step / 2, last + step / 2)],
                  "tickformat": "%b %-d" if bucket == "day" or len(x) > 48 else "%H:%M", "tick0": x[0],
                  "dtick": every * _step(bucket), "tickangle": 0},
        "yaxis": {**ticks, "rangemode": "tozero", "nticks": 6},
        "margin": {"l": 56, "r": 12, "t": 12, "b": 28}, "hovermode": "closest",
        **({"barmode": "stack"} if stacked else {}),
    }  # fmt: skip


# ------------------------------------------------------------------------------------------------ one window
def percentiles(rows: Sequence[tuple[str, Row]], metric: Row) -> Table:
    """Each group with its percentiles and their 95 % intervals."""
    quantiles = list(rows[0][1]["values"]) if rows else []
    cells = []
    for name, row in rows:
        cells.append((name, wording.count(row["n"]), *(_with_interval(row, q, metric["unit"]) for q in quantiles)))
    return Table(("Group", "Calls", *(f"p{float(q) * 100:g}, {_sign(metric['unit'])}" for q in quantiles)), cells)


def _with_interval(row: Row, quantile: str, unit: str) -> str:
    value, ends = row["values"][quantile], (row.get("intervals") or {}).get(quantile)
    if value is None or not ends:
        return said(value, unit)
    return f"{said(value, unit)} ({said(ends[0], unit)} to {said(ends[1], unit)})"


def dumbbell(rows: Sequence[tuple[str, Row]], metric: Row) -> Chart | None:
    """A line from p50 over p95 to p99 for each group; None without values."""
    known = [(name, row) for name, row in rows if row["n"]]
    if not known:
        return None
    tokens = colours(name for name, _ in known)
    unit = metric["unit"]
    data = [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "name": name.translate(_SAFE),
            "meta": {"c": tokens[name]},
            "x": list(row["values"].values()),
            "y": [_short(name)] * len(row["values"]),
            "text": [f"p{float(q) * 100:g}" for q in row["values"]],
            "hovertemplate": f"{name.translate(_SAFE)} %{{text}} %{{x:,.4~r}}<extra></extra>",
        }
        for name, row in reversed(known)
    ]
    quantiles = " to ".join(f"p{float(q) * 100:g}" for q in known[0][1]["values"])
    ends = "; ".join(f"{name} {said(next(iter(row['values'].values())), unit)}" for name, row in known[:3])
    positive = all(value for _, row in known for value in row["values"].values())
    return Chart(
        id="f-percentiles",
        title=f"{metric['name'].replace('_', ' ').capitalize()}, {quantiles}",
        data=data,
        note=f"{UNITS[unit]}{', log axis' if positive else ''}; one line a group",
        label=f"Medians: {ends}.",
        table=percentiles(known, metric),
        layout={
            "xaxis": _log_axis(known, unit) if positive else {"type": "linear", "nticks": 6},
            "yaxis": {"type": "category"},
            "margin": {"l": 150, "r": 12, "t": 12, "b": 28},
            "hovermode": "closest",
        },
        narrow={"margin": {"l": 96, "r": 8, "t": 12, "b": 28}},
    )


def _log_axis(rows: Sequence[tuple[str, Row]], unit: str) -> dict[str, Any]:
    """Ticks at 1, 2 and 5 of each decade that the values touch; plotly's own are crowded."""
    values = [value for _, row in rows for value in row["values"].values()]
    decades = range(math.floor(math.log10(min(values))) - 1, math.floor(math.log10(max(values))) + 2)
    ticks = [step * 10.0**decade for decade in decades for step in (1, 2, 5)]
    near = [tick for tick in ticks if min(values) / 2.5 <= tick <= max(values) * 2.5]
    names = [f"{tick:g} s" if unit == "s" else f"${tick:g}" if unit == "usd" else f"{tick:,g}" for tick in near]
    return {"type": "log", "tickvals": near[:: 1 + len(near) // 10], "ticktext": names[:: 1 + len(near) // 10]}


def _short(name: str) -> str:
    clean = name.translate(_SAFE)
    return clean if len(clean) <= 22 else f"{clean[:21]}…"


def bins(answer: Row) -> Table:
    """A histogram's bins with their share."""
    unit, n = answer["metric"]["unit"], answer["n"]
    return Table(
        (f"From, {_sign(unit)}", f"to below, {_sign(unit)}", "Calls", "Share"),
        [
            (
                said(row["from"], unit),
                said(row["to"], unit),
                wording.count(row["n"]),
                wording.percent(row["n"] / n if n else None),
            )
            for row in answer["rows"]
        ],
    )


def histogram(answer: Row) -> Chart | None:
    """Calls by value; bins of equal ratio stand on a log axis. None without values."""
    rows, unit = answer["rows"], answer["metric"]["unit"]
    if not rows:
        return None
    names = [f"{said(row['from'], unit)} to {said(row['to'], unit)}" for row in rows]
    scale = answer.get("scale", "linear")
    peak = max(rows, key=lambda row: row["n"])
    step = max(1, -(-len(rows) // 6))
    ticks = {"tickvals": list(range(0, len(rows), step)), "ticktext": [said(row["from"], unit) for row in rows[::step]]}
    return Chart(
        id="f-histogram",
        title=f"Calls by {answer['metric']['name'].replace('_', ' ')}",
        size="tall",
        note=f"calls per bin, {UNITS[unit]}" + ("; each bin is wider by the same factor" if scale == "log" else ""),
        label=f"{answer['n']:,} calls in {len(rows)} bins, most in that of {names[rows.index(peak)]}.",
        table=bins(answer),
        data=[
            {
                "type": "bar",
                "x": list(range(len(rows))),
                "y": [row["n"] for row in rows],
                "text": names,
                "textposition": "none",
                "meta": {"c": "c1"},
                "width": 1,
                "hovertemplate": "%{text}<br>%{y:,} calls<extra></extra>",
            }
        ],
        layout={
            "xaxis": ticks,
            "yaxis": {"rangemode": "tozero", "nticks": 6},
            "margin": {"l": 56, "r": 12, "t": 12, "b": 28},
        },
    )


def correlations(answer: Row) -> Table:
    """Each pair of metrics with its coefficient, interval and n."""
    return Table(
        ("Pair", "r", "95 % interval", "Calls"),
        [
            (
                f"{row['x'].replace('_', ' ')} and {row['y'].replace('_', ' ')}",
                wording.signed(row["value"], 3),
                _ends(row),
                wording.count(row["n"]),
            )
            for row in answer["rows"]
        ],
    )


def _ends(row: Row) -> str:
    ends = row.get("interval")
    if not ends:
        return row.get("reason") or DASH
    return f"{wording.signed(ends[0], 3)} to {wording.signed(ends[1], 3)}"


def use_cases(answer: Row) -> Table:
    """Use cases by size, with their share of cost, main model and percentiles."""
    unit = answer["metric"]["unit"]
    quantiles = list(answer["rows"][0]["figures"]["values"]) if answer["rows"] else []
    return Table(
        (
            "Use case",
            "Calls",
            "Share",
            "Share of cost",
            "Main model",
            *(f"p{float(q) * 100:g}, {_sign(unit)}" for q in quantiles),
        ),
        [
            (
                row["use_case"] or "none yet",
                wording.count(row["n"]),
                wording.percent(row["share"]),
                wording.percent(row["share_of_cost"]),
                row["models"][0]["model"] if row["models"] else DASH,
                *(said(value, unit) for value in row["figures"]["values"].values()),
            )
            for row in answer["rows"]
        ],
    )
