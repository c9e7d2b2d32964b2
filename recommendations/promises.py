"""Did a promise hold? What a recommendation promised, what the logs show since, and a verdict that survives looking.

Pure: conversations in, intervals out. Formulas, guarantees and limits: docs/algorithms/follow_up.md.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

Evidence = Mapping[str, Any]
TOO_EARLY, CONFIRMED, NOT_CONFIRMED = "too_early", "confirmed", "not_confirmed"
KEPT, BROKEN, OPEN, UNMEASURED = "kept", "broken", "open", "unmeasured"
SHARE, DIFFERENCE = "share", "difference"

ERROR = 0.05  # chance, over all looks, to confirm a promise that is broken, and to reject one that is kept
FIRST_LOOK = 50  # conversations of the recommended model; every next look waits for twice as many
LEAST = 30  # conversations of each arm without which nothing is estimated
LEAST_OF_USE_CASE = 5  # conversations of each arm within a use case, else it is left out of the comparison
SLACK = 0.1  # of a promised share saved: prices and lengths of a month are never those of the sample
IMAGINED = 0.5  # weight of one imagined conversation that fails and one that does not, in each arm
_Z95 = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True)
class Promise:
    """What was promised of one metric; realised must exceed `bar`.

    kind share: 1 − (mean after) / (mean before), of cost and latency; difference: mean after − mean before, in [0, 1].
    """

    metric: str
    kind: str
    estimate: float
    low: float
    high: float
    bar: float


@dataclass(frozen=True)
class Unit:
    """One conversation's calls within one use case: how many, and the sum of the metric over them."""

    conversation: int
    use_case: str
    calls: int
    total: float


@dataclass(frozen=True)
class Realised:
    """One metric since the switch. `low`, `high`: 95 %. `keeps`, `breaks`: the bounds that decide at this look."""

    metric: str
    kind: str
    promised: float
    promised_low: float
    promised_high: float
    bar: float
    state: str
    before: float | None = None
    after: float | None = None
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    keeps: float | None = None  # kept where it exceeds the bar
    breaks: float | None = None  # broken where it is below the bar
    conversations_before: int = 0
    conversations_after: int = 0
    covered: float | None = None  # share of the calls since the switch whose use case both arms have
    why: str = ""  # code: why it is unmeasured

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


# ------------------------------------------------------------------------------------------------ what was promised
def promised(evidence: Evidence) -> list[Promise]:
    """The promises of a recommendation to switch: savings with their intervals, guards with their margins."""
    found = []
    for metric in ("cost", "latency"):
        measure = evidence["estimates"].get(metric)
        if measure is not None:
            slack = SLACK * abs(measure["estimate"])
            bar = min(measure["low"], measure["estimate"] - slack)
            found.append(Promise(metric, SHARE, measure["estimate"], measure["low"], measure["high"], bar))
    for check in evidence["checks"]:
        if check["kind"] == "margin" and check["metric"] in ("answered", "quality", "safety"):
            found.append(
                Promise(check["metric"], DIFFERENCE, check["estimate"], check["low"], check["high"], check["bar"])
            )
    return found


# ------------------------------------------------------------------------------------------------ when to look
def look_number(conversations: int) -> int:
    """How many looks are due: the first at 50 conversations of the recommended model, then at every doubling."""
    return 0 if conversations < FIRST_LOOK else int(math.log2(conversations / FIRST_LOOK) + 1e-9) + 1


def error_of(look: int) -> float:
    """The error that a look may spend: ERROR / (look · (look + 1)), so that all looks together never exceed ERROR."""
    return ERROR / (look * (look + 1))


# ------------------------------------------------------------------------------------------------ what was realised
@dataclass(frozen=True)
class _Mean:
    """A mean per call over use cases in given shares, with its variance clustered by conversation."""

    value: float
    variance: float


def realised(
    promise: Promise,
    before: Sequence[Unit],
    after: Sequence[Unit],
    *,
    look: int,
    n_promises: int,
    extra_sd: float = 0.0,
) -> Realised:
    """Return what became of a promise, from the conversations of the model before and of the recommended one.

    Args:
        look: number of the looks that were due so far; 0: nothing is decided yet.
        n_promises: that are measured: a verdict against needs only one of them, so each gets its part of the error.
        extra_sd: of a systematic error of the difference, such as the judges'.
    """
    counts = {"conversations_before": _conversations(before), "conversations_after": _conversations(after)}
    told: dict[str, Any] = {
        "metric": promise.metric, "kind": promise.kind, "promised": promise.estimate, "promised_low": promise.low,
        "promised_high": promise.high, "bar": promise.bar, **counts,
    }  # fmt: skip
    if min(counts.values()) < LEAST:
        why = "too_few_before" if counts["conversations_before"] < LEAST else "too_few_after"
        return Realised(**told, state=UNMEASURED, why=why)
    weights = _weights(before, after)
    if not weights:
        return Realised(**told, state=UNMEASURED, why="no_common_use_case")
    is_rate = promise.kind == DIFFERENCE
    was, now = (_mean(units, weights, is_rate=is_rate) for units in (before, after))
    found = _compare(promise.kind, was, now, extra_sd=extra_sd)
    if found is None:
        return Realised(**told, state=UNMEASURED, why="nothing_to_compare")
    error = error_of(look) if look else None
    keeps = found.bound(-_z(error)) if error else None
    breaks = found.bound(_z(error / max(1, n_promises))) if error else None
    covered = sum(unit.calls for unit in after if unit.use_case in weights) / sum(unit.calls for unit in after)
    return Realised(
        **told,
        state=_state(promise.bar, keeps, breaks),
        before=was.value,
        after=now.value,
        estimate=found.bound(0.0),
        low=found.bound(-_Z95),
        high=found.bound(_Z95),
        keeps=keeps,
        breaks=breaks,
        covered=covered,
    )


def _z(error: float) -> float:
    return NormalDist().inv_cdf(1 - error)


def _state(bar: float, keeps: float | None, breaks: float | None) -> str:
    if keeps is not None and keeps > bar:
        return KEPT
    return BROKEN if breaks is not None and breaks < bar else OPEN


def verdict(found: Iterable[Realised]) -> str:
    """Confirmed where every promise that is measured is kept; one that is broken is enough against it."""
    states = [one.state for one in found if one.state != UNMEASURED]
    if BROKEN in states:
        return NOT_CONFIRMED
    return CONFIRMED if states and all(state == KEPT for state in states) else TOO_EARLY


def _conversations(units: Iterable[Unit]) -> int:
    return len({unit.conversation for unit in units})


def _weights(before: Sequence[Unit], after: Sequence[Unit]) -> dict[str, float]:
    """The shares of use cases that both arms know, in the traffic since the switch; they sum to 1."""
    in_both = set.intersection(*(_known(units) for units in (before, after)))
    calls: dict[str, int] = {}
    for unit in after:
        if unit.use_case in in_both:
            calls[unit.use_case] = calls.get(unit.use_case, 0) + unit.calls
    total = sum(calls.values())
    return {name: calls[name] / total for name in sorted(calls)} if total else {}


def _known(units: Sequence[Unit]) -> set[str]:
    seen: dict[str, set[int]] = {}
    for unit in units:
        seen.setdefault(unit.use_case, set()).add(unit.conversation)
    return {name for name, conversations in seen.items() if len(conversations) >= LEAST_OF_USE_CASE}


def _mean(units: Sequence[Unit], weights: Mapping[str, float], *, is_rate: bool) -> _Mean:
    """Σ weight · (sum / calls) over use cases; variance by linearisation, one term a conversation (Miller 2024)."""
    calls = dict.fromkeys(weights, 0.0)
    totals = dict.fromkeys(weights, 0.0)
    for unit in units:
        if unit.use_case in weights:
            calls[unit.use_case] += unit.calls
            totals[unit.use_case] += unit.total
    means = {name: totals[name] / calls[name] for name in weights}
    terms: dict[int, float] = {}
    for unit in units:
        if unit.use_case in weights:
            term = weights[unit.use_case] * (unit.total - means[unit.use_case] * unit.calls) / calls[unit.use_case]
            terms[unit.conversation] = terms.get(unit.conversation, 0.0) + term
    n = len(terms)
    value = math.fsum(weights[name] * means[name] for name in weights)
    variance = math.fsum(term * term for term in terms.values()) * n / (n - 1) if n > 1 else 0.0
    if is_rate:
        return _with_imagined(value, variance, n)
    return _Mean(value, variance * (1 + 2 / n) ** 2)


def _with_imagined(value: float, variance: float, n: int) -> _Mean:
    """Two imagined conversations, one that fails: “none failed” is no proof (Agresti & Caffo 2000, halved)."""
    size = n + 2 * IMAGINED
    mean = (value * n + IMAGINED) / size
    spread = variance * n * n + IMAGINED * ((1 - mean) ** 2 + mean**2) + n * (value - mean) ** 2
    return _Mean(mean, spread / size**2 * (1 + 2 / n) ** 2)


@dataclass(frozen=True)
class _Found:
    """A normal estimate: of the log of the ratio for a share saved, of the difference itself else."""

    kind: str
    center: float
    sd: float

    def bound(self, z: float) -> float:
        """The value at z standard errors, larger is better; z = 0: the estimate."""
        if self.kind == SHARE:
            return 1 - math.exp(self.center - z * self.sd)
        return self.center + z * self.sd


def _compare(kind: str, was: _Mean, now: _Mean, *, extra_sd: float) -> _Found | None:
    if kind == DIFFERENCE:
        return _Found(kind, now.value - was.value, math.sqrt(was.variance + now.variance + extra_sd**2))
    if was.value <= 0 or now.value <= 0:
        return None
    variance = was.variance / was.value**2 + now.variance / now.value**2
    return _Found(kind, math.log(now.value / was.value), math.sqrt(variance + extra_sd**2))


# ------------------------------------------------------------------------------------------------ the track record
LEAST_FOLLOW_UPS = 5


@dataclass(frozen=True)
class Track:
    """How acknowledged recommendations fared against what they stated; shares only from `LEAST_FOLLOW_UPS` on."""

    acknowledged: int
    followed: int  # with a verdict
    kept: int
    stated: float | None  # mean stated confidence of those with a verdict
    low: float | None = None
    high: float | None = None

    @property
    def is_shown(self) -> bool:
        """Whether there are enough verdicts to speak of a share."""
        return self.followed >= LEAST_FOLLOW_UPS

    @property
    def rate(self) -> float | None:
        """The share that kept their promise; None: too few verdicts."""
        return self.kept / self.followed if self.is_shown else None
