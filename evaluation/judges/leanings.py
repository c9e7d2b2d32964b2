"""How the judges of a run bear themselves: scatter over repeats, leaning to length and to place, disagreement. Pure."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from agentopt.lib import intervals
from agentopt.lib.intervals import LEVEL, Interval
from evaluation.judges import panel
from evaluation.statistics import agreement
from evaluation.statistics.agreement import Coefficient, OrderConsistency

LEAST = 10  # answers or pairs below which a leaning is not told
_ROUNDED = 3  # decimals; judges score in steps, and fewer different values are quicker to compare
_Key = tuple[int, int, bool | None]  # prompt, arm, order


@dataclass(frozen=True)
class Said:
    """One verdict on one answer; None: unscored. Of a pair: how far it is the better one, and where it stood."""

    prompt: int
    arm: int  # 0: the model in production
    score: float | None
    length: int  # characters of the answer
    reason: str = ""
    turn: int = 0
    stood_first: bool | None = None


@dataclass(frozen=True)
class Scatter:
    """How far repeats of one judge on one answer lie apart."""

    sd: float
    answers: int


@dataclass(frozen=True)
class Lean:
    """A leaning with its interval; n: answers or pairs it was told from."""

    value: float
    interval: Interval | None
    n: int


@dataclass(frozen=True)
class Bearing:
    """One judge on one rubric. None: not measured, or too few to tell."""

    scored: int
    unscored: int
    reasons: tuple[tuple[str, int], ...]  # the most frequent first
    mean: float | None
    scatter: Scatter | None
    length: Lean | None  # rank correlation of score and length differences between an answer and the baseline's
    place: Lean | None  # preference for whatever stood first, above one half
    order: OrderConsistency | None

    @property
    def by_reason(self) -> dict[str, int]:
        """Why verdicts are unscored, and how many."""
        return dict(self.reasons)

    @property
    def share_unscored(self) -> float | None:
        """Of all verdicts; None of none."""
        n = self.scored + self.unscored
        return self.unscored / n if n else None


def bearing(said: Sequence[Said]) -> Bearing:
    """Put one judge's verdicts together."""
    scores = [one.score for one in said if one.score is not None]
    reasons: dict[str, int] = {}
    for one in said:
        if one.score is None:
            reasons[one.reason] = reasons.get(one.reason, 0) + 1
    pairs = [one for one in said if one.stood_first is not None]
    return Bearing(
        scored=len(scores),
        unscored=len(said) - len(scores),
        reasons=tuple(sorted(reasons.items(), key=lambda pair: (-pair[1], pair[0]))),
        mean=panel.mean(scores),
        scatter=scatter(said),
        length=None if pairs else length_lean(said),
        place=place_lean(pairs) if pairs else None,
        order=_order(pairs) if pairs else None,
    )


def scatter(said: Iterable[Said]) -> Scatter | None:
    """Standard deviation within answers, pooled over those that were judged twice or more; None without any."""
    groups = [group for group in _grouped(said).values() if len(group) > 1]
    freedom = sum(len(group) - 1 for group in groups)
    if not freedom:
        return None
    return Scatter(math.sqrt(math.fsum(_squares(group) for group in groups) / freedom), len(groups))


def _grouped(said: Iterable[Said]) -> dict[_Key, list[float]]:
    """Scores by answer; of a pair by its order, too: the order is no repeat."""
    groups: dict[_Key, list[float]] = {}
    for one in said:
        if one.score is not None:
            groups.setdefault((one.prompt, one.arm, one.stood_first), []).append(one.score)
    return groups


def _squares(values: Sequence[float]) -> float:
    mean = math.fsum(values) / len(values)
    return math.fsum((value - mean) ** 2 for value in values)


def length_lean(said: Sequence[Said]) -> Lean | None:
    """Rank correlation between how much longer and how much better an answer is than the baseline's to its prompt.

    It is no proof of a bias, since a longer answer may be the better one; near 0 it rules a large one out.
    """
    scores = {key: math.fsum(group) / len(group) for key, group in _grouped(said).items()}
    lengths = {(one.prompt, one.arm, one.stood_first): one.length for one in said}
    longer, better = [], []
    for key, score in scores.items():
        base = (key[0], 0, None)
        if key[1] and base in scores:
            longer.append(math.log((lengths[key] + 1) / (lengths[base] + 1)))
            better.append(score - scores[base])
    rho = spearman(longer, better) if len(longer) >= LEAST else None
    return None if rho is None else Lean(rho, intervals.correlation(rho, len(longer), ranked=True), len(longer))


def spearman(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Rank correlation, ties by mean ranks; None where one of both never changes."""
    a, b = _ranks(first), _ranks(second)
    n = len(a)
    mean = (n + 1) / 2
    up = math.fsum((x - mean) * (y - mean) for x, y in zip(a, b, strict=True))
    wide = math.sqrt(math.fsum((x - mean) ** 2 for x in a) * math.fsum((y - mean) ** 2 for y in b))
    return max(-1.0, min(1.0, up / wide)) if wide else None


def _ranks(values: Sequence[float]) -> list[float]:
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks = [0.0] * len(values)
    start = 0
    while start < len(order):
        end = start
        while end + 1 < len(order) and values[order[end + 1]] == values[order[start]]:
            end += 1
        for place in order[start : end + 1]:
            ranks[place] = (start + end) / 2 + 1
        start = end + 1
    return ranks


def place_lean(pairs: Iterable[Said]) -> Lean | None:
    """How much more than one half whatever stood first is preferred, over pairs that were read in both orders.

    Which answer is the better one falls out, since each stands first once.
    """
    found = [(first + (1 - second)) / 2 - 0.5 for first, second in _both_orders(pairs)]
    n = len(found)
    if n < LEAST:
        return None
    mean = math.fsum(found) / n
    error = math.sqrt(_squares(found) / (n - 1) / n)
    z = intervals.normal_quantile(LEVEL)
    return Lean(mean, Interval(mean, mean - z * error, mean + z * error), n)


def _both_orders(pairs: Iterable[Said]) -> list[tuple[float, float]]:
    """Scores of an answer that stood first, and of the same when it stood second."""
    found: dict[tuple[int, int, int], dict[bool, float]] = {}
    for one in pairs:
        if one.score is not None and one.stood_first is not None:
            found.setdefault((one.prompt, one.arm, one.turn), {})[one.stood_first] = one.score
    return [(orders[True], orders[False]) for orders in found.values() if len(orders) == 2]


def _order(pairs: Sequence[Said]) -> OrderConsistency:
    by_pair: dict[tuple[int, int, int], dict[bool, str | None]] = {}
    for one in pairs:
        by_pair.setdefault((one.prompt, one.arm, one.turn), {})[bool(one.stood_first)] = _winner(one.score)
    first, second = ([orders.get(place) for orders in by_pair.values()] for place in (True, False))
    return agreement.order_consistency(first, second, names=("it", "other"))


def _winner(score: float | None) -> str | None:
    if score is None:
        return None
    return "tie" if score == 0.5 else "it" if score > 0.5 else "other"


# ------------------------------------------------------------------------------------------------ the panel as a whole
@dataclass(frozen=True)
class Together:
    """How far the judge models agree about quality. None: there is one model only."""

    spreads: tuple[tuple[int, float | None], ...]  # by arm: mean of largest minus smallest quality
    alpha: Coefficient | None
    answers: int  # that all of them scored


def together(by_model: Mapping[tuple[int, int], Sequence[float | None]]) -> Together:
    """Compare the judge models.

    Args:
        by_model: by (prompt, arm), the quality of an answer by each model, in one order.
    """
    spreads: dict[int, list[float | None]] = {}
    whole = 0
    for (_, arm), scores in sorted(by_model.items()):
        if len(scores) > 1:
            found = panel.spread(scores)
            whole += found is not None
            spreads.setdefault(arm, []).append(found)
    if not spreads:
        return Together((), None, 0)
    units = [[None if score is None else round(score, _ROUNDED) for score in scores] for scores in by_model.values()]
    means = tuple((arm, panel.mean(found)) for arm, found in sorted(spreads.items()))
    return Together(means, agreement.alpha(units, scale="interval"), whole)
