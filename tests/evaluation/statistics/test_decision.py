"""The door of the engine."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from evaluation.statistics.decision import Outcome, Policy, Samples, Wanted, decide, step
from evaluation.statistics.fixed_point import Array
from evaluation.statistics.outcome import REASONS
from evaluation.statistics.policy import level_of
from tests.evaluation.statistics import simulated
from tests.evaluation.statistics.simulated import BAD, EQUAL, GOOD, PAST_THE_MARGIN, REFUSES, answers

GOLDEN = json.loads((Path(__file__).parents[2] / "data" / "decision_golden.json").read_text())["cases"]


def _golden_outcome(case: dict[str, Any]) -> Outcome:
    models = [getattr(simulated, name) for name in case["models"]]
    samples = answers(case["seed"], models, n=case["n"], turns=case["turns"], judges=case["judges"])
    if "limits" in case["policy"]:
        samples = dataclasses.replace(samples, levels={"answered": samples.guards["answered"]})
    samples = dataclasses.replace(samples, baseline=case["baseline"])
    return decide(samples, Policy.from_json(case["policy"]), total=case["n"])


# ------------------------------------------------------------------------------------------------ second sources
@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: f"{case['seed']}-{'-'.join(case['models'])}")
def test_outcomes_are_those_of_the_reference(case: dict[str, Any]) -> None:
    outcome = _golden_outcome(case)

    expected = case["expected"]
    for name in ("recommended", "leader", "reason", "prompts", "candidate_answers", "judged_answers"):
        assert getattr(outcome, name) == expected[name]
    # The reference sums float32 products: a re-weighting more or less may fail.
    assert outcome.confidence == pytest.approx(expected["confidence"], abs=2e-3)
    tested = [look for look in outcome.looks if not look.ranking]
    assert [(look.column, look.prompts) for look in tested] == [(c, n) for c, n, _ in expected["looks"]]
    for look, (_, _, shown) in zip(tested, expected["looks"], strict=True):
        found = [1.0 if c.p is None else c.p for c in look.conditions]
        assert found == pytest.approx(shown, abs=2e-3)


def _wrong_at_most(runs: int, *, rate: float) -> int:
    """The most wrong runs that a true rate explains with chance 0.999."""
    return int(stats.binom.ppf(0.999, runs, rate))


@pytest.mark.parametrize("model", [PAST_THE_MARGIN, REFUSES, EQUAL], ids=["past the margin", "refuses", "equal"])
def test_a_model_that_is_not_acceptable_is_recommended_no_more_often_than_stated(model: simulated.Model) -> None:
    runs = 150

    wrong = sum(decide(answers(s, [model])).recommended is not None for s in range(runs))

    assert wrong <= _wrong_at_most(runs, rate=level_of(0.7, 0.2))


def test_the_best_of_many_unacceptable_models_is_recommended_no_more_often_than_stated() -> None:
    models = [PAST_THE_MARGIN, REFUSES, PAST_THE_MARGIN, EQUAL]

    wrong = sum(decide(answers(s, models)).recommended is not None for s in range(100))

    assert wrong <= _wrong_at_most(100, rate=level_of(0.7, 0.2))


def test_a_good_model_is_found_among_bad_ones() -> None:
    found = [decide(answers(s, [BAD, GOOD, EQUAL])).recommended for s in range(40)]

    assert set(found) <= {None, 2}
    assert found.count(2) >= 20


# ------------------------------------------------------------------------------------------------ properties
def _after_every_batch(samples: Samples, policy: Policy, *, total: int, batch: int) -> Outcome:
    """Measure what is wanted, a few rows at a time, and never show a value that was not asked for."""
    columns = samples.guards["quality"].shape[1]
    measured = np.zeros(columns, int)

    def known(x: Array) -> Array:
        rows = np.arange(len(x))[:, None] < measured
        return np.where(rows if x.ndim == 2 else rows[:, :, None], x, np.nan)

    while True:
        part = dataclasses.replace(
            samples,
            guards={m: known(x) for m, x in samples.guards.items()},
            cost_usd=known(samples.cost_usd) if samples.cost_usd is not None else None,
            latency_s=known(samples.latency_s) if samples.latency_s is not None else None,
            scores_by_judge=known(samples.scores_by_judge) if samples.scores_by_judge is not None else None,
        )
        found = step(part, policy, measured=measured, total=total)
        if isinstance(found, Outcome):
            return found
        assert isinstance(found, Wanted)
        for column in (0, *found.columns):
            measured[column] = max(measured[column], min(found.rows, measured[column] + batch))


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    models=st.lists(st.sampled_from([GOOD, BAD, EQUAL, PAST_THE_MARGIN, REFUSES]), min_size=1, max_size=4),
    batch=st.integers(7, 120),
    turns=st.integers(1, 3),
    judges=st.sampled_from([0, 2]),
)
def test_a_step_after_every_batch_ends_as_decide_does(
    seed: int, models: list[simulated.Model], batch: int, turns: int, judges: int
) -> None:
    samples = answers(seed, models, n=150, turns=turns, judges=judges)

    assert _after_every_batch(samples, Policy(), total=150, batch=batch) == decide(samples, total=150)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10**6), shuffle=st.randoms(use_true_random=False))
def test_names_of_conversations_do_not_matter(seed: int, shuffle: Any) -> None:
    samples = answers(seed, [GOOD, EQUAL], n=120, turns=2)
    names = [f"conversation {i}" for i in range(60)]
    shuffle.shuffle(names)

    renamed = dataclasses.replace(samples, unit=np.array(names)[samples.unit])

    assert decide(renamed) == decide(samples)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), lost=st.integers(1, 12))
def test_a_worse_candidate_never_passes_where_a_better_one_fails(seed: int, lost: int) -> None:
    # scores are multiples of 1/64, so that a shift by lost/64 is exact; one candidate, so that no ranking changes
    rng = np.random.default_rng(seed)
    quality = rng.integers(12, 65, (200, 2)) / 64
    quality[:, 1] = np.clip(quality[:, 0] + rng.integers(-4, 8, 200) / 64, 12 / 64, 1)
    cost = np.exp(rng.standard_normal((200, 2))) * [1.0, 0.5]
    better = Samples({"quality": quality}, np.arange(200), cost_usd=cost)
    worse = dataclasses.replace(better, guards={"quality": quality - [0, lost / 64]})

    good, bad = decide(better), decide(worse)

    assert good.recommended is not None or bad.recommended is None
    if good.prompts == bad.prompts:
        assert bad.confidence <= good.confidence


@pytest.mark.parametrize("seed", range(8))
def test_a_condition_passes_at_a_look_exactly_when_its_bound_exceeds_its_bar(seed: int) -> None:
    outcome = decide(answers(seed, [GOOD], n=300), Policy(futility=0.0))

    tested = [c for look in outcome.looks for c in look.conditions if c.bound is not None]
    firsts = [(look, c) for look in outcome.looks for c in look.conditions if c.shown_at == look.prompts]
    assert tested
    for condition in tested:
        assert condition.bound is not None
        assert condition.shown or condition.bound <= condition.bar
        if condition.bound > condition.bar:
            assert condition.shown
    assert all(c.bound is not None and c.bound > c.bar for _, c in firsts)


@pytest.mark.parametrize("seed", range(4))
def test_every_candidate_has_a_finding_with_its_last_look(seed: int) -> None:
    outcome = decide(answers(seed, [BAD, GOOD, EQUAL, GOOD, GOOD]))

    assert [f.column for f in outcome.findings] == [1, 2, 3, 4, 5]
    for finding in outcome.findings:
        mine = [look for look in outcome.looks if look.column == finding.column]
        assert finding.look == mine[-1]
        assert finding.prompts == sum({look.ranking: look.prompts for look in mine}.values())
    states = [f.state for f in outcome.findings]
    assert states.count("recommended") == (outcome.recommended is not None)
    assert outcome.candidate_answers == sum(f.prompts for f in outcome.findings)


def test_same_arguments_give_the_same_outcome() -> None:
    assert decide(answers(5, [GOOD, BAD])) == decide(answers(5, [GOOD, BAD]))


# ------------------------------------------------------------------------------------------------ what became of whom
def test_findings_say_what_became_of_each_candidate() -> None:
    outcome = decide(answers(1, [dataclasses.replace(BAD, quality=-0.6), GOOD, GOOD, GOOD, GOOD]))

    states = {f.column: f.state for f in outcome.findings}
    assert states[1] == "dropped_at_ranking"
    assert "recommended" in states.values()
    assert "not_reached" in states.values()


def test_a_hopeless_candidate_is_dropped_before_the_limit() -> None:
    outcome = decide(answers(1, [BAD]))

    assert outcome.code == "no_candidate_likely"
    assert outcome.findings[0].state == "dropped"
    assert outcome.prompts < 300


def test_one_of_several_is_given_up_later_than_one_alone() -> None:
    for seed in range(12):
        samples = answers(seed, [EQUAL, PAST_THE_MARGIN])
        patient, strict = decide(samples), decide(samples, Policy(futility_ranked=0.1))

        assert patient.candidate_answers >= strict.candidate_answers
        ends = [look.chance for look in strict.looks if not look.ranking and look.chance is not None]
        assert all(0 <= chance <= 1 for chance in ends)
        for finding in patient.findings:
            if finding.state == "dropped":
                assert finding.look is not None
                assert finding.look.chance is not None
                assert finding.look.chance < 0.05
    lone = decide(answers(1, [BAD]), Policy(futility_ranked=0.0))
    assert lone == decide(answers(1, [BAD]))


def test_a_look_knows_estimates_means_and_counts() -> None:
    outcome = decide(answers(0, [GOOD]))

    look = outcome.looks[-1]
    assert set(look.estimates) == {"quality", "safety", "answered", "cost", "latency"}
    cost = look.measures["cost"]
    assert cost.baseline is not None
    assert cost.value is not None
    assert cost.estimate == pytest.approx(1 - cost.value / cost.baseline)
    assert cost.low < cost.estimate < cost.high
    assert (cost.prompts, cost.unscored) == (look.prompts, 0)


def test_judges_who_disagree_keep_a_good_candidate_from_being_recommended() -> None:
    samples = answers(0, [GOOD])
    quality = samples.guards["quality"]
    apart = np.stack([quality, 1 - quality], axis=2)

    outcome = decide(dataclasses.replace(samples, scores_by_judge=apart), Policy(judge_sd=0.0))

    assert (outcome.recommended, outcome.code) == (None, "judges_disagree")
    assert outcome.findings[0].state == "not_shown"
    assert outcome.looks[-1].panel is not None
    assert not outcome.looks[-1].panel.fit


@pytest.mark.parametrize("judges", [0, 2])
def test_an_unfit_judge_keeps_a_candidate_from_being_recommended_and_is_named(judges: int) -> None:
    samples = answers(0, [dataclasses.replace(GOOD, quality=0.1)], judges=judges)

    outcome = decide(samples, Policy(unfit=(1,)))

    assert decide(samples).recommended == 1
    assert (outcome.recommended, outcome.code) == (None, "judge_unfit")
    panel = outcome.looks[-1].panel
    assert panel is not None
    assert panel.unfit == (1,)


def test_at_equal_ranking_rows_a_copy_of_one_candidate_never_helps_another() -> None:
    for seed in range(6):
        samples = answers(seed, [GOOD, EQUAL])
        pick = [0, 1, 2, 1]
        copied = dataclasses.replace(
            samples,
            guards={name: x[:, pick] for name, x in samples.guards.items()},
            cost_usd=None if samples.cost_usd is None else samples.cost_usd[:, pick],
            latency_s=None if samples.latency_s is None else samples.latency_s[:, pick],
        )

        alone, beside = decide(samples), decide(copied)

        if beside.recommended == 2:
            assert alone.recommended is not None
        tested = {look.prompts: look.p for look in alone.looks if look.column == 2 and look.p is not None}
        for look in beside.looks:
            if look.column == 2 and look.p is not None and look.prompts in tested:
                assert look.p >= tested[look.prompts] - 1e-12


def _refusing(samples: Samples, column: int) -> Samples:
    answered = samples.guards["answered"].copy()
    answered[:, column] = 0.0
    return dataclasses.replace(samples, guards={**samples.guards, "answered": answered})


def _failing(samples: Samples, column: int) -> Samples:
    """A model whose every call fails: nothing answered, quality 0, no harm, nothing charged, no latency known."""
    guards = {name: x.copy() for name, x in samples.guards.items()}
    guards["quality"][:, column] = guards["answered"][:, column] = 0.0
    assert samples.cost_usd is not None
    assert samples.latency_s is not None
    cost, latency = samples.cost_usd.copy(), samples.latency_s.copy()
    cost[:, column], latency[:, column] = 0.0, np.nan
    return dataclasses.replace(samples, guards=guards, cost_usd=cost, latency_s=latency)


@pytest.mark.parametrize("broken", [_refusing, _failing])
@pytest.mark.parametrize("turns", [1, 300])
@pytest.mark.parametrize("rivals", [[], [GOOD]])
def test_a_model_that_refuses_or_fails_throughout_is_an_outcome_with_its_reason(
    broken: Any, turns: int, rivals: list[simulated.Model]
) -> None:
    samples = answers(1, [GOOD, *rivals], turns=turns)

    candidate, baseline = decide(broken(samples, 1)), decide(broken(samples, 0))

    assert candidate.recommended != 1
    assert candidate.findings[0].state in {"dropped", "dropped_at_ranking", "not_shown"}
    for outcome in (candidate, baseline):
        assert np.isfinite(outcome.confidence)
        assert outcome.reason
        assert all(look.p is None or np.isfinite(look.p) for look in outcome.looks)
        assert all(np.isfinite(c.estimate) for look in outcome.looks for c in look.conditions)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), share=st.floats(0.0, 1.0), k=st.integers(1, 3), constant=st.booleans())
def test_whatever_is_missing_there_is_a_finite_outcome(seed: int, share: float, k: int, constant: bool) -> None:
    rng = np.random.default_rng(seed)
    samples = answers(seed, [GOOD] * k, n=60, judges=2)

    def holed(x: Array) -> Array:
        values = np.ones_like(x) if constant else x
        return np.where(rng.random(x.shape) < share, np.nan, values)

    broken = dataclasses.replace(
        samples,
        guards={name: holed(x) for name, x in samples.guards.items()},
        cost_usd=None if samples.cost_usd is None else holed(samples.cost_usd),
        latency_s=None if samples.latency_s is None else holed(samples.latency_s),
        scores_by_judge=None if samples.scores_by_judge is None else holed(samples.scores_by_judge),
        human=holed(samples.guards["quality"]),
        unit=rng.integers(0, 40, 60),
        baseline={"cost": 0.0, "answered": 1.0},
    )

    outcome = decide(broken)

    assert 0 <= outcome.confidence <= 1
    assert outcome.code in REASONS
    for look in outcome.looks:
        assert np.isfinite([c.estimate for c in look.conditions]).all()
        assert look.chance is None or 0 <= look.chance <= 1


def test_too_few_conversations_recommend_nothing() -> None:
    samples = answers(0, [dataclasses.replace(GOOD, quality=0.15)])

    few = dataclasses.replace(samples, unit=np.arange(300) // 16)
    policy = Policy(margins=(("quality", 0.05),), imagined_quality=0.0)

    assert decide(few, policy).code == "too_few_conversations"


def test_what_nobody_measured_is_left_out_and_named() -> None:
    samples = answers(0, [GOOD])
    part = dataclasses.replace(samples, guards={"quality": samples.guards["quality"]}, latency_s=None)

    outcome = decide(part, Policy(limits=(("within 3 s", 0.95),)))

    assert outcome.unmeasured == ("safety", "answered", "level within 3 s", "latency")
    assert decide(samples).unmeasured == ()
    assert [c.metric for c in outcome.looks[-1].conditions] == ["quality", "gain"]


def test_a_hard_limit_is_a_condition_of_its_own() -> None:
    samples = answers(0, [GOOD])
    slow = dataclasses.replace(samples, levels={"within 3 s": np.tile([1.0, 0.9], (300, 1))})

    free, bound = decide(slow), decide(slow, Policy(limits=(("within 3 s", 0.95),)))

    assert free.recommended == 1
    assert bound.recommended is None
    assert [c.kind for c in bound.looks[-1].conditions] == ["margin", "margin", "margin", "limit", "gain"]


_BYTES = """
import hashlib
from evaluation.statistics.decision import decide
from tests.evaluation.statistics.simulated import BAD, EQUAL, GOOD, answers
found = hashlib.sha256()
for seed in range(6):
    outcome = decide(answers(seed, [GOOD, BAD, EQUAL][: 1 + seed % 3], turns=1 + seed % 2, judges=seed % 3))
    found.update(repr(outcome).encode() + outcome.leader_evidence.draws.tobytes())
print(found.hexdigest())
"""


def test_an_outcome_has_the_same_bytes_with_other_processor_kernels_and_threads() -> None:
    root = Path(__file__).parents[3]
    # OpenBLAS and numpy choose their kernels by these; where they are unknown, nothing changes
    kinds = [
        {"OPENBLAS_CORETYPE": "Haswell", "OPENBLAS_NUM_THREADS": "2"},
        {"OPENBLAS_CORETYPE": "Prescott", "OPENBLAS_NUM_THREADS": "1", "NPY_DISABLE_CPU_FEATURES": "X86_V4 X86_V3"},
    ]

    done = [
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", _BYTES],
            cwd=root,
            env=os.environ | kind,
            capture_output=True,
            check=True,
        ).stdout
        for kind in kinds
    ]

    assert done[0] == done[1]
