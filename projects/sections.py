"""What the pages of a project's settings share."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict

from agentopt.lib import htmx
from projects import access
from projects.models import Project, Role, User


def owned(request: HttpRequest, slug: str) -> Project:
    """The project, for its owners."""
    return access.project_for(request.user, slug, role=Role.OWNER)


def given(request: HttpRequest) -> QueryDict | None:
    """What a form was sent with; an empty form is one, too."""
    return request.POST if request.method == "POST" else None


def person(request: HttpRequest) -> User:
    """Who signed in."""
    assert isinstance(request.user, User)  # noqa: S101 — LoginRequiredMiddleware
    return request.user


def saved(request: HttpRequest, text: str, to: str, *args: Any) -> HttpResponse:
    """Say that it is done, and go on."""
    messages.success(request, text)
    return htmx.redirect(request, to, *args)


def section(request: HttpRequest, project: Project, section: str, **context: Any) -> HttpResponse:
    """A page of the settings; `form`, where it has one, decides the status."""
    form = context.get("form")
    status = 422 if form is not None and form.errors else 200
    found = {"project": project, "section": section, **context}
    return htmx.render(request, f"projects/{section}.html", found, status=status)
