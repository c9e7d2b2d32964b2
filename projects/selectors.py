"""Lists and counts for pages and API."""

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest

from projects import shell as frame
from projects.models import ApiToken, Channel, Membership, NoticeDelivery, Project, User


def shell(request: HttpRequest) -> dict[str, Any]:
    """Context of the shell that every page has."""
    return frame.context(request)


def nobody_here() -> bool:
    """Whether the instance waits for its first person."""
    return not User.objects.exists()


def tokens_of(project: Project) -> QuerySet[ApiToken]:
    """Tokens of a project that can still be used or were revoked, the newest first."""
    return project.tokens.select_related("created_by").order_by("-pk")


def members_of(project: Project) -> QuerySet[Membership]:
    """Members with their persons, by e-mail address."""
    return project.memberships.select_related("user").order_by("user__email")


def channels_of(project: Project) -> QuerySet[Channel]:
    """Channels of a project, by name."""
    return project.channels.order_by("name")


def deliveries_of(project: Project) -> QuerySet[NoticeDelivery]:
    """What was brought to the channels of a project, with its notices."""
    found = NoticeDelivery.objects.filter(notice__project=project)
    return found.select_related("notice", "channel")
