"""Promised savings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation import savings


def test_a_window_of_two_weeks_is_scaled_to_a_month() -> None:
    # by hand: 7,000 calls in 14 days are 500 a day; a month has 365.25 / 12 = 30.4375 days
    assert savings.monthly_calls(7_000, days=14) == pytest.approx(15_218.75)


def test_a_window_without_length_is_refused() -> None:
    with pytest.raises(ValueError, match="days"):
        savings.monthly_calls(10, days=0)


def test_the_saving_is_the_volume_times_the_difference_of_mean_costs() -> None:
    # by hand: 200,000 calls at $0.008 are $1,600; at $0.003 $600
    saving = savings.promised(200_000, now_usd=0.008, then_usd=0.003, interval=(0.0045, 0.0055))

    assert saving.now_usd == pytest.approx(1600)
    assert saving.then_usd == pytest.approx(600)
    assert saving.saving_usd == pytest.approx(1000)
    assert [saving.low_usd, saving.high_usd] == pytest.approx([900, 1100])


@given(st.floats(0, 1e6), st.floats(0, 10), st.floats(0, 10))
def test_now_less_then_is_the_saving(calls: float, now: float, then: float) -> None:
    saving = savings.promised(calls, now_usd=now, then_usd=then, interval=(now - then, now - then))

    assert saving.saving_usd == pytest.approx(saving.now_usd - saving.then_usd, abs=1e-6 * max(1.0, calls))


def test_a_realised_saving_has_the_share_saved_of_the_month_as_its_interval() -> None:
    # by hand: 200,000 calls at $0.008 are $1,600, of which 50 to 75 % are saved
    saving = savings.realised(200_000, now_usd=0.008, then_usd=0.003, share=(0.5, 0.75))

    assert saving.saving_usd == pytest.approx(1000)
    assert [saving.low_usd, saving.high_usd] == pytest.approx([800, 1200])
