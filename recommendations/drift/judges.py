"""A change of the judges that moved scores, told as an alert of its own: the agent has no part in it."""

from datetime import datetime

from django.db import transaction
from django.db.models import Max

from evaluation import anchors
from evaluation.models import AnchorVerdict
from projects.models import Project
from recommendations.drift import alerts
from recommendations.drift.models import Alert

KIND = Alert.Kind.NEW_JUDGE


def tell(project: Project, *, since: datetime | None, now: datetime) -> list[Alert]:
    """Alert about the newest change of judges where the anchors show that it moved their scores; once.

    Args:
        since: the check before, which told of all that was known then.
    """
    if not _is_news(project, since):
        return []
    from evaluation.statistics.judge_shift import Shift  # brings numpy and scipy

    change = next(iter(anchors.changes(project)), None)
    if change is None or change.shift.verdict != Shift.MOVED or change.shift.shift is None:
        return []
    found, moved = change.shift, change.shift.shift
    models = ", ".join(dict.fromkeys(one.model for one in change.after))
    figures = {
        "n": found.n, "before": found.before, "after": found.after, "shift": moved.estimate, "low": moved.low,
        "high": moved.high, "changed": change.kind, "was": change.was, "now": change.now,
    }  # fmt: skip
    with transaction.atomic():
        Project.objects.select_for_update(no_key=True).get(pk=project.pk)  # of two workers one tells it
        row, is_new = Alert.objects.get_or_create(
            project=project, kind=KIND, part=f"evaluation {change.evaluation.number}",
            defaults={
                "rise": moved.estimate > 0, "subject": models[:160], "began_at": change.evaluation.created_at,
                "alarm_at": now, "found_at": now, "figures": figures,
            },
        )  # fmt: skip
        if is_new:
            alerts.announce(row, now=now)
    return [row] if is_new else []


def _is_news(project: Project, since: datetime | None) -> bool:
    """Whether a score of an anchor or an evaluation came since the check before: reading all changes takes a while."""
    scored = AnchorVerdict.objects.filter(anchor__project=project).aggregate(at=Max("created_at"))["at"]
    judged = project.evaluations.aggregate(at=Max("ended_at"))["at"]
    return scored is not None and (since is None or max(filter(None, (scored, judged))) >= since)
