"""The track record of a project: how acknowledged recommendations fared, beside the confidence they stated. Reads."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Exists, OuterRef

from agentopt.lib import intervals
from projects.models import Project
from recommendations import explain, states
from recommendations.models import FollowUp, Recommendation, Transition
from recommendations.promises import LEAST_FOLLOW_UPS, Track

_Z = 1.96


@dataclass(frozen=True)
class Line:
    """One recommendation that is or was followed."""

    recommendation: Recommendation
    following: FollowUp
    headline: str
    acknowledged: bool
    promised_usd: float | None  # a month
    realised_usd: float | None


@dataclass(frozen=True)
class Record:
    """The track record: figures of real and of simulated recommendations, apart, and every line, newest first."""

    real: Track
    simulated: Track
    lines: Sequence[Line]


def record(project: Project) -> Record:
    """How the recommendations of a project fared."""
    said_yes = Transition.objects.filter(recommendation=OuterRef("pk"), state=states.ACKNOWLEDGED)
    switches = project.recommendations.filter(kind=Recommendation.Kind.SWITCH).annotate(said_yes=Exists(said_yes))
    rows = list(switches.select_related("project", "follow_up").order_by("-pk"))
    return Record(
        real=_track([row for row in rows if not row.simulated]),
        simulated=_track([row for row in rows if row.simulated]),
        lines=[_line(row) for row in rows if hasattr(row, "follow_up")],
    )


def _track(rows: Sequence[Any]) -> Track:
    mine = [row for row in rows if row.said_yes]
    judged = [row for row in mine if _verdict(row) not in ("", FollowUp.Verdict.TOO_EARLY)]
    kept = sum(_verdict(row) == FollowUp.Verdict.CONFIRMED for row in judged)
    stated = [row.confidence for row in judged if row.confidence is not None]
    track = Track(len(mine), len(judged), kept, sum(stated) / len(stated) if stated else None)
    if len(judged) < LEAST_FOLLOW_UPS:
        return track
    found = intervals.wilson(kept, len(judged), z=_Z)
    return Track(track.acknowledged, track.followed, kept, track.stated, found.low, found.high)


def _verdict(row: Recommendation) -> str:
    return row.follow_up.verdict if hasattr(row, "follow_up") else ""


def _line(row: Any) -> Line:
    saving = row.follow_up.realised.get("saving") or {}
    return Line(
        recommendation=row,
        following=row.follow_up,
        headline=explain.headline(row.evidence),
        acknowledged=row.said_yes,
        promised_usd=(row.evidence.get("saving") or {}).get("saving_usd"),
        realised_usd=saving.get("saving_usd"),
    )


def as_json(found: Record) -> dict[str, Any]:
    """The record as the API shows it; rates only from the least number of follow-ups on."""
    return {
        "real": _track_json(found.real),
        "simulated": _track_json(found.simulated),
        "follow_ups": [
            {
                "recommendation": line.recommendation.pk,
                "headline": line.headline,
                "acknowledged": line.acknowledged,
                "verdict": line.following.verdict,
                "switched_at": line.following.switched_at.isoformat(),
                "promised_usd_per_month": line.promised_usd,
                "realised_usd_per_month": line.realised_usd,
                "simulated": line.recommendation.simulated,
            }
            for line in found.lines
        ],
    }


def _track_json(track: Track) -> dict[str, Any]:
    return {
        "acknowledged": track.acknowledged,
        "with_a_verdict": track.followed,
        "kept": track.kept,
        "rate": track.rate,
        "low": track.low,
        "high": track.high,
        "stated_confidence": track.stated,
        "least_follow_ups": LEAST_FOLLOW_UPS,
    }
