"""Agreement: hand-worked cases, properties, and statsmodels, scikit-learn and krippendorff as second sources."""

import math

import krippendorff
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score, confusion_matrix
from statsmodels.stats.inter_rater import cohens_kappa

from evaluation.statistics import agreement
from evaluation.statistics.agreement import NO_PAIRS, ONE_CATEGORY, Confusion

WORDS = st.sampled_from(["a", "b", "tie"])
PAIRS = st.lists(st.tuples(WORDS, WORDS), min_size=2, max_size=60)
MATRIX = st.integers(2, 4).flatmap(
    lambda raters: st.lists(
        st.lists(st.one_of(st.none(), st.integers(1, 5)), min_size=raters, max_size=raters), min_size=2, max_size=25
    )
)


def test_kappa_of_two_raters_worked_by_hand() -> None:
    # 100 things: both yes 45, yes/no 15, no/yes 25, both no 15. Agreed 0.60; by chance 0.6 · 0.7 + 0.4 · 0.3 = 0.54
    table = Confusion(("yes", "no"), ((45, 15), (25, 15)))

    found = agreement.kappa(table)

    assert found.value == pytest.approx(0.06 / 0.46)
    assert table.raw is not None
    assert table.raw.estimate == 0.6
    assert table.base_rate == 0.7
    assert found.n == 100


def test_high_raw_agreement_on_a_lopsided_base_rate_is_worth_little() -> None:
    # 95 of 100 are yes to both, and one no of five is seen: 96 % raw, kappa hardly known
    table = Confusion(("yes", "no"), ((95, 4), (0, 1)))

    found = agreement.kappa(table)

    assert table.raw is not None
    assert table.raw.estimate == 0.96
    assert found.value == pytest.approx((0.96 - 0.941) / 0.059)
    assert found.low is not None
    assert found.low < 0.0


@settings(max_examples=60, deadline=None)
@given(PAIRS)
def test_kappa_and_its_interval_are_those_of_statsmodels_and_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    first, second = [a for a, _ in pairs], [b for _, b in pairs]
    table = agreement.confusion(first, second)
    assume(len(table.categories) > 1)

    found = agreement.kappa(table)

    assert found.value is not None
    assert found.value == pytest.approx(cohen_kappa_score(first, second), abs=1e-12)
    if 0 < table.agreed < table.n and min(len({*first}), len({*second})) > 1:  # else its interval has no width
        theirs = cohens_kappa(np.array(table.counts))
        half = 1.959963984540054 * math.sqrt(theirs.var_kappa)
        assert found.low == pytest.approx(max(-1.0, theirs.kappa - half), abs=1e-9)
        assert found.high == pytest.approx(min(1.0, theirs.kappa + half), abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(PAIRS)
def test_a_confusion_matrix_is_that_of_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    first, second = [a for a, _ in pairs], [b for _, b in pairs]
    assume(len({*first, *second}) > 1)  # of one category scikit-learn warns

    table = agreement.confusion(first, second)

    assert np.array(table.counts).tolist() == confusion_matrix(first, second, labels=list(table.categories)).tolist()


@given(PAIRS)
def test_kappa_does_not_depend_on_who_is_first_nor_on_the_names(pairs: list[tuple[str, str]]) -> None:
    renamed = {"a": "z", "b": "y", "tie": "x"}
    here = agreement.kappa(agreement.confusion([a for a, _ in pairs], [b for _, b in pairs]))
    there = agreement.kappa(agreement.confusion([renamed[b] for _, b in pairs], [renamed[a] for a, _ in pairs]))

    assert (here.value is None) == (there.value is None)
    if here.value is not None:
        assert here.value == pytest.approx(there.value)
        assert here.low == pytest.approx(there.low)
        assert here.low is not None
        assert here.high is not None
        assert here.low <= here.value + 1e-12
        assert here.value <= here.high + 1e-12


def test_perfect_agreement_has_an_interval_with_width() -> None:
    # Wilson of 30 of 30: 0.8865 and up; chance 0.5, so (0.8865 − 0.5) / 0.5
    found = agreement.kappa(Confusion(("a", "b"), ((15, 0), (0, 15))))

    assert found.value == 1.0
    assert found.low == pytest.approx(0.773, abs=1e-3)
    assert found.high == 1.0


def test_where_all_ratings_are_the_same_there_is_no_coefficient_and_a_reason() -> None:
    same = agreement.confusion(["a"] * 40, ["a"] * 40)

    assert agreement.kappa(same).value is None
    assert agreement.kappa(same).why == ONE_CATEGORY
    assert agreement.alpha([[1, 1], [1, 1]], scale="interval").why == ONE_CATEGORY
    assert same.base_rate == 1.0


def test_what_either_left_out_is_left_out_and_nothing_at_all_has_a_reason() -> None:
    table = agreement.confusion(["a", None, "b"], [None, "a", "b"])

    assert table.n == 1
    assert agreement.kappa(agreement.confusion([None], ["a"])).why == NO_PAIRS
    assert agreement.confusion([], []).raw is None
    assert agreement.confusion([], []).base_rate is None
    assert agreement.alpha([[1, None], [None, 2]], scale="nominal").why == NO_PAIRS


def test_alpha_of_krippendorffs_own_example() -> None:
    # Computing Krippendorff's Alpha-Reliability (2011), part C: four observers, twelve units, missing values.
    # Nominal 0.743, ordinal 0.815, interval 0.849.
    none = None
    observers = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, none, none, none],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, none, 3],
        [none, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, none],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, none],
    ]
    units = list(zip(*observers, strict=True))

    found = {scale: agreement.alpha(units, scale=scale) for scale in ("nominal", "ordinal", "interval")}

    assert {scale: round(one.value or 0, 3) for scale, one in found.items()} == {
        "nominal": 0.743, "ordinal": 0.815, "interval": 0.849,
    }  # fmt: skip
    assert found["nominal"].n == 11  # the last unit has one rating


@settings(max_examples=60, deadline=None)
@given(MATRIX, st.sampled_from(["nominal", "ordinal", "interval"]))
def test_alpha_is_that_of_the_krippendorff_package(units: list[list[int | None]], scale: str) -> None:
    found = agreement.alpha(units, scale=scale)
    assume(found.value is not None)
    raters = np.array([[math.nan if x is None else x for x in unit] for unit in units], float).T

    theirs = krippendorff.alpha(reliability_data=raters, level_of_measurement=scale)

    assert found.value == pytest.approx(theirs, abs=1e-9)


@given(MATRIX)
def test_alpha_on_an_interval_scale_survives_a_change_of_units(units: list[list[int | None]]) -> None:
    here = agreement.alpha(units, scale="interval")
    there = agreement.alpha([[None if x is None else x / 4 - 1 for x in unit] for unit in units], scale="interval")

    assert (here.value is None) == (there.value is None)
    if here.value is not None:
        assert here.value == pytest.approx(there.value)


def test_alpha_refuses_an_unknown_scale_and_distances_of_words() -> None:
    with pytest.raises(ValueError, match="scale: ratio"):
        agreement.alpha([[1, 2]], scale="ratio")
    with pytest.raises(ValueError, match="a rating is a word"):
        agreement.alpha([["good", "bad"]], scale="interval")
    assert agreement.alpha([["good", "bad"], ["good", "good"]], scale="nominal").value == pytest.approx(0.0)


def test_a_judge_that_always_takes_the_first_is_consistent_in_nothing() -> None:
    found = agreement.order_consistency(["a"] * 20, ["b"] * 20)

    assert found.consistent is not None
    assert found.consistent.estimate == 0.0
    assert (found.first, found.second) == (20, 0)
    assert found.lean is not None
    assert found.lean.low > 0.8


def test_order_consistency_counts_ties_and_leaves_out_what_could_not_be_read() -> None:
    # same: a/a, tie/tie; first both times: a/b; second: b/a; a tie against a winner is neither
    first = ["a", "tie", "a", "b", "tie", None]
    second = ["a", "tie", "b", "a", "a", "b"]

    found = agreement.order_consistency(first, second)

    assert (found.n, found.unread, found.first, found.second) == (5, 1, 1, 1)
    assert found.consistent is not None
    assert found.consistent.estimate == 0.4
    assert found.lean is not None
    assert found.lean.estimate == 0.5


def test_without_any_change_by_order_there_is_no_leaning() -> None:
    found = agreement.order_consistency(["a", "b"], ["a", "b"])

    assert found.lean is None
    assert found.kappa.value == 1.0
    assert agreement.order_consistency([None], ["a"]).consistent is None
