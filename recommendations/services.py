"""Make a recommendation, decide about it, recompute it."""

import hashlib
import json
import platform
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction

from agentopt.lib.errors import Conflict, Invalid
from evaluation import interim
from evaluation.models import Evaluation
from projects.models import User
from recommendations import engine, transitions
from recommendations.models import Decision, Recommendation

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
    if evaluation.state != Evaluation.State.DONE or evaluation.outcome is None:
        so_far = interim.read(evaluation)
        raise Conflict(
            f"Evaluation {evaluation.number} is {evaluation.get_state_display()}: it has no outcome yet. "
            f"Let it run to its end, or resume it.{f' {so_far.text}' if so_far else ''}"
        )
    from recommendations import evidence  # brings numpy and scipy

    found = evidence.gather(evaluation)
    outcome = found["outcome"]
    by_name = {candidate.offer.name: candidate for candidate in evaluation.candidates.select_related("offer")}
    recommended = outcome["recommended"] is not None
    try:
        with transaction.atomic():
            return Recommendation.objects.create(
                project=evaluation.project,
                evaluation=evaluation,
                kind=Recommendation.Kind.SWITCH if recommended else Recommendation.Kind.NONE,
                candidate=by_name.get(outcome["leader"]),
                confidence=outcome["confidence"],
                reasons=[reason.to_json() for reason in engine.reasons(found)],
                evidence=found,
                evidence_hash=fingerprint(found),
                provenance=provenance(evaluation),
                simulated=evaluation.simulated,
                created_at=now,
                expires_at=now + STANDS_FOR,
            )
    except IntegrityError:  # another worker was faster
        return Recommendation.objects.get(evaluation=evaluation)


def canonical(document: Any) -> str:
    """The one way a document is written, so that equal documents are equal bytes."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def fingerprint(document: Any) -> str:
    """SHA-256 of the canonical form. The evidence holds numbers and names, no prompt."""
    return hashlib.sha256(canonical(document).encode()).hexdigest()


def provenance(evaluation: Evaluation) -> dict[str, Any]:
    """What made the numbers: versions of code and libraries, judges, prices, seed and policy."""
    import numpy as np
    import scipy

    from recommendations import evidence

    seats = evaluation.seats.select_related("judge", "version").order_by("pk")
    return {
        "agentopt": settings.VERSION,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "machine": platform.machine(),
        "seed": evaluation.seed,
        "policy": evaluation.policy,
        "judges": [
            {
                "rubric": seat.judge.rubric,
                "model": seat.judge.model,
                "version": seat.version.text_hash,
                "repeats": seat.repeats,
            }
            for seat in seats
        ],
        "prices": evidence.prices(evaluation),
    }


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


# ------------------------------------------------------------------------------------------------ recomputing
@dataclass(frozen=True)
class Difference:
    """The first place where stored and recomputed evidence differ."""

    path: str
    stored: str
    now: str


def reproduce(recommendation: Recommendation) -> Difference | None:
    """Recompute the evidence from rows and compare it with what was stored; None: identical, bit for bit."""
    from recommendations import evidence

    again = json.loads(canonical(evidence.gather(recommendation.evaluation)))
    if fingerprint(recommendation.evidence) != recommendation.evidence_hash:
        return Difference("evidence_hash", recommendation.evidence_hash, fingerprint(recommendation.evidence))
    return first_difference(recommendation.evidence, again)


def first_difference(stored: Any, now: Any, path: str = "evidence") -> Difference | None:
    """The first place, in order of sorted names, where two JSON documents differ."""
    if isinstance(stored, dict) and isinstance(now, dict):
        for key in sorted(stored.keys() | now.keys()):
            if key not in stored or key not in now:
                return Difference(f"{path}.{key}", str(stored.get(key, "absent")), str(now.get(key, "absent")))
            found = first_difference(stored[key], now[key], f"{path}.{key}")
            if found:
                return found
        return None
    if isinstance(stored, list) and isinstance(now, list) and len(stored) == len(now):
        for index, (left, right) in enumerate(zip(stored, now, strict=True)):
            found = first_difference(left, right, f"{path}[{index}]")
            if found:
                return found
        return None
    # 1 and 1.0 are the same JSON number after a round trip through either database
    return None if stored == now else Difference(path, canonical(stored)[:200], canonical(now)[:200])
