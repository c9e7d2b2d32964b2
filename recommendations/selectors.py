"""Reads for the pages and the API: the newest recommendation, one recommendation, what needs a person."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Prefetch, prefetch_related_objects
from django.utils import timezone

from agentopt.lib.errors import NotFound
from evaluation import noise, studies
from evaluation.models import Evaluation
from ingestion import selectors as logs
from ingestion.values import Counted, LogFilter
from projects.models import Project
from recommendations import explain, states, transitions
from recommendations.models import Decision, FollowUp, Recommendation, Summary, Transition


def newest_finished(project: Project) -> Evaluation:
    """The newest evaluation that came to an outcome.

    Raises:
        NotFound: there is none yet.
    """
    done = project.evaluations.filter(state=Evaluation.State.DONE, kind=Evaluation.Kind.CANDIDATES)
    found = done.order_by("-number").first()
    if found is None:
        raise NotFound(f"{project.name} has no finished evaluation yet. Start one: evaluate {project.slug}")
    if found.study is None:
        return found
    # of a study use case by use case each part is recommended in turn
    return done.filter(study=found.study, recommendation=None).order_by("number").first() or found


def newest(project: Project) -> Recommendation | None:
    """The newest recommendation, or None."""
    return project.recommendations.select_related("evaluation").order_by("-pk").first()


def newest_or_refuse(project: Project) -> Recommendation:
    """The newest recommendation.

    Raises:
        NotFound: none was made yet.
    """
    found = newest(project)
    if found is None:
        raise NotFound(f"{project.name} has no recommendation yet. Run an evaluation, then generate one.")
    return found


def decision_of(recommendation: Recommendation) -> Decision | None:
    """What a person decided last, or None."""
    return next(iter(decisions_of(recommendation)), None)


def decisions_of(recommendation: Recommendation) -> list[Decision]:
    """What people decided, the newest first; prefetched ones are not asked for again."""
    if "decisions" in getattr(recommendation, "_prefetched_objects_cache", {}):
        return sorted(recommendation.decisions.all(), key=lambda one: -one.pk)
    return list(recommendation.decisions.select_related("by").order_by("-pk"))


def read_history(recommendation: Recommendation) -> None:
    """Read its steps and decisions once, for a page that asks for state, history and the last decision."""
    steps = Prefetch("transitions", Transition.objects.select_related("by"))
    prefetch_related_objects([recommendation], steps, Prefetch("decisions", Decision.objects.select_related("by")))


def state_of(recommendation: Recommendation, *, now: datetime) -> str:
    """One of recommendations.states.STATES."""
    return transitions.state_of(recommendation, now=now)


def as_json(recommendation: Recommendation) -> dict[str, Any]:
    """A recommendation as commands and the API show it."""
    evidence = recommendation.evidence
    outcome = evidence["outcome"]
    decision = decision_of(recommendation)
    return {
        "id": recommendation.pk,
        "project": recommendation.project.slug,
        "evaluation": recommendation.evaluation.number,
        "kind": recommendation.kind,
        "recommendation": outcome["recommended"],
        "baseline": evidence["question"]["baseline"],
        "leader": outcome["leader"],
        "confidence": recommendation.confidence,
        "threshold": outcome["threshold"],
        "headline": explain.headline(evidence),
        "explanation": explain.lead(evidence),
        "reasons": recommendation.reasons,
        "evidence": evidence,
        "evidence_hash": recommendation.evidence_hash,
        "provenance": recommendation.provenance,
        "simulated": recommendation.simulated,
        "state": state_of(recommendation, now=timezone.now()),
        "created_at": recommendation.created_at.isoformat(),
        "expires_at": recommendation.expires_at.isoformat(),
        "study": study_json(recommendation),
        "decision": None
        if decision is None
        else {
            "kind": decision.kind,
            "note": decision.note,
            "by": decision.by.email if decision.by else None,
            "at": decision.at.isoformat(),
            "until": decision.until.isoformat() if decision.until else None,
        },
    }


@dataclass(frozen=True)
class Glance:
    """A project in one line of the list of projects."""

    calls: Counted  # in the last seven days
    recommendation: Recommendation | None
    headline: str
    state: str


def glance(project: Project, *, now: datetime) -> Glance:
    """How busy a project is and what was last said about it; cheap, for a list of many."""
    calls = logs.count(project, LogFilter(since=now - timedelta(days=7), until=now))
    found = newest(project)
    if found is None:
        return Glance(calls, None, "", "")
    return Glance(calls, found, explain.headline(found.evidence), state_of(found, now=now))


@dataclass(frozen=True)
class Page:
    """All that the page of one recommendation shows; texts are escaped by the template."""

    recommendation: Recommendation
    evidence: dict[str, Any]
    headline: str
    lead: list[str]
    state: str
    decision: Decision | None
    decisions: list[Decision]
    steps: list[Transition]  # the newest first
    previews: dict[int, str]  # record id → start of its prompt, for the cases where it got worse
    is_over: bool  # its last day has passed
    summary: Summary | None  # by a model

    @property
    def ended(self) -> Transition | None:
        """The step that ended it, with why; None: it stands, or only its last day has passed."""
        last = self.steps[0] if self.steps else None
        return last if last and last.state in (states.OUT_OF_DATE, states.REVERSED) else None

    @property
    def waits(self) -> bool:
        """Whether it waits for a person."""
        return self.state in states.WAITING

    @property
    def may_decide(self) -> bool:
        """Whether a person may say anything about it in its state."""
        return states.may(self.state, states.ACKNOWLEDGED)


def summary_of(recommendation: Recommendation) -> Summary | None:
    """What a model wrote about it, or None."""
    return getattr(recommendation, "summary", None)


def page(recommendation: Recommendation, *, now: datetime) -> Page:
    """The complete context of one recommendation's page."""
    evidence = recommendation.evidence
    decisions, wanted = decisions_of(recommendation), [case["record"] for case in evidence["worst"]]
    bodies = recommendation.project.logs.filter(pk__in=wanted).values_list("pk", "body__preview")
    return Page(
        recommendation=recommendation,
        evidence=evidence,
        headline=explain.headline(evidence),
        lead=[sentence for sentence in explain.lead(evidence) if sentence],
        state=state_of(recommendation, now=now),
        decision=next(iter(decisions), None),
        decisions=decisions,
        steps=transitions.history(recommendation),
        previews={pk: preview or "" for pk, preview in bodies},
        is_over=recommendation.expires_at <= now,
        summary=summary_of(recommendation),
    )


# ------------------------------------------------------------------------------------------------ use case by use case
@dataclass(frozen=True)
class StudyPart:
    """One use case of a study that decides use case by use case; money in US dollars a month, None: not known."""

    use_case: str
    evaluation: int
    is_here: bool
    is_open: bool  # its evaluation has no outcome yet
    recommended: str
    confidence: float | None
    saving_usd: float | None
    share: float  # of the error budget
    recommendation: Recommendation | None
    state: str


@dataclass(frozen=True)
class Study:
    """The verdicts of all use cases under one error budget, and what they come to together."""

    number: int  # of its first evaluation
    sentence: str
    parts: list[StudyPart]

    @property
    def confidence(self) -> float | None:
        """That of the whole: the lowest among those that switch."""
        return min((part.confidence for part in self.parts if part.recommended and part.confidence), default=None)

    @property
    def saving_usd(self) -> float | None:
        """The sum over the use cases that switch; None: none does, or one is not known."""
        found = [part.saving_usd for part in self.parts if part.recommended]
        known = [usd for usd in found if usd is not None]
        return sum(known) if found and len(known) == len(found) else None


def study(recommendation: Recommendation, *, now: datetime) -> Study | None:
    """The study that a recommendation belongs to; None: its evaluation decided for the agent as a whole."""
    parts = studies.parts(recommendation.evaluation)
    if not parts:
        return None
    numbers = [part.row.number for part in parts]
    rows = recommendation.project.recommendations.select_related("evaluation", "project")
    made = {one.evaluation.number: one for one in rows.filter(evaluation__number__in=numbers)}
    own = recommendation.evaluation.number
    found = [_part(part, made.get(part.row.number), own=own, now=now) for part in parts]
    return Study(min(numbers), studies.sentence(parts), found)


def _part(part: studies.Part, made: Recommendation | None, *, own: int, now: datetime) -> StudyPart:
    saving = (made.evidence.get("saving") or {}).get("saving_usd") if made else None
    return StudyPart(
        use_case=part.use_case,
        evaluation=part.row.number,
        is_here=part.row.number == own,
        is_open=part.row.state != Evaluation.State.DONE,
        recommended=part.row.recommended or "",
        confidence=part.row.confidence,
        saving_usd=saving,
        share=part.share,
        recommendation=made,
        state=state_of(made, now=now) if made else "",
    )


def study_json(recommendation: Recommendation) -> dict[str, Any] | None:
    """The same as the API shows it."""
    found = study(recommendation, now=timezone.now())
    if found is None:
        return None
    return {
        "outcome": found.sentence,
        "confidence": found.confidence,
        "saving_usd_per_month": found.saving_usd,
        "parts": [
            {
                "use_case": part.use_case,
                "evaluation": part.evaluation,
                "recommendation": part.recommendation.pk if part.recommendation else None,
                "is_open": part.is_open,
                "recommended": part.recommended or None,
                "confidence": part.confidence,
                "saving_usd_per_month": part.saving_usd,
                "share_of_error": part.share,
                "state": part.state or None,
            }
            for part in found.parts
        ],
    }


@dataclass(frozen=True)
class Row:
    """One recommendation in a list. Money in US dollars a month; None: not known."""

    recommendation: Recommendation
    headline: str
    state: str
    threshold: float
    saving_usd: float | None
    decision: Decision | None


def listing(project: Project, *, now: datetime, limit: int = 100) -> list[Row]:
    """Recommendations of a project, the newest first."""
    rows = project.recommendations.select_related("evaluation", "project")
    rows = rows.prefetch_related("decisions__by", "transitions")
    return [_row(row, now=now) for row in rows.order_by("-pk")[:limit]]


def _row(recommendation: Recommendation, *, now: datetime) -> Row:
    decision = max(recommendation.decisions.all(), key=lambda one: one.pk, default=None)
    return Row(
        recommendation=recommendation,
        headline=explain.headline(recommendation.evidence),
        state=state_of(recommendation, now=now),
        threshold=recommendation.evidence["outcome"]["threshold"],
        saving_usd=(recommendation.evidence.get("saving") or {}).get("saving_usd"),
        decision=decision,
    )


def transitions_json(recommendation: Recommendation) -> list[dict[str, Any]]:
    """Every step, the first one first."""
    return [
        {
            "number": step.number,
            "was": step.was,
            "state": step.state,
            "code": step.code,
            "why": step.why,
            "until": step.until.isoformat() if step.until else None,
            "by": step.by.email if step.by else None,
            "at": step.at.isoformat(),
        }
        for step in recommendation.transitions.select_related("by").order_by("number")
    ]


def following_json(recommendation: Recommendation) -> dict[str, Any] | None:
    """The follow-up with its looks; None: no switch was seen."""
    found: FollowUp | None = getattr(recommendation, "follow_up", None)
    if found is None:
        return None
    return {
        "recommendation": recommendation.pk,
        "verdict": found.verdict,
        "switched_at": found.switched_at.isoformat(),
        "decided_at": found.decided_at.isoformat() if found.decided_at else None,
        "checked_at": found.checked_at.isoformat() if found.checked_at else None,
        "shares": found.shares,
        "promised": found.promised,
        "realised": found.realised,
        "looks": [
            {
                "number": look.number,
                "level": look.level,
                "conversations": look.conversations,
                "verdict": look.verdict,
                "findings": look.findings,
                "at": look.at.isoformat(),
            }
            for look in found.looks.order_by("number")
        ],
        "simulated": recommendation.simulated,
    }


def document(recommendation: Recommendation) -> dict[str, Any]:
    """All that an export holds: the recommendation, its noise floor, steps and follow-up. No prompt, no answer."""
    floor = noise.floor(recommendation.evaluation)
    return {
        **as_json(recommendation),
        "noise_floor": floor.to_json() if floor else None,
        "transitions": transitions_json(recommendation),
        "follow_up": following_json(recommendation),
    }
