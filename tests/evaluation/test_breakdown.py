"""The candidate within each use case: shares, how cases moved, and dollars that add up."""

import numpy as np
import pytest

from evaluation import breakdown
from evaluation.measurements import Table
from evaluation.statistics.decision import Policy, Samples, decide

N = 60
LABELS = tuple("refunds" if at % 3 == 0 else "orders" for at in range(N))  # 20 and 40 prompts


def _table(*, cost: bool = True, labels: tuple[str, ...] = LABELS) -> Table:
    rng = np.random.default_rng(7)
    now = np.clip(rng.normal(0.8, 0.05, N), 0, 1)
    then = np.array([value - 0.3 if label == "refunds" else value for value, label in zip(now, labels, strict=True)])
    # by hand: an order saves 0.002 dollars a call, a refund 0.008
    saved = np.array([0.008 if label == "refunds" else 0.002 for label in labels])
    samples = Samples(
        unit=np.arange(N),
        guards={"quality": np.column_stack([now, then])},
        cost_usd=np.column_stack([np.full(N, 0.01), 0.01 - saved]) if cost else None,
    )
    return Table(samples, np.array([N, N]), labels)


def _rows(table: Table, *, calls_a_month: float | None = 3000.0) -> list[breakdown.Row]:
    policy = Policy()
    return breakdown.rows(table, policy, decide(table.samples, policy), calls_a_month=calls_a_month)


def test_shares_and_savings_are_those_worked_by_hand_and_add_up_to_the_whole() -> None:
    orders, refunds = _rows(_table())

    assert (orders["use_case"], orders["prompts"], refunds["prompts"]) == ("orders", 40, 20)
    assert orders["share"] == pytest.approx(2 / 3)
    # by hand: 3000 calls · 2/3 · 0.002, and 3000 · 1/3 · 0.008
    assert orders["saving_usd"] == pytest.approx(4.0)
    assert refunds["saving_usd"] == pytest.approx(8.0)
    # the whole, from the mean of all prompts: 3000 · (40 · 0.002 + 20 · 0.008) / 60
    assert orders["saving_usd"] + refunds["saving_usd"] == pytest.approx(12.0)
    assert refunds["low_usd"] <= refunds["saving_usd"] <= refunds["high_usd"]


def test_means_and_moves_are_as_measured_on_the_prompts_of_the_finding() -> None:
    orders, refunds = _rows(_table())

    assert refunds["then"] == pytest.approx(refunds["now"] - 0.3)
    assert (refunds["better"], refunds["same"], refunds["worse"]) == (0, 0, refunds["scored"])
    assert (orders["better"], orders["same"], orders["worse"]) == (0, orders["scored"], 0)
    assert orders["now"] == orders["then"]


def test_without_prices_or_volume_no_saving_is_told_and_one_use_case_is_no_breakdown() -> None:
    nothing = {"saving_usd": None, "low_usd": None, "high_usd": None}

    assert all(row.items() >= nothing.items() for row in _rows(_table(cost=False)))
    assert all(row.items() >= nothing.items() for row in _rows(_table(), calls_a_month=None))
    assert _rows(_table(labels=("orders",) * N)) == []
