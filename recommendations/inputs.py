"""Stored rows to what went into a decision, as one JSON document: no prompt, no answer, but every score and cost."""

from typing import Any

from django.db.models import Count, Q, Sum

from agentopt.lib import money
from evaluation import comparison, ledger
from evaluation.models import Evaluation, Replay, Verdict

SCHEMA = 2  # 1 lacks `question.detectable_difference`
Inputs = dict[str, Any]


def read(evaluation: Evaluation, *, agent: str | None = None) -> Inputs:
    """Read what the decision of a finished evaluation rests on; the same rows give the same document.

    Args:
        agent: name of the project as it was then; absent: as it is now.
    """
    reached = (evaluation.outcome or {}).get("prompts", 0)
    arms = comparison.columns_of(evaluation)
    return {
        "schema": SCHEMA,
        "question": {
            "agent": evaluation.project.name if agent is None else agent,
            "evaluation": evaluation.number,
            "baseline": arms[0].offer.name,
            "since": evaluation.window_since.isoformat() if evaluation.window_since else None,
            "until": evaluation.window_until.isoformat(),
            "use_case": evaluation.use_case,
            # only where there is one: documents of before are read again bit for bit
            **({"prompt_version": evaluation.prompt_version} if evaluation.prompt_version else {}),
            "goal_version": evaluation.goal.version,
            "seed": evaluation.seed,
            "limit": evaluation.limit,
            "detectable_difference": evaluation.forecast.get("detectable_difference"),
        },
        "policy": evaluation.policy,
        "total": comparison.total_of(evaluation),
        "arms": [ledger.arm(evaluation, arm) for arm in arms],
        "pruned": _pruned(evaluation),
        "seats": _seats(evaluation),
        "verdicts": _verdicts(evaluation).aggregate(
            scored=Count("pk", filter=Q(score__isnull=False)), unscored=Count("pk", filter=Q(score__isnull=True))
        ),
        "coverage": evaluation.population,
        "spend": _spend(evaluation),
        "prices": prices(evaluation),
        "samples": list(evaluation.samples.order_by("position").values_list("record_id", flat=True)),
        # beyond the rows that were reached only the baseline has values, and not of a fair sample: its logged failures
        "measurements": comparison.measured(evaluation, rows=reached).to_json(),
    }


def _pruned(evaluation: Evaluation) -> list[Inputs]:
    rows = evaluation.candidates.filter(position__isnull=True).select_related("offer").order_by("offer__name")
    return [{"name": row.offer.name, "reasons": row.reasons} for row in rows]


def _seats(evaluation: Evaluation) -> list[Inputs]:
    return [
        {
            "rubric": seat.judge.rubric,
            "model": seat.judge.model,
            "family": seat.judge.family,
            "version": seat.version.text_hash,
            "exact": seat.judge.exact,
            "repeats": seat.repeats,
        }
        for seat in evaluation.seats.select_related("judge", "version").order_by("pk")
    ]


def _spend(evaluation: Evaluation) -> Inputs:
    replays = Replay.objects.filter(sample__evaluation=evaluation).exclude(source=Replay.Source.LOGGED)
    verdicts = _verdicts(evaluation)
    paid = [rows.aggregate(paid=Sum("paid_nanousd"))["paid"] or 0 for rows in (replays, verdicts)]
    return {
        "replays_usd": float(money.usd(paid[0]) or 0),
        "judges_usd": float(money.usd(paid[1]) or 0),
        "cap_usd": float(money.usd(evaluation.cap_nanousd) or 0),
        "answers": replays.count(),
        "answers_reused": replays.filter(source=Replay.Source.CACHED).count(),
        "verdicts": verdicts.count(),
        "verdicts_reused": verdicts.filter(source=Verdict.Source.CACHED).count(),
    }


def prices(evaluation: Evaluation) -> list[Inputs]:
    """The prices in force when the evaluation was opened, of every arm."""
    found = []
    for arm in comparison.columns_of(evaluation):
        price = arm.offer.prices.filter(valid_from__lte=evaluation.created_at.date()).order_by("-valid_from").first()
        if price is not None:
            found.append(
                {
                    "model": arm.offer.name,
                    "valid_from": price.valid_from.isoformat(),
                    "input_nanousd_per_million": price.input_nanousd,
                    "output_nanousd_per_million": price.output_nanousd,
                    "source": price.source,
                }
            )
    return found


def _verdicts(evaluation: Evaluation) -> Any:
    return Verdict.objects.filter(replay__sample__evaluation=evaluation)
