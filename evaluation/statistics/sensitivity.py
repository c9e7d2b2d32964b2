"""What would change the outcome, and what it would take to settle it."""

import dataclasses
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from evaluation.statistics import looks
from evaluation.statistics.decision import Outcome, Policy, Samples, Wanted, step
from evaluation.statistics.evidence import Evidence
from evaluation.statistics.fixed_point import Array
from evaluation.statistics.policy import level_of, prior_after, priors_of
from evaluation.statistics.prospects import predicted_pass
from evaluation.statistics.samples import rows_of

MORE_NEEDED = "more_answers_needed"
NONE_IN_REACH = "none_in_reach"
_SETTLED_BY_PROMPTS = frozenset({"evidence_too_weak", "no_candidate_likely", "too_few_conversations"})
COST_LEVEL = "cost_per_call_usd"  # name of the limit on cost per call
_MARGINS = tuple(round(0.005 * i, 3) for i in range(41))  # 0 to 20 points
_WEIGHTS = tuple(round(0.05 * i, 2) for i in range(41))  # 0 to 2
_FACTORS = tuple(round(1.1**i, 4) for i in range(23))  # 1 to 8 times the price


# ------------------------------------------------------------------------------------------------ prompts needed
def detectable_difference(n: int, *, level: float, sd: float, power: float = 0.8) -> float:
    """Return the mean paired difference that n prompts show with this power: (z_level + z_power) · sd / √n.

    Args:
        n: prompts, each in a conversation of its own.
        level: one-sided error, in (0, 1).
        sd: of a paired difference; 0.45 is usual for scores of 0 and 1, 0.25 for graded ones.
        power: chance to show it, in (0, 1).

    Raises:
        ValueError: if n < 1, or level or power is no share.
    """
    if n < 1:
        raise ValueError("n: must be at least 1")
    for name, share in (("level", level), ("power", power)):
        if not 0 < share < 1:
            raise ValueError(f"{name}: must lie between 0 and 1")
    return (float(special.ndtri(power)) - float(special.ndtri(level))) * sd / math.sqrt(n)


def prompts_to_settle(
    ev: Evidence, prompts: int, *, level: float, chance: float = 0.8, most: int = 100_000, candidate: int = 0
) -> int | None:
    """Return the prompts after which a candidate passes with this chance if the trend holds; None: more than `most`.

    Args:
        ev: what has been seen.
        prompts: on which it was seen.
        level: nominal level of that look.
        chance: in (0, 1).
        most: where to give up.
        candidate: its place in `ev`, from 0.
    """
    for n in np.unique(np.geomspace(prompts + 1, most, 200).astype(int)):
        if predicted_pass(ev, n / prompts, level=level)[candidate] >= chance:
            return int(n)
    return None


def prompts_for_leader(outcome: Outcome, policy: Policy, *, repeats: int = 0) -> int | None:
    """Return the test prompts with which the leader would pass with 80 % chance if the trend holds.

    None where no number of prompts promises that: the leader is worse (see `worse_on`), the trend itself is too
    uncertain as yet, or prompts are not what is lacking.

    Args:
        outcome: of a run without a recommendation.
        policy: of that run.
        repeats: evaluations in which the leader was tried before, this one included if the next is a new one.
    """
    ev = outcome.leader_evidence
    if ev is None or outcome.leader is None or outcome.code not in _SETTLED_BY_PROMPTS:
        return None
    prior = priors_of(policy, len(outcome.findings))[outcome.leader - 1]
    alpha = level_of(policy.threshold, prior_after(prior, repeats))
    fractions = looks.fractions_of(looks.schedule(policy, policy.looks[-1]))
    level = looks.look_levels(fractions, max(round(alpha, 5), 1e-5), rho=policy.rho)[-1]
    place = outcome.leader - 1 if ev.gain.size > 1 else 0  # ranking evidence holds every candidate
    return prompts_to_settle(ev, ev.prompts, level=level, candidate=place)


def worse_on(outcome: Outcome) -> tuple[str, ...]:
    """Return the metrics on which the leader's own estimate fails its bar at its last look: prompts hardly help."""
    looked = [look for look in outcome.looks if look.column == outcome.leader]
    return tuple(c.metric for c in looked[-1].conditions if c.estimate <= c.bar) if looked else ()


# ------------------------------------------------------------------------------------------------ one thing changed
@dataclass(frozen=True)
class Change:
    """The outcome with one thing changed and all else as it was."""

    name: str  # see what_changes
    value: float | None  # what it was changed to
    recommended: int | None
    confidence: float | None  # None where more answers would be needed to know
    code: str  # of the outcome; more_answers_needed; none_in_reach of a margin or price that nothing tried fulfils


@dataclass(frozen=True)
class _Case:
    """A run as it was, to be run again with one thing changed."""

    samples: Samples
    policy: Policy
    measured: npt.NDArray[np.int64]
    total: int

    def again(self, name: str, value: float | None) -> Change:
        """Return the outcome of this case as a change of this name."""
        found = step(self.samples, self.policy, measured=self.measured, total=self.total)
        if isinstance(found, Wanted):
            return Change(name, value, None, None, MORE_NEEDED)
        return Change(name, value, found.recommended, found.confidence, found.code)


def with_unscored_failed(samples: Samples) -> Samples:
    """Return the samples as if every unscored answer of a candidate, scored for the baseline, had failed."""

    def failed(x: Array) -> Array:
        lost = np.isnan(x) & np.isfinite(x[:, :1])
        lost[:, 0] = False
        return np.where(lost, 0.0, x)

    levels = None if samples.levels is None else {name: failed(x) for name, x in samples.levels.items()}
    return dataclasses.replace(samples, guards={m: failed(x) for m, x in samples.guards.items()}, levels=levels)


def without_judge(samples: Samples, judge: int) -> Samples:
    """Return the samples with quality by the other judges alone.

    Raises:
        ValueError: if there are no scores by at least two judges.
    """
    panel = samples.scores_by_judge
    if panel is None or panel.shape[2] < 2:
        raise ValueError("scores_by_judge: at least two judges are needed to leave one out")
    rest = np.delete(panel, judge, axis=2)
    known = np.isfinite(rest)
    quality = np.where(known, rest, 0.0).sum(2) / np.maximum(known.sum(2), 1)
    quality = np.where(known.any(2), quality, np.nan)
    levels = samples.levels
    if levels is not None and "quality" in levels:
        levels = {**levels, "quality": quality}
    return dataclasses.replace(
        samples, guards={**samples.guards, "quality": quality}, scores_by_judge=rest, levels=levels
    )


def with_price(samples: Samples, factor: float) -> Samples:
    """Return the samples with candidates that cost `factor` times as much; the level of cost is 1 − cost / 2c."""
    if samples.cost_usd is None:
        return samples
    cost = np.array(samples.cost_usd, float)
    cost[:, 1:] *= factor
    levels = samples.levels
    if levels is not None and COST_LEVEL in levels:
        moved = np.array(levels[COST_LEVEL], float)
        moved[:, 1:] = np.maximum(0.0, 1 - factor * (1 - moved[:, 1:]))
        levels = {**levels, COST_LEVEL: moved}
    return dataclasses.replace(samples, cost_usd=cost, levels=levels)


def _without_largest_unit(case: _Case) -> tuple[_Case, int]:
    """Return the case without its largest conversation, and the rows that it had; itself and 0 if all have one."""
    samples = case.samples
    _, at, size = np.unique(samples.unit, return_inverse=True, return_counts=True)
    if size.max() < 2:
        return case, 0
    keep = at != int(np.argmax(size))

    part = rows_of(samples, keep)
    measured = np.array([int(keep[:rows].sum()) for rows in case.measured])
    total = min(case.total, int(keep[: case.total].sum()))
    return _Case(part, case.policy, measured, total), int(size.max())


def _with_margin(case: _Case, margin: float) -> _Case:
    margins = tuple((m, margin if m == "quality" else old) for m, old in case.policy.margins)
    return dataclasses.replace(case, policy=dataclasses.replace(case.policy, margins=margins))


def _with_weight(case: _Case, metric: str, weight: float) -> _Case:
    weights = tuple((m, weight if m == metric else old, scale) for m, old, scale in case.policy.weights)
    return dataclasses.replace(case, policy=dataclasses.replace(case.policy, weights=weights))


def _heaviest(case: _Case, outcome: Outcome) -> tuple[str, float] | None:
    """Return the metric that adds most to the leader's gain, and its weight; None where none adds anything."""
    seen = [look for look in outcome.looks if look.column == outcome.leader]
    if not seen:
        return None
    measures = seen[-1].measures
    parts = [(w * measures[m].estimate / s, m, w) for m, w, s in case.policy.weights if m in measures]
    best = max(parts, default=(0.0, "", 0.0))
    return (best[1], best[2]) if best[0] > 0 else None


def _last_that_holds(
    name: str, values: tuple[float, ...], *, case: Callable[[float], _Case], holds: Callable[[Change], bool]
) -> Change | None:
    """Return the change at the last value that holds, by bisection; None if even the first does not."""
    found: Change | None = None
    low, high = -1, len(values)
    while high - low > 1:
        middle = (low + high) // 2
        change = case(values[middle]).again(name, values[middle])
        if holds(change):
            low, found = middle, change
        else:
            high = middle
    return found


def _thresholds(case: _Case, outcome: Outcome) -> Iterator[Change]:
    """Yield the margin and the price at which the outcome turns."""
    same = outcome.recommended
    margin = dict(case.policy.margins).get("quality")
    if margin is not None:
        name = "smallest_margin" if same is not None else "margin_needed"
        stricter = tuple(m for m in reversed(_MARGINS) if m <= margin)
        looser = tuple(m for m in reversed(_MARGINS) if m > margin)
        yield _turn(name, stricter if same else looser, case=lambda m: _with_margin(case, m), same=same)
    if case.samples.cost_usd is not None:
        factors = _FACTORS if same is not None else tuple(round(1 / f, 4) for f in reversed(_FACTORS))

        def priced(factor: float) -> _Case:
            return dataclasses.replace(case, samples=with_price(case.samples, factor))

        name = "largest_price_factor" if same is not None else "price_factor_needed"
        yield _turn(name, factors, case=priced, same=same)
    heaviest = _heaviest(case, outcome)
    if heaviest is not None:
        metric, weight = heaviest
        name = f"smallest_weight_of_{metric}" if same is not None else f"weight_of_{metric}_needed"
        lighter = tuple(w for w in reversed(_WEIGHTS) if w <= weight)
        heavier = tuple(w for w in reversed(_WEIGHTS) if w > weight)
        yield _turn(name, lighter if same else heavier, case=lambda w: _with_weight(case, metric, w), same=same)


def _turn(name: str, values: tuple[float, ...], *, case: Callable[[float], _Case], same: int | None) -> Change:
    """Return the last value with which a candidate (the same, if one is given) is recommended."""

    def holds(change: Change) -> bool:
        return change.recommended is not None if same is None else change.recommended == same

    return _last_that_holds(name, values, case=case, holds=holds) or Change(name, None, None, None, NONE_IN_REACH)


def what_changes(
    samples: Samples, policy: Policy, outcome: Outcome, *, total: int, measured: npt.ArrayLike | None = None
) -> tuple[Change, ...]:
    """Return the outcome with one thing changed at a time, each decided again from the start on the same rows.

    Names: unscored_as_failures; without_judge (value: the judge's number); without_largest_unit (its rows);
    smallest_margin of quality, largest_price_factor and smallest_weight_of_X, the metric that adds most to the gain,
    with which the recommendation stands; or margin_needed, price_factor_needed and weight_of_X_needed for one
    (none_in_reach: not up to 20 points, not down to an eighth, not up to 2). The monthly volume changes no condition,
    since gains are shares.

    Args:
        samples: as given to `decide` or `step`.
        policy: the same.
        outcome: what they returned.
        total: prompts that might be used at most.
        measured: shape (1 + k,), rows that each column has; absent: all of them.
    """
    n = samples.unit.shape[0]
    rows = np.full(samples.guards["quality"].shape[1], n) if measured is None else np.asarray(measured)
    case = _Case(samples, policy, rows, min(total, n) if measured is None else total)
    unscored = dataclasses.replace(case, samples=with_unscored_failed(samples))
    changes = [unscored.again("unscored_as_failures", None)]
    panel = samples.scores_by_judge
    for judge in range(panel.shape[2] if panel is not None and panel.shape[2] > 1 else 0):
        changes.append(dataclasses.replace(case, samples=without_judge(samples, judge)).again("without_judge", judge))
    rest, lost = _without_largest_unit(case)
    if lost:
        changes.append(rest.again("without_largest_unit", lost))
    return (*changes, *_thresholds(case, outcome))
