"""Figures of an alert: the level by day with its usual band, and what is usual against what is recent. Pure."""

import itertools
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from agentopt.lib import charts
from recommendations.drift.series import METRICS, said


def daily(
    days: Sequence[tuple[datetime, float | None]], metric: str, *, figures: Mapping[str, Any], began: datetime
) -> charts.Chart:
    """The level of each day (UTC), the band within which nothing counts as moved, and where it began."""
    factor, suffix = _scale(metric)
    x = [f"{at:%Y-%m-%d}" for at, _ in days]
    y = [None if value is None else factor * value for _, value in days]
    band = [factor * end for end in figures.get("band") or []]
    known = [value for value in y if value is not None] + band
    top = 1.15 * max(known, default=1.0) or 1.0
    label = METRICS[metric].label
    shapes = [charts.line_x(_ms(began), name="c4", y=(0, top), dash="dot")]
    if band:
        shapes += [charts.zone_y(band[0], band[1]) | {"name": "ok-soft"}]
    return charts.Chart(
        id="f-level",
        title=f"{label[0].upper()}{label[1:]} by day",
        note="shaded: usual, with its tolerance; dotted: where it began; days are UTC",
        label=(
            f"A line over {len(days)} days; usual {said(metric, figures.get('before'))}, "
            f"since {began:%b} {began.day} {said(metric, figures.get('after'))}."
        ),
        table=charts.Table(("Day", "Level"), [(f"{at:%b} {at.day}", said(metric, value)) for at, value in days]),
        data=[{
            "type": "scatter", "mode": "lines+markers", "name": label, "x": x, "y": y, "connectgaps": False,
            "meta": {"c": "c3"}, "hovertemplate": f"%{{y:.4~g}}{suffix}<extra></extra>",
        }],
        layout={
            "xaxis": {"type": "date", "tickformat": "%b %-d", "nticks": 6},
            "yaxis": {"range": [0, top], "ticksuffix": suffix, "nticks": 5},
            "margin": {"l": 52, "r": 12, "t": 12, "b": 26},
            "shapes": shapes,
        },
    )  # fmt: skip


def _ms(at: datetime) -> float:
    return at.timestamp() * 1000


def _scale(metric: str) -> tuple[float, str]:
    unit = METRICS[metric].unit
    if unit in {"s", "tokens"}:
        return 1.0, f" {unit}" if unit == "s" else ""
    if unit == "$":
        return 1000.0, " $/1k"
    return (1.0, "") if metric == "quality" else (100.0, " %")


def distribution(found: Mapping[str, Sequence[float]], metric: str) -> charts.Chart:
    """Shares of conversations by value: outlined steps of the reference and of what came since."""
    factor, suffix = _scale(metric)
    edges = [factor * edge for edge in found["edges"]]
    middles = [(low + high) / 2 for low, high in itertools.pairwise(edges)]
    sides = (("usual", "before", "c0", "dot"), ("since then", "after", "c3", "solid"))
    rows = [
        (f"{low:.4g} to {high:.4g}{suffix}", f"{100 * found['before'][n]:.1f} %", f"{100 * found['after'][n]:.1f} %")
        for n, (low, high) in enumerate(itertools.pairwise(edges))
    ]
    return charts.Chart(
        id="f-spread",
        title="Usual against recent",
        note="share of conversations by value; the last bin holds all above",
        label="Two outlines: how conversations spread in the reference, and since the change.",
        table=charts.Table(("Value", "Usual", "Since then"), rows),
        data=[
            {
                "type": "scatter", "mode": "lines", "name": name, "x": middles,
                "y": [100 * share for share in found[side]], "meta": {"c": token},
                "line": {"shape": "hvh", "dash": dash},
                "hovertemplate": f"{name} %{{y:.1f}} %<extra></extra>",
            }
            for name, side, token, dash in sides
        ],
        layout={
            "xaxis": {"ticksuffix": suffix, "nticks": 6},
            "yaxis": {"rangemode": "tozero", "ticksuffix": " %", "nticks": 5},
            "margin": {"l": 44, "r": 12, "t": 12, "b": 30},
        },
        legend=[(token, name) for name, _, token, _ in sides],
    )  # fmt: skip
