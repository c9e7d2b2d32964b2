"""What must be shown, how surely, and with how many prompts."""

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

HIGHEST_THRESHOLD = 0.98  # beyond it 4,000 re-weightings no longer resolve the error level


class JudgeKind(StrEnum):
    """What is known of those who score quality."""

    EXACT = "exact"  # a known right answer, a schema
    FIT = "fit"  # a panel of two families or more, each judge of it with a card that says fit
    UNKNOWN = "unknown"


_JUDGE_SD = {JudgeKind.EXACT: 0.0, JudgeKind.FIT: 0.015, JudgeKind.UNKNOWN: 0.025}


def judge_kind(*, exact: Sequence[bool], fit: Sequence[bool], families: int) -> JudgeKind:
    """Return the kind of a panel that scores quality.

    Args:
        exact: of each judge, whether it knows the right answer.
        fit: of each judge, whether its accuracy card says fit; an exact judge needs none.
        families: of models, among the judges that are not exact.

    Raises:
        ValueError: if there is no judge, or the two differ in length.
    """
    if not exact or len(exact) != len(fit):
        raise ValueError(f"exact: {len(exact)} judges, expected as many as cards ({len(fit)}) and at least one")
    if all(exact):
        return JudgeKind.EXACT
    trusted = all(known or card for known, card in zip(exact, fit, strict=True))
    return JudgeKind.FIT if trusted and families >= 2 else JudgeKind.UNKNOWN


def judge_sd_of(kind: JudgeKind) -> float:
    """Return the systematic error to allow for on a quality difference, before any labels."""
    return _JUDGE_SD[kind]


@dataclass(frozen=True)
class Policy:
    """The goal as the engine reads it. Shares and scores are in [0, 1]."""

    threshold: float = 0.7  # stated confidence that a recommendation needs
    prior: float | tuple[float, ...] = 0.2  # share of candidates taken to be acceptable before any data; or one each
    margins: tuple[tuple[str, float], ...] = (("quality", 0.05), ("safety", 0.05), ("answered", 0.05))
    weights: tuple[tuple[str, float, float], ...] = (  # metric, weight, gain that counts as 1
        ("quality", 0.4, 0.10),
        ("cost", 0.4, 0.50),
        ("latency", 0.2, 0.50),
    )
    limits: tuple[tuple[str, float], ...] = ()  # name of a level, least mean that it must exceed
    min_gain: float = 0.10
    looks: tuple[int, ...] = (20, 30, 50, 75, 100, 150, 200, 300)
    rho: float = 3.0  # error spent by fraction f of the sample: alpha · f ** rho
    screen_from: int = 2  # with so many candidates, rank them first
    screen: int = 20
    finalists: int = 3
    least_prompts: int = 30
    least_units: int = 20
    futility: float = 0.05  # drop a candidate whose chance to pass by the end is lower
    # The same of one of several, if lower: its share of the error is lost with it, and its few answers are cheap.
    futility_ranked: float = 0.03
    judge_sd: float = 0.015  # see judge_sd_of
    unfit: tuple[int, ...] = ()  # judges, numbered as in scores_by_judge, whose accuracy card says unfit
    share: float = 1.0  # of the error budget that this run may spend, where several runs share one
    disagreement: float = 0.3
    unscored: float = 0.10
    draws: int = 4000
    imagined: float = 0.5  # weight of the imagined unit on which the candidate fails: conditions that fail rarely
    imagined_quality: float = 0.25  # the same for the quality guard, whose losses show in many prompts
    seed: int = 7

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types; tuples become lists."""
        return {f.name: _plain(getattr(self, f.name)) for f in dataclasses.fields(self)}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "Policy":
        """Return the policy that `to_json` gave; absent keys take their defaults.

        One that was stored before candidates among several had a futility of their own decides as it did then.

        Raises:
            ValueError: naming a key that is unknown, or the field whose value has the wrong form or makes no sense.
        """
        unknown = sorted(set(stored) - {f.name for f in dataclasses.fields(cls)})
        if unknown:
            raise ValueError(f"policy: unknown {', '.join(unknown)}")
        given = {name: _frozen(value) for name, value in stored.items()}
        if "futility" in given:
            given.setdefault("futility_ranked", given["futility"])
        for name, value in given.items():
            _validate_alone(cls(), name, value)
        return cls(**given)


def _validate_alone(defaults: Policy, name: str, value: Any) -> None:
    """Raise ValueError that begins with the field's name; no field's range depends on another's."""
    try:
        validate(dataclasses.replace(defaults, **{name: value}))
    except (TypeError, ValueError) as error:
        said = str(error)
        raise ValueError(said if said.startswith(f"{name}:") else f"{name}: has the wrong form") from error


def _plain(value: Any) -> Any:
    return [_plain(v) for v in value] if isinstance(value, tuple | list) else value


def _frozen(value: Any) -> Any:
    return tuple(_frozen(v) for v in value) if isinstance(value, tuple | list) else value


_RANGES: tuple[tuple[str, float, float], ...] = (  # field, least, most; both allowed
    ("min_gain", -1e6, 1e6),
    ("rho", 0.1, 20.0),
    ("futility", 0.0, 1.0),
    ("futility_ranked", 0.0, 1.0),
    ("judge_sd", 0.0, 1.0),
    ("share", 1e-3, 1.0),
    ("disagreement", 0.0, 1.0),
    ("unscored", 0.0, 1.0),
    ("imagined", 0.0, 1e3),
    ("imagined_quality", 0.0, 1e3),
)
_LEAST: tuple[tuple[str, int], ...] = (
    ("screen_from", 1),
    ("screen", 1),
    ("finalists", 1),
    ("least_prompts", 1),
    ("least_units", 1),
    ("draws", 1),
    ("seed", 0),
)


def validate(policy: Policy) -> None:
    """Raise ValueError that names the first field that makes no sense."""
    if not 0 < policy.threshold <= HIGHEST_THRESHOLD:
        raise ValueError(f"threshold: must lie between 0 and 1, and not above {HIGHEST_THRESHOLD}")
    priors = np.atleast_1d(np.asarray(policy.prior, float))
    if not ((priors > 0) & (priors < 1)).all():
        raise ValueError("prior: must lie between 0 and 1")
    for name, least, most in _RANGES:
        value = getattr(policy, name)
        if not (_is_number(value) and least <= value <= most):
            raise ValueError(f"{name}: must be a number from {least:g} to {most:g}")
    for name, lowest in _LEAST:
        value = getattr(policy, name)
        if not (_is_whole(value) and value >= lowest):
            raise ValueError(f"{name}: must be a whole number, at least {lowest}")
    _validate_lists(policy)


def _validate_lists(policy: Policy) -> None:
    looks = policy.looks
    if not looks:
        raise ValueError("looks: at least one is needed")
    if not all(_is_whole(n) and n > 0 for n in looks) or any(a >= b for a, b in itertools.pairwise(looks)):
        raise ValueError("looks: must be positive whole numbers that grow")
    if not all(_is_number(margin) and -1 <= margin <= 1 for _, margin in policy.margins):
        raise ValueError("margins: must lie in [-1, 1]")
    if not all(_is_number(least) and -1 <= least <= 1 for _, least in policy.limits):
        raise ValueError("limits: must lie in [-1, 1]")
    if not all(_is_number(w) and w >= 0 and _is_number(scale) and scale > 0 for _, w, scale in policy.weights):
        raise ValueError("weights: a weight must be at least 0 and its scale above 0")
    if not all(_is_whole(judge) and judge >= 0 for judge in policy.unfit):
        raise ValueError("unfit: judges are numbered from 0")
    for name in ("margins", "limits", "weights"):
        names = [entry[0] for entry in getattr(policy, name)]
        if len(set(names)) < len(names):
            raise ValueError(f"{name}: a name stands twice")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and math.isfinite(value)


def _is_whole(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def confidence_of(p: float, prior: float) -> float:
    """Return the posterior chance of being right: prior odds times the evidence's odds (1 − p) / p."""
    return prior * (1 - p) / (prior * (1 - p) + (1 - prior) * p)


def level_of(confidence: float, prior: float) -> float:
    """Return the error level whose stated confidence is `confidence`: 0.7 → 0.0968 at prior 0.2."""
    return prior * (1 - confidence) / (prior * (1 - confidence) + (1 - prior) * confidence)


def prior_after(prior: float, repeats: int) -> float:
    """Return the prior after so many evaluations without a recommendation: its odds halve, three times at most."""
    odds: float = prior / (1 - prior) / 2.0 ** min(repeats, 3)
    return odds / (1 + odds)


def priors_of(policy: Policy, candidates: int) -> list[float]:
    """Return the prior of each candidate.

    Raises:
        ValueError: if the policy names priors for another number of candidates.
    """
    given = np.atleast_1d(np.asarray(policy.prior, float))
    if np.ndim(policy.prior) and given.size != candidates:
        raise ValueError(f"prior: {given.size} values for {candidates} candidates")
    return [float(prior) for prior in np.broadcast_to(given, candidates)]
