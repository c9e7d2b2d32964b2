"""How often each prompt is put to each model: repetitions for stability, and calls of the model in production. Pure.

Repetition 0 of a candidate is its first answer; repetition 0 of the model in production is what it answered in the log,
and its calls beside the candidates are numbered from 1.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

EVERY = 5  # one prompt of each so many in the sampling order is put to the models more than once
MOST = 10


class Baseline(StrEnum):
    """Where the figures of the model in production come from."""

    LOGGED = "logged"  # its logged answers; latency is not compared
    SUBSET = "subset"  # its logged answers; one prompt of five is called again, to tell how latency moved since
    BESIDE = "beside"  # its logged answers; latency from calls of every prompt beside the candidates
    REPLAYED = "replayed"  # all figures from calls of every prompt beside the candidates


@dataclass(frozen=True)
class Repeating:
    """What is asked how often. `seed` draws the prompts that are asked more than once."""

    repetitions: int = 1
    baseline: Baseline = Baseline.LOGGED
    seed: int = 0

    def is_drawn(self, position: int) -> bool:
        """Whether a prompt is one of those asked more than once: one of each five in the sampling order.

        By a hash, since the order itself goes round the use cases, so that each fifth prompt could be of one of them.
        """
        block = hashlib.sha256(f"{self.seed}:{position // EVERY}".encode()).digest()
        return position % EVERY == block[0] % EVERY

    def of_candidate(self, position: int) -> range:
        """Repetitions of a candidate on a prompt."""
        return range(self.repetitions if self.is_drawn(position) else 1)

    def of_baseline(self, position: int) -> range:
        """Repetitions of the model in production that are called; none: its logged answer is all there is."""
        if self.is_drawn(position):
            least = int(self.baseline != Baseline.LOGGED)
            return range(1, 1 + (self.repetitions if self.repetitions > 1 else least))
        return range(1, 1 + int(self.baseline in (Baseline.BESIDE, Baseline.REPLAYED)))

    def judged_of_baseline(self, position: int) -> range:
        """Repetitions of the model in production that the panel judges: what counts, and what shows its stability."""
        first = int(self.baseline == Baseline.REPLAYED)
        called = self.baseline == Baseline.REPLAYED or (self.repetitions > 1 and self.is_drawn(position))
        return range(first, self.of_baseline(position).stop if called else 1)

    def is_judged(self, position: int, repetition: int, *, is_baseline: bool) -> bool:
        """Whether the panel judges this answer."""
        return not is_baseline or repetition in self.judged_of_baseline(position)

    @property
    def calls_baseline(self) -> bool:
        """Whether the model in production is called at all."""
        return self.baseline != Baseline.LOGGED or self.repetitions > 1

    @property
    def times_all(self) -> bool:
        """Whether it is called on every prompt, so that latency is compared on all of them."""
        return self.baseline in (Baseline.BESIDE, Baseline.REPLAYED)

    # -------------------------------------------------------------------------------- shares, for the forecast
    @property
    def answers_each(self) -> float:
        """Mean answers of a candidate to a prompt."""
        return 1 + (self.repetitions - 1) / EVERY

    @property
    def baseline_calls_each(self) -> float:
        """Mean calls of the model in production for a prompt."""
        drawn = self.repetitions if self.repetitions > 1 else int(self.baseline != Baseline.LOGGED)
        return (drawn + int(self.times_all) * (EVERY - 1)) / EVERY

    @property
    def baseline_judged_each(self) -> float:
        """Mean answers of the model in production to a prompt that are judged."""
        if self.baseline == Baseline.REPLAYED:
            return self.baseline_calls_each
        return 1 + (self.repetitions / EVERY if self.repetitions > 1 else 0)

    # -------------------------------------------------------------------------------- stored
    def to_json(self) -> dict[str, Any]:
        """As it stands in Evaluation.conditions."""
        return {"repetitions": self.repetitions, "baseline": self.baseline.value, "seed": self.seed, "every": EVERY}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """Read what `to_json` gave."""
        return cls(int(stored["repetitions"]), Baseline(stored["baseline"]), int(stored["seed"]))

    @classmethod
    def of(cls, conditions: Mapping[str, Any], *, replay_baseline: bool) -> Self:
        """Of an evaluation; one from before there were repetitions says only whether the baseline is called beside."""
        stored = conditions.get("repeating")
        if stored is not None:
            return cls.from_json(stored)
        return cls(baseline=Baseline.BESIDE if replay_baseline else Baseline.LOGGED)
