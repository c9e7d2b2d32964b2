"""Recorded answers decided many times: truth, samples and what is said about them."""

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import recorded_draws
from benchmarks.recorded_draws import Question, Recording
from evaluation.statistics.decision import Policy

ROOT = Path(__file__).resolve().parents[2]
INVENTED = ROOT / "tests/data/recordings"
POLICY = Policy(judge_sd=0.0, margins=(("quality", 0.05),))


def _model(right: float, *, n: int = 400, length: int = 100) -> Recording:
    names = [f"p{i:03}" for i in range(n)]
    rng = np.random.default_rng(round(1000 * right))
    scores = (rng.permutation(n) < round(right * n)).astype(float)
    return Recording(dict(zip(names, scores.tolist(), strict=True)), dict.fromkeys(names, length), {})


def test_truth_is_the_mean_over_all_shared_prompts() -> None:
    question = Question(POLICY, limit=150)

    found = recorded_draws.draw([_model(0.7), _model(0.9), _model(0.4)], question, rng=np.random.default_rng(1))

    assert found is not None
    assert found.difference == pytest.approx([0.2, -0.3])
    assert not found.acceptable[1]
    assert found.samples.unit.size == 150


def test_models_with_too_few_prompts_in_common_are_not_compared() -> None:
    assert (
        recorded_draws.draw([_model(0.7), _model(0.8, n=99)], Question(POLICY, 100), rng=np.random.default_rng(1))
        is None
    )


def test_labels_are_what_is_recorded_on_the_first_prompts() -> None:
    found = recorded_draws.draw(
        [_model(0.7), _model(0.9)], Question(POLICY, 100, labels=12), rng=np.random.default_rng(1)
    )

    assert found is not None
    assert found.samples.human is not None
    assert np.isfinite(found.samples.human).all(1).sum() == 12
    assert (found.samples.human[:12] == found.samples.guards["quality"][:12]).all()


def test_an_unreadable_score_is_in_no_mean() -> None:
    model, broken = _model(0.7), _model(0.9)
    broken = Recording({**broken.scores, "p000": math.nan}, broken.lengths, {})

    found = recorded_draws.draw([model, broken], Question(POLICY, 400), rng=np.random.default_rng(1))

    assert found is not None
    assert np.isfinite(found.difference).all()
    decided = recorded_draws.decided(found, Question(POLICY, 400), name="pairs", textbook=200)
    assert all(math.isfinite(run.stated) for run in decided.runs)


def test_a_much_better_model_is_found_and_a_worse_one_never_recommended() -> None:
    models = {"good": _model(0.9), "middling": _model(0.7), "bad": _model(0.4), "worse": _model(0.3)}

    found = recorded_draws.report(models, Question(POLICY, 300), draws=10, seed=3)

    several = found["three_to_eight_candidates"]
    assert several["agentopt"]["wrong"] == 0.0
    assert several["agentopt"]["answers"] < several["textbook"]["answers"]
    assert found["worse_than_5_points_recommended"] == 0
    assert found["within_a_point"] == {"pairs": 0, "draws": 0, "claimed_better": 0, "share": None}


def test_pairs_within_a_point_are_both_ways() -> None:
    models = {"a": _model(0.70), "b": _model(0.705), "c": _model(0.9)}

    found = recorded_draws.report(models, Question(POLICY, 100), draws=4, seed=3)

    assert found["within_a_point"]["pairs"] == 1
    assert found["within_a_point"]["draws"] == 4


def _command(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "benchmarks.recorded", "--recordings", str(INVENTED), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, check=False, text=True)


def test_the_command_prints_one_json_object() -> None:
    done = _command("--set", "qa", "--draws", "3", "--limit", "60", "--labels", "20", "--threshold", "0.8", "--json")

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["set"], found["draws"], found["limit"], found["labels"], found["threshold"]) == ("qa", 3, 60, 20, 0.8)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--set", "chat", "--draws", "2", "--labels", "5"), "no recorded right or wrong"),
        (("--set", "chat", "--labels", "5"), "no recorded right or wrong"),
        (("--set", "qa", "--draws", "0"), "at least 1"),
        (("--set", "qa", "--draws", "2", "--limit", "10"), "at least 30"),
        (("--set", "qa", "--threshold", "0.99"), "a number from 0.5"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: tuple[str, ...], said: str) -> None:
    done = _command(*arguments)

    assert done.returncode != 0
    assert said in done.stderr
