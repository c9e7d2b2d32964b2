"""Figures over the list of calls. Pure: figures of the analytics engine in, charts out."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from agentopt.lib.charts import Chart, Table
from agentopt.lib.wording import count


def calls(rows: Sequence[Mapping[str, Any]]) -> Chart | None:
    """Calls a day by status, as a strip over a list. `rows`: the answer about failed calls by day."""
    if not rows:
        return None
    x = [row["group"]["day"] for row in rows]
    bad = [int(row["value"] or 0) for row in rows]
    good = [row["n"] - failed for row, failed in zip(rows, bad, strict=True)]
    data = [
        {"type": "bar", "x": x, "y": good, "meta": {"c": "c0", "role": "faint"},
         "hovertemplate": "%{x|%b %-d}<br>%{y} ok<extra></extra>"},
        {"type": "bar", "x": x, "y": bad, "meta": {"c": "bad"},
         "hovertemplate": "%{x|%b %-d}<br>%{y} failed<extra></extra>"},
    ]  # fmt: skip
    total = sum(good) + sum(bad)
    return Chart(
        id="f-calls", title="Calls by status", size="strip", data=data,
        note=f"per day in UTC; {count(sum(bad))} of {count(total)} failed",
        label=f"{count(total)} calls on {len(x)} days, {count(sum(bad))} of them failed.",
        table=Table(("Day", "ok", "failed"),
                    [(said(day), count(n), count(failed)) for day, n, failed in zip(x, good, bad, strict=True)]),
        layout={"xaxis": days_axis(x), "yaxis": {"nticks": 3, "rangemode": "tozero"},
                "margin": {"l": 44, "r": 8, "t": 4, "b": 22}},
    )  # fmt: skip


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
