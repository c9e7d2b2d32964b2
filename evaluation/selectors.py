"""Reads of evaluations for pages, API and commands: a list, and everything about one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import Avg, Count, Q, QuerySet, Sum

from agentopt.lib import money
from agentopt.lib.errors import NotFound
from evaluation import interim
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
    job: int | None  # the newest job that works on it


def named(project: Project, number: str | int) -> Evaluation:
    """The project's evaluation of this number.

    Raises:
        NotFound: there is none.
    """
    text = str(number)
    found = project.evaluations.filter(number=int(text)) if text.isascii() and text.isdigit() else None
    evaluation = found.select_related("project", "goal").first() if found is not None else None
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
    arms = _arms(evaluation)
    jobs = Job.objects.filter(project=evaluation.project_id, kind="evaluation", subject_id=evaluation.pk)
    return Detail(
        row=rows_of([evaluation])[0],
        population=evaluation.population,
        selection=evaluation.selection,
        forecast=evaluation.forecast,
        policy=evaluation.policy,
        outcome=evaluation.outcome,
        arms=[arm for arm in arms if arm.position is not None],
        pruned=sorted((arm for arm in arms if arm.position is None), key=lambda arm: arm.name),
        judges=_judges(evaluation),
        spend=spend(evaluation),
        tallies=_tallies(evaluation),
        interim=interim.read(evaluation),
        job=jobs.order_by("-pk").values_list("pk", flat=True).first(),
    )


def spend(evaluation: Evaluation) -> Spend:
    """What an evaluation has paid so far."""
    answers = _answers(evaluation).exclude(source=Replay.Source.LOGGED)
    found = answers.aggregate(
        paid=Sum("paid_nanousd"), calls=Sum("calls"), n=Count("pk"), reused=Count("pk", Q(source=Replay.Source.CACHED))
    )
    judged = _verdicts(evaluation).aggregate(
        paid=Sum("paid_nanousd"), calls=Sum("calls"), n=Count("pk"), reused=Count("pk", Q(source=Verdict.Source.CACHED))
    )
    paid = (found["paid"] or 0, judged["paid"] or 0)
    ranked = evaluation.charges.filter(kind=Charge.Kind.RANKING).aggregate(paid=Sum("nanousd"))["paid"] or 0
    return Spend(
        replays_usd=_usd(paid[0]),
        judges_usd=_usd(paid[1]),
        total_usd=_usd(sum(paid) + ranked),  # of the model that ranked the candidates, too
        cap_usd=_usd(evaluation.cap_nanousd),
        model_calls=found["calls"] or 0,
        judge_calls=judged["calls"] or 0,
        answers=found["n"],
        answers_reused=found["reused"],
        verdicts=judged["n"],
        verdicts_reused=judged["reused"],
    )


def _usd(amount_nanousd: int) -> Decimal:
    return Decimal(amount_nanousd) / money.NANO


def _answers(evaluation: Evaluation) -> "QuerySet[Replay]":
    return Replay.objects.filter(sample__evaluation=evaluation)


def _verdicts(evaluation: Evaluation) -> "QuerySet[Verdict]":
    return Verdict.objects.filter(replay__sample__evaluation=evaluation)


def rows_of(evaluations: Sequence[Evaluation]) -> list[Row]:
    """Rows of a page of evaluations, in four queries whatever their number."""
    ids = [evaluation.pk for evaluation in evaluations]
    kept = Candidate.objects.filter(evaluation__in=ids, position__isnull=False).select_related("offer")
    names = {candidate.pk: candidate.offer.name for candidate in kept}
    baselines = {candidate.evaluation_id: candidate.offer.name for candidate in kept if candidate.position == 0}
    counts: dict[int, int] = {}
    for candidate in kept:
        counts[candidate.evaluation_id] = counts.get(candidate.evaluation_id, 0) + (candidate.position != 0)
    paid = _paid(ids)
    return [
        _row(row, names=names, baseline=baselines.get(row.pk, ""), candidates=counts.get(row.pk, 0), paid=paid[row.pk])
        for row in evaluations
    ]


def _paid(ids: Sequence[int]) -> dict[int, int]:
    """Nano-dollars paid so far, by evaluation."""
    paid = dict.fromkeys(ids, 0)
    for rows in (
        Replay.objects.filter(sample__evaluation__in=ids).values_list("sample__evaluation"),
        Verdict.objects.filter(replay__sample__evaluation__in=ids).values_list("replay__sample__evaluation"),
    ):
        for pk, amount in rows.annotate(paid=Sum("paid_nanousd")).order_by():
            paid[pk] += amount or 0
    ranked = Charge.objects.filter(evaluation__in=ids, kind=Charge.Kind.RANKING).values_list("evaluation")
    for number, amount in ranked.annotate(paid=Sum("nanousd")).order_by():
        paid[number or 0] += amount or 0
    return paid


def _row(evaluation: Evaluation, *, names: Mapping[int, str], baseline: str, candidates: int, paid: int) -> Row:
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
        spent_usd=_usd(paid),
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


def _arms(evaluation: Evaluation) -> list[Arm]:
    first = _answers(evaluation).filter(repetition=0)
    states = first.values("candidate").annotate(
        n=Count("pk"), answered=Count("pk", Q(status=Replay.Status.ANSWERED)),
        failed=Count("pk", Q(status=Replay.Status.FAILED)), missing=Count("pk", Q(status=Replay.Status.MISSING)),
        refused=Count("pk", Q(refused=True)), cost=Avg("cost_nanousd"),
    )  # fmt: skip
    by_candidate = {row["candidate"]: row for row in states.order_by()}
    metrics: dict[int, list[Metric]] = {}
    for row in evaluation.comparisons.order_by("use_case", "metric"):
        metrics.setdefault(row.candidate_id, []).append(metric(row))
    looks: dict[int, list[Look]] = {}
    for look in evaluation.looks.order_by("-ranking", "prompts"):
        looks.setdefault(look.candidate_id, []).append(look)
    lost: dict[int, list[Tally]] = {}
    unanswered = first.exclude(status=Replay.Status.ANSWERED).values_list("candidate", "status", "reason")
    for pk, status, reason, n in unanswered.annotate(n=Count("pk")).order_by("-n", "status", "reason"):
        lost.setdefault(pk, []).append(Tally(status, reason, n))
    candidates = evaluation.candidates.select_related("offer").order_by("position", "offer__name")
    return [
        _arm(one, by_candidate.get(one.pk, {}), metrics.get(one.pk, []), looks.get(one.pk, []), lost.get(one.pk, []))
        for one in candidates
    ]


def _arm(  # keyword-only would only repeat the names
    candidate: Candidate, counts: Mapping[str, Any], metrics: list[Metric], looks: list[Look], failures: "list[Tally]"
) -> Arm:
    last = looks[-1] if looks else None
    cost = counts.get("cost")
    return Arm(
        id=candidate.pk,
        name=candidate.offer.name,
        provider=candidate.offer.provider,
        position=candidate.position,
        state=candidate.state,
        state_label=candidate.get_state_display(),
        reasons=candidate.reasons,
        prompts=counts.get("n", 0),
        answered=counts.get("answered", 0),
        failed=counts.get("failed", 0),
        missing=counts.get("missing", 0),
        refused=counts.get("refused", 0),
        cost_per_1000_usd=None if cost is None else _usd(round(float(cost) * 1000)),
        quality=next((m for m in metrics if m.metric == "quality" and not m.use_case), None),
        metrics=metrics,
        failures=failures,
        chance=last.chance if last else None,
        p=last.p if last else None,
        confidence=last.confidence if last else None,
        looks=len(looks),
    )


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


def _judges(evaluation: Evaluation) -> list[JudgeSeat]:
    rows = _verdicts(evaluation).values("judge", "version").annotate(
        scored=Count("pk", Q(score__isnull=False)), unscored=Count("pk", Q(score__isnull=True))
    )  # fmt: skip
    counts = {(row["judge"], row["version"]): row for row in rows.order_by()}
    seats = evaluation.seats.select_related("judge", "version").order_by("judge__model", "judge__rubric")
    out = []
    for seat in seats:
        found = counts.get((seat.judge_id, seat.version_id), {"scored": 0, "unscored": 0})
        out.append(
            JudgeSeat(
                model=seat.judge.model,
                rubric=seat.judge.rubric,
                repeats=seat.repeats,
                exact=seat.judge.exact,
                version=seat.version.text_hash[:12],
                scored=found["scored"],
                unscored=found["unscored"],
            )
        )
    return out


def _tallies(evaluation: Evaluation) -> list[Tally]:
    """What went wrong, by kind and reason, the most frequent first within a kind."""
    calls = _answers(evaluation).exclude(status=Replay.Status.ANSWERED).values_list("status", "reason")
    found = [Tally(status, reason, n) for status, reason, n in calls.annotate(n=Count("pk")).order_by()]
    verdicts = _verdicts(evaluation).filter(score__isnull=True).values_list("reason")
    found += [Tally("unscored", reason, n) for reason, n in verdicts.annotate(n=Count("pk")).order_by()]
    return sorted(found, key=lambda tally: (tally.kind, -tally.count, tally.reason))
