"""What the pages of evaluations show: rows of the list, and one evaluation with its words, bars and figures."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils import timezone

from agentopt.lib import charts
from agentopt.lib.money import NANO
from agentopt.lib.wording import DASH, count, dollars, interval, percent, score, signed
from evaluation import by_use_case, changes, conditions, grounds, noise, plots, selectors, standing, studies, tabs
from evaluation.models import Candidate, Evaluation, Look
from evaluation.noise import Floor
from evaluation.selectors import Arm, Detail
from projects.models import Job, Project, User

State = Evaluation.State
ACTIVE = (State.QUEUED, State.RUNNING)
RESUMABLE = (State.PAUSED, State.AT_CAP, State.FAILED)
PAGE = 50
TONES = {
    State.QUEUED: "open", State.RUNNING: "info", State.PAUSED: "warn", State.AT_CAP: "warn", State.DONE: "ok",
    State.CANCELLED: "open", State.FAILED: "bad",
}  # fmt: skip
ARM_TONES = {
    Candidate.State.PASSED: "ok", Candidate.State.TRYING: "info", Candidate.State.DROPPED: "bad",
    Candidate.State.NOT_SHOWN: "warn",
}  # fmt: skip
OUT = (Candidate.State.DROPPED, Candidate.State.DROPPED_AT_RANKING)
# codes of evaluation.statistics.outcome.REASONS
RESULTS = {
    "no_candidate": "there was no candidate to try",
    "too_few_prompts": "there are too few prompts to decide",
    "no_candidate_likely": "no candidate is likely to pass",
    "too_many_unscored": "too many answers could not be scored",
    "judges_disagree": "the judges disagree",
    "judge_unfit": "a judge is unfit",
    "too_few_conversations": "there are too few conversations to decide",
    "evidence_too_weak": "the evidence is too weak",
}
# the same of one candidate
STOPPED = {
    "no_candidate_likely": "not likely to pass",
    "too_many_unscored": "too many answers could not be scored",
    "judges_disagree": "the judges disagree about it",
    "judge_unfit": "a judge of it is unfit",
    "too_few_conversations": "too few conversations",
    "evidence_too_weak": "the evidence is too weak",
}


# ------------------------------------------------------------------------------------------------ list
@dataclass(frozen=True)
class Line:
    """One evaluation in the list."""

    row: selectors.Row
    tone: str
    is_live: bool
    result: str
    by: User | None
    job: Job | None  # while it runs


def lines(project: Project, *, before: int | None) -> tuple[list[Line], int | None]:
    """A page of evaluations, the newest first, and the number that the next page starts below; None: the last page."""
    found = project.evaluations.select_related("created_by").order_by("-number")
    if before is not None:
        found = found.filter(number__lt=before)
    evaluations = list(found[: PAGE + 1])
    more = len(evaluations) > PAGE
    shown = evaluations[:PAGE]
    jobs = _jobs(project, [evaluation.pk for evaluation in shown if evaluation.state in ACTIVE])
    rows = selectors.rows_of(shown)
    out = [
        Line(row, TONES[State(row.state)], row.state == State.RUNNING, result(row), one.created_by, jobs.get(one.pk))
        for one, row in zip(shown, rows, strict=True)
    ]
    return out, shown[-1].number if more else None


def _jobs(project: Project, ids: Sequence[int]) -> dict[int, Job]:
    """The newest job of each evaluation."""
    rows = project.jobs.filter(kind="evaluation", subject_id__in=ids).order_by("pk")
    return {job.subject_id: job for job in rows if job.subject_id is not None}


def result(row: selectors.Row) -> str:
    """What came out, in words; empty while it runs."""
    if row.state == State.DONE:
        if row.kind == Evaluation.Kind.NOISE:
            return f"{row.baseline} against itself: the noise floor"
        if row.recommended:
            return f"{row.recommended} can take over"
        return f"Keep {row.baseline}: {RESULTS.get(row.reason, row.reason.replace('_', ' '))}"
    return "" if row.state in ACTIVE else row.message


# ------------------------------------------------------------------------------------------------ one evaluation
@dataclass(frozen=True)
class Stage:
    """One of the steps of a run; state: done, now, or empty when it is still to come."""

    title: str
    text: str
    state: str


@dataclass(frozen=True)
class Seen:
    """A quality difference to the baseline with its central 95 % interval."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class CandidateRow:
    """A candidate in the table, with its interval as a bar where it was measured."""

    arm: Arm
    color: str
    tone: str
    is_live: bool
    is_leader: bool
    quality: Seen | None  # None: not looked at yet
    bar: charts.Range | None
    note: str


@dataclass(frozen=True)
class JudgeRow:
    """A judge model with its rubrics, and how its verdicts fared."""

    model: str
    rubrics: str
    is_exact: bool
    scored: int
    unscored: int


@dataclass(frozen=True)
class Measure:
    """One metric of the leader against the baseline, as texts."""

    name: str
    before: str
    after: str
    difference: str
    interval: str
    prompts: int
    noise: str  # the same of the model in production against itself; empty: not measured
    noise_interval: str


@dataclass(frozen=True)
class Progress:
    """How far a run is: its stages, the step at hand, and what was counted."""

    stages: list[Stage]
    job: Job | None
    seen_at: datetime | None
    prompts_paid: int
    prompts_at_most: int
    answered: int
    failed: int
    missing: int
    scored: int
    unscored: int
    failures: list[selectors.Tally]
    lost: list[standing.Failure]  # by kind and provider, of candidates
    retryable: int
    left: str  # empty: it stands still, or it is too early to tell


@dataclass(frozen=True)
class Stopping:
    """What stopping early has saved against all candidates on all prompts."""

    answers: int
    planned: int
    saved: int
    saved_usd: float | None
    share: float


@dataclass(frozen=True)
class Sight:
    """All that the page of one evaluation shows."""

    evaluation: Evaluation
    found: Detail
    baseline: Arm | None
    question: str
    tone: str
    is_active: bool
    can_pause: bool
    can_resume: bool
    can_cancel: bool
    progress: Progress
    spend_bar: plots.SpendBar
    rows: list[CandidateRow]
    margin: float | None
    n_looks: int
    looks: charts.Chart | None
    conditions: conditions.Table | None  # of the leader, or of the candidate being tried
    measures: list[Measure]
    noise: Floor | None
    study: list[studies.Part]
    mixed: str  # the outcome of the whole study
    use_cases: list[by_use_case.Line]
    changes: list[changes.Said]
    next_step: str  # what would settle it; empty: it is settled, or runs
    saving: str  # of the leader in a month; empty: not known, or not there yet
    stopping: Stopping | None  # once there is a result
    judges: list[JudgeRow]
    coverage: standing.Coverage  # without examples


def sight(evaluation: Evaluation) -> Sight:
    """One evaluation as it stands now."""
    found = selectors.detail(evaluation)
    baseline = next((arm for arm in found.arms if arm.position == 0), None)
    margin = dict(found.policy.get("margins", [])).get("quality")
    looks = found.looks
    is_active = evaluation.state in ACTIVE
    shown = standing.shown(found, looks)
    floor, parts = noise.floor(evaluation), studies.parts(evaluation)
    return Sight(
        evaluation=evaluation,
        found=found,
        baseline=baseline,
        question=question(found.row, evaluation.project.name),
        tone=TONES[State(evaluation.state)],
        is_active=is_active,
        can_pause=is_active,
        can_resume=evaluation.state in RESUMABLE,
        can_cancel=is_active or evaluation.state in RESUMABLE,
        progress=_progress(evaluation, found),
        spend_bar=spend_bar(evaluation, found.spend),
        rows=_candidate_rows(found, looks, margin=margin),
        margin=margin,
        n_looks=len(looks),
        looks=plots.looks(shown, chart_id="looks") if shown else None,
        conditions=conditions.table(shown) if shown else None,
        measures=_measures(found, floor),
        noise=floor,
        study=parts,
        mixed=studies.sentence(parts),
        use_cases=by_use_case.lines({"checks": shown["checks"], **(found.outcome or {})}) if shown else [],
        changes=_changes(found),
        next_step=changes.next_step_of(found.outcome or {}, leader=found.row.leader),
        saving=changes.saving_of(found.outcome or {}),
        stopping=_stopping(found),
        judges=_judge_rows(found),
        coverage=standing.coverage(evaluation, with_examples=False, counts=found.counts),
    )


def heading(evaluation: Evaluation, *, paid: int | None = None) -> dict[str, Any]:
    """What the other tabs show of all that: its state and its headline; `paid`: nano-dollars, if they are known."""
    row = selectors.rows_of([evaluation], paid=None if paid is None else {evaluation.pk: paid})[0]
    return {"tone": TONES[State(evaluation.state)], "question": question(row, evaluation.project.name)}


def question(row: selectors.Row, agent: str) -> str:
    """The headline: the question while it is open, the answer when it is there."""
    if row.kind == Evaluation.Kind.NOISE:
        return f"How far does {row.baseline} differ from itself?"
    if row.state == State.DONE and row.recommended:
        return f"{row.recommended} can take over from {row.baseline}"
    if row.state == State.DONE:
        return result(row)
    return f"Which model serves {agent} better than {row.baseline}?"


# ------------------------------------------------------------------------------------------------ progress and spend
def _progress(evaluation: Evaluation, found: Detail) -> Progress:
    job = found.work
    tried = [arm for arm in found.arms if arm.position]
    lost = standing.failures(evaluation, found.counts)
    is_going = evaluation.state == State.RUNNING
    return Progress(
        stages=_stages(evaluation, found, tried),
        job=job if job and job.state in (Job.State.QUEUED, Job.State.RUNNING) else None,
        seen_at=job.heartbeat_at if job else None,
        prompts_paid=standing.prompts_paid(evaluation),
        prompts_at_most=min(found.row.limit, found.population.get("replayable") or 0),
        answered=sum(arm.answered for arm in tried),
        failed=sum(arm.failed for arm in tried),
        missing=sum(arm.missing for arm in tried),
        scored=sum(seat.scored for seat in found.judges),
        unscored=sum(seat.unscored for seat in found.judges),
        failures=found.tallies,
        lost=lost,
        retryable=sum(one.retryable for one in lost),
        left=tabs.time_left(standing.left(evaluation, found.spend, now=timezone.now())) if is_going else "",
    )


def _stages(evaluation: Evaluation, found: Detail, tried: Sequence[Arm]) -> list[Stage]:
    """Sampled, ranked (where there is more than one candidate), trying, result."""
    is_over = evaluation.state == State.DONE
    arm = next((arm for arm in tried if arm.state == Candidate.State.TRYING), None)
    prompts = min(found.row.limit, found.population.get("replayable") or 0)
    has_begun = arm is not None or is_over
    stages = [Stage("Sampled", f"{count(prompts)} prompts, seed {found.row.seed}", "done")]
    if len(tried) > 1:
        text = f"{len(tried)} candidates on {found.policy.get('screen', 20)} prompts"
        stages.append(Stage("Ranked" if has_begun else "Ranking", text, "done" if has_begun else "now"))
    title = f"Trying {arm.name}" if arm else "Tried" if is_over else "Trying the best"
    at_most = f"at most {count(found.row.limit)} prompts each"
    state = "done" if is_over else "now" if arm or len(tried) == 1 else ""
    stages.append(Stage(title, at_most, state))
    last = "an answer stands" if is_over else "at the first pass, or at the limit"
    stages.append(Stage("Result", last, "done" if is_over else ""))
    return stages


def spend_bar(evaluation: Evaluation, spent: selectors.Spend) -> plots.SpendBar:
    """Spend against the cap, and what was forecast of it."""
    low, high = (evaluation.forecast.get(name) for name in ("cost_low_nanousd", "cost_high_nanousd"))
    return plots.spend(
        float(spent.total_usd),
        cap_usd=float(spent.cap_usd),
        low_usd=None if low is None else low / NANO,
        high_usd=None if high is None else high / NANO,
    )


# ------------------------------------------------------------------------------------------------ candidates
def _candidate_rows(found: Detail, looks: Sequence[Look], *, margin: float | None) -> list[CandidateRow]:
    colors = charts.series(arm.name for arm in found.arms)
    tried = [arm for arm in found.arms if arm.position]
    seen = {arm.id: _seen(arm, [look for look in looks if look.candidate_id == arm.id]) for arm in tried}
    scale = charts.Scale.of([end for one in seen.values() if one for end in (one.low, one.high)], edge=-(margin or 0.0))
    codes = {row["candidate"]: row["code"] for row in (found.outcome or {}).get("candidates", [])}
    leader = (found.outcome or {}).get("leader")
    return [
        CandidateRow(
            arm=arm,
            color=colors[arm.name],
            tone=ARM_TONES.get(Candidate.State(arm.state), "open"),
            is_live=arm.state == Candidate.State.TRYING and found.row.state == State.RUNNING,
            is_leader=arm.id == leader,
            quality=(quality := seen[arm.id]),
            bar=_bar(arm, scale, quality, _bound(arm, looks)) if quality else None,
            note=_note(arm, codes.get(arm.id, ""), [look for look in looks if look.candidate_id == arm.id]),
        )
        for arm in tried
    ]


def _seen(arm: Arm, looks: Sequence[Look]) -> Seen | None:
    """Quality at the end, or at the last look so far."""
    found = guard(looks[-1], "quality") if looks else None
    if arm.quality is not None:
        ends = (arm.quality.estimate, arm.quality.low, arm.quality.high)
    else:
        ends = (found["estimate"], found["low"], found["high"]) if found else (None, None, None)
    estimate, low, high = ends
    return None if estimate is None or low is None or high is None else Seen(estimate, low, high)


def _bound(arm: Arm, looks: Sequence[Look]) -> float | None:
    """The bound of quality at the last look that could show anything."""
    own = [look for look in looks if look.candidate_id == arm.id and not look.ranking]
    seen = [found for found in (guard(look, "quality") for look in own) if found]
    return next((found["bound"] for found in reversed(seen) if found["bound"] is not None), None)


def guard(look: Look, metric: str) -> Mapping[str, Any] | None:
    """The guard on a metric at a look; None: the look knows nothing of it."""
    return next((one for one in look.conditions if one["metric"] == metric and one["kind"] == "margin"), None)


def _bar(arm: Arm, scale: charts.Scale, seen: Seen, bound: float | None) -> charts.Range:
    said = (plots.spoken(seen.estimate), plots.spoken(seen.low), plots.spoken(seen.high))
    tone = "ok" if arm.state == Candidate.State.PASSED else "warn" if bound is not None else "ctx"
    return charts.range_bar(
        f"{arm.name}: {said[0]}, interval {said[1]} to {said[2]}", scale,
        estimate=seen.estimate, low=seen.low, high=seen.high, bound=bound, tone=tone,
    )  # fmt: skip


def _note(arm: Arm, code: str, looks: Sequence[Look]) -> str:
    """Why and when a candidate stopped, and what went wrong with its calls."""
    said = []
    if arm.state in OUT and looks:
        why = STOPPED.get(code, STOPPED["no_candidate_likely"])
        stage = "of the ranking" if looks[-1].ranking else "of its test"
        said = ["; ".join([f"after {looks[-1].prompts} prompts {stage}: {why}", *grounds.failing(looks[-1])])]
    elif code in STOPPED:
        said = [STOPPED[code]]
    if arm.refused:
        said.append(f"refused {arm.refused} of {arm.prompts} calls")
    for kind, text in (("failed", f"failed {arm.failed}"), ("missing", f"{arm.missing} could not be asked")):
        kinds = [f"{one.count} {one.reason.replace('_', ' ')}" for one in arm.failures if one.kind == kind]
        said += [f"{text} ({', '.join(kinds)})"] if kinds else []
    return "; ".join(said)


# ------------------------------------------------------------------------------------------------ what was shown
def _changes(found: Detail) -> list[changes.Said]:
    outcome = found.outcome or {}
    return changes.said(
        outcome.get("changes", []), recommended=found.row.recommended, leader=found.row.leader,
        unscored=outcome.get("unscored", 0),
    )  # fmt: skip


def _stopping(found: Detail) -> Stopping | None:
    outcome = found.outcome or {}
    planned, saved = outcome.get("planned_answers") or 0, outcome.get("saved_answers") or 0
    if not planned:
        return None
    nanousd = outcome.get("saved_nanousd")
    usd = None if nanousd is None else nanousd / NANO
    return Stopping(outcome.get("answers", 0), planned, saved, usd, saved / planned)


# ------------------------------------------------------------------------------------------------ measures
def _measures(found: Detail, floor: Floor | None) -> list[Measure]:
    """Every metric of the leader against the baseline."""
    leader = (found.outcome or {}).get("leader")
    arm = next((arm for arm in found.arms if arm.id == leader), None)
    known = [metric for metric in (arm.metrics if arm else []) if metric.estimate is not None]
    own = floor.metrics if floor else {}
    return [_measure(metric, own.get(metric.metric)) for metric in known if not metric.use_case]


def _measure(metric: selectors.Metric, floor: selectors.Metric | None) -> Measure:
    say, is_share_saved = _SAID.get(metric.metric, (score, False))
    name = metric.metric.removeprefix("level ")
    return Measure(
        name, say(metric.baseline), say(metric.value), *_difference(metric, is_share=is_share_saved), metric.prompts,
        *(("", "") if floor is None else _difference(floor, is_share=is_share_saved)),
    )  # fmt: skip


def _difference(metric: selectors.Metric, *, is_share: bool) -> tuple[str, str]:
    """The difference and its interval; of cost and latency the share saved."""
    if is_share:
        return f"saves {percent(metric.estimate, 0)}", interval(metric, "percent:0")
    return signed(metric.estimate), interval(metric)


def _per_1000(usd: float | None) -> str:
    return dollars(None if usd is None else usd * 1000)


def _seconds(value: float | None) -> str:
    return DASH if value is None else f"{value:.2f} s"


# how a metric's means are said, and whether its estimate is the share saved
_SAID: dict[str, tuple[Callable[[float | None], str], bool]] = {
    "cost": (_per_1000, True),
    "latency": (_seconds, True),
}


# ------------------------------------------------------------------------------------------------ judges
def _judge_rows(found: Detail) -> list[JudgeRow]:
    models = sorted({seat.model for seat in found.judges}, key=lambda model: (not model, model))  # rules last
    rows = []
    for model in models:
        seats = [seat for seat in found.judges if seat.model == model]
        rows.append(
            JudgeRow(
                model=model or "Rules",
                rubrics=", ".join(_rubric(seat) for seat in seats),
                is_exact=all(seat.exact for seat in seats),
                scored=sum(seat.scored for seat in seats),
                unscored=sum(seat.unscored for seat in seats),
            )
        )
    return rows


def _rubric(seat: selectors.JudgeSeat) -> str:
    return seat.rubric if seat.repeats == 1 else f"{seat.rubric} {seat.repeats} times"
