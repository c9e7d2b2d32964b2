"""Open, start, pause, resume and cancel evaluations, and have failed calls asked again."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models import Count, Max, Q
from django.utils import timezone

from agentopt.lib import money
from agentopt.lib.errors import Conflict, Invalid
from evaluation import accuracy, adaptation, budget, labels, logged, offers, purse, references, replay, seating
from evaluation.models import Candidate, Charge, Evaluation, Judge, Replay, Sample
from evaluation.planning import Plan, measured, plan
from evaluation.repeating import Baseline
from evaluation.seating import set_judges
from evaluation.values import EvaluationRequest, Prompt
from ingestion.gateway import Gateway
from ingestion.models import LogRecord
from projects import audit, jobs
from projects.models import Job, Project, User

__all__ = ["EvaluationRequest", "Plan", "cancel", "open_evaluation", "pause", "plan", "resume", "retry_failed",
           "set_judges", "start"]  # fmt: skip

_ONE_CALL = budget.Amount(0, 1)
REPEATS_WITHIN = timedelta(days=90)
_OPEN = (Evaluation.State.QUEUED, Evaluation.State.RUNNING)
_RESUMABLE = (Evaluation.State.PAUSED, Evaluation.State.AT_CAP, Evaluation.State.FAILED)


# ------------------------------------------------------------------------------------------------ opening
def open_evaluation(
    project: Project, request: EvaluationRequest, *, by: User | None, gateway: Gateway, now: datetime
) -> Evaluation:
    """Store an evaluation with all that it is frozen on: candidates, judges, prompts in order, the baseline's answers.

    With no candidate left, or fewer prompts than the decision needs, it is stored all the same: running it pays nothing
    and says why.

    Raises:
        as `plan`.
    """
    began = timezone.now()
    planned = plan(project, request, gateway=gateway, now=now, may_pay=True)
    if planned.refusal is not None:
        raise Conflict(planned.refusal.text)
    from evaluation import sampling  # here: numpy stays out of the web process until it is needed

    prompts = planned.population.prompts
    order = sampling.order([p.use_case for p in prompts], [p.conversation for p in prompts], seed=planned.seed)
    drawn = [prompts[i] for i in order[: planned.limit]]
    with transaction.atomic():
        Project.objects.select_for_update(no_key=True).get(pk=project.pk)  # one at a time: the number
        evaluation = _create(project, planned, drawn, request=request, by=by, now=now)
        # what the ranking cost belongs to the evaluation it was made for, and counts under its cap
        mine = Charge.objects.filter(project=project, evaluation=None, kind=Charge.Kind.RANKING, at__gte=began)
        mine.update(evaluation=evaluation)
        first = _add_candidates(evaluation, planned)
        seating.seat(evaluation, planned.panel)
        accuracy.freeze(evaluation)
        known = references.read(project, [prompt.pk for prompt in drawn])
        samples = Sample.objects.bulk_create(
            Sample(evaluation=evaluation, position=i, record_id=p.pk, use_case=p.use_case, reference=known.get(p.pk))
            for i, p in enumerate(drawn)
        )
        logged.store(first, samples)
        audit.record(project, by, "evaluation.open", f"evaluation {evaluation.number}",
                     after={"cap_nanousd": planned.cap_nanousd})  # fmt: skip
    return evaluation


def _create(
    project: Project,
    planned: Plan,
    drawn: Sequence[Prompt],
    *,
    request: EvaluationRequest,
    by: User | None,
    now: datetime,
) -> Evaluation:
    """Store the row under the next number of the project, whose row is locked."""
    number = (project.evaluations.aggregate(last=Max("number"))["last"] or 0) + 1
    return Evaluation.objects.create(
        project=project,
        number=number,
        kind=Evaluation.Kind.NOISE if request.noise else Evaluation.Kind.CANDIDATES,
        use_case=request.use_case or "",
        prompt_version=request.prompt_version or "",
        goal=planned.goal,
        seed=planned.seed,
        limit=planned.limit,
        window_since=planned.population.since,
        window_until=planned.population.until,
        policy=_policy(project, planned, drawn, request=request, now=now),
        population={
            **planned.population_json(),
            "drawn": _digest(planned, drawn),
            "prompt_version": _prompt_version(drawn),
        },
        selection=planned.selection_json(),
        forecast=planned.forecast.to_json(),
        cap_nanousd=planned.cap_nanousd,
        cap_calls=planned.cap_calls,
        replay_baseline=planned.repeating.times_all,
        conditions=_conditions(planned),
        simulated=planned.population.simulated,
        created_by=by,
    )


def _conditions(planned: Plan) -> dict[str, Any]:
    """How requests are asked, and where the baseline's figures come from: docs/algorithms/replay.md."""
    repeating = planned.repeating
    is_called = repeating.baseline == Baseline.REPLAYED
    answer, call = ("called beside the candidates",) * 2 if is_called else ("logged answer", "logged call")
    some = "not compared; called on one prompt of five" if repeating.calls_baseline else "not compared"
    return {
        "adaptations": adaptation.VERSION,
        "streams": "as logged",
        "repetitions": repeating.repetitions,
        "repeating": repeating.to_json(),
        "same_family": [dict(reason.numbers) for reason in planned.panel.kin([planned.baseline, *planned.kept])],
        "baseline": {
            "quality": answer,
            "answered": answer,
            "cost": call,
            "latency": "called beside the candidates" if repeating.times_all else some,
            **({"stability": "called on one prompt of five"} if repeating.repetitions > 1 else {}),
        },
    }


def _policy(
    project: Project, planned: Plan, drawn: Sequence[Prompt], *, request: EvaluationRequest, now: datetime
) -> dict[str, Any]:
    from evaluation import policy
    from evaluation.statistics.policy import validate

    found = policy.goal_policy(
        planned.goal.value(), planned.effective, measured=measured(planned.panel, planned.repeating),
        exact=planned.panel.is_exact, own_margins=planned.panel.own_margins(),
        fruitless=_fruitless(project, planned, drawn, use_case=request.use_case or "", now=now),
        share=request.error_share,
    )  # fmt: skip
    if request.noise:  # it is measured to its end, however little it promises
        found = replace(found, futility=0.0)
    try:
        validate(found)
    except ValueError as error:
        raise Invalid(f"The goal cannot be decided on: {error}.", fields={"goal": str(error)}) from error
    return found.to_json()


def _digest(planned: Plan, drawn: Sequence[Prompt]) -> str:
    """Hash of models, judges, prompts in order and labels: two evaluations that agree in it are the same run."""
    judges = [_seated(judge) for judge in planned.panel.judges]
    arms = [planned.baseline.name, *(offer.name for offer in planned.kept)]
    if planned.repeating.calls_baseline:
        arms.append(str(sorted(planned.repeating.to_json().items())))
    prompts = [str(prompt.pk) for prompt in drawn]
    newest = labels.last([prompt.pk for prompt in drawn])  # they correct the judges, so the result may differ
    said = [f"label {newest}"] if newest else []
    return hashlib.sha256("\n".join([*arms, "", *judges, "", *prompts, *said]).encode()).hexdigest()


def _seated(judge: Judge) -> str:
    """A judge by all that decides what it will say: of an own judge and a rule its version, too."""
    said = f"{judge.model} {judge.rubric} {judge.repeats}"
    return said if judge.version is None else f"{said} {judge.version.text_hash} {judge.counts_as}"


def _fruitless(project: Project, planned: Plan, drawn: Sequence[Prompt], *, use_case: str, now: datetime) -> list[int]:
    """For each candidate: evaluations under this goal and prompt version that lately tried it for nothing.

    The very same run again is no further try, since its result cannot differ: it counts as of its first time.
    """
    same = project.evaluations.filter(goal=planned.goal, population__drawn=_digest(planned, drawn))
    first = same.order_by("number").values_list("created_at", flat=True).first() or now
    version = _prompt_version(drawn)
    of_prompt = Q(evaluation__population__prompt_version=version) if version else Q()
    rows = (
        Candidate.objects.filter(of_prompt, offer__in=[offer.pk for offer in planned.kept if offer.pk is not None])
        .filter(evaluation__project=project, evaluation__goal=planned.goal)
        .filter(evaluation__use_case=use_case, evaluation__kind=Evaluation.Kind.CANDIDATES)
        .filter(evaluation__created_at__lt=first, evaluation__created_at__gte=first - REPEATS_WITHIN)
        .filter(looks__ranking=False)
        .exclude(state=Candidate.State.PASSED)
        .values_list("offer")
    )
    counts = dict(rows.annotate(n=Count("evaluation", distinct=True)).order_by())
    return [counts.get(offer.pk, 0) for offer in planned.kept]


def _prompt_version(drawn: Sequence[Prompt]) -> str:
    """The version of the agent's prompt in the newest of these calls that tells one; empty: none does."""
    rows = LogRecord.objects.filter(pk__in=[prompt.pk for prompt in drawn]).exclude(prompt_version="")
    return rows.order_by("-occurred_at", "-pk").values_list("prompt_version", flat=True).first() or ""


def _add_candidates(evaluation: Evaluation, planned: Plan) -> Candidate:
    """Store baseline, kept and pruned models; returns the baseline."""
    own = offers.row_of(evaluation.project, planned.baseline)
    first = Candidate.objects.create(evaluation=evaluation, offer_id=own, position=0, state=Candidate.State.BASELINE)
    Candidate.objects.bulk_create(
        Candidate(
            evaluation=evaluation,
            offer_id=offers.row_of(evaluation.project, choice.offer),
            position=choice.rank,
            state=Candidate.State.WAITING if choice.kept else Candidate.State.PRUNED,
            reasons=[reason.to_json() for reason in (*choice.reasons, *choice.notes)],
        )
        for choice in planned.choices
        if choice.offer.pk != own or evaluation.kind == Evaluation.Kind.NOISE
    )
    return first


# ------------------------------------------------------------------------------------------------ during a run
def start(evaluation: Evaluation, by: User | None) -> Job:
    """Hand an evaluation to the workers; the Job says how far it is."""
    return jobs.start("evaluation", evaluation.project, subject_id=evaluation.pk, by=by)


def pause(evaluation: Evaluation, by: User | None) -> None:
    """Stop sending calls; those in flight are stored. It can be resumed."""
    _change(evaluation, _OPEN, Evaluation.State.PAUSED, by=by)


def resume(
    evaluation: Evaluation,
    by: User | None,
    *,
    max_cost_usd: Decimal | None = None,
    max_calls: int | None = None,
    now: datetime | None = None,
) -> Job:
    """Go on where it stopped, with higher caps where they are given: the plan stays, so it is the same run.

    Raises:
        Conflict: it is not stopped, or the cap at which it stands has no room yet.
    """
    caps: dict[str, Any] = {} if max_cost_usd is None else {"cap_nanousd": money.nanousd(max_cost_usd)}
    caps |= {} if max_calls is None else {"cap_calls": max_calls}
    if evaluation.state == Evaluation.State.AT_CAP:
        _refuse_same_cap(evaluation, caps)
    with transaction.atomic():
        before, evaluation_id = evaluation.state, evaluation.pk
        _change(evaluation, _RESUMABLE, Evaluation.State.QUEUED, by=by)
        if caps:
            Evaluation.objects.filter(pk=evaluation_id).update(**caps)
            evaluation.refresh_from_db(fields=list(caps))
        if before == Evaluation.State.AT_CAP:
            _refuse_no_room(evaluation, now=now or timezone.now())
    return start(evaluation, by)


def _refuse_same_cap(evaluation: Evaluation, caps: Mapping[str, int]) -> None:
    if evaluation.reason in ("", "at_cap") and caps.get("cap_nanousd", 0) <= evaluation.cap_nanousd:
        usd = money.usd(evaluation.cap_nanousd)
        raise Conflict(f"It stopped at its cap of ${usd:.2f}: resume it with a higher one (max_cost_usd).")
    if evaluation.reason == "at_call_cap" and caps.get("cap_calls", 0) <= (evaluation.cap_calls or 0):
        calls = evaluation.cap_calls or 0
        raise Conflict(f"It stopped at its cap of {calls:,} calls: resume it with a higher one (max_calls).")


def _refuse_no_room(evaluation: Evaluation, *, now: datetime) -> None:
    """Within the transaction that resumes it: where a cap has no room for one call, it would only stop again."""
    found = budget.grant(purse.caps_of(evaluation.project, evaluation, now=now), need=_ONE_CALL, want=_ONE_CALL)
    if isinstance(found, budget.Shortage):
        said = budget.stop_of(found, spent_nanousd=found.spent, cap_nanousd=found.cap)
        raise Conflict(f"It cannot go on yet. {said.text}")


def cancel(evaluation: Evaluation, by: User | None) -> None:
    """End it for good; what was paid stays stored and is reused by later evaluations."""
    with transaction.atomic():
        _change(evaluation, (*_OPEN, *_RESUMABLE), Evaluation.State.CANCELLED, by=by)
        waiting = evaluation.project.jobs.filter(
            kind="evaluation", subject_id=evaluation.pk, state__in=[Job.State.QUEUED, Job.State.RUNNING]
        )
        for job in waiting:
            jobs.cancel(job)


def retry_failed(evaluation: Evaluation, by: User | None, **caps: Any) -> Job:
    """Ask again, of all models alike, what failed or could not be asked, and go on; verdicts of answers stay.

    What a model answered is never asked again, nor an empty answer or one that its own limit cut off. Of an ended
    evaluation nothing is asked again, since its rows are evidence: another one over the same prompts pays only for what
    failed.

    Args:
        caps: as `resume` takes them.

    Raises:
        Conflict: it is not stopped, it has ended, or nothing failed.
    """
    if evaluation.state == Evaluation.State.DONE:
        raise Conflict(
            f"Evaluation {evaluation.number} has ended, and its calls are evidence now. Start another one: answers are "
            "reused, and only what failed is asked and paid again."
        )
    failed = Replay.objects.filter(sample__evaluation=evaluation, source=Replay.Source.CALLED, again=False)
    with transaction.atomic():
        lost = failed.filter(status__in=[Replay.Status.FAILED, Replay.Status.MISSING])
        n = lost.exclude(reason__in=(*replay.LASTING_FAILURES, replay.NO_BODY)).update(again=True)
        if not n:
            raise Conflict(f"Nothing failed in evaluation {evaluation.number} that could be asked again.")
        audit.record(evaluation.project, by, "evaluation.retry", f"evaluation {evaluation.number}", after={"calls": n})
        return resume(evaluation, by, **caps)


def _change(evaluation: Evaluation, allowed: Sequence[str], state: Evaluation.State, *, by: User | None) -> None:
    """Change the state if it is still one of those allowed: a worker may change it at the same moment."""
    changed = Evaluation.objects.filter(pk=evaluation.pk, state__in=allowed).update(state=state, reason="", message="")
    before = evaluation.state
    evaluation.refresh_from_db()
    if not changed:
        raise Conflict(f"Evaluation {evaluation.number} is {evaluation.get_state_display()}; that cannot be done now.")
    target = f"evaluation {evaluation.number}"
    states = ({"state": before}, {"state": evaluation.state})
    audit.record(evaluation.project, by, f"evaluation.{state}", target, before=states[0], after=states[1])
