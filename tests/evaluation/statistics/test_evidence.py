"""One look at one set of rows."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from evaluation.statistics import evidence as looking
from evaluation.statistics.decision import Policy, Samples
from evaluation.statistics.evidence import evidence
from evaluation.statistics.judge_error import Bias
from tests.evaluation.statistics.simulated import BAD, EQUAL, GOOD, answers

PLAIN = Policy(imagined=0.0, imagined_quality=0.0, judge_sd=0.0)


def _guard(*columns: list[float]) -> Samples:
    x = np.array(columns, float).T
    return Samples({"quality": x}, np.arange(len(x)))


def test_estimates_are_paired_means_and_shares_saved() -> None:
    # by hand: quality (0 + 0.5 + 0.25) / 3; cost 1 − (1 + 1 + 2) / (2 + 2 + 4), the unknown price left out
    samples = dataclasses.replace(
        _guard([0.5, 0.5, 0.5, np.nan], [0.5, 1.0, 0.75, 1.0]),
        cost_usd=np.array([[2.0, 1.0], [2.0, 1.0], [4.0, 2.0], [9.0, np.nan]]),
    )

    ev = evidence(samples, PLAIN)

    assert ev.estimate["quality"] == pytest.approx([0.25])
    assert ev.estimate["cost"] == pytest.approx([0.5])
    assert ev.gain == pytest.approx([0.4 * 0.25 / 0.1 + 0.4 * 0.5 / 0.5])
    assert ev.metrics["cost"].baseline == pytest.approx([8 / 3])
    assert ev.metrics["cost"].value == pytest.approx([4 / 3])
    assert ev.metrics["quality"].prompts.tolist() == [3]
    assert ev.missing == pytest.approx([0.25])


def test_the_error_is_clustered_by_unit() -> None:
    # by hand: units hold differences (1, 1) and (0, 0): mean 0.5, unit influences ±0.5, sd 0.5, over √2
    samples = Samples({"quality": np.array([[0.0, 1], [0, 1], [0, 0], [0, 0]])}, np.array([1, 1, 2, 2]))

    ev = evidence(samples, PLAIN)

    assert ev.units == 2
    assert ev.error[0] == pytest.approx([0.5 / 2**0.5])


def test_re_weightings_of_units_agree_with_the_dirichlet() -> None:
    # second source: the mean under Dirichlet(1, …, 1) weights has variance Σ (x − x̄)² / (n (n + 1))
    x = np.random.default_rng(3).random(40)
    samples = _guard([0.0] * 40, x.tolist())

    ev = evidence(samples, PLAIN)

    sd = (((x - x.mean()) ** 2).sum() / (40 * 41)) ** 0.5
    assert ev.draws[0, 0].std() == pytest.approx(sd, rel=0.05)
    assert ev.draws[0, 0].mean() == pytest.approx(x.mean(), abs=4 * sd / 4000**0.5)


def test_the_imagined_failure_keeps_thirty_successes_from_proving_anything() -> None:
    # second source: with all differences 0 the guarded draw is −Gamma(½) / (Gamma(30) + Gamma(½)), a Beta(½, 30)
    ev = evidence(_guard([1.0] * 30, [1.0] * 30), dataclasses.replace(PLAIN, imagined_quality=0.5))

    expected = stats.beta(0.5, 30).sf(0.05)
    assert ev.p[0, 0] == pytest.approx(expected, abs=4 * (expected / 4000) ** 0.5)


def test_the_judges_error_moves_and_widens_quality_alone() -> None:
    samples = answers(1, [GOOD], n=60)

    plain, judged = evidence(samples, PLAIN), evidence(samples, PLAIN, Bias(0.01, 0.03))

    assert judged.estimate["quality"] - plain.estimate["quality"] == pytest.approx([0.01])
    extra = judged.draws[0, 0].var() - plain.draws[0, 0].var()
    assert extra == pytest.approx(0.03**2, rel=0.35)
    assert (judged.draws[1] == plain.draws[1]).all()


def test_a_known_baseline_mean_narrows_the_cost_and_keeps_it_right() -> None:
    samples = answers(2, [GOOD], n=200)
    known = dataclasses.replace(samples, baseline={"cost": 0.01 * float(np.exp(0.18 + 0.045))})

    plain, adjusted = evidence(samples, PLAIN), evidence(known, PLAIN)

    assert adjusted.metrics["cost"].draws.std() < plain.metrics["cost"].draws.std()
    assert adjusted.estimate["cost"] == pytest.approx([0.7], abs=0.05)


def test_a_known_baseline_mean_does_not_depend_on_the_unit_of_the_amount() -> None:
    samples = answers(2, [GOOD], n=60)
    cost = samples.cost_usd
    assert cost is not None
    dollars = dataclasses.replace(samples, baseline={"cost": 0.0125})
    tiny = dataclasses.replace(samples, cost_usd=cost * 2.0**-30, baseline={"cost": 0.0125 * 2.0**-30})

    assert evidence(dollars, PLAIN).estimate["cost"] == evidence(tiny, PLAIN).estimate["cost"]


def test_a_level_is_the_candidates_own_mean() -> None:
    samples = dataclasses.replace(_guard([1.0] * 4, [1.0] * 4), levels={"fast": np.array([[0, 1.0]] * 3 + [[0, 0]])})

    ev = evidence(samples, dataclasses.replace(PLAIN, limits=(("fast", 0.5), ("unknown", 0.5))))

    assert [term.metric for term in ev.terms] == ["quality", "level fast", "gain"]
    assert ev.estimate["level fast"] == pytest.approx([0.75])
    assert ev.distance[1] == pytest.approx([0.25])


def test_a_free_baseline_leaves_nothing_to_save() -> None:
    samples = dataclasses.replace(
        _guard([1.0] * 3, [1.0] * 3, [1.0] * 3), cost_usd=np.array([[0.0, 1.0, 0.0]] * 3), latency_s=np.zeros((3, 3))
    )

    ev = evidence(samples, PLAIN)

    assert ev.estimate["cost"].tolist() == [1 - 1e6, 0.0]
    assert ev.estimate["latency"].tolist() == [0.0, 0.0]


def test_amounts_of_any_size_stay_finite() -> None:
    samples = dataclasses.replace(_guard([1.0] * 3, [1.0] * 3), cost_usd=np.array([[5e-324, 1e308]] * 3))

    ev = evidence(samples, PLAIN)

    assert np.isfinite(ev.draws).all()
    assert ev.p[-1, 0] == 1.0


@settings(max_examples=25, deadline=None)
@given(st.permutations(range(12)))
def test_names_of_units_do_not_matter(names: list[int]) -> None:
    samples = answers(3, [GOOD, BAD], n=24, turns=2)
    renamed = dataclasses.replace(samples, unit=np.array([f"c{names[u]}" for u in samples.unit]))

    ev, again = evidence(samples, Policy()), evidence(renamed, Policy())

    assert ev.p.tobytes() == again.p.tobytes()
    assert ev.draws.tobytes() == again.draws.tobytes()


def test_a_pair_of_columns_does_not_depend_on_the_other_candidates() -> None:
    samples = answers(4, [EQUAL, GOOD], n=40)
    alone = dataclasses.replace(
        samples, guards={m: x[:, [0, 2]] for m, x in samples.guards.items()}, cost_usd=None, latency_s=None
    )
    together = dataclasses.replace(samples, cost_usd=None, latency_s=None)

    assert evidence(alone, Policy()).draws[:, 0].tobytes() == evidence(together, Policy()).draws[:, 1].tobytes()


def test_dollars_saved_by_a_call_have_an_interval() -> None:
    # second source: the t interval of the same differences
    saved = np.random.default_rng(8).normal(0.004, 0.002, 200)

    found = looking.mean_interval(saved, np.arange(200), Policy())

    assert found is not None
    second = stats.ttest_1samp(saved, 0).confidence_interval(0.95)
    assert found.estimate == pytest.approx(float(saved.mean()))
    assert (found.low, found.high) == pytest.approx((second.low, second.high), abs=0.05 * (second.high - second.low))


def test_an_interval_of_nothing_is_unknown() -> None:
    assert looking.mean_interval(np.array([np.nan]), np.array([1]), Policy()) is None
    with pytest.raises(ValueError, match=r"^x: shape"):
        looking.mean_interval(np.zeros(2), np.zeros(3), Policy())
    with pytest.raises(ValueError, match=r"^x: values"):
        looking.mean_interval(np.array([np.inf]), np.zeros(1), Policy())
