"""Reads of evaluations for pages, API and commands: a list, and everything about one."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import Sum

from agentopt.lib import money
from agentopt.lib.errors import NotFound
from evaluation import counting, interim
from evaluation.counting import Answers, Counts
from evaluation.models import Candidate, Charge, Comparison, Evaluation, Judge, Look, Replay, Verdict
from projects.models import Job, Project


@dataclass(frozen=True)
class Row:
    """One evaluation in a list. Money in US dollars; None: not known or not there yet."""

    id: int
    number: int
    kind: str
    use_case: str
    prompt_version: str
    study: int | None
    state: str
    state_label: str
    reason: str
    message: str
    baseline: str
    candidates: int
    limit: int
    seed: int
    spent_usd: Decimal
    cap_usd: Decimal
    cap_calls: int | None
    recommended: str | None
    leader: str | None
    confidence: float | None
    simulated: bool
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True)
class Metric:
    """A candidate against the baseline on one metric, overall (use_case "") or within one use case."""

    metric: str
    use_case: str
    prompts: int
    conversations: int
    unscored: int
    baseline: float | None
    value: float | None
    estimate: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Arm:
    """The baseline, a candidate or a pruned model."""

    id: int
    name: str
    provider: str
    position: int | None
    state: str
    state_label: str
    reasons: list[dict[str, Any]]
    prompts: int  # answered, failed or missing; the baseline's are from the log
    answered: int
    failed: int
    missing: int
    refused: int
    cost_per_1000_usd: Decimal | None
    quality: Metric | None
    metrics: list[Metric]
    failures: list["Tally"]  # of its calls, by kind and reason, the most frequent first
    chance: float | None
    p: float | None
    confidence: float | None
    looks: int


@dataclass(frozen=True)
class JudgeSeat:
    """A judge of the panel, and how its verdicts fared."""

    model: str
    rubric: str
    repeats: int
    exact: bool
    version: str
    scored: int
    unscored: int


@dataclass(frozen=True)
class Tally:
    """How often something happened, for one reason."""

    kind: str  # failed | missing | unscored
    reason: str
    count: int


@dataclass(frozen=True)
class Spend:
    """What was paid so far, and what was reused instead of paid."""

    replays_usd: Decimal
    judges_usd: Decimal
    total_usd: Decimal
    cap_usd: Decimal
    model_calls: int
    judge_calls: int
    answers: int
    answers_reused: int
    verdicts: int
    verdicts_reused: int


@dataclass(frozen=True)
class Detail:
    """All about one evaluation."""

    row: Row
    population: dict[str, Any]
    selection: dict[str, Any]
    forecast: dict[str, Any]
    policy: dict[str, Any]
    outcome: dict[str, Any] | None
    arms: list[Arm]  # baseline and candidates, in order
    pruned: list[Arm]  # by name
    judges: list[JudgeSeat]
    spend: Spend
    tallies: list[Tally]
    interim: interim.Interim | None  # of a run that stopped before its end
    work: Job | None  # the newest that was done on it
    looks: list[Look]  # the ranking first, by prompts
    counts: Counts

    @property
    def job(self) -> int | None:
        """The id of the newest job that works on it."""
        return self.work.pk if self.work else None


def named(project: Project, number: str | int) -> Evaluation:
    """The project's evaluation of this number.

    Raises:
        NotFound: there is none.
    """
    text = str(number)
    found = project.evaluations.filter(number=int(text)) if text.isascii() and text.isdigit() else None
    evaluation = found.select_related("goal", "created_by").first() if found is not None else None
    if evaluation is None:
        raise NotFound(f"There is no evaluation {text} in this project.")
    return evaluation


def listing(project: Project, *, limit: int = 50, before: int | None = None, kind: str = "") -> list[Row]:
    """Evaluations, the newest first; `before`: only those with a lower number; `kind`: only those of it."""
    rows = project.evaluations.order_by("-number")
    if kind:
        rows = rows.filter(kind=kind)
    if before is not None:
        rows = rows.filter(number__lt=before)
    return rows_of(list(rows[:limit]))


def standing_judges(project: Project) -> list[Judge]:
    """The project's judges by the product's rubrics; empty: those of the instance judge."""
    return list(project.judges.filter(active=True, version=None).order_by("model", "rubric"))


def detail(evaluation: Evaluation) -> Detail:
    """Everything about an evaluation as it stands now."""
    counts, looks = counting.read(evaluation), list(evaluation.looks.order_by("-ranking", "prompts"))
    arms, paid = _arms(evaluation, counts, looks), spend(evaluation, counts)
    jobs = Job.objects.filter(project=evaluation.project_id, kind="evaluation", subject_id=evaluation.pk)
    return Detail(
        row=_row(
            evaluation, names={arm.id: arm.name for arm in arms if arm.position is not None},
            baseline=next((arm.name for arm in arms if arm.position == 0), ""),
            candidates=sum(arm.position is not None and arm.position > 0 for arm in arms), spent_usd=paid.total_usd,
        ),
        population=evaluation.population,
        selection=evaluation.selection,
        forecast=evaluation.forecast,
        policy=evaluation.policy,
        outcome=evaluation.outcome,
        arms=[arm for arm in arms if arm.position is not None],
        pruned=sorted((arm for arm in arms if arm.position is None), key=lambda arm: arm.name),
        judges=_judges(evaluation, counts),
        spend=paid,
        tallies=_tallies(counts),
        interim=interim.read(evaluation),
        work=jobs.order_by("-pk").first(),
        looks=looks,
        counts=counts,
    )  # fmt: skip


def spend(evaluation: Evaluation, counts: Counts | None = None) -> Spend:
    """What an evaluation has paid so far; `counts`: where the caller has them."""
    counts = counts or counting.read(evaluation)
    asked, judged, paid = counts.asked, counts.verdicts, counts.paid
    ranked = evaluation.charges.filter(kind=Charge.Kind.RANKING).aggregate(paid=Sum("nanousd"))["paid"] or 0
    return Spend(
        replays_usd=_usd(paid[0]),
        judges_usd=_usd(paid[1]),
        total_usd=_usd(sum(paid) + ranked),  # of the model that ranked the candidates, too
        cap_usd=_usd(evaluation.cap_nanousd),
        model_calls=sum(one.calls for one in asked),
        judge_calls=sum(one.calls for one in judged),
        answers=sum(one.n for one in asked),
        answers_reused=sum(one.n for one in asked if one.source == Replay.Source.CACHED),
        verdicts=sum(one.n for one in judged),
        verdicts_reused=sum(one.n for one in judged if one.source == Verdict.Source.CACHED),
    )


def _usd(amount_nanousd: int) -> Decimal:
    return Decimal(amount_nanousd) / money.NANO


def rows_of(evaluations: Sequence[Evaluation], *, paid: Mapping[int, int] | None = None) -> list[Row]:
    """Rows of a page of evaluations, in two queries whatever their number; `paid`: nano-dollars, if they are known."""
    ids = [evaluation.pk for evaluation in evaluations]
    kept = Candidate.objects.filter(evaluation__in=ids, position__isnull=False).select_related("offer")
    names = {candidate.pk: candidate.offer.name for candidate in kept}
    baselines = {candidate.evaluation_id: candidate.offer.name for candidate in kept if candidate.position == 0}
    counts: dict[int, int] = {}
    for candidate in kept:
        counts[candidate.evaluation_id] = counts.get(candidate.evaluation_id, 0) + (candidate.position != 0)
    paid = _paid(ids) if paid is None else paid
    return [
        _row(
            row, names=names, baseline=baselines.get(row.pk, ""), candidates=counts.get(row.pk, 0),
            spent_usd=_usd(paid[row.pk]),
        )
        for row in evaluations
    ]  # fmt: skip


def _paid(ids: Sequence[int]) -> dict[int, int]:
    """Nano-dollars paid so far, by evaluation."""
    paid = dict.fromkeys(ids, 0)
    if not paid:
        return paid
    replays = Replay.objects.filter(sample__evaluation__in=ids).values_list("sample__evaluation")
    verdicts = Verdict.objects.filter(replay__sample__evaluation__in=ids).values_list("replay__sample__evaluation")
    ranked = Charge.objects.filter(evaluation__in=ids, kind=Charge.Kind.RANKING).values_list("evaluation")
    sums = [rows.annotate(paid=Sum("paid_nanousd")).order_by() for rows in (replays, verdicts)]
    for pk, amount in sums[0].union(sums[1], ranked.annotate(paid=Sum("nanousd")).order_by(), all=True):
        paid[pk] += int(amount or 0)
    return paid


def _row(
    evaluation: Evaluation, *, names: Mapping[int, str], baseline: str, candidates: int, spent_usd: Decimal
) -> Row:
    outcome = evaluation.outcome or {}
    return Row(
        id=evaluation.pk,
        number=evaluation.number,
        kind=evaluation.kind,
        use_case=evaluation.use_case,
        prompt_version=evaluation.prompt_version,
        study=evaluation.study,
        state=evaluation.state,
        state_label=evaluation.get_state_display(),
        reason=evaluation.reason,
        message=evaluation.message,
        baseline=baseline,
        candidates=candidates,
        limit=evaluation.limit,
        seed=evaluation.seed,
        spent_usd=spent_usd,
        cap_usd=_usd(evaluation.cap_nanousd),
        cap_calls=evaluation.cap_calls,
        recommended=names.get(outcome.get("recommended") or 0),
        leader=names.get(outcome.get("leader") or 0),
        confidence=outcome.get("confidence"),
        simulated=evaluation.simulated,
        created_at=evaluation.created_at,
        started_at=evaluation.started_at,
        ended_at=evaluation.ended_at,
    )


def _arms(evaluation: Evaluation, counts: Counts, looks: Sequence[Look]) -> list[Arm]:
    first: dict[int, list[Answers]] = {}
    for one in counts.answers:
        if one.repetition == 0:
            first.setdefault(one.candidate, []).append(one)
    metrics: dict[int, list[Metric]] = {}
    for row in evaluation.comparisons.order_by("use_case", "metric"):
        metrics.setdefault(row.candidate_id, []).append(metric(row))
    seen: dict[int, list[Look]] = {}
    for look in looks:
        seen.setdefault(look.candidate_id, []).append(look)
    candidates = evaluation.candidates.select_related("offer").order_by("position", "offer__name")
    return [
        _arm(one, first.get(one.pk, []), metrics=metrics.get(one.pk, []), looks=seen.get(one.pk, []))
        for one in candidates
    ]


def _arm(candidate: Candidate, answers: Sequence[Answers], *, metrics: list[Metric], looks: list[Look]) -> Arm:
    last = looks[-1] if looks else None
    priced, cost = sum(one.priced for one in answers), sum(one.cost for one in answers)
    states = {status: sum(one.n for one in answers if one.status == status) for status in Replay.Status}
    return Arm(
        id=candidate.pk,
        name=candidate.offer.name,
        provider=candidate.offer.provider,
        position=candidate.position,
        state=candidate.state,
        state_label=candidate.get_state_display(),
        reasons=candidate.reasons,
        prompts=sum(one.n for one in answers),
        answered=states[Replay.Status.ANSWERED],
        failed=states[Replay.Status.FAILED],
        missing=states[Replay.Status.MISSING],
        refused=sum(one.refused for one in answers),
        cost_per_1000_usd=_usd(round(cost / priced * 1000)) if priced else None,
        quality=next((m for m in metrics if m.metric == "quality" and not m.use_case), None),
        metrics=metrics,
        failures=_lost(answers),
        chance=last.chance if last else None,
        p=last.p if last else None,
        confidence=last.confidence if last else None,
        looks=len(looks),
    )


def _lost(answers: Sequence[Answers]) -> list[Tally]:
    found: Counter[tuple[str, str]] = Counter()
    for one in answers:
        if not one.is_answered:
            found[one.status, one.reason] += one.n
    tallies = [Tally(status, reason, n) for (status, reason), n in found.items()]
    return sorted(tallies, key=lambda tally: (-tally.count, tally.kind, tally.reason))


def metric(row: Comparison) -> Metric:
    """A stored comparison as a value."""
    return Metric(
        metric=row.metric,
        use_case=row.use_case,
        prompts=row.n_prompts,
        conversations=row.n_units,
        unscored=row.n_unscored,
        baseline=row.baseline,
        value=row.value,
        estimate=row.estimate,
        low=row.low,
        high=row.high,
    )


def _judges(evaluation: Evaluation, counts: Counts) -> list[JudgeSeat]:
    judged: dict[tuple[int, int], tuple[int, int]] = {}
    for one in counts.verdicts:
        scored, unscored = judged.get((one.judge, one.version), (0, 0))
        judged[one.judge, one.version] = (scored + one.scored, unscored + one.n - one.scored)
    seats = evaluation.seats.select_related("judge", "version").order_by("judge__model", "judge__rubric")
    out = []
    for seat in seats:
        scored, unscored = judged.get((seat.judge_id, seat.version_id), (0, 0))
        out.append(
            JudgeSeat(
                model=seat.judge.model,
                rubric=seat.judge.rubric,
                repeats=seat.repeats,
                exact=seat.judge.exact,
                version=seat.version.text_hash[:12],
                scored=scored,
                unscored=unscored,
            )
        )
    return out


def _tallies(counts: Counts) -> list[Tally]:
    """What went wrong, by kind and reason, the most frequent first within a kind."""
    unscored: Counter[str] = Counter()
    for one in counts.verdicts:
        if one.n > one.scored:
            unscored[one.reason] += one.n - one.scored
    found = [*_lost(counts.answers), *(Tally("unscored", reason, n) for reason, n in unscored.items())]
    return sorted(found, key=lambda tally: (tally.kind, -tally.count, tally.reason))
