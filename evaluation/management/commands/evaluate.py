"""`evaluate PROJECT`: run one evaluation to its end in this process."""

import json
import sys
import time
from argparse import ArgumentParser
from dataclasses import asdict
from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from tqdm import tqdm

from agentopt.lib import money
from agentopt.lib.errors import AgentOptError
from evaluation import anchors, changes, run, selectors, services, standing, studies
from evaluation.models import Candidate, Evaluation
from evaluation.planning import Plan
from evaluation.repeating import Baseline
from ingestion import gateway
from ingestion.gateway import Gateway
from projects import access
from projects.models import Project

SLICE_S = 60.0
_DROPPED = (Candidate.State.DROPPED, Candidate.State.DROPPED_AT_RANKING)


class Progress:
    """A bar on a terminal, nothing elsewhere."""

    def __init__(self, *, shown: bool) -> None:
        self.bar = tqdm(unit=" prompts", disable=not shown, file=sys.stderr)

    def __call__(self, *, done: int, total: int, message: str) -> None:
        self.bar.total = total
        self.bar.set_description(message, refresh=False)
        self.bar.update(done - self.bar.n)


class Command(BaseCommand):
    """Exit code 0 when it came to an outcome; NO RECOMMENDATION is one."""

    help = "Run one evaluation of a project to its end in this process."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("project", metavar="PROJECT", help="slug of the project")
        parser.add_argument(
            "--candidates", metavar="A,B", help="gateway names; default: all that nothing speaks against"
        )
        parser.add_argument("--prompt-version", metavar="V", help="draw from calls of this version of the prompt only")
        parser.add_argument("--sample", type=int, metavar="N", help="plan for at most 3·N prompts per candidate")
        parser.add_argument("--limit", type=int, metavar="L", help="prompts per candidate at most, directly")
        parser.add_argument("--seed", type=int, metavar="S", help="of the sampling order (default: 7)")
        parser.add_argument("--max-cost-usd", metavar="X", help="hard cap (default: the project's)")
        parser.add_argument("--max-calls", type=int, metavar="N", help="hard cap on requests, retries included")
        parser.add_argument("--forecast-only", action="store_true", help="say what it would take, and store nothing")
        parser.add_argument("--replay-baseline", action="store_true", help="also call the model in production")
        parser.add_argument(
            "--allow-same-family", action="store_true", help="a judge may be of the family of a model it judges"
        )
        parser.add_argument(
            "--baseline-answers", choices=[str(one) for one in Baseline], metavar="HOW",
            help="logged, subset (one prompt of five is called again), beside (every prompt, to compare latency) or "
            "replayed (all figures from calls)",
        )  # fmt: skip
        parser.add_argument(
            "--repetitions", type=int, default=1, metavar="R", help="answers of each model to one prompt of five"
        )
        parser.add_argument("--noise", action="store_true", help="the model in production against itself")
        parser.add_argument(
            "--per-use-case", action="store_true", help="a verdict for each, under one error budget and cap"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            project = access.project_named(options["project"])
            calls = gateway.open_gateway(project.connection)
            request = self._request(options)
            if options["forecast_only"]:
                planned = services.plan(project, request, gateway=calls, now=timezone.now())
                self.stdout.write(_json(planned.to_json()) if options["json"] else _forecast_text(planned))
                return
            opened = self._open(project, request, calls, by_use_case=options["per_use_case"])
            for evaluation in opened:
                self._run(evaluation, calls, shown=not options["json"] and sys.stderr.isatty())
        except AgentOptError as error:
            raise CommandError(error.message + "".join(f"\n  {k}: {v}" for k, v in error.fields.items())) from error
        self._say(opened, as_json=options["json"])

    def _open(
        self, project: Project, request: services.EvaluationRequest, calls: Gateway, *, by_use_case: bool
    ) -> list[Evaluation]:
        if by_use_case:
            return studies.open_study(project, request, by=None, gateway=calls, now=timezone.now())
        return [services.open_evaluation(project, request, by=None, gateway=calls, now=timezone.now())]

    def _say(self, opened: list[Evaluation], *, as_json: bool) -> None:
        """Print what came out, and end with an error where one has not come to its end."""
        found = [selectors.detail(evaluation) for evaluation in opened]
        parts = studies.parts(opened[0])
        told = [summary(one, evaluation) for one, evaluation in zip(found, opened, strict=True)] if as_json else []
        if as_json and not parts:
            self.stdout.write(_json(told[0]))
        elif as_json:
            self.stdout.write(
                _json({"study": opened[0].study, "outcome": studies.sentence(parts), "evaluations": told})
            )
        else:
            self.stdout.write("\n".join([*map(_outcome_text, found), *([studies.sentence(parts)] if parts else [])]))
        for evaluation, one in zip(opened, found, strict=True):
            if evaluation.state != Evaluation.State.DONE:
                way_out = f"It is kept as evaluation {evaluation.number} and can be resumed."
                raise CommandError(f"{evaluation.message or one.row.state_label} {way_out}")

    def _request(self, options: dict[str, Any]) -> services.EvaluationRequest:
        names = options["candidates"]
        try:
            cap = None if options["max_cost_usd"] is None else Decimal(options["max_cost_usd"])
        except InvalidOperation as error:
            raise CommandError(f"--max-cost-usd {options['max_cost_usd']}: expected US dollars.") from error
        return services.EvaluationRequest(
            candidates=None if names is None else tuple(name.strip() for name in names.split(",") if name.strip()),
            prompt_version=options["prompt_version"],
            sample=options["sample"],
            limit=options["limit"],
            seed=options["seed"],
            max_cost_usd=cap,
            max_calls=options["max_calls"],
            replay_baseline=options["replay_baseline"],
            noise=options["noise"],
            allow_same_family=options["allow_same_family"],
            baseline_answers=options["baseline_answers"],
            repetitions=options["repetitions"],
        )

    def _run(self, evaluation: Evaluation, calls: Gateway, *, shown: bool) -> None:
        progress = Progress(shown=shown)
        try:
            while not run.advance(
                evaluation, gateway=calls, now=timezone.now, deadline=time.monotonic() + SLICE_S, beat=progress
            ):
                pass
        finally:
            progress.bar.close()
        evaluation.refresh_from_db()
        if evaluation.state == Evaluation.State.DONE:
            anchors.follow(evaluation)


def summary(found: selectors.Detail, evaluation: Evaluation) -> dict[str, Any]:
    """An evaluation as this command prints it with --json."""
    row, spend, outcome = found.row, found.spend, found.outcome or {}
    ends = {one["candidate"]: one for one in outcome.get("candidates", [])}
    return {
        "evaluation": row.number,
        "kind": row.kind,
        "use_case": row.use_case,
        "prompt_version": row.prompt_version,
        "id": row.id,
        "state": row.state,
        "reason": row.reason,
        "recommended": row.recommended,
        "leader": row.leader,
        "confidence": row.confidence,
        "baseline": row.baseline,
        "candidates": [
            {
                "model": arm.name,
                "state": arm.state,
                "code": ends.get(arm.id, {}).get("code", ""),
                "prompts": arm.prompts,
                "quality_difference": arm.quality.estimate if arm.quality else None,
                "interval": [arm.quality.low, arm.quality.high] if arm.quality else None,
                "cost_per_1000_usd": arm.cost_per_1000_usd,
            }
            for arm in found.arms
            if arm.position
        ],
        "pruned": [{"model": arm.name, "reasons": [reason["code"] for reason in arm.reasons]} for arm in found.pruned],
        "model_calls": spend.model_calls,
        "judge_calls": spend.judge_calls,
        "spent_usd": spend.total_usd,
        "answers": outcome.get("answers"),
        "planned_answers": outcome.get("planned_answers"),
        "saved_answers": outcome.get("saved_answers"),
        "saved_usd": None if outcome.get("saved_nanousd") is None else money.usd(outcome["saved_nanousd"]),
        "dropped": [_dropped(arm.name, ends[arm.id]) for arm in found.arms if arm.state in _DROPPED and arm.id in ends],
        "prompts_paid": standing.prompts_paid(evaluation),
        "prompts_at_most": standing.prompts_at_most(evaluation),
        "conditions": standing.conditions_of(found, list(evaluation.looks.order_by("-ranking", "prompts"))),
        "detectable_difference": found.forecast.get("detectable_difference"),
        "use_cases": outcome.get("use_cases", []),
        "by_use_case": outcome.get("by_use_case", []),
        "changes": outcome.get("changes", []),
        "next_step": outcome.get("next_step"),
        "saving": outcome.get("saving"),
        "forecast_against_actual": [asdict(kept) for kept in standing.forecast_kept(evaluation, found)],
        "simulated": row.simulated,
    }


def _dropped(name: str, end: dict[str, Any]) -> dict[str, Any]:
    """When and why a candidate was given up."""
    return {
        "model": name,
        "stage": end["stage"],
        "prompts": end["looked"],
        "code": end["code"],
        "worse_on": end["worse_on"],
    }


def _json(document: dict[str, Any]) -> str:
    return json.dumps(document, default=str, ensure_ascii=False)


def _forecast_text(planned: Plan) -> str:
    forecast, found = planned.forecast, planned.population
    names = ", ".join(offer.name for offer in planned.kept) or "none"
    counts = f"{len(found.prompts)} of {found.calls} calls can be replayed"
    replays = f"{forecast.replay_calls_expected} expected, {forecast.replay_calls_at_most} at most"
    providers = ", ".join(forecast.providers) or "nobody"
    judged = f"{forecast.judge_calls_expected} expected, {forecast.judge_calls_at_most} at most"
    lines = [
        f"{len(planned.kept)} candidates for {planned.baseline.name}: {names}.",
        f"{counts}; at most {planned.limit} prompts per candidate.",
        f"Replays: {replays}. Judge calls: {judged}.{_tokens_text(forecast.tokens_expected)}",
        _cost_text(planned),
        f"Takes about {max(1, round(forecast.minutes_expected))} min. Prompts go to {providers}.",
    ]
    if forecast.detectable_difference is not None:
        lines.append(f"Differences of {forecast.detectable_difference:.3f} in quality can be shown with 80 % power.")
    lines += [f"  {reason.text}" for reason in (*forecast.unknown, *forecast.notes, *planned.notes)]
    pruned = [choice for choice in planned.choices if not choice.kept]
    lines += [f"  Left out: {c.offer.name}: {' '.join(reason.text for reason in c.reasons)}" for c in pruned]
    return "\n".join(lines)


def _tokens_text(tokens: int | None) -> str:
    return "" if tokens is None else f" About {tokens:,} tokens."


def _cost_text(planned: Plan) -> str:
    forecast = planned.forecast
    cap = f"hard cap ${planned.cap_nanousd / 1e9:.2f}"
    if forecast.cost_expected_nanousd is None:
        return f"Cost: not known; {cap}."
    low, high = (forecast.cost_low_nanousd or 0) / 1e9, (forecast.cost_high_nanousd or 0) / 1e9
    p10, p90 = (forecast.cost_p10_nanousd or 0) / 1e9, (forecast.cost_p90_nanousd or 0) / 1e9
    span = f"80 % interval ${p10:.2f} to ${p90:.2f}, from ${low:.2f} to ${high:.2f} at the very most"
    return f"Cost: ${forecast.cost_expected_nanousd / 1e9:.2f} expected ({span}); {cap}."


def _outcome_text(found: selectors.Detail) -> str:
    row = found.row
    if row.state != Evaluation.State.DONE:
        headline = f"Evaluation {row.number} is {row.state_label}."
    elif row.recommended:
        headline = (
            f"Evaluation {row.number}: {row.recommended} in place of {row.baseline}, confidence {row.confidence:.2f}."
        )
    else:
        headline = f"Evaluation {row.number}: NO RECOMMENDATION ({row.reason})."
    lines = [headline]
    worse_on = {one["candidate"]: one.get("worse_on", []) for one in (found.outcome or {}).get("candidates", [])}
    for arm in found.arms[1:]:
        seen = arm.quality
        known = seen is not None and seen.estimate is not None and seen.low is not None and seen.high is not None
        quality = f", quality {seen.estimate:+.3f} [{seen.low:+.3f}, {seen.high:+.3f}]" if known and seen else ""
        why = f"; worse on {', '.join(worse_on[arm.id])}" if arm.state in _DROPPED and worse_on.get(arm.id) else ""
        lines.append(f"  {arm.name}: {arm.state_label}, {arm.prompts} prompts{quality}{why}")
    spend = found.spend
    if len(found.arms) == 1:
        lines += [f"  {model['name']}: {_texts(model['reasons'])}" for model in found.selection["models"]]
    made = f"{spend.model_calls} model calls, {spend.judge_calls} judge calls"
    lines.append(f"  {made}, {spend.answers_reused + spend.verdicts_reused} reused; ${spend.total_usd:.4f} spent.")
    lines += _saved_text(found.outcome or {})
    step = changes.next_step_of(found.outcome or {}, leader=row.leader)
    return "\n".join([*lines, *([f"  Next: {step}"] if step else [])])


def _saved_text(outcome: dict[str, Any]) -> list[str]:
    """What stopping early was worth against all candidates on all prompts."""
    planned, saved, nanousd = (outcome.get(name) for name in ("planned_answers", "saved_answers", "saved_nanousd"))
    if not planned or not saved:
        return []
    price = f", about ${nanousd / 1e9:.2f} not spent" if nanousd else ""
    return [f"  Stopped early: {planned - saved} answers of candidates in place of {planned}{price}."]


def _texts(reasons: list[dict[str, Any]]) -> str:
    return " ".join(str(reason["text"]) for reason in reasons)
