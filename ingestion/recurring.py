"""Why a recurring job of this app has nothing to start now; None where it has. Called by name from the schedules."""

from datetime import datetime

from agentopt.lib.errors import Invalid
from ingestion import rollups
from ingestion.gateway import open_gateway
from ingestion.models import SyncRun
from projects.models import Project


def why_no_sync(project: Project, now: datetime) -> str | None:  # noqa: ARG001 — the signature of every schedule
    """Logs are pulled where a gateway is configured and a person has pulled once: not every gateway has log exports."""
    try:
        open_gateway(project.connection)
    except Invalid:
        return "No gateway is configured."
    if not SyncRun.objects.filter(project=project).exists():
        return "Logs were never pulled from this gateway: start the first sync by hand."
    return None


def why_no_rollups(project: Project, now: datetime) -> str | None:  # noqa: ARG001 — as above
    """Roll-ups are made anew where calls changed."""
    return None if rollups.waits(project) else "All figures are up to date."
