"""Whether a project has this or that, all in one query: what the overview need not ask for where there is none."""

from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Exists

from evaluation.models import Evaluation, Judge
from ingestion.models import LogRecord, SetAside
from projects.models import Channel, Job, Project
from recommendations.drift.models import Alert
from recommendations.models import Recommendation

_ACTIVE = (Job.State.QUEUED, Job.State.RUNNING)


@dataclass(frozen=True)
class Facts:
    """What there is of a project."""

    logs: bool
    set_aside: bool
    judges: bool
    evaluation: bool  # a finished one
    recommendation: bool
    recommending: bool  # a job is about to make one
    work_waits: bool  # for longer than a worker takes to see it
    alerts: bool  # open ones
    failing: bool  # a channel that notices do not reach


def read(project: Project, *, now: datetime) -> Facts:
    """What there is at a moment."""
    working = Job.objects.filter(project=project, state__in=_ACTIVE)
    asked = {
        "logs": LogRecord.objects.filter(project=project),
        "set_aside": SetAside.objects.filter(project=project),
        "judges": Judge.objects.filter(project=project, active=True),
        "evaluation": Evaluation.objects.filter(project=project, state=Evaluation.State.DONE),
        "recommendation": Recommendation.objects.filter(project=project),
        "recommending": working.filter(kind="recommendation"),
        "work_waits": working.filter(created_at__lt=now - timedelta(seconds=20)),
        "alerts": Alert.objects.filter(project=project, state=Alert.State.OPEN),
        "failing": Channel.objects.filter(project=project, enabled=True, failing_since__isnull=False),
    }
    has: dict[str, Any] = {f"has_{name}": Exists(rows) for name, rows in asked.items()}
    found: Any = Project.objects.values(**has).get(pk=project.pk)
    return Facts(**{one.name: found[f"has_{one.name}"] for one in fields(Facts)})
