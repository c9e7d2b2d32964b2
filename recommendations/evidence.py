"""Stored rows to the evidence of a recommendation: every number that is shown, and nothing that is not in a row."""

from typing import Any

import numpy as np
from django.db.models import Count, Q, Sum

from agentopt.lib import money
from evaluation import comparison
from evaluation.judges import panel
from evaluation.models import Candidate, Evaluation, Replay, Verdict
from evaluation.statistics import intervals, sensitivity
from evaluation.statistics.decision import Condition, Finding, Look, Outcome, Policy, Samples
from evaluation.statistics.evidence import mean_interval
from recommendations import savings

SCHEMA = 1
SAME = 0.005  # differences of quality below it are called the same
WORST = 5
Document = dict[str, Any]


def gather(evaluation: Evaluation) -> Document:
    """The evidence of a finished evaluation as one JSON document; the same rows give the same document.

    Numbers are floats in [0, 1], US dollars or seconds, None where not known; names are gateway names.
    """
    policy = Policy.from_json(evaluation.policy)
    outcome = comparison.recompute(evaluation)
    # beyond the rows that were reached only the baseline has values, and not of a fair sample: its logged failures
    table = comparison.read(evaluation, rows=outcome.prompts)
    samples = table.samples
    arms = list(evaluation.candidates.filter(position__isnull=False).select_related("offer").order_by("position"))
    leader = outcome.findings[outcome.leader - 1] if outcome.leader else None
    look = leader.look if leader else None
    return {
        "schema": SCHEMA,
        "question": _question(evaluation, policy, baseline=arms[0]),
        "outcome": _outcome(outcome, policy, arms),
        "checks": [_check(condition) for condition in look.conditions] if look else [],
        "estimates": _estimates(look),
        "looks": _looks(outcome),
        "candidates": [_baseline(samples, arms[0]), *(_candidate(samples, outcome, arm) for arm in arms[1:])],
        "pruned": _pruned(evaluation),
        "saving": _saving(evaluation, samples, policy, column=outcome.leader),
        "judges": _judges(evaluation, samples, column=outcome.leader),
        "coverage": evaluation.population,
        "spend": _spend(evaluation),
        "left_out": _left_out(samples, policy),
        "next_step": _next_step(evaluation, outcome, policy),
        "changes": _changes(evaluation, outcome, policy, table),
        **_cases(evaluation, samples, column=outcome.leader),
    }


def _question(evaluation: Evaluation, policy: Policy, *, baseline: Candidate) -> Document:
    return {
        "agent": evaluation.project.name,
        "evaluation": evaluation.number,
        "baseline": baseline.offer.name,
        "since": evaluation.window_since.isoformat() if evaluation.window_since else None,
        "until": evaluation.window_until.isoformat(),
        "goal_version": evaluation.goal.version,
        "seed": evaluation.seed,
        "limit": evaluation.limit,
        "least_prompts": policy.least_prompts,
        "least_units": policy.least_units,
    }


def _outcome(outcome: Outcome, policy: Policy, arms: list[Candidate]) -> Document:
    def name(column: int | None) -> str | None:
        return None if column is None else arms[column].offer.name

    look = outcome.findings[outcome.leader - 1].look if outcome.leader else None
    return {
        "code": outcome.code,
        "recommended": name(outcome.recommended),
        "leader": name(outcome.leader),
        "confidence": outcome.confidence if look else None,
        "threshold": policy.threshold,
        "prompts": look.prompts if look else outcome.prompts,
        "conversations": look.units if look else 0,
        "ranked": bool(look and look.ranking),
        "reached": outcome.prompts,
        "answers": outcome.candidate_answers,
    }


def _check(condition: Condition) -> Document:
    verdict = "shown" if condition.shown else "fails" if condition.estimate <= condition.bar else "not_shown"
    return {
        "metric": condition.metric,
        "kind": condition.kind,
        "verdict": verdict,
        "now": condition.baseline,
        "then": condition.value,
        "estimate": condition.estimate,
        "low": condition.low,
        "high": condition.high,
        "bound": condition.bound,
        "bar": condition.bar,
        "p": condition.p,
        "prompts": condition.prompts,
        "unscored": condition.unscored,
    }


def _estimates(look: Look | None) -> Document:
    """Shares saved of cost and latency, where known, with the plain means in dollars and seconds."""
    found = {name: measure for name, measure in look.measures.items() if name in ("cost", "latency")} if look else {}
    return {
        name: {
            "estimate": measure.estimate,
            "low": measure.low,
            "high": measure.high,
            "now": measure.baseline,
            "then": measure.value,
            "n": measure.prompts,
        }
        for name, measure in found.items()
        if measure.prompts
    }


def _looks(outcome: Outcome) -> list[Document]:
    return [
        {
            "prompts": look.prompts,
            "ranking": look.ranking,
            "chance": look.chance,
            "p": look.p,
            "confidence": look.confidence,
            "checks": [_check(condition) for condition in look.conditions],
        }
        for look in outcome.looks
        if look.column == outcome.leader
    ]


# ------------------------------------------------------------------------------------------------ arms
def _interval(
    found: intervals.Interval | None, *, n: int, factor: float = 1.0, is_share: bool = False
) -> Document | None:
    if found is None:
        return None
    low, high = found.low * factor, found.high * factor
    if is_share:  # an interval by t does not know that no score lies beyond 0 and 1
        low, high = max(0.0, low), min(1.0, high)
    return {"value": found.estimate * factor, "low": low, "high": high, "n": n}


def _arm(samples: Samples, column: int) -> Document:
    """Means of one arm over the prompts it was measured on, each with its 95 % interval and n."""
    found: Document = {"quality": None, "answered": None, "cost_per_1000_usd": None, "latency_p95_s": None}
    for name, x, factor in (
        ("quality", samples.guards.get("quality"), 1.0),
        ("answered", samples.guards.get("answered"), 1.0),
        ("cost_per_1000_usd", samples.cost_usd, 1000.0),
    ):
        if x is not None:
            n = int(np.isfinite(x[:, column]).sum())
            mean = intervals.mean(x[:, column], samples.unit)
            found[name] = _interval(mean, n=n, factor=factor, is_share=factor == 1.0)
    if samples.latency_s is not None:
        seconds = samples.latency_s[:, column]
        found["latency_p95_s"] = _interval(intervals.quantile(seconds, 0.95), n=int(np.isfinite(seconds).sum()))
    return found


def _baseline(samples: Samples, arm: Candidate) -> Document:
    return {"name": arm.offer.name, "provider": arm.offer.provider, "state": "baseline", **_arm(samples, 0)} | {
        "prompts": int(np.isfinite(samples.guards["quality"][:, 0]).sum()),
        "chance": None,
        "difference": None,
    }


def _candidate(samples: Samples, outcome: Outcome, arm: Candidate) -> Document:
    assert arm.position is not None  # noqa: S101
    finding: Finding = outcome.findings[arm.position - 1]
    quality = next((c for c in finding.look.conditions if c.metric == "quality"), None) if finding.look else None
    return {
        "name": arm.offer.name,
        "provider": arm.offer.provider,
        "state": finding.state,
        "code": finding.code,
        **_arm(samples, arm.position),
        "prompts": int(np.isfinite(samples.guards["quality"][:, arm.position]).sum()),
        "chance": finding.look.chance if finding.look else None,
        "difference": None
        if quality is None
        else {"value": quality.estimate, "low": quality.low, "high": quality.high},
    }


def _pruned(evaluation: Evaluation) -> list[Document]:
    rows = evaluation.candidates.filter(position__isnull=True).select_related("offer").order_by("offer__name")
    return [{"name": row.offer.name, "reasons": row.reasons} for row in rows]


# ------------------------------------------------------------------------------------------------ money
def _saving(evaluation: Evaluation, samples: Samples, policy: Policy, *, column: int | None) -> Document:
    """A month at the volume of the window, from the mean difference of cost per call."""
    if column is None or samples.cost_usd is None:
        return {"unknown": "cost_unknown"}
    now, then = samples.cost_usd[:, 0], samples.cost_usd[:, column]
    both = np.isfinite(now) & np.isfinite(then)
    found = mean_interval(np.where(both, now - then, np.nan), samples.unit, policy)
    calls, days = evaluation.population.get("calls"), evaluation.population.get("days")
    if found is None or not calls or not days:
        return {"unknown": "cost_unknown" if found is None else "volume_unknown"}
    promised = savings.promised(
        savings.monthly_calls(calls, days=days),
        now_usd=float(np.mean(now[both])),
        then_usd=float(np.mean(then[both])),
        interval=(found.low, found.high),
    )
    return {
        "monthly_calls": promised.monthly_calls,
        "now_usd": promised.now_usd,
        "then_usd": promised.then_usd,
        "saving_usd": promised.saving_usd,
        "low_usd": promised.low_usd,
        "high_usd": promised.high_usd,
        "n": int(both.sum()),
    }


def _spend(evaluation: Evaluation) -> Document:
    replays = Replay.objects.filter(sample__evaluation=evaluation).exclude(source=Replay.Source.LOGGED)
    verdicts = Verdict.objects.filter(replay__sample__evaluation=evaluation)
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


def prices(evaluation: Evaluation) -> list[Document]:
    """The prices in force when the evaluation was opened, of every arm."""
    found = []
    for arm in evaluation.candidates.filter(position__isnull=False).select_related("offer").order_by("position"):
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


# ------------------------------------------------------------------------------------------------ judges and gaps
def _judges(evaluation: Evaluation, samples: Samples, *, column: int | None) -> Document:
    counts = Verdict.objects.filter(replay__sample__evaluation=evaluation).aggregate(
        scored=Count("pk", filter=Q(score__isnull=False)), unscored=Count("pk", filter=Q(score__isnull=True))
    )
    members = [
        {
            "rubric": seat.judge.rubric,
            "model": seat.judge.model,
            "version": seat.version.text_hash[:12],
            "exact": seat.judge.exact,
        }
        for seat in evaluation.seats.select_related("judge", "version").order_by("judge__model", "judge__rubric")
    ]
    families = sorted({seat.judge.family for seat in evaluation.seats.select_related("judge") if seat.judge.family})
    found: Document = {"panel": members, "families": families, **counts, "disagreement": None, "alone": {}}
    by = samples.scores_by_judge
    if by is None or column is None:
        return found
    whole = by[np.isfinite(by[:, [0, column]]).all((1, 2))][:, [0, column]]
    if whole.shape[0]:
        found["disagreement"] = float((whole.max(2) - whole.min(2)).mean(0).max())
        alone = (whole[:, 1] - whole[:, 0]).mean(0)
        found["alone"] = {model: float(value) for model, value in zip(_judge_models(evaluation), alone, strict=True)}
    return found


def _judge_models(evaluation: Evaluation) -> tuple[str, ...]:
    """The judge models in the order of `Samples.scores_by_judge`."""
    seats = evaluation.seats.select_related("judge")
    return panel.models([panel.Chair(s.pk, s.judge.rubric, s.judge.model, exact=s.judge.exact) for s in seats])


def _left_out(samples: Samples, policy: Policy) -> list[str]:
    """Codes of what the decision could not know; none where nothing was measured at all."""
    if not samples.unit.size:
        return []
    margins = {name for name, _ in policy.margins}
    out = [f"{name}_not_measured" for name in ("safety", "answered", "stability") if name not in margins]
    if samples.cost_usd is None:
        out.append("cost_unknown")
    if samples.latency_s is None:
        out.append("latency_unknown")
    levels = samples.levels or {}
    if any(name not in levels for name, _ in policy.limits):
        out.append("limit_not_measured")
    return out


def _next_step(evaluation: Evaluation, outcome: Outcome, policy: Policy) -> Document | None:
    """The cheapest step that could settle an outcome that is no recommendation."""
    if outcome.recommended is not None:
        return None
    replayable = evaluation.population.get("replayable", 0)
    if outcome.code == "too_few_prompts":
        return {"code": "more_logs", "missing": max(0, policy.least_prompts - replayable)}
    if outcome.code == "too_few_conversations":
        conversations = evaluation.population.get("conversations", 0)
        return {"code": "more_conversations", "missing": max(1, policy.least_units - conversations)}
    fixed = {
        "no_candidate": "more_candidates",
        "too_many_unscored": "mend_judges",
        "judges_disagree": "another_judge",
        "no_candidate_likely": "nothing",
    }
    if outcome.code in fixed:
        return {"code": fixed[outcome.code]}
    return _more_prompts(evaluation, outcome, policy)


def _more_prompts(evaluation: Evaluation, outcome: Outcome, policy: Policy) -> Document:
    """The error of this run is spent, so more prompts mean a new run on fresh ones (decision.md 4.7)."""
    needed = sensitivity.prompts_for_leader(outcome, policy, repeats=1)
    if needed is None:
        return {"code": "nothing"}
    return {"code": "more_prompts", "prompts": needed, "cost_usd": _cost_of(needed, evaluation, outcome)}


def _changes(evaluation: Evaluation, outcome: Outcome, policy: Policy, table: comparison.Table) -> list[Document]:
    """The outcome with one thing changed at a time, each decided again on the same rows."""
    if outcome.leader is None:
        return []
    total = min(evaluation.limit, evaluation.samples.count())
    found = sensitivity.what_changes(table.samples, policy, outcome, total=total, measured=table.measured)
    judges = _judge_models(evaluation)
    return [
        {
            "name": change.name,
            "value": judges[int(change.value)]
            if change.name == "without_judge" and change.value is not None
            else change.value,
            "recommended": None if change.recommended is None else table.columns[change.recommended].offer.name,
            "confidence": change.confidence,
            "code": change.code,
        }
        for change in found
    ]


def _cost_of(prompts: int, evaluation: Evaluation, outcome: Outcome) -> float | None:
    """What so many more prompts would cost, at the mean of the leader's answers and their verdicts; None: unknown."""
    answers = Replay.objects.filter(sample__evaluation=evaluation, candidate__position__in=[0, outcome.leader])
    mine = answers.filter(candidate__position=outcome.leader)
    if mine.filter(cost_nanousd__isnull=True).exists() or not mine.exists():
        return None
    verdicts = Verdict.objects.filter(replay__in=answers)
    if verdicts.filter(cost_nanousd__isnull=True).exists():
        return None
    each = (mine.aggregate(cost=Sum("cost_nanousd"))["cost"] or 0) + (
        verdicts.aggregate(cost=Sum("cost_nanousd"))["cost"] or 0
    )
    return float(money.usd(round(prompts * each / mine.count())) or 0)


def _cases(evaluation: Evaluation, samples: Samples, *, column: int | None) -> Document:
    """How many cases got better and worse, and the largest drops."""
    if column is None:
        return {"worst": [], "better": 0, "same": 0, "worse": 0}
    quality = samples.guards["quality"]
    difference = quality[:, column] - quality[:, 0]
    order = [int(i) for i in np.argsort(difference, kind="stable") if difference[i] <= -SAME][:WORST]
    rows = dict(evaluation.samples.filter(position__in=order).values_list("position", "record_id"))
    worst = [
        {
            "case": i,
            "record": rows[i],
            "was": float(quality[i, 0]),
            "now": float(quality[i, column]),
            "drop": float(difference[i]),
        }
        for i in order
    ]
    return {
        "worst": worst,
        "better": int((difference >= SAME).sum()),
        "same": int((np.abs(difference) < SAME).sum()),
        "worse": int((difference <= -SAME).sum()),
    }
