"""Did a promise hold: numbers by hand, properties, a second source, and a simulation of daily looking."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommendations import promises
from recommendations.promises import Promise, Unit
from tests.recommendations import documents

COST = Promise("cost", promises.SHARE, 0.6, 0.55, 0.65, 0.5)
ANSWERED = Promise("answered", promises.DIFFERENCE, 0.0, -0.01, 0.01, -0.05)


def units(totals: list[float], *, use_case: str = "", calls: int = 1, first: int = 0) -> list[Unit]:
    return [Unit(first + at, use_case, calls, total) for at, total in enumerate(totals)]


def test_promises_are_read_out_of_the_evidence_with_their_bars() -> None:
    found = {one.metric: one for one in promises.promised(documents.recommended())}

    assert set(found) == {"cost", "latency", "quality", "safety", "answered"}
    # by hand: min(0.64, 0.66 - 0.1 * 0.66)
    assert found["cost"].bar == pytest.approx(0.594)
    assert found["latency"].bar == pytest.approx(0.2)
    assert found["quality"].bar == -0.05


def test_a_share_saved_is_one_minus_the_ratio_of_means() -> None:
    # by hand: before 30 × 2 and 30 × 4: mean 3; after 30 × 1 and 30 × 1.4: mean 1.2; saved 1 - 1.2 / 3
    found = promises.realised(COST, units([2.0, 4.0] * 30), units([1.0, 1.4] * 30), look=1, n_promises=1)

    assert found.estimate == pytest.approx(0.6)
    assert [found.before, found.after] == pytest.approx([3.0, 1.2])
    assert found.low is not None
    assert found.high is not None
    assert found.low < 0.6 < found.high
    assert found.state == promises.KEPT


def test_use_cases_are_weighted_as_the_traffic_since_the_switch_has_them() -> None:
    # refunds cost 10, greetings 1, for both models: a mix that moved is no saving
    before = units([10.0] * 50, use_case="refunds") + units([1.0] * 50, use_case="greetings", first=50)
    after = units([10.0] * 10, use_case="refunds") + units([1.0] * 90, use_case="greetings", first=10)

    found = promises.realised(COST, before, after, look=1, n_promises=1)

    assert found.estimate == pytest.approx(0.0)
    assert found.state == promises.BROKEN


def test_a_use_case_that_only_one_arm_knows_is_left_out_and_said() -> None:
    before = units([2.0, 4.0] * 30, use_case="refunds")
    after = units([1.0, 1.4] * 30, use_case="refunds") + units([9.0] * 20, use_case="new", first=60)

    found = promises.realised(COST, before, after, look=1, n_promises=1)

    assert found.estimate == pytest.approx(0.6)
    assert found.covered == pytest.approx(0.75)


def test_too_few_conversations_are_no_measurement() -> None:
    found = promises.realised(COST, units([2.0] * 60), units([1.0] * 29), look=1, n_promises=1)

    assert (found.state, found.why, found.estimate) == (promises.UNMEASURED, "too_few_after", None)
    assert promises.verdict([found]) == promises.TOO_EARLY


def test_no_failure_in_thirty_calls_is_no_proof_that_one_in_fifty_is_kept() -> None:
    tight = Promise("answered", promises.DIFFERENCE, 0.0, 0.0, 0.0, -0.02)

    found = promises.realised(tight, units([1.0] * 60), units([1.0] * 30), look=1, n_promises=1)

    assert found.state == promises.OPEN


@given(
    st.lists(st.floats(0.1, 50), min_size=30, max_size=60), st.lists(st.floats(0.1, 50), min_size=30, max_size=60),
    st.integers(1, 6), st.integers(1, 5),
)  # fmt: skip
def test_bounds_are_in_order_and_later_looks_are_stricter(
    before: list[float], after: list[float], look: int, n: int
) -> None:
    found = promises.realised(COST, units(before), units(after), look=look, n_promises=n)
    later = promises.realised(COST, units(before), units(after), look=look + 1, n_promises=n)

    assert found.low is not None
    assert found.high is not None
    assert found.estimate is not None
    assert found.keeps is not None
    assert later.keeps is not None
    assert found.breaks is not None
    assert later.breaks is not None
    assert found.low <= found.estimate <= found.high <= 1
    assert later.keeps <= found.keeps <= found.breaks <= later.breaks


def test_the_errors_of_all_looks_together_never_exceed_the_error() -> None:
    assert math.fsum(promises.error_of(look) for look in range(1, 10_000)) < promises.ERROR
    assert [promises.look_number(n) for n in (49, 50, 99, 100, 400)] == [0, 1, 1, 2, 4]


def test_the_clustered_error_agrees_with_a_second_source() -> None:
    # statsmodels' cluster-robust OLS on an intercept, with its small-sample factor G / (G - 1) · (N - 1) / N taken out
    import statsmodels.api as sm  # heavy, and only this test needs it

    rng = np.random.default_rng(7)
    conversations = np.repeat(np.arange(80), rng.integers(1, 6, 80))
    x = rng.gamma(2.0, 1.0, conversations.size) + rng.normal(0, 0.5, 80)[conversations]
    own = [Unit(int(g), "", int((conversations == g).sum()), float(x[conversations == g].sum())) for g in range(80)]

    mean = promises._mean(own, {"": 1.0}, is_rate=False)
    theirs = sm.OLS(x, np.ones((x.size, 1))).fit(cov_type="cluster", cov_kwds={"groups": conversations})
    n = x.size

    assert mean.value == pytest.approx(float(theirs.params[0]))
    assert mean.variance / (1 + 2 / 80) ** 2 == pytest.approx(float(theirs.cov_params()[0, 0]) * n / (n - 1), rel=0.02)


@pytest.mark.parametrize(("truth", "wrong"), [(0.5, promises.KEPT), (0.5, promises.BROKEN)])
def test_looking_at_every_doubling_decides_wrongly_in_at_most_five_of_a_hundred(truth: float, wrong: str) -> None:
    # the saving is exactly at the bar, so neither verdict should come; 300 worlds, four looks each
    rng = np.random.default_rng(11)
    decided = 0
    for _ in range(300):
        before = units(list(rng.lognormal(0, 0.6, 400)))
        after = list((1 - truth) * rng.lognormal(0, 0.6, 400))
        states = [
            promises.realised(COST, before, units(after[:n]), look=at, n_promises=1).state
            for at, n in enumerate((50, 100, 200, 400), start=1)
        ]
        decided += wrong in states

    assert decided / 300 < 0.05 + 2 * math.sqrt(0.05 * 0.95 / 300)
