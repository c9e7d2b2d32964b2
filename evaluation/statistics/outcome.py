"""What the decision says: every look, what became of each candidate, and the outcome."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from evaluation.statistics.evidence import Evidence, Measured
from evaluation.statistics.judge_error import Panel

REASONS = {
    "all_conditions_shown": "all conditions shown",
    "no_candidate": "no candidate",
    "too_few_prompts": "too few prompts",
    "no_candidate_likely": "no candidate is likely to pass",
    "too_many_unscored": "too many answers could not be scored",
    "judges_disagree": "the judges disagree",
    "judge_unfit": "a judge is unfit",
    "too_few_conversations": "too few prompts or conversations",
    "evidence_too_weak": "the evidence is too weak at the sample limit",
}


@dataclass(frozen=True)
class Wanted:
    """What must be measured next: these columns (and the baseline) up to this many rows."""

    columns: tuple[int, ...]
    first: int
    rows: int
    looks: "tuple[Look, ...]" = field(default=(), compare=False)  # so far
    findings: "tuple[Finding, ...]" = field(default=(), compare=False)  # of candidates that are out


@dataclass(frozen=True)
class Measure:
    """One metric at one look. Of "level X" the estimate is the candidate's own mean; baseline and value are means."""

    estimate: float  # difference, or share saved; corrected by labels and known baseline means where there are any
    low: float  # central 95 %
    high: float
    baseline: float | None  # plain mean over the prompts that both have; None: there are none
    value: float | None  # the same of the candidate
    prompts: int  # that both have
    unscored: int  # that lack either


@dataclass(frozen=True)
class Condition:
    """One requirement at one look: its value must exceed its bar."""

    metric: str
    kind: str  # margin, limit or gain
    estimate: float
    low: float  # central 95 %, without the imagined failure
    high: float
    bar: float
    bound: float | None = None  # the lower bound that decides: passes at this look exactly when it exceeds the bar;
    # None where nothing can be shown: ranking, looks that can only drop, levels finer than the re-weightings resolve
    p: float | None = None  # smallest sequential p so far; None as for ranking
    shown: bool = False  # at this look or an earlier one: once shown stays shown
    shown_at: int | None = None  # prompts of the look that showed it first
    prompts: int = 0
    unscored: int = 0
    baseline: float | None = None  # None for the gain
    value: float | None = None


@dataclass(frozen=True)
class Look:
    """What was seen of one candidate after so many prompts of its stage."""

    column: int
    ranking: bool
    prompts: int
    units: int
    chance: float | None  # to pass by the end
    p: float | None  # error level at which it would pass; None at ranking and at looks that can only drop
    confidence: float | None
    gain: float
    conditions: tuple[Condition, ...]
    measures: Mapping[str, Measure]  # every metric known, cost and latency too
    panel: Panel | None = None  # how the judges agree; None at ranking and without scores by judge
    missing: float = 0.0  # share of prompts without a score in either arm, of the guard that lacks most

    @property
    def estimates(self) -> dict[str, tuple[float, float, float]]:
        """Return metric → (estimate, low, high)."""
        return {name: (m.estimate, m.low, m.high) for name, m in self.measures.items()}


@dataclass(frozen=True)
class Finding:
    """What became of one candidate."""

    column: int
    state: str  # recommended, not_shown, dropped, dropped_at_ranking or not_reached
    prompts: int  # answered by it, ranking and test together
    look: Look | None  # its last one
    code: str = ""  # key of REASONS: why it was not recommended, or all_conditions_shown; empty if it was not reached


@dataclass(frozen=True)
class Outcome:
    """The recommendation, or none with its reason."""

    recommended: int | None
    confidence: float  # of the recommended candidate, or of the leading one
    leader: int | None
    reason: str
    prompts: int
    candidate_answers: int
    judged_answers: int
    looks: tuple[Look, ...] = ()
    leader_evidence: Evidence | None = field(default=None, compare=False, repr=False)
    code: str = ""  # key of REASONS
    findings: tuple[Finding, ...] = ()  # one per candidate column, in their order
    unmeasured: tuple[str, ...] = ()  # what the policy names and nobody measured, so that it is no part of this


def nothing(code: str, candidates: int) -> Outcome:
    """Return the outcome of a run in which nothing was measured."""
    findings = tuple(Finding(column, "not_reached", 0, None) for column in range(1, candidates + 1))
    return Outcome(None, 0.0, None, REASONS[code], 0, 0, 0, code=code, findings=findings)


def _mean_if(x: float, prompts: int) -> float | None:
    return x if prompts else None


def measure(ev: Evidence, metric: str, i: int) -> Measure:
    """Return one metric of candidate i of the evidence."""
    seen: Measured = ev.metrics[metric]
    low, high = ev.interval[metric][i]
    prompts = int(seen.prompts[i])
    return Measure(
        estimate=float(seen.estimate[i]),
        low=float(low),
        high=float(high),
        baseline=_mean_if(float(seen.baseline[i]), prompts),
        value=_mean_if(float(seen.value[i]), prompts),
        prompts=prompts,
        unscored=ev.prompts - prompts,
    )


def measures(ev: Evidence, i: int) -> dict[str, Measure]:
    """Return every metric of candidate i of the evidence."""
    return {metric: measure(ev, metric, i) for metric in ev.metrics}


def condition(ev: Evidence, row: int, i: int) -> Condition:
    """Return what was estimated about one condition of candidate i, before any verdict."""
    term = ev.terms[row]
    if term.kind == "gain":
        low, high = ev.interval["gain"][i]
        return Condition("gain", "gain", float(ev.gain[i]), float(low), float(high), term.bar, prompts=ev.prompts)
    seen = measure(ev, term.metric, i)
    return Condition(
        metric=term.metric.removeprefix("level "),
        kind=term.kind,
        estimate=seen.estimate,
        low=seen.low,
        high=seen.high,
        bar=term.bar,
        prompts=seen.prompts,
        unscored=seen.unscored,
        baseline=seen.baseline,
        value=seen.value,
    )
