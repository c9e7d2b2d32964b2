"""The rows that the engine reads, and what is refused among them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evaluation.statistics import policy as policies
from evaluation.statistics.fixed_point import Array
from evaluation.statistics.policy import Policy

RESERVED = frozenset({"cost", "latency", "gain"})  # names that a guard cannot have


@dataclass(frozen=True)
class Samples:
    """Paired measurements: axis 0 is prompts in sampling order, axis 1 is models, column 0 the one in production."""

    guards: Mapping[str, Array]  # name -> (n, 1 + k) in [0, 1], higher is better; nan: unscored
    unit: npt.NDArray[np.generic]  # (n,) conversation of each prompt
    cost_usd: Array | None = None  # (n, 1 + k); nan: unknown
    latency_s: Array | None = None
    scores_by_judge: Array | None = None  # (n, 1 + k, judges), quality
    human: Array | None = None  # (n, 1 + k), quality; nan: unlabelled
    levels: Mapping[str, Array] | None = None  # name -> (n, 1 + k) in [0, 1], for the limits
    baseline: Mapping[str, float] | None = None  # metric -> mean of column 0 over ALL replayable prompts, if known


def _shares(samples: Samples) -> Iterator[tuple[str, Array]]:
    yield from ((f"guards[{name}]", x) for name, x in samples.guards.items())
    yield from ((f"levels[{name}]", x) for name, x in (samples.levels or {}).items())
    if samples.human is not None:
        yield "human", samples.human


def _amounts(samples: Samples) -> Iterator[tuple[str, Array]]:
    if samples.cost_usd is not None:
        yield "cost_usd", samples.cost_usd
    if samples.latency_s is not None:
        yield "latency_s", samples.latency_s


def check(samples: Samples, policy: Policy) -> tuple[int, int]:
    """Return (prompts, candidates).

    Raises:
        ValueError: naming the argument whose shape, or the policy's field whose value, makes no sense.
    """
    policies.validate(policy)
    if "quality" not in samples.guards:
        raise ValueError("guards: quality is missing")
    if RESERVED & set(samples.guards):
        raise ValueError(f"guards: {', '.join(sorted(RESERVED & set(samples.guards)))} is no name for a guard")
    shape = np.shape(samples.guards["quality"])
    if len(shape) != 2 or shape[1] < 1:
        raise ValueError(f"guards[quality]: shape {shape}, expected (prompts, 1 + candidates)")
    for name, x in (*_shares(samples), *_amounts(samples)):
        if np.shape(x) != shape:
            raise ValueError(f"{name}: shape {np.shape(x)}, expected {shape}")
    panel = samples.scores_by_judge
    if panel is not None and (np.ndim(panel) != 3 or np.shape(panel)[:2] != shape):
        raise ValueError(f"scores_by_judge: shape {np.shape(panel)}, expected {shape} + (judges,)")
    if np.shape(samples.unit) != shape[:1]:
        raise ValueError(f"unit: shape {np.shape(samples.unit)}, expected {shape[:1]}")
    if not np.isfinite(list((samples.baseline or {}).values())).all():
        raise ValueError("baseline: means must be finite")
    policies.priors_of(policy, shape[1] - 1)
    return int(shape[0]), int(shape[1]) - 1


def check_values(part: Samples) -> None:
    """Raise ValueError if a row that a look has reached makes no sense; nan is allowed everywhere."""
    shares = list(_shares(part))
    if part.scores_by_judge is not None:
        shares.append(("scores_by_judge", part.scores_by_judge))
    for name, x in shares:
        if np.any((x < 0) | (x > 1)):
            raise ValueError(f"{name}: values must lie in [0, 1]")
    for name, x in _amounts(part):
        if np.any((x < 0) | np.isinf(x)):
            raise ValueError(f"{name}: values must be finite and at least 0")


def unmeasured(samples: Samples, policy: Policy) -> tuple[str, ...]:
    """Return the guards, levels and metrics that the policy names and the samples lack; "level X" for a limit."""
    known = {*samples.guards, *(f"level {name}" for name in samples.levels or {})}
    known |= {name for name, x in (("cost", samples.cost_usd), ("latency", samples.latency_s)) if x is not None}
    named = [name for name, _ in policy.margins]
    named += [f"level {name}" for name, _ in policy.limits]
    named += [name for name, weight, _ in policy.weights if weight]
    return tuple(name for name in dict.fromkeys(named) if name not in known)


def rows_of(samples: Samples, keep: npt.NDArray[np.bool_]) -> Samples:
    """Return the rows that are kept, shape (n,), in their order; the baseline's known means stay as they are."""

    def pick(x: Array | None) -> Array | None:
        return None if x is None else x[keep]

    return Samples(
        guards={name: x[keep] for name, x in samples.guards.items()},
        unit=samples.unit[keep],
        cost_usd=pick(samples.cost_usd),
        latency_s=pick(samples.latency_s),
        scores_by_judge=pick(samples.scores_by_judge),
        human=pick(samples.human),
        levels=None if samples.levels is None else {name: x[keep] for name, x in samples.levels.items()},
        baseline=samples.baseline,
    )


def cut(samples: Samples, columns: Sequence[int], *, first: int, last: int) -> Samples:
    """Return rows [first, last) of these columns, in this order.

    Raises:
        ValueError: if one of their values makes no sense; rows and columns left out are not looked at.
    """

    def pick(x: Array) -> Array:
        return np.asarray(x, float)[first:last][:, list(columns)]

    def pick_if(x: Array | None) -> Array | None:
        return None if x is None else pick(x)

    part = Samples(
        guards={name: pick(x) for name, x in samples.guards.items()},
        unit=np.asarray(samples.unit)[first:last],
        cost_usd=pick_if(samples.cost_usd),
        latency_s=pick_if(samples.latency_s),
        scores_by_judge=pick_if(samples.scores_by_judge),
        human=pick_if(samples.human),
        levels=None if samples.levels is None else {name: pick(x) for name, x in samples.levels.items()},
        baseline=samples.baseline,
    )
    check_values(part)
    return part
