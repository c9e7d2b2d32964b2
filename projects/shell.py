"""What the frame of every page shows: projects, who looks, the theme, and whether background work stands still."""

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import SimpleLazyObject

from agentopt.lib import charts
from projects import access, supervisor
from projects.models import Job, Project, Role

STOPPED_AFTER = timedelta(minutes=2)


def context(request: HttpRequest) -> dict[str, Any]:
    """Context of the frame; the rest is asked for only where a page shows it."""
    theme = request.COOKIES.get("theme", "")
    return {
        "theme": theme if theme in ("light", "dark") else "",
        "keys": "off" if request.COOKIES.get("keys") == "off" else "on",
        "product_version": settings.VERSION,
        "plotly_maplibre_id": charts.maplibre_id(),
        "zone": timezone.get_current_timezone_name(),
        "shell": SimpleLazyObject(lambda: _Shell(request)),
    }


class _Shell:
    """The part that needs the database."""

    def __init__(self, request: HttpRequest) -> None:
        self.projects = list(access.projects_of(request.user).order_by("name")[:50])
        match = request.resolver_match
        slug = match.kwargs.get("slug") if match else None
        self.project: Project | None = next((one for one in self.projects if one.slug == slug), None)
        if self.project is None and slug is not None:
            self.project = access.projects_of(request.user).filter(slug=slug).first()
        self.role = access.role_in(request.user, self.project) if self.project else None
        self.may_work = self.role in (Role.MEMBER, Role.OWNER)
        self.may_own = self.role == Role.OWNER

    @property
    def stopped_since(self) -> datetime | None:
        """When background work stopped, while something waits for it."""
        seen = supervisor.last_seen()
        if seen is None or timezone.now() - seen < STOPPED_AFTER:
            return None
        return seen

    @property
    def waits(self) -> bool:
        """Whether work of the project waits and no worker has been seen lately."""
        seen = supervisor.last_seen()
        if self.project is None or (seen is not None and timezone.now() - seen < STOPPED_AFTER):
            return False
        waiting = self.project.jobs.filter(state__in=[Job.State.QUEUED, Job.State.RUNNING])
        return waiting.filter(created_at__lt=timezone.now() - timedelta(seconds=20)).exists()
