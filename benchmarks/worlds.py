"""Simulated worlds with known truth for `benchmarks.decision`: finite logs in which every model's means are exact.

A world is a log of 4,000 prompts that a baseline and k candidates have answered. Truth is the log's plain means;
samples are drawn from it with replacement, so that no finite-population effect flatters a method.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evaluation.statistics.decision import Policy, Samples

Array = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]

CANDIDATES = (1, 3, 8)
PROMPTS = 4000
_SEGMENTS = 8
_CORRELATION = 0.3  # share of what is hard about a prompt that its conversation has in common


@dataclass(frozen=True)
class Change:
    """How a candidate differs from the baseline in the population; margins of the default policy are 0.05."""

    quality: float = 0.0
    cost: float = 1.0  # ratio of means
    latency: float = 1.0
    refusals: float = 0.0
    safety: float = 0.0
    ruined: bool = False  # besides, as many answers fail completely as it takes to fall just past the quality margin


KINDS: Mapping[str, Change] = {
    "clone": Change(),  # nothing to gain
    "at margin": Change(-0.0505, 0.20, 0.50),  # just out on quality, tempting
    "refuses": Change(0.0, 0.30, 0.60, refusals=0.0505),
    "better, refuses": Change(0.08, 0.30, 0.60, refusals=0.0505),
    "unsafe": Change(0.0, 0.30, 0.60, safety=-0.0505),
    "better, unsafe": Change(0.08, 0.30, 0.60, safety=-0.0505),
    "small gain": Change(0.0, 0.892, 0.97),  # just under the least gain
    "catastrophes": Change(0.02, 0.20, 0.50, ruined=True),
    "cheap equal": Change(0.0, 0.40, 0.80),
    "cheap better": Change(0.03, 0.50, 0.90),
    "cheap within": Change(-0.02, 0.25, 0.60),
    "dear better": Change(0.08, 1.10, 1.0),
    "bad": Change(-0.20, 0.10, 0.40, refusals=0.01, safety=-0.02),
}
JUST_PAST = ("at margin", "refuses", "better, refuses", "unsafe", "better, unsafe", "small gain", "catastrophes")
GOOD = ("cheap equal", "cheap better", "cheap within", "dear better")
_SPIKY = JUST_PAST * 2 + ("bad",) * 4 + GOOD


@dataclass(frozen=True)
class Setting:
    """How prompts, scores and judges are in a world."""

    name: str
    binary: bool = False  # scores of 0 and 1, else graded
    turns: int = 1  # prompts of a conversation; above 1 whole conversations are drawn, the hard case
    tail: float = 0.6  # how heavy the tails of cost and latency are
    judge: str = "clean"


@dataclass(frozen=True)
class Errors:
    """How each of two judge models errs."""

    noise: float = 0.0  # sd on a graded score
    flipped: float = 0.0  # share of binary scores turned round
    private: float = 0.0  # sd of a judge's own bias per model
    common: float = 0.0  # sd of the bias that both share, per model


JUDGES: Mapping[str, Errors] = {
    "noisy": Errors(noise=0.15, flipped=0.08),
    "biased": Errors(noise=0.10, flipped=0.05, private=0.010, common=0.012),
    "very biased": Errors(noise=0.10, flipped=0.05, private=0.02, common=0.04),
    "split": Errors(noise=0.10, flipped=0.05, private=0.06),
}
SETTINGS = (
    Setting("binary", binary=True),
    Setting("graded"),
    Setting("binary, conversations", binary=True, turns=6),
    Setting("graded, conversations", turns=6),
    Setting("binary, noisy judges", binary=True, judge="noisy"),
    Setting("graded, noisy judges", judge="noisy"),
    Setting("binary, biased judges", binary=True, judge="biased"),
    Setting("graded, biased judges", judge="biased"),
    Setting("graded, heavy tails", tail=1.1),
    Setting("binary, split judges", binary=True, judge="split"),
)
MIXES = ("just past", "spiky", "typical", "pessimistic or good")


@dataclass(frozen=True)
class Family:
    """A kind of world: prompts and judges, and where the candidates lie."""

    setting: Setting
    mix: str

    def changes(self, rng: np.random.Generator, k: int) -> list[Change]:
        """Draw k candidates; those of spiky worlds are mostly just past a bar, those of typical ones of every size."""
        named = {"just past": JUST_PAST, "spiky": _SPIKY, "good": GOOD}.get(self.mix)
        if named:
            return [KINDS[named[i]] for i in rng.integers(len(named), size=k)]
        return [_typical(rng) if self.mix == "typical" else _pessimistic(rng) for _ in range(k)]


def families() -> tuple[Family, ...]:
    """Return the forty families: every setting with every mix, pessimistic and good ones in turn."""
    found = []
    for mix in MIXES:
        for number, setting in enumerate(SETTINGS):
            own = ("pessimistic", "good")[number % 2] if mix == "pessimistic or good" else mix
            found.append(Family(setting, own))
    return tuple(found)


def _typical(rng: np.random.Generator) -> Change:
    quality, cost, latency = rng.normal(-0.02, 0.06), rng.normal(math.log(0.5), 0.7), rng.normal(math.log(0.9), 0.4)
    refusals = 0.0 if rng.random() < 0.7 else rng.normal(0.02, 0.03)
    return _clipped(quality, cost, latency, refusals, 0.0 if rng.random() < 0.8 else -abs(rng.normal(0, 0.02)))


def _pessimistic(rng: np.random.Generator) -> Change:
    quality, cost, latency = rng.normal(-0.08, 0.06), rng.normal(math.log(0.7), 0.6), rng.normal(0.0, 0.4)
    refusals = 0.0 if rng.random() < 0.5 else rng.normal(0.04, 0.04)
    return _clipped(quality, cost, latency, refusals, 0.0 if rng.random() < 0.7 else -abs(rng.normal(0, 0.03)))


def _clipped(quality: float, cost: float, latency: float, refusals: float, safety: float) -> Change:
    return Change(
        quality=float(np.clip(quality, -0.5, 0.15)),
        cost=math.exp(cost),
        latency=math.exp(latency),
        refusals=max(refusals, -0.02),
        safety=max(safety, -0.2),
    )


# ------------------------------------------------------------------------------------------------ one world
@dataclass(frozen=True)
class World:
    """A finite log; arrays are (prompts, 1 + k), column 0 the baseline."""

    seen: Mapping[str, Array]  # guards as the judges score them
    true: Mapping[str, Array]  # guards as they are
    cost: Array
    latency: Array
    conversation: Whole  # (prompts,) contiguous
    by_judge: Array | None
    whole_conversations: bool

    def differences(self) -> dict[str, Array]:
        """Return the true difference or share saved of every metric, shape (k,)."""
        found = {name: x[:, 1:].mean(0) - x[:, 0].mean() for name, x in self.true.items()}
        found["cost"] = 1 - self.cost[:, 1:].mean(0) / self.cost[:, 0].mean()
        found["latency"] = 1 - self.latency[:, 1:].mean(0) / self.latency[:, 0].mean()
        return found

    def acceptable(self, policy: Policy) -> npt.NDArray[np.bool_]:
        """Return which candidates truly fulfil all conditions, shape (k,)."""
        by = self.differences()
        gain = sum((weight * by[name] / scale for name, weight, scale in policy.weights), np.zeros(by["cost"].size))
        ok = gain > policy.min_gain
        for name, margin in policy.margins:
            ok &= by[name] > -margin
        return np.asarray(ok, bool)

    def baseline_means(self, *names: str) -> dict[str, float]:
        """Return means of the baseline over the whole log, as the judges see them; those of a log are known for cost
        and answered."""
        known = {**self.seen, "cost": self.cost}
        return {name: float(known[name][:, 0].mean()) for name in names}

    def sample(self, n: int, rng: np.random.Generator, *, labels: int = 0) -> Samples:
        """Draw n prompts; people score both answers of the first so many of them, with an error of sd 0.1."""
        rows, unit = self._rows(n, rng)
        human = None
        if labels:
            error = rng.normal(0, 0.1, (n, self.cost.shape[1]))
            human = np.clip(self.true["quality"][rows] + error, 0, 1)
            human[labels:] = np.nan
        return Samples(
            guards={name: x[rows] for name, x in self.seen.items()},
            unit=unit,
            cost_usd=self.cost[rows],
            latency_s=self.latency[rows],
            scores_by_judge=None if self.by_judge is None else self.by_judge[rows],
            human=human,
        )

    def _rows(self, n: int, rng: np.random.Generator) -> tuple[Whole, Whole]:
        if not self.whole_conversations:
            return rng.integers(self.conversation.size, size=n), np.arange(n)
        first = np.unique(self.conversation, return_index=True)[1]
        bounds = np.append(first, self.conversation.size)
        rows: list[Whole] = []
        while sum(x.size for x in rows) < n:
            drawn = int(rng.integers(first.size))
            rows.append(np.arange(bounds[drawn], bounds[drawn + 1]))
        unit = np.repeat(np.arange(len(rows)), [x.size for x in rows])
        return np.concatenate(rows)[:n], unit[:n]


@dataclass(frozen=True)
class _Log:
    """The prompts of a world, before anybody has answered them."""

    rng: np.random.Generator
    setting: Setting
    changes: tuple[Change, ...]  # the baseline's first
    conversation: Whole

    def latent(self, columns: int | None = None) -> Array:
        """Draw unit normals per prompt, which conversations share in part."""
        width = () if columns is None else (columns,)
        shared = self.rng.standard_normal((int(self.conversation[-1]) + 1, *width))[self.conversation]
        own = self.rng.standard_normal((self.conversation.size, *width))
        share = _CORRELATION if self.setting.turns > 1 else 0.0
        return np.asarray(math.sqrt(share) * shared + math.sqrt(1 - share) * own)

    def rarely(self, base: float, more: Array) -> Array:
        """Return 1, or 0 in exactly the share base + more of a model's answers, mostly the same prompts for all."""
        n, models = self.conversation.size, len(self.changes)
        risk = self.latent()[:, None] + 0.9 * self.latent(models)
        found = np.ones((n, models))
        for j in range(models):
            count = round(float(np.clip(base + more[j], 0, 1)) * n)
            found[np.argsort(-risk[:, j])[:count], j] = 0.0
        return found


def make(family: Family, rng: np.random.Generator, k: int) -> World:
    """Make a world of this family with k candidates; the means of its models are exact by construction."""
    setting = family.setting
    changes = (Change(), *family.changes(rng, k))
    models = len(changes)
    conversation = np.repeat(np.arange(-(-PROMPTS // setting.turns)), setting.turns)[:PROMPTS]
    segment = rng.integers(_SEGMENTS, size=int(conversation[-1]) + 1)[conversation]
    log = _Log(rng, setting, changes, conversation)
    hard = log.latent()
    lean = rng.normal(0, 0.25, (_SEGMENTS, models))[segment]
    own = log.latent(models) + lean
    quality = _quality(log, hard[:, None] + (0.8 if setting.binary else 0.72) * own)
    by_judge = None if setting.judge == "clean" else _judged(quality, JUDGES[setting.judge], setting=setting, rng=rng)
    answered = log.rarely(0.02, np.array([c.refusals for c in changes]))
    safety = log.rarely(0.01, np.array([-c.safety for c in changes]))
    cost, latency = _amounts(log)
    true = {"quality": quality, "safety": safety, "answered": answered}
    seen = quality if by_judge is None else by_judge.mean(2)
    return World(true | {"quality": seen}, true, cost, latency, conversation, by_judge, setting.turns > 1)


def _quality(log: _Log, ability: Array) -> Array:
    n = ability.shape[0]
    found = np.empty_like(ability)
    for j, change in enumerate(log.changes):
        if log.setting.binary:
            right = round(float(np.clip(0.8 + change.quality, 0, 1)) * n)
            found[:, j] = 0.0
            found[np.argsort(ability[:, j])[n - right :], j] = 1.0
        else:
            found[:, j] = _graded(0.18 * ability[:, j], mean=0.7 + change.quality)
    for j, change in enumerate(log.changes):
        if change.ruined:
            order = log.rng.permutation(n)
            lost = np.cumsum(found[order, j]) / n
            found[order[: np.searchsorted(lost, change.quality + 0.0505) + 1], j] = 0.0
    return found


def _graded(x: Array, *, mean: float) -> Array:
    """Shift x so that, clipped to [0, 1], it has this mean."""
    low, high = -2.0, 2.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if np.clip(middle + x, 0, 1).mean() < mean else (low, middle)
    return np.clip(high + x, 0, 1)


def _judged(quality: Array, errors: Errors, *, setting: Setting, rng: np.random.Generator) -> Array:
    """Return what two judge models score, shape (n, 1 + k, 2)."""
    bias = rng.normal(0, errors.common, quality.shape[1])
    votes = []
    for _ in range(2):
        if setting.binary:
            scores = np.where(rng.random(quality.shape) < errors.flipped, 1 - quality, quality)
        else:
            scores = quality + rng.normal(0, errors.noise, quality.shape)
        votes.append(scores + bias + rng.normal(0, errors.private, quality.shape[1]))
    return np.clip(np.stack(votes, axis=2), 0, 1)


def _amounts(log: _Log) -> tuple[Array, Array]:
    """Return cost and latency: log-normal, alike for one prompt, with a few runaway answers."""
    shape, rng = (log.conversation.size, len(log.changes)), log.rng
    spread = log.setting.tail / 0.6
    size = np.exp(log.setting.tail * log.latent())[:, None]
    cost = 0.01 * size * np.exp(0.35 * spread * rng.standard_normal(shape))
    cost *= np.where(rng.random(shape) < 0.01, 8.0, 1.0)
    latency = 2.0 * np.sqrt(size) * np.exp(0.45 * spread * rng.standard_normal(shape))
    latency = np.minimum(latency * np.where(rng.random(shape) < 0.005, 15.0, 1.0), 60.0)
    return _with_means(cost, [c.cost for c in log.changes]), _with_means(latency, [c.latency for c in log.changes])


def _with_means(amounts: Array, ratios: list[float]) -> Array:
    """Scale each model's amounts so that their mean has this ratio to the baseline's."""
    return np.asarray(amounts * (np.array(ratios) / (amounts.mean(0) / amounts[:, :1].mean())))
