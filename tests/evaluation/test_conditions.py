"""The table of conditions: what is drawn and what is said agree."""

from typing import Any

import pytest

from evaluation import conditions
from recommendations import sections
from tests.recommendations import documents, examples


def _place(text: str) -> float:
    return float(text.removesuffix("%"))


@pytest.mark.parametrize("make", [documents.recommended, documents.not_shown])
def test_a_check_is_shown_exactly_when_the_thick_line_clears_the_shade(make: Any) -> None:
    table = conditions.table(make())

    assert table is not None
    for row in table.rows:
        assert row.range.core is not None
        assert (_place(row.range.core[0]) > _place(row.range.zone)) == (row.verdict == "shown"), row.name


def test_labels_over_the_bars_do_not_run_into_each_other() -> None:
    evidence = documents.not_shown()
    roomy = conditions.table(evidence)
    for check in evidence["checks"]:
        check |= {"estimate": check["bar"] - 0.5, "low": check["bar"] - 1, "high": check["bar"], "bound": None}
    crowded = conditions.table(evidence)

    assert roomy is not None
    assert crowded is not None
    assert (roomy.names_better, _place(roomy.same) < 60) == (True, True)
    assert (crowded.names_better, _place(crowded.same) > 60) == (False, True)


def test_what_was_shown_earlier_keeps_the_bound_that_showed_it() -> None:
    evidence = documents.recommended()
    evidence["looks"][1]["checks"][0] = examples.check("quality", "shown", bound=-0.03)
    evidence["checks"][0]["bound"] = -0.06

    assert conditions.deciding_bound(evidence, evidence["checks"][0]) == -0.03


def test_checks_not_shown_are_counted_in_the_title() -> None:
    evidence = documents.not_shown()

    table = conditions.table(evidence)

    assert table is not None
    assert table.title == "One of four checks is not shown"
    assert sections.verdict(evidence).set_by == "Held back by one check: quality."


def test_without_a_leader_there_is_no_table_and_no_tile() -> None:
    assert conditions.table(documents.too_few()) is None
    assert sections.tiles(documents.too_few()) == []


def test_a_cost_limit_is_read_as_a_share_of_the_limit() -> None:
    # held as 1 - cost / (2 · limit): 0.64 is 72 % of the limit, the bar 0.5 is the limit itself
    check = examples.check("cost_per_call_usd", "shown", kind="limit", estimate=0.64, low=0.6, high=0.7, bar=0.5)

    assert conditions.estimate(check) == "72.0\u202f%"
    assert conditions.interval(check) == "(60.0\u202f% to 80.0\u202f%)"
    assert conditions.required(check) == "below 100.0\u202f%"


def test_tiles_say_why_a_figure_is_missing() -> None:
    evidence = documents.recommended()
    evidence["estimates"] = {}

    cost, quality, latency, answered = sections.tiles(evidence)

    assert (cost.value, latency.value) == ("–", "–")
    assert "price" in cost.why
    assert "not called again" in latency.why
    assert (quality.value, answered.value) == ("0.850", "99.0")


def test_a_saving_below_zero_is_called_dearer() -> None:
    evidence = documents.not_shown()
    evidence["saving"]["saving_usd"] = -3.0

    assert sections.verdict(evidence).saving_label == "Dearer a month"
