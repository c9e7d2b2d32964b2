"""What the frame of every page shows: projects, who looks, the theme, and whether background work stands still."""

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Case, Exists, OuterRef, When
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import SimpleLazyObject, cached_property

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
        match = request.resolver_match
        slug = match.kwargs.get("slug") if match else None
        found = access.with_roles(request.user).only("slug", "name", "privacy").annotate(work_waits=_work_waits(slug))
        self.projects = list(found.order_by("name")[:50])
        self.project: Project | None = next((one for one in self.projects if one.slug == slug), None)
        if self.project is None and slug is not None:
            self.project = found.filter(slug=slug).first()
        self.role = access.role_in(request.user, self.project) if self.project else None
        self.may_work = self.role in (Role.MEMBER, Role.OWNER)
        self.may_own = self.role == Role.OWNER

    @cached_property
    def _seen(self) -> datetime | None:
        return supervisor.last_seen()

    @property
    def stopped_since(self) -> datetime | None:
        """When background work stopped, while something waits for it."""
        return None if self._seen is None or timezone.now() - self._seen < STOPPED_AFTER else self._seen

    @property
    def waits(self) -> bool:
        """Whether work of the project waits and no worker has been seen lately."""
        if self.project is None or not vars(self.project)["work_waits"]:
            return False
        return self._seen is None or timezone.now() - self._seen >= STOPPED_AFTER


def _work_waits(slug: str | None) -> Case:
    """Whether a project's work waits; looked up for the one that a page is about only."""
    waiting = Job.objects.filter(
        project=OuterRef("pk"),
        state__in=[Job.State.QUEUED, Job.State.RUNNING],
        created_at__lt=timezone.now() - timedelta(seconds=20),
    )
    return Case(When(slug=slug or "", then=Exists(waiting)), default=False)
