"""Figures carry tokens, bars lie on one scale, plotly.js comes out of its wheel."""

import pytest

from agentopt.lib import charts


def test_the_id_that_keeps_plotly_from_adding_styles_is_found_in_the_installed_wheel() -> None:
    assert len(charts.maplibre_id()) == 64


def test_only_plotly_itself_is_published() -> None:
    finder = charts.PlotlyFinder()

    assert [name for name, _ in finder.list([])] == ["plotly.min.js"]
    assert finder.find("plotly/plotly.min.js").endswith("plotly.min.js")
    assert finder.find("plotly/widgetbundle.js") == []


def test_series_have_tokens_of_their_own_and_keep_them() -> None:
    names = ["aurora-large", "corvus-medium", "lumen-flash", "sable-pro", "tern-70b", "aurora-mini"]

    tokens = charts.series(names)

    assert sorted(tokens.values()) == list(charts.SERIES)
    assert charts.series(reversed(names)) == tokens
    assert "c0" in charts.series([*names, "a seventh"]).values()


def test_a_scale_holds_all_values_zero_and_the_margin() -> None:
    scale = charts.Scale.of([-0.02, 0.01, None], edge=-0.05)

    # by hand: from −0.05 to 0.01 is 0.06 wide, with 6 % room at both ends −0.0536 to 0.0136
    assert (scale.low, scale.high) == pytest.approx((-0.0536, 0.0136))
    assert scale.at(0.0) == "79.8%"
    assert scale.at(-1) == "0.0%"


def test_the_thick_line_runs_from_the_estimate_to_the_bound_that_decides() -> None:
    scale = charts.Scale(-1.0, 1.0, -0.5)

    bar = charts.range_bar("quality", scale, estimate=0.0, low=-0.2, high=0.2, bound=-0.4, tone="ok")

    assert (bar.zone, bar.zero, bar.dot) == ("25.0%", "50.0%", "50.0%")
    assert bar.core == ("30.0%", "50.0%")
    assert charts.range_bar("x", scale, estimate=0.0, low=-0.2, high=0.2).core is None
