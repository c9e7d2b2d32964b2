"""Figures of evaluations: what they draw, what their tables say, where their labels stand."""

import json

import pytest

from agentopt.lib import charts
from evaluation import plots
from evaluation.plots import LookPoint

POINTS = [
    LookPoint(20, -0.019, -0.151, 0.046, bound=None, is_shown=False),
    LookPoint(30, -0.024, -0.122, 0.029, bound=-0.191, is_shown=False),
    LookPoint(100, 0.001, -0.049, 0.040, bound=-0.041, is_shown=True),
]


def test_only_trace_types_that_keep_the_policy_are_drawn_and_none_has_a_color() -> None:
    chart = plots.looks("new", "old", points=POINTS, bar=-0.05)

    assert {trace["type"] for trace in chart.data} <= charts.TRACES
    assert all("color" not in json.dumps(part) for part in (chart.data, chart.layout))
    assert all(trace["meta"]["c"] for trace in chart.data)


def test_a_look_that_can_show_nothing_has_an_estimate_and_no_bound() -> None:
    estimates, bounds = plots.looks("new", "old", points=POINTS, bar=-0.05).data

    assert estimates["x"] == [20, 30, 100]
    assert bounds["x"] == [30, 100]
    assert bounds["y"] == [-0.191, -0.041]


def test_error_bars_are_distances_from_the_estimate() -> None:
    # by hand: −0.019 − −0.151 = 0.132 down, 0.046 − −0.019 = 0.065 up
    bars = plots.looks("new", "old", points=POINTS, bar=-0.05).data[0]["error_y"]

    assert bars["arrayminus"][0] == pytest.approx(0.132)
    assert bars["array"][0] == pytest.approx(0.065)


def test_the_table_of_looks_says_what_the_figure_draws() -> None:
    table = plots.looks("new", "old", points=POINTS, bar=-0.05).table

    assert list(table.rows) == [
        ("20", "−0.019", "−0.151 to +0.046", "–", "–"),
        ("30", "−0.024", "−0.122 to +0.029", "−0.191", "no"),
        ("100", "+0.001", "−0.049 to +0.040", "−0.041", "yes"),
    ]
    assert all(len(row) == len(table.head) for row in table.rows)


def test_title_and_sentence_tell_whether_the_bound_cleared_the_margin() -> None:
    before = plots.looks("new", "old", points=POINTS[:2], bar=-0.05)
    after = plots.looks("new", "old", points=POINTS, bar=-0.05)

    assert before.title == "new: the bound has to clear the margin"
    assert "it must rise above minus 0.050" in before.label
    assert after.title == "new: the bound cleared the margin at 100 prompts"
    assert "the bound that decides is minus 0.041: it is above minus 0.050" in after.label


def test_everything_drawn_lies_within_the_axes() -> None:
    layout = plots.looks("new", "old", points=POINTS, bar=-0.05).layout

    low, high = layout["yaxis"]["range"]
    assert low < -0.191
    assert high > 0.046
    assert all(low <= tick <= high for tick in layout["yaxis"]["tickvals"])
    assert layout["xaxis"]["range"][1] > 100


def test_a_single_look_is_drawn_too() -> None:
    chart = plots.looks("new", "old", points=POINTS[:1], bar=-0.05)

    assert len(chart.data) == 1
    assert "nothing could be shown" in chart.label


def test_the_margin_is_a_dashed_line_with_its_name() -> None:
    chart = plots.looks("new", "old", points=POINTS, bar=-0.05)

    assert [shape["name"] for shape in chart.layout["shapes"]] == ["zone", "bad", "border-strong"]
    assert chart.layout["annotations"][0]["text"] == "margin −0.05"


def test_spend_is_laid_out_against_the_cap() -> None:
    # by hand: 4.09 of 9 is 45.4 %; the forecast runs from 4.60 (51.1 %) to 8.10 (90 %)
    bar = plots.spend(4.09, cap_usd=9.0, low_usd=4.60, high_usd=8.10)

    assert (bar.fill, bar.forecast_start, bar.forecast_width) == ("45.4%", "51.1%", "38.9%")
    assert bar.label == "Spent 4.09 of at most 9.00 dollars; forecast $4.60 to $8.10"


def test_a_forecast_beyond_the_cap_is_cut_and_an_unknown_one_is_not_drawn() -> None:
    beyond = plots.spend(1.0, cap_usd=2.0, low_usd=1.5, high_usd=20.0)
    unknown = plots.spend(1.0, cap_usd=2.0, low_usd=None, high_usd=None)

    assert (beyond.forecast_start, beyond.forecast_width) == ("75.0%", "25.0%")
    assert unknown.forecast_start is None
    assert plots.spend(0.0, cap_usd=0.0, low_usd=None, high_usd=None).fill == "100.0%"
