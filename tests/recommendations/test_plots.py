"""Figures: allowed traces, the same numbers as their tables, labels that do not cover each other."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agentopt.lib import charts
from evaluation import plots as evaluation_plots
from recommendations import overview_plots, plots
from recommendations.overview_plots import Bucket, Span
from tests.recommendations import documents

DAY = datetime(2026, 11, 1, tzinfo=UTC)


def _span() -> Span:
    buckets = [
        Bucket(DAY, {"aurora": 2.0, "corvus": 0.5}, {"ok": 9, "failed": 1}, 1.0, 2.0),
        Bucket(DAY + timedelta(days=1), {}, {}, None, None),
        Bucket(DAY + timedelta(days=2), {"aurora": None}, {"ok": 4, "refused": 1}, 1.5, 3.0),
    ]
    return Span("day", buckets, unfinished=True, models=["aurora", "corvus"])


def _figures() -> list[charts.Chart]:
    of_evidence: list[Callable[[Any], charts.Chart | None]] = [plots.trade, evaluation_plots.looks]
    found = [figure(make()) for make in (documents.recommended, documents.not_shown) for figure in of_evidence]
    span, colors = _span(), charts.series(["aurora", "corvus"])
    of_logs = [overview_plots.spend(span, colors), overview_plots.latency(span), overview_plots.calls(span)]
    return [chart for chart in found if chart] + of_logs


@pytest.mark.parametrize("chart", _figures(), ids=lambda chart: chart.id)
def test_every_figure_is_json_of_allowed_traces_with_a_table_and_a_sentence(chart: charts.Chart) -> None:
    json.dumps(chart.figure, allow_nan=False)

    assert {trace["type"] for trace in chart.data} <= charts.TRACES
    assert chart.label
    assert chart.table.rows
    assert all(len(row) == len(chart.table.head) for row in chart.table.rows)
    assert "color" not in json.dumps(chart.figure), "figures carry tokens, not colors"


def test_the_table_of_cost_against_quality_says_what_the_dots_show() -> None:
    chart = plots.trade(documents.recommended())

    assert chart is not None
    dots = {trace["name"]: (trace["x"][0], trace["y"][0]) for trace in chart.data if trace["mode"] == "markers"}
    told = {row[0]: (float(row[1]), float(row[3])) for row in chart.table.rows}
    assert told == dots


def test_the_pareto_front_leaves_out_what_is_dearer_and_no_better() -> None:
    # by hand: b beats a on quality; c is dearer than b and worse; d is dearest and best
    assert plots.pareto([(1.0, 0.5), (2.0, 0.8), (3.0, 0.7), (4.0, 0.9)]) == [0, 1, 3]


def test_of_two_models_at_one_price_only_the_better_is_on_the_front() -> None:
    assert plots.pareto([(1.0, 0.5), (1.0, 0.6)]) == [1]


def test_one_known_model_makes_no_figure_of_cost_against_quality() -> None:
    assert plots.trade(documents.too_few()) is None


@pytest.mark.parametrize(("part", "size"), [("layout", plots.WIDE), ("narrow", plots.NARROW)])
def test_labels_of_close_models_do_not_cover_each_other(part: str, size: tuple[float, float]) -> None:
    evidence = documents.recommended()
    for arm in evidence["candidates"]:
        arm["cost_per_1000_usd"] |= {"value": 2.0, "low": 1.9, "high": 2.1}

    chart = plots.trade(evidence)

    assert chart is not None
    notes = [note for note in chart.figure[part]["annotations"] if note["name"] != "bad"]
    boxes = [_box(note, chart.layout, size=size) for note in notes]
    assert not any(_overlap(one, other) for i, one in enumerate(boxes) for other in boxes[:i])


def _box(note: dict[str, Any], layout: Any, *, size: tuple[float, float]) -> tuple[float, float, float, float]:
    (left, right), (low, high) = layout["xaxis"]["range"], layout["yaxis"]["range"]
    x = (note["x"] - left) / (right - left) * size[0] + note["xshift"]
    y = (note["y"] - low) / (high - low) * size[1] + note["yshift"]
    wide = len(note["text"]) * plots.LETTER
    start = x - {"left": 0.0, "center": wide / 2, "right": wide}[note["xanchor"]]
    return start, y - plots.LINE / 2, start + wide, y + plots.LINE / 2


def _overlap(one: Sequence[float], other: Sequence[float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def test_a_hostile_name_reaches_no_markup_of_a_figure() -> None:
    evidence = documents.recommended()
    evidence["candidates"][2]["name"] = "<b>x</b>%{y}"

    chart = plots.trade(evidence)

    assert chart is not None
    texts = [trace.get("hovertemplate", "") for trace in chart.data] + [n["text"] for n in chart.layout["annotations"]]
    assert not any("<b>" in text or "%{y}" in text for text in texts)


def test_the_looks_follow_the_weakest_check_and_leave_out_the_ranking() -> None:
    chart = evaluation_plots.looks(documents.recommended())

    assert chart is not None
    assert "quality" in chart.note
    assert [row[0] for row in chart.table.rows] == ["50", "150"]
    assert list(chart.data[1]["y"]) == pytest.approx([-0.07, -0.041])
    assert [row[3] for row in chart.table.rows] == ["−0.070", "−0.041"]


def test_without_a_test_there_is_no_figure_of_looks() -> None:
    evidence = documents.recommended()
    evidence["looks"] = evidence["looks"][:1]

    assert evaluation_plots.looks(evidence) is None
    assert evaluation_plots.looks(documents.too_few()) is None


def test_unknown_spend_and_latency_are_gaps_and_dashes() -> None:
    spend, latency = overview_plots.spend(_span(), {}), overview_plots.latency(_span())

    assert spend.data[0]["y"] == [2.0, 0.0, None]
    assert [row[1] for row in spend.table.rows] == ["$2.00", "$0.00", "–"]
    assert latency.data[0]["y"] == [2.0, None, 3.0]
    assert [row[2] for row in latency.table.rows] == ["2.00", "–", "3.00"]


def test_the_sixth_model_counts_among_the_others() -> None:
    names = [f"m{i}" for i in range(7)]
    span = Span("day", [Bucket(DAY, dict.fromkeys(names, 1.0), {"ok": 7}, 1.0, 1.0)], unfinished=False, models=names)

    chart = overview_plots.spend(span, charts.series(names))

    assert [trace["name"] for trace in chart.data] == [*names[:5], "other models"]
    assert chart.data[5]["y"] == [2.0]
    assert chart.table.rows[0][-1] == "$7.00"


def test_a_spark_of_two_values_is_none() -> None:
    assert overview_plots.spark([1.0, 2.0]) == ""
    assert overview_plots.spark([0.0, 1.0, 2.0]) == "M1.0 18.0 L34.0 10.0 L67.0 2.0"
