"""The benchmark of the decision: its worlds, its anchors and its tables."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from benchmarks import anchors, decision, worlds
from evaluation.statistics.decision import Policy, Samples


def _world(number: int, *, k: int = 3, seed: int = 1) -> worlds.World:
    return worlds.make(worlds.families()[number], np.random.default_rng(seed), k)


def test_there_are_forty_families_and_half_of_them_tempt() -> None:
    families = worlds.families()

    assert len(set(families)) == 40
    assert sum(family.mix in {"just past", "spiky"} for family in families) == 20


@pytest.mark.parametrize("number", range(10))
def test_nobody_is_acceptable_just_past_a_bar(number: int) -> None:
    world = _world(number, k=8)

    assert not world.acceptable(Policy()).any()
    assert world.acceptable(Policy(margins=tuple((m, 0.052) for m, _ in Policy().margins), min_gain=0.09)).all()


@pytest.mark.parametrize("number", [31, 33, 35, 37, 39])
def test_good_candidates_are_acceptable(number: int) -> None:
    assert worlds.families()[number].mix == "good"
    assert _world(number).acceptable(Policy()).all()


def test_means_of_a_world_are_exact() -> None:
    rng = np.random.default_rng(3)
    changes = worlds.families()[21].changes(np.random.default_rng(3), 3)

    world = worlds.make(worlds.families()[21], rng, 3)

    found = world.differences()
    assert found["quality"] == pytest.approx([c.quality for c in changes], abs=1e-6)
    assert found["cost"] == pytest.approx([1 - c.cost for c in changes])
    assert found["latency"] == pytest.approx([1 - c.latency for c in changes])
    assert found["answered"] == pytest.approx([-max(c.refusals, -0.02) for c in changes], abs=1 / worlds.PROMPTS)


def test_samples_are_rows_of_the_world() -> None:
    world = _world(2)

    samples = world.sample(300, np.random.default_rng(5), labels=40)

    assert samples.guards["quality"].shape == (300, 4)
    assert set(np.bincount(samples.unit)[:-1].tolist()) <= {6, 4}  # whole conversations; the last of the log is short
    assert samples.human is not None
    assert np.isfinite(samples.human).all(1).tolist() == [True] * 40 + [False] * 260
    pooled = world.sample(20_000, np.random.default_rng(6)).guards["quality"].mean(0)
    assert pooled == pytest.approx(world.seen["quality"].mean(0), abs=0.02)


# ------------------------------------------------------------------------------------------------ anchors
def _samples(difference: float, n: int = 100) -> Samples:
    rng = np.random.default_rng(2)
    base = rng.random(n) * 0.5 + 0.25
    quality = np.stack([base, base + difference + rng.normal(0, 0.05, n)], axis=1)
    return Samples({"quality": quality}, np.arange(n), cost_usd=np.tile([1.0, 0.4], (n, 1)))


def test_averages_recommend_whoever_looks_acceptable() -> None:
    # by hand: gain = 0.4 × 0.6 / 0.5 = 0.48 and more, so quality alone decides
    assert anchors.averages(_samples(-0.02), Policy(), n=100) == anchors.Verdict(1, 1.0, 100)
    assert anchors.averages(_samples(-0.08), Policy(), n=100).recommended is None


def test_the_t_test_is_that_of_scipy() -> None:
    samples = _samples(-0.043)

    found = anchors.t_tests(samples, Policy(), n=100)

    difference = samples.guards["quality"][:, 1] - samples.guards["quality"][:, 0]
    expected = stats.ttest_1samp(difference, -0.05, alternative="greater")
    assert found.confidence == pytest.approx(1 - expected.pvalue)
    # conversations of one prompt each are clusters of one
    assert anchors.t_tests(samples, Policy(), n=100, clustered=True).confidence == pytest.approx(found.confidence)


def test_the_bootstrap_stops_at_the_first_look_that_passes() -> None:
    found = anchors.peeking_bootstrap(_samples(0.05), Policy(), looks=(20, 30, 50))

    assert (found.recommended, found.answers, found.looks) == (1, 20, 1)
    assert anchors.peeking_bootstrap(_samples(-0.2), Policy(), looks=(20, 30, 50)).answers == 50


# ------------------------------------------------------------------------------------------------ tables
def _run(*, issued: bool, right: bool, stated: float = 0.75, there: bool = True, mix: str = "typical") -> decision.Run:
    return decision.Run("m", "binary", mix, 3, there, issued, right, stated, 50.0)


def test_a_row_counts_what_was_wrong_right_and_found() -> None:
    # by hand: 4 runs, 3 issued, 2 right, 3 with an acceptable candidate
    runs = [
        _run(issued=True, right=True),
        _run(issued=True, right=True, stated=0.95),
        _run(issued=True, right=False, there=False),
        _run(issued=False, right=False),
    ]

    found = decision.row(runs)

    assert (found["wrong"], found["right"], found["power"]) == (0.25, 0.6667, 0.6667)
    assert found["stated"] == pytest.approx((0.75 + 0.95 + 0.75) / 3, abs=1e-4)
    bands = decision.reliability(runs)
    assert [band["issued"] for band in bands] == [2, 0, 0, 1]
    assert [band["right"] for band in bands] == [0.5, None, None, 1.0]


def test_rows_of_nothing_say_that_nothing_is_known() -> None:
    found = decision.row([_run(issued=False, right=False, there=False)])

    assert (found["right"], found["stated"], found["power"]) == (None, None, None)
    assert found["wrong"] == 0.0
    past = decision.just_past([_run(issued=True, right=False, there=False, mix="just past")])
    assert (past["wrong"], past["alpha"]) == (1.0, 0.0968)


def test_the_same_seed_makes_the_same_worlds() -> None:
    methods = {"averages": decision.METHODS["compare averages, n = 100"]}

    assert decision.simulate(6, seed=4, methods=methods) == decision.simulate(6, seed=4, methods=methods)
    assert decision.simulate(6, seed=4, methods=methods) != decision.simulate(6, seed=5, methods=methods)


def test_the_command_prints_one_json_object() -> None:
    found = subprocess.run(
        [sys.executable, "-m", "benchmarks.decision", "--runs", "3", "--json"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )

    printed = json.loads(found.stdout)
    assert (printed["runs"], len(printed["methods"])) == (3, len(decision.METHODS))
    for method in printed["methods"]:
        assert set(method) >= {"method", "total", "by_family", "by_candidates", "reliability", "just_past"}
        assert method["total"]["runs"] == 3
    assert decision.text(printed).startswith("3 simulated worlds")
