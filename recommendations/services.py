"""Make a recommendation, and decide about it."""

import json
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction

from agentopt.lib.errors import Conflict, Invalid
from evaluation import interim
from evaluation.models import Evaluation
from projects import notifications
from projects.models import User
from recommendations import engine, explain, transitions
from recommendations.models import Basis, Decision, Recommendation
from recommendations.reproduction import canonical, fingerprint, provenance

STANDS_FOR = timedelta(days=30)
LONGEST_NOTE = 2000


def recommend(evaluation: Evaluation, *, now: datetime) -> Recommendation:
    """Make the recommendation of a finished evaluation, or return the one it has.

    Raises:
        Conflict: the evaluation has not come to an outcome.
    """
    made = Recommendation.objects.filter(evaluation=evaluation).first()
    if made is not None:
        return made
    if evaluation.kind == Evaluation.Kind.NOISE:
        raise Conflict(
            f"Evaluation {evaluation.number} holds the model in production against itself: it shows how far answers "
            "differ by chance, and recommends nothing."
        )
    if evaluation.state != Evaluation.State.DONE or evaluation.outcome is None:
        so_far = interim.read(evaluation)
        raise Conflict(
            f"Evaluation {evaluation.number} is {evaluation.get_state_display()}: it has no outcome yet. "
            f"Let it run to its end, or resume it.{f' {so_far.text}' if so_far else ''}"
        )
    from recommendations import evidence, inputs  # bring numpy and scipy

    given = inputs.read(evaluation)
    found = evidence.document(json.loads(canonical(given)))  # as it will be read again
    outcome = found["outcome"]
    by_name = {candidate.offer.name: candidate for candidate in evaluation.candidates.select_related("offer")}
    recommended = outcome["recommended"] is not None
    try:
        with transaction.atomic():
            made = Recommendation.objects.create(
                project=evaluation.project,
                evaluation=evaluation,
                kind=Recommendation.Kind.SWITCH if recommended else Recommendation.Kind.NONE,
                candidate=by_name.get(outcome["leader"]),
                confidence=outcome["confidence"],
                reasons=[reason.to_json() for reason in engine.reasons(found)],
                evidence=found,
                evidence_hash=fingerprint(found),
                provenance=provenance(given),
                simulated=evaluation.simulated,
                created_at=now,
                expires_at=now + STANDS_FOR,
            )
            Basis.objects.create(recommendation=made, inputs=given, inputs_hash=fingerprint(given))
    except IntegrityError:  # another worker was faster
        return Recommendation.objects.get(evaluation=evaluation)
    return made


def tell(recommendation: Recommendation) -> None:
    """Send notice of a new recommendation; once, however often it is called."""
    evidence, outcome = recommendation.evidence, recommendation.evidence["outcome"]
    notifications.send(
        recommendation.project,
        "recommendation",
        {
            "sentence": f"{explain.headline(evidence)}.",
            "path": recommendation.get_absolute_url(),
            "number": recommendation.pk,
            "outcome": outcome["code"],
            "candidate": outcome["recommended"],
            "baseline": evidence["question"]["baseline"],
            "confidence": recommendation.confidence,
            "saving_usd_per_month": (evidence.get("saving") or {}).get("saving_usd")
            if outcome["recommended"]
            else None,
        },
        key=str(recommendation.pk),
    )


# ------------------------------------------------------------------------------------------------ what people decide
def acknowledge(recommendation: Recommendation, *, by: User | None, now: datetime, note: str = "") -> Decision:
    """Record that a person means to follow it. Nothing is switched.

    Raises:
        Conflict: its state does not allow it (recommendations.states); the same for the other decisions.
    """
    return _decide(recommendation, Decision.Kind.ACKNOWLEDGED, by=by, now=now, note=note)


def dismiss(recommendation: Recommendation, *, by: User | None, now: datetime, note: str) -> Decision:
    """Record that a person will not follow it, and why.

    Raises:
        Invalid: no reason is given.
    """
    if not note.strip():
        raise Invalid(
            "Say why it is dismissed: the reason helps the next evaluation.", fields={"note": "A reason is needed."}
        )
    return _decide(recommendation, Decision.Kind.DISMISSED, by=by, now=now, note=note)


def postpone(
    recommendation: Recommendation, *, by: User | None, now: datetime, until: datetime, note: str = ""
) -> Decision:
    """Put it off until a moment between now and its expiry.

    Raises:
        Invalid: the moment lies outside.
    """
    if not now < until <= recommendation.expires_at:
        expiry = f"{recommendation.expires_at:%Y-%m-%d}"
        raise Invalid(
            f"Choose a day after today and not after {expiry}.", fields={"until": f"Expected until {expiry}."}
        )
    return _decide(recommendation, Decision.Kind.POSTPONED, by=by, now=now, note=note, until=until)


def _decide(
    recommendation: Recommendation,
    kind: str,
    *,
    by: User | None,
    now: datetime,
    note: str,
    until: datetime | None = None,
) -> Decision:
    if len(note) > LONGEST_NOTE:
        raise Invalid("The note is too long.", fields={"note": f"Expected at most {LONGEST_NOTE} characters."})
    with transaction.atomic():
        transitions.step(recommendation, kind, by=by, now=now, why=note.strip(), until=until)
        return recommendation.decisions.create(kind=kind, by=by, at=now, note=note.strip(), until=until)
