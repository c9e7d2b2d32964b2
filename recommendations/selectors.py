"""Reads for the pages and the API: the newest recommendation, one recommendation, what needs a person."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from agentopt.lib.errors import NotFound
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
    return recommendation.decisions.select_related("by").order_by("-pk").first()


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
    def waits(self) -> bool:
        """Whether it waits for a person."""
        return self.state in states.WAITING

    @property
    def may_decide(self) -> bool:
        """Whether a person may say anything about it in its state."""
        return states.may(self.state, states.ACKNOWLEDGED)


def summary_of(recommendation: Recommendation) -> Summary | None:
    """What a model wrote about it, or None."""
    return Summary.objects.filter(recommendation=recommendation).first()


def page(recommendation: Recommendation, *, now: datetime) -> Page:
    """The complete context of one recommendation's page."""
    evidence = recommendation.evidence
    wanted = [case["record"] for case in evidence["worst"]]
    bodies = recommendation.project.logs.filter(pk__in=wanted).values_list("pk", "body__preview")
    return Page(
        recommendation=recommendation,
        evidence=evidence,
        headline=explain.headline(evidence),
        lead=[sentence for sentence in explain.lead(evidence) if sentence],
        state=state_of(recommendation, now=now),
        decision=decision_of(recommendation),
        decisions=list(recommendation.decisions.select_related("by").order_by("-pk")),
        steps=list(recommendation.transitions.select_related("by").order_by("-number")),
        previews={pk: preview or "" for pk, preview in bodies},
        is_over=recommendation.expires_at <= now,
        summary=summary_of(recommendation),
    )


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
    found = FollowUp.objects.filter(recommendation=recommendation).first()
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
    """All that an export holds: the recommendation, its steps and its follow-up. No prompt, no answer."""
    return {
        **as_json(recommendation),
        "transitions": transitions_json(recommendation),
        "follow_up": following_json(recommendation),
    }
