"""An evaluation before it exists: who would be tried on what, and what it would take.

Everything that may fail for a reason a person can mend is refused here, before a row is written or a call is paid.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from django.conf import settings
from django.utils import timezone

from agentopt.lib import money
from agentopt.lib.errors import Conflict, Invalid
from evaluation import budget, experience, offers, opinions, population, ranking, receivers, seating, selection
from evaluation import traffic as traffics
from evaluation.ranking import Ranking
from evaluation.repeating import MOST, Baseline, Repeating
from evaluation.seating import Panel
from evaluation.traffic import Traffic
from evaluation.values import LOW_COVERAGE, Choice, EvaluationRequest, Forecast, Offer, Population, Reason
from ingestion import selectors as logs
from ingestion.gateway import Gateway
from ingestion.models import LogBody
from ingestion.values import UsageProfile
from projects import services as projects
from projects.models import Goal, Privacy, Project
from projects.values import Effective

KEPT = 8
SEED = 7
PROMPTS_PER_SAMPLE_SIZE = 3  # s plans at most 3·s prompts per candidate: docs/algorithms/sampling.md
LONGEST = 30_000
NOISE_PROMPTS = 50  # of the model in production against itself
MOST_CALLS = 100_000_000


@dataclass(frozen=True)
class Plan:
    """An evaluation before it exists: who would be tried on what, and what it would take."""

    baseline: Offer
    population: Population
    profile: UsageProfile
    choices: tuple[Choice, ...]
    panel: Panel
    forecast: Forecast
    goal: Goal
    effective: Effective
    limit: int  # prompts per candidate at most
    seed: int
    cap_nanousd: int
    cap_calls: int | None
    notes: tuple[Reason, ...]
    traffic: Traffic
    ranking: Ranking | Reason | None = None  # of a model, or why it has none; None: no such model is set
    refusal: Reason | None = None  # why it may be forecast and not be opened
    repeating: Repeating = field(default_factory=Repeating)

    @property
    def kept(self) -> list[Offer]:
        """The candidates in the order in which they stand in the evaluation."""
        return [choice.offer for choice in self.choices if choice.kept]

    @property
    def ranked_by(self) -> str | None:
        """The model whose order stands; None: expected cost ranks."""
        return self.ranking.model if isinstance(self.ranking, Ranking) else None

    def selection_json(self) -> dict[str, Any]:
        """Evaluation.selection: every model with its reasons, and the traffic they were judged by."""
        return {
            "version": 3,
            "ranking": "model" if isinstance(self.ranking, Ranking) else "expected_cost",
            "ranked_by": self.ranked_by,
            "traffic": self.traffic.to_json(),
            "baseline": self.baseline.name,
            "models": [choice.to_json() for choice in self.choices],
            "profile": asdict(self.profile),
            "notes": [note.to_json() for note in self.notes],
        }

    def population_json(self) -> dict[str, Any]:
        """Evaluation.population."""
        return {**self.population.to_json(), "days": self.profile.days, "monthly_calls": self.profile.monthly_calls}

    def to_json(self) -> dict[str, Any]:
        """The plan as the API and the command show it."""
        return {
            "baseline": self.baseline.name,
            "limit": self.limit,
            "seed": self.seed,
            "repeating": self.repeating.to_json(),
            "cap_usd": float(self.cap_nanousd / money.NANO),
            "cap_calls": self.cap_calls,
            "refusal": None if self.refusal is None else self.refusal.to_json(),
            "candidates": [offer.name for offer in self.kept],
            "population": self.population_json(),
            "selection": self.selection_json(),
            "forecast": self.forecast.to_json(),
        }


def plan(
    project: Project, request: EvaluationRequest, *, gateway: Gateway, now: datetime, may_pay: bool = False
) -> Plan:
    """Choose candidates and say what an evaluation would take; no evaluation is stored.

    The gateway is asked for its list of models; names the catalogue does not know are added to it.

    Args:
        may_pay: a ranking model may be asked; else only what it answered before to the same question counts.

    Raises:
        Invalid: a part of the request makes no sense. Conflict: logs, judges or bodies are missing.
        GatewayError: the gateway cannot be asked.
    """
    _refuse_hashed(project)
    effective = projects.effective(project)
    limit = _limit(request, effective)
    found = population.read(
        project, model=request.baseline, records=request.records, wanted=limit, now=now,
        use_case=request.use_case, prompt_version=request.prompt_version,
    )  # fmt: skip
    past = experience.read(project)
    known = offers.read(project, today=now.date(), listed=offers.learn(project, gateway), seen=past.models)
    baseline = offers.baseline(known, found)
    panel = seating.read(project, known)
    asked = _candidates(request, known, judges=panel.models)
    _refuse_judging_arms(panel, baseline=baseline, asked=asked if request.candidates else [])
    goal = project.goals.latest("version")
    profile, traffic = _profile(project, found, version=request.prompt_version or ""), _traffic(found)
    cap = effective.max_evaluation_cost_nanousd if request.max_cost_usd is None else money.nanousd(request.max_cost_usd)
    choose = partial(
        selection.choose, goal.value(), profile, asked, baseline=baseline, allowed_providers=project.allowed_providers,
        banned=project.banned_models, today=now.date(), judges=panel.models,
        judge_families=() if request.allow_same_family or request.candidates else panel.families,
        limit=max(KEPT, len(request.candidates or ())), traffic=traffic,
    )  # fmt: skip
    choices, view = _itself(baseline, profile), None
    if not request.noise:
        told = _told(goal, profile, traffic, baseline=baseline, choices=(choices := choose()))
        view = opinions.of(project, told, by=opinions.Asker(gateway, timezone.now, cap) if may_pay else None)
        choices = choose(ranking=view) if isinstance(view, Ranking) else choices
    kept = [choice.offer for choice in choices if choice.kept]
    limit = min(limit, len(found.prompts))
    seed = SEED if request.seed is None else request.seed
    repeating = request.repeating(seed)
    cap_calls = settings.MAX_EVALUATION_CALLS if request.max_calls is None else request.max_calls
    room = budget.Room(settings.MAX_CONCURRENT_CALLS, settings.MAX_CONCURRENT_CALLS_BY_PROVIDER)
    level = request.error_share * budget.error_level(effective.confidence_threshold, budget.PRIOR)
    return Plan(
        baseline=baseline, population=found, profile=profile, choices=tuple(choices), panel=panel,
        forecast=budget.forecast(
            budget.Design(limit, level), profile, kept,
            baseline=baseline, panel=panel.members, cap_nanousd=cap, cap_calls=cap_calls, repeating=repeating,
            room=room, seconds_per_call=found.mean_latency_s, experience=past,
        ),
        goal=goal, effective=effective, limit=limit, seed=seed, cap_nanousd=cap, cap_calls=cap_calls,
        notes=_notes(goal, panel, request, found=found, arms=[baseline, *kept], view=view),
        traffic=traffic, ranking=view, refusal=_refusal(project, request, baseline, kept, panel=panel),
        repeating=repeating,
    )  # fmt: skip


def _itself(baseline: Offer, profile: UsageProfile) -> list[Choice]:
    """The model in production as its own and only candidate."""
    cost = selection.cost_per_call(baseline, profile)
    note = Reason("noise", "It is the model in production, held against its own logged answers.")
    return [Choice(baseline, kept=True, rank=1, reasons=(), notes=(note,), cost_per_call_nanousd=cost)]


def _refuse_hashed(project: Project) -> None:
    if project.privacy == Privacy.HASHED:
        raise Conflict(
            "This project keeps prompts as hashes only, so nothing can be replayed. Its privacy mode would have to be "
            "redacted or full, for logs taken in from then on."
        )


def _limit(request: EvaluationRequest, effective: Effective) -> int:
    wrong = {}
    for name, value in (("sample", request.sample), ("limit", request.limit)):
        if value is not None and not 1 <= value <= LONGEST:
            wrong[name] = f"Expected a whole number from 1 to {LONGEST}."
    if request.max_calls is not None and not 1 <= request.max_calls <= MOST_CALLS:
        wrong["max_calls"] = f"Expected a whole number from 1 to {MOST_CALLS}."
    if not 1 <= request.repetitions <= MOST:
        wrong["repetitions"] = f"Expected a whole number from 1 to {MOST}."
    if request.baseline_answers is not None and request.baseline_answers not in list(Baseline):
        wrong["baseline_answers"] = f"Expected one of: {', '.join(Baseline)}."
    if request.seed is not None and not 0 <= request.seed < 2**31:
        wrong["seed"] = "Expected a whole number from 0 to 2147483647."
    if request.max_cost_usd is not None and not (request.max_cost_usd.is_finite() and 0 <= request.max_cost_usd <= 1e6):
        wrong["max_cost_usd"] = "Expected US dollars from 0 to 1000000."
    if wrong:
        raise Invalid("The request does not make sense: " + " ".join(wrong.values()), fields=wrong)
    size = PROMPTS_PER_SAMPLE_SIZE * (request.sample or effective.replay_sample_size)
    return request.limit or (NOISE_PROMPTS if request.noise else size)


def _candidates(request: EvaluationRequest, known: Sequence[Offer], *, judges: frozenset[str]) -> list[Offer]:
    """The offers asked for by gateway name or by the name in logs; without names all of them."""
    if request.candidates is None:
        return list(known)
    by_name = {offer.model: offer for offer in known} | {offer.name: offer for offer in known}
    unknown = [name for name in request.candidates if name not in by_name]
    if unknown or not request.candidates:
        there = ", ".join(offer.name for offer in known if offer.listed is not False and offer.name not in judges)
        raise Invalid(
            f"No such model: {', '.join(unknown)}." if unknown else "Name at least one candidate.",
            fields={"candidates": f"There are: {there or 'none; the gateway lists no model'}."},
        )
    return list({by_name[name].name: by_name[name] for name in request.candidates}.values())


def _refuse_judging_arms(panel: Panel, *, baseline: Offer, asked: Sequence[Offer]) -> None:
    own = sorted({arm.name for arm in (baseline, *asked)} & panel.models)
    if own:
        raise Invalid(
            f"{', '.join(own)} cannot judge an evaluation it takes part in: choose another judge or leave it out.",
            fields={"candidates": f"Also a judge: {', '.join(own)}."},
        )


def _profile(project: Project, found: Population, *, version: str) -> UsageProfile:
    since = found.since or project.logs.order_by("occurred_at").values_list("occurred_at", flat=True)[0]
    return logs.usage_profile(project, model=found.model, since=since, until=found.until, prompt_version=version)


def _traffic(found: Population) -> Traffic:
    pks = traffics.spread([prompt.pk for prompt in found.prompts])
    rows = LogBody.objects.filter(record__in=pks).order_by("record").values_list("request", "response")
    return traffics.read(rows.iterator())


def _told(
    goal: Goal, usage: UsageProfile, traffic: Traffic, *, baseline: Offer, choices: Sequence[Choice]
) -> ranking.Profile:
    cost = selection.cost_per_call(baseline, usage)
    production = Choice(baseline, kept=False, rank=None, reasons=(), notes=(), cost_per_call_nanousd=cost)
    return ranking.profile(goal.value(), usage, traffic, production=production, candidates=_eligible(choices))


def _eligible(choices: Sequence[Choice]) -> list[Choice]:
    """Those that nothing but their place speaks against."""
    return [c for c in choices if c.kept or {reason.code for reason in c.reasons} == {"beyond_limit"}]


def _notes(
    goal: Goal, panel: Panel, request: EvaluationRequest, *, found: Population, arms: list[Offer],
    view: Ranking | Reason | None,
) -> tuple[Reason, ...]:  # fmt: skip
    said = [view] if isinstance(view, Reason) else []
    return (*panel.kin(arms), *_unmeasured(goal, panel, request), *_coverage(found), *said)


def measured(panel: Panel, repeating: Repeating) -> frozenset[str]:
    """Guards that this evaluation measures."""
    return panel.measured() | ({"stability"} if repeating.repetitions > 1 else set())


def _unmeasured(goal: Goal, panel: Panel, request: EvaluationRequest) -> list[Reason]:
    """Guards and gains of the goal that this evaluation cannot measure, said beforehand."""
    terms = goal.value()
    notes = [
        Reason(f"{name}_not_measured", f"{name.capitalize()} is not measured, so the decision leaves it out.")
        for name in terms.margins
        if name not in measured(panel, request.repeating(0))
    ]
    if terms.weights.get("latency") and not request.repeating(0).times_all:
        text = "Latency counts only where the model in production is called again beside the candidates."
        notes.append(Reason("latency_unknown", text))
    return notes


def _kinship(request: EvaluationRequest, panel: Panel, *, arms: Sequence[Offer]) -> Reason | None:
    """A judge of the family of a model it judges is refused unless a person allows it; the mark of that stays."""
    kin = panel.kin(arms)
    if not kin or request.allow_same_family:
        return None
    said = " ".join(reason.text for reason in kin)
    return Reason("judge_family", f"{said} Choose another judge, or allow it (allow_same_family).", {})


def _refusal(
    project: Project, request: EvaluationRequest, baseline: Offer, kept: Sequence[Offer], *, panel: Panel
) -> Reason | None:
    called = [*kept, *([baseline] if request.repeating(0).calls_baseline else [])]
    return (
        _kinship(request, panel, arms=[baseline, *kept])
        or (receivers.barred(project, [*(offer.name for offer in called), *panel.models]) if kept else None)
        or _unpriced(project, request, called, panel)
    )


def _unpriced(project: Project, request: EvaluationRequest, called: Sequence[Offer], panel: Panel) -> Reason | None:
    """A cap in dollars that somebody set holds for models without a price only beside a cap in calls that they set."""
    unpriced = budget.unpriced(called, panel.members)
    dollars = (request.max_cost_usd, project.max_evaluation_cost_nanousd, project.monthly_cap_nanousd)
    calls = (request.max_calls, project.monthly_call_cap)
    if not unpriced or dollars == (None,) * 3 or calls != (None,) * 2:
        return None
    text = (
        f"No price is known for {', '.join(unpriced)}, so a cap in dollars cannot be kept. Add a price to the "
        "catalogue, leave it out, or set a cap in calls as well (max_calls)."
    )
    return Reason("unpriced_under_cap", text, {"models": list(unpriced)})


def _coverage(found: Population) -> list[Reason]:
    lost = sum(left.calls for left in found.left_out)
    notes = []
    if found.sampled:
        text = f"The window holds more calls than are read: all counts are of a repeatable sample of {found.calls}."
        notes.append(Reason("window_sampled", text, {"calls": found.calls}))
    if not found.calls or lost / found.calls <= LOW_COVERAGE:
        return notes
    text = f"{lost} of {found.calls} calls cannot be replayed; what holds for the others may not hold for them."
    return [*notes, Reason("low_coverage", text, {"left_out": lost, "calls": found.calls})]
