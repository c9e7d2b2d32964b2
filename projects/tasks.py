"""What workers do for this app: start what is scheduled, bring notices, and make daily letters."""

import time
from datetime import datetime

from django.utils import timezone

from projects import jobs, scheduling
from projects.models import Job
from projects.notifications import digest, outbox

_SLICE_S = 40.0


def run_schedule(name: str, project_id: int | None = None, *, due: str) -> None:
    """Start the jobs of a schedule's turn; `due` is the moment it was due, ISO."""
    scheduling.run(name, due_at=datetime.fromisoformat(due), project_id=project_id)


def deliver_notices() -> None:
    """Bring what is due to its channels."""
    outbox.deliver_due(deadline=time.monotonic() + _SLICE_S)


@jobs.slice_of("digest")
def make_digest(job: Job, beat: jobs.Beat) -> bool:
    """Put what waits for the daily letter into it, for each channel of a project."""
    now = timezone.now()
    made = digest.make(job.project, now=now)
    digest.forget(job.project, now=now)
    beat(message=f"{made} letter{'' if made == 1 else 's'}", result={"letters": made})
    return True
