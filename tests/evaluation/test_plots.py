"""Figures of evaluations: what they draw, what their tables say, where their labels stand."""

import json
from typing import Any

import pytest

from agentopt.lib import charts
from evaluation import plots


def seen(
    prompts: int, estimate: float, low: float, high: float, *, bound: float | None, verdict: str
) -> dict[str, Any]:
    """One look at quality."""
    check = {"metric": "quality", "kind": "margin", "verdict": verdict, "estimate": estimate, "low": low, "high": high,
             "bound": bound, "bar": -0.05, "p": None if bound is None else 0.2, "now": 0.85, "then": 0.85}  # fmt: skip
    return {"prompts": prompts, "ranking": False, "checks": [check]}


LOOKS = [
    seen(20, -0.019, -0.151, 0.046, bound=None, verdict="not_shown"),
    seen(30, -0.024, -0.122, 0.029, bound=-0.191, verdict="not_shown"),
    seen(100, 0.001, -0.049, 0.040, bound=-0.041, verdict="shown"),
]


def figure(looks: list[dict[str, Any]], *, live: bool = False, recommended: bool = False) -> charts.Chart:
    """The figure of these looks."""
    outcome = {"recommended": "new" if recommended else None, "leader": "new", "live": live}
    chart = plots.looks({"outcome": outcome, "looks": looks, "checks": looks[-1]["checks"], "question": {"limit": 300}})
    assert chart is not None
    return chart


def test_only_trace_types_that_keep_the_policy_are_drawn_and_none_has_a_color() -> None:
    chart = figure(LOOKS)

    assert {trace["type"] for trace in chart.data} <= charts.TRACES
    assert all("color" not in json.dumps(part) for part in (chart.data, chart.layout))
    assert all(trace["meta"]["c"] for trace in chart.data)


def test_a_look_that_can_show_nothing_has_an_estimate_and_no_bound() -> None:
    estimates, bounds = figure(LOOKS).data

    assert estimates["x"] == [20, 30, 100]
    assert (bounds["x"], bounds["y"]) == ([30, 100], [-0.191, -0.041])


def test_error_bars_are_distances_from_the_estimate() -> None:
    # by hand: −0.019 − −0.151 = 0.132 down, 0.046 − −0.019 = 0.065 up
    bars = figure(LOOKS).data[0]["error_y"]

    assert bars["arrayminus"][0] == pytest.approx(0.132)
    assert bars["array"][0] == pytest.approx(0.065)


def test_the_table_of_looks_says_what_the_figure_draws() -> None:
    table = figure(LOOKS).table

    assert list(table.rows) == [
        ("20", "−0.019", "−0.151 to +0.046", "–", "–"),
        ("30", "−0.024", "−0.122 to +0.029", "−0.191", "no"),
        ("100", "+0.001", "−0.049 to +0.040", "−0.041", "yes"),
    ]
    assert all(len(row) == len(table.head) for row in table.rows)


def test_the_sentence_tells_estimate_requirement_and_bound() -> None:
    label = figure(LOOKS).label

    assert label == (
        "Quality after 100 prompts: +0.001 (−0.049 to +0.040), required above −0.050; "
        "the bound that decides is −0.041; 3 looks."
    )


def test_the_end_of_the_looks_is_marked_once_there_is_one() -> None:
    texts = [{note["text"] for note in figure(LOOKS, **how).layout["annotations"]} for how in
             ({"live": True}, {}, {"recommended": True})]  # fmt: skip

    assert not {"stopped", "cleared: stopped"} & texts[0]
    assert "stopped" in texts[1]
    assert "cleared: stopped" in texts[2]


def test_everything_drawn_lies_within_the_axes() -> None:
    layout = figure(LOOKS).layout

    low, high = layout["yaxis"]["range"]
    assert low < -0.191
    assert high > 0.046
    assert layout["xaxis"]["range"][1] > 100


def test_a_single_look_is_drawn_too() -> None:
    chart = figure(LOOKS[:1])

    assert len(chart.data) == 1
    assert "nothing could be shown yet" in chart.label


def test_the_bar_is_a_dashed_line_with_its_name() -> None:
    layout = figure(LOOKS, live=True).layout

    assert [shape["name"] for shape in layout["shapes"]] == ["zone", "bad", "border-strong"]
    assert layout["annotations"][0]["text"] == "required: above −0.050"


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
