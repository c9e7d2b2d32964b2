"""Recorded answers of real models, decided many times: random baselines and candidates, truth known from the whole set.

Used by `python -m benchmarks.recorded --draws D`. Scores are recorded; cost and latency are answer lengths times prices
and speeds that are invented per model and draw. Prompts are drawn as the product draws them (evaluation/sampling.py),
and truth is the plain mean over all prompts that the models of a draw have in common: the population of decision.md.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks import anchors
from benchmarks.anchors import Verdict
from benchmarks.decision import Run, reliability, row
from evaluation import sampling
from evaluation.statistics.decision import Policy, Samples, decide

Array = npt.NDArray[np.float64]

LEAST_SHARED = 100  # prompts that the models of a draw must have in common
NEAR, WORSE = 0.01, 0.05  # points of quality: the same, and never to be recommended
UNKNOWN_JUDGE_SD = 0.025
_QUALITY_ALONE = (("quality", 1.0, 0.10),)


@dataclass(frozen=True)
class Recording:
    """One model's recorded scores in [0, 1] (nan: unreadable), answer lengths and use cases, by prompt."""

    scores: Mapping[str, float]
    lengths: Mapping[str, int]
    use_cases: Mapping[str, str]


@dataclass(frozen=True)
class Question:
    """What is decided in each draw."""

    policy: Policy
    limit: int
    labels: int = 0  # prompts of a draw that people labelled: with what is recorded as true


@dataclass(frozen=True)
class Draw:
    """Samples of some models, and what is true of the candidates over all their shared prompts."""

    samples: Samples
    acceptable: npt.NDArray[np.bool_]
    difference: Array  # of quality


@dataclass(frozen=True)
class Decided:
    """A draw and what each method said; `difference` is that of the candidate whom the engine recommended."""

    runs: tuple[Run, Run]
    difference: float | None


def draw(recordings: Sequence[Recording], question: Question, *, rng: np.random.Generator) -> Draw | None:
    """Draw prompts of these models, the baseline's first; None where they have too few in common."""
    shared = sorted(set.intersection(*(set(model.scores) for model in recordings)))
    if len(shared) < LEAST_SHARED:
        return None
    quality = np.array([[model.scores[name] for model in recordings] for name in shared])
    length = np.array([[model.lengths[name] for model in recordings] for name in shared], float)
    cost = length * np.exp(rng.normal(0.0, 0.8, len(recordings)))
    latency = 0.3 + length * 0.002 * np.exp(rng.normal(0.0, 0.4, len(recordings)))
    known = np.isfinite(quality).all(1)
    difference = quality[known][:, 1:].mean(0) - quality[known][:, 0].mean()
    saved = {name: 1 - x[:, 1:].mean(0) / x[:, 0].mean() for name, x in (("cost", cost), ("latency", latency))}
    gain = sum((w * {**saved, "quality": difference}[m] / s for m, w, s in question.policy.weights), 0 * difference)
    margin = dict(question.policy.margins)["quality"]
    cases = [recordings[0].use_cases.get(name, "") for name in shared]
    rows = sampling.order(cases, shared, seed=int(rng.integers(2**31)))[: question.limit]
    human = None
    if question.labels:
        human = np.where(np.arange(rows.size)[:, None] < question.labels, quality[rows], np.nan)
    samples = Samples(
        {"quality": quality[rows]}, np.arange(rows.size), cost_usd=cost[rows], latency_s=latency[rows], human=human
    )
    return Draw(samples, (difference > -margin) & (gain > question.policy.min_gain), difference)


def decided(found: Draw, question: Question, *, name: str, textbook: int) -> Decided:
    """Decide one draw by the engine and by the textbook on `textbook` prompts."""
    said = decide(found.samples, question.policy, total=question.limit)
    plain = dataclasses.replace(
        found.samples, guards={m: np.nan_to_num(x, nan=float(np.nanmean(x))) for m, x in found.samples.guards.items()}
    )
    n = min(textbook, found.samples.unit.size)
    by_book = anchors.t_tests(plain, question.policy, n=n, alpha=0.1, clustered=True)
    verdicts = {
        "agentopt": Verdict(said.recommended, said.confidence, said.candidate_answers),
        f"textbook, n = {textbook}": by_book,
    }
    ours, book = (_run(method, verdict, found, name=name) for method, verdict in verdicts.items())
    difference = None if said.recommended is None else float(found.difference[said.recommended - 1])
    return Decided((ours, book), difference)


def _run(method: str, verdict: Verdict, found: Draw, *, name: str) -> Run:
    k = found.acceptable.size
    right = verdict.recommended is not None and bool(found.acceptable[verdict.recommended - 1])
    return Run(
        method=method,
        setting=name,
        mix=name,
        candidates=k,
        there_is_one=bool(found.acceptable.any()),
        issued=verdict.recommended is not None,
        right=right,
        stated=verdict.confidence,
        answers=verdict.answers / k,
    )


# ------------------------------------------------------------------------------------------------ many draws
def report(recordings: Mapping[str, Recording], question: Question, *, draws: int, seed: int) -> dict[str, Any]:
    """Decide so many draws of three to eight candidates, of single pairs, and of pairs within a point of each other.

    Pairs within a point are decided on quality alone, with a least gain of a point: a recommendation claims one better.
    """
    rng = np.random.default_rng(seed)
    names = sorted(recordings)
    book = min(200, question.limit)
    several, pairs, near = [], [], []
    alone = dataclasses.replace(question, policy=dataclasses.replace(question.policy, weights=_QUALITY_ALONE))
    alike = _alike(recordings)
    for number in range(draws):
        chosen = _choose(names, int(rng.integers(3, 9)), rng)
        several += _decide_one([recordings[n] for n in chosen], question, rng=rng, name="several", textbook=book)
        chosen = _choose(names, 1, rng)
        pairs += _decide_one([recordings[n] for n in chosen], question, rng=rng, name="pairs", textbook=book)
        if alike:
            chosen = list(alike[number % len(alike)])
            near += _decide_one([recordings[n] for n in chosen], alone, rng=rng, name="near", textbook=book)
    return {
        "draws": draws,
        "seed": seed,
        "limit": question.limit,
        "labels": question.labels,
        "threshold": question.policy.threshold,
        "models": len(names),
        "three_to_eight_candidates": _summary(several),
        "pairs": _summary(pairs),
        "within_a_point": {
            "pairs": len(alike) // 2,
            "draws": len(near),
            "claimed_better": sum(one.runs[0].issued for one in near),
            "share": round(sum(one.runs[0].issued for one in near) / len(near), 4) if near else None,
        },
        "worse_than_5_points_recommended": sum(
            one.difference is not None and one.difference < -WORSE for one in (*several, *pairs, *near)
        ),
    }


def _choose(names: Sequence[str], k: int, rng: np.random.Generator) -> list[str]:
    return [names[i] for i in rng.permutation(len(names))[: k + 1]]


def _decide_one(
    models: Sequence[Recording], question: Question, *, rng: np.random.Generator, name: str, textbook: int
) -> list[Decided]:
    found = draw(models, question, rng=rng)
    return [] if found is None else [decided(found, question, name=name, textbook=textbook)]


def _alike(recordings: Mapping[str, Recording]) -> list[tuple[str, str]]:
    """Ordered pairs of models whose quality differs by a point at most over the prompts they share."""
    found = []
    for one in sorted(recordings):
        for other in sorted(recordings):
            mine, theirs = recordings[one].scores, recordings[other].scores
            both = [n for n in mine if n in theirs and not math.isnan(mine[n] + theirs[n])]
            if one != other and len(both) >= LEAST_SHARED:
                difference = math.fsum(mine[n] - theirs[n] for n in sorted(both)) / len(both)
                found += [(one, other)] if abs(difference) <= NEAR else []
    return found


def _summary(found: Sequence[Decided]) -> dict[str, Any]:
    ours, book = [one.runs[0] for one in found], [one.runs[1] for one in found]
    own, theirs = row(ours), row(book)
    share = own["answers"] / theirs["answers"] if own["answers"] is not None and theirs["answers"] else None
    return {
        "agentopt": own,
        "textbook": theirs,
        "share_of_answers": None if share is None else round(share, 4),
        "reliability": reliability(ours),
    }
