"""Figures and tables of the analytics page, out of answers written by hand."""

from typing import Any

from ingestion import explorer_plots as plots
from ingestion.explorer_plots import Line

WINDOW = {"since": "2026-11-20T00:00:00Z", "until": "2026-11-23T00:00:00Z"}


def test_a_bucket_without_calls_is_zero_where_counts_add_up_and_a_gap_where_something_is_measured() -> None:
    line = Line("gpt", "c1", [("2026-11-20", 3), ("2026-11-22", 5)])

    bars = plots.over_time([line], measure="calls", unit="calls", bucket="day", stacked=True, window=WINDOW)
    lines = plots.over_time([line], measure="p95 latency", unit="s", bucket="day", stacked=False, window=WINDOW)

    assert bars is not None
    assert lines is not None
    assert bars.data[0]["y"] == [3, 0, 5]
    assert lines.data[0]["y"] == [3, None, 5]
    assert lines.table.rows[1] == ("Nov 21", "–")


def test_the_others_have_what_the_shown_groups_leave() -> None:
    # by hand: 10 - (3 + 4), 5 - 5, and a day on which nothing is known
    shown = [Line("a", "c1", [("1", 3), ("2", 5)]), Line("b", "c2", [("1", 4)])]

    assert plots.rest([("1", 10), ("2", 5), ("3", None)], shown).points == [("1", 3), ("2", 0), ("3", None)]


def test_names_out_of_logs_are_no_markup_in_a_figure() -> None:
    line = Line("<b>%{x}</b>", "c1", [("2026-11-20", 1)])

    chart = plots.over_time([line], measure="calls", unit="calls", bucket="day", stacked=True, window=WINDOW)

    assert chart is not None
    assert "<b>" not in chart.data[0]["hovertemplate"]
    assert chart.data[0]["hovertemplate"].count("%{") == 1


def test_statuses_keep_their_colours() -> None:
    assert plots.colours(["failed", "ok"])["failed"] == "c4"


def row(name: str, *values: float | None, **more: Any) -> tuple[str, dict[str, Any]]:
    return name, {"n": 9, "values": dict(zip(("0.5", "0.95"), values, strict=True)), **more}


def test_percentiles_stand_with_their_intervals() -> None:
    bounds = {"0.5": [0.9, 1.1], "0.95": None}
    table = plots.percentiles([row("gpt", 1.0, 2.0, intervals=bounds)], {"unit": "s"})

    assert table.head == ("Group", "Calls", "p50, s", "p95, s")
    assert table.rows == [("gpt", "9", "1.00 (0.90 to 1.10)", "2.00")]


def test_a_log_axis_is_only_for_values_above_zero() -> None:
    metric = {"name": "latency", "unit": "s", "better": "lower"}

    above = plots.dumbbell([row("gpt", 1.0, 30.0)], metric)
    zero = plots.dumbbell([row("gpt", 0.0, 30.0)], metric)

    assert above is not None
    assert zero is not None
    assert above.layout["xaxis"]["type"] == "log"
    assert above.layout["xaxis"]["ticktext"] == ["0.5 s", "1 s", "2 s", "5 s", "10 s", "20 s", "50 s"]
    assert zero.layout["xaxis"]["type"] == "linear"


def test_a_correlation_that_is_not_known_says_why() -> None:
    rows = [
        {"x": "cost", "y": "latency", "value": 0.25, "interval": [0.1, 0.4], "n": 100},
        {"x": "cost", "y": "input_tokens", "value": None, "interval": None, "n": 1, "reason": "fewer than two calls"},
    ]

    table = plots.correlations({"rows": rows})

    assert table.rows[0] == ("cost and latency", "+0.250", "+0.100 to +0.400", "100")
    assert table.rows[1] == ("cost and input tokens", "–", "fewer than two calls", "1")
