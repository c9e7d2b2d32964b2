"""Deciding use case by use case: one evaluation each under one error budget and one cap; the outcome may be mixed."""

from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime
from fractions import Fraction

from agentopt.lib import money, wording
from agentopt.lib.errors import AgentOptError, Conflict
from evaluation import planning, selectors, services
from evaluation.models import Evaluation
from evaluation.selectors import Row
from evaluation.values import EvaluationRequest
from ingestion.gateway import Gateway
from projects.models import Job, Project, User

MOST_NAMED = 3  # use cases that are still open


@dataclass(frozen=True)
class Part:
    """One use case of a study and its evaluation."""

    use_case: str
    row: Row
    share: float  # of the error budget


def open_study(
    project: Project, request: EvaluationRequest, *, by: User | None, gateway: Gateway, now: datetime
) -> list[Evaluation]:
    """Open an evaluation for each use case that is large enough, the largest first.

    The error budget and both caps are divided in proportion to replayable prompts, so that together they promise and
    cost what one evaluation would.

    Raises:
        as `services.open_evaluation`. Conflict: fewer than two use cases are large enough.
    """
    from evaluation.statistics import policy, use_case_runs  # here: numpy stays out of the web process

    planned, rules = planning.plan(project, request, gateway=gateway, now=now), policy.Policy()
    # calls of no use case have nothing to be decided for
    prompts = Counter(prompt.use_case for prompt in planned.population.prompts if prompt.use_case)
    found = use_case_runs.shares(prompts, rules)
    if len(found) < 2:
        raise Conflict(
            f"Deciding per use case needs two use cases with {rules.least_prompts} replayable prompts each; there "
            f"{'is one' if found else 'is none'}. Group the calls first (use_cases), or evaluate all of them together."
        )
    opened: list[Evaluation] = []
    try:
        for name, share in sorted(found.items(), key=lambda item: (-item[1], item[0])):
            part = replace(
                request,
                use_case=name,
                error_share=share,
                max_cost_usd=money.usd(int(planned.cap_nanousd * Fraction(share))),
                max_calls=None if planned.cap_calls is None else max(1, int(planned.cap_calls * share)),
            )
            opened.append(services.open_evaluation(project, part, by=by, gateway=gateway, now=now))
    except AgentOptError:
        for one in opened:  # all or none: the shares of the others would be lost
            services.cancel(one, by)
        raise
    numbers = [one.number for one in opened]
    Evaluation.objects.filter(project=project, number__in=numbers).update(study=numbers[0])
    for one in opened:
        one.study = numbers[0]
    return opened


def start(opened: list[Evaluation], by: User | None) -> list[Job]:
    """Hand all of them to the workers."""
    return [services.start(one, by) for one in opened]


def parts(evaluation: Evaluation) -> list[Part]:
    """The evaluations of the same study, by number; empty: it is decided as a whole."""
    if evaluation.study is None:
        return []
    found = list(evaluation.project.evaluations.filter(study=evaluation.study).order_by("number"))
    rows = selectors.rows_of(found)
    return [Part(one.use_case, row, float(one.policy.get("share", 1.0))) for one, row in zip(found, rows, strict=True)]


def sentence(found: list[Part]) -> str:
    """The mixed outcome in one sentence: X for refunds, stay for the rest."""
    if not found:
        return ""
    moves: dict[str, list[str]] = {}
    for part in found:
        if part.row.recommended:
            moves.setdefault(part.row.recommended, []).append(part.use_case)
    moved = [f"{model} for {wording.listed(names)}" for model, names in moves.items()]
    waits = [part.use_case for part in found if part.row.state != Evaluation.State.DONE]
    waiting = f"{len(waits)} use cases" if len(waits) > MOST_NAMED else wording.listed(waits)
    baseline = found[0].row.baseline
    said = [*moved, *([f"open for {waiting}"] if waits else []), f"{baseline} for the rest"]
    if not moved and not waits:
        return f"Stay with {baseline} everywhere"
    text = "; ".join(said)
    return text[0].upper() + text[1:] if not moved else text
