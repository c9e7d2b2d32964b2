"""Pages beside a recommendation: as a document, shared with people without an account, and the track record."""

import json
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_not_required, login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from agentopt.lib import htmx
from agentopt.lib.errors import Invalid
from projects import access
from projects.models import Project, Role
from recommendations import (
    promises,
    reports,
    selectors,
    sharing,
    sheet,
    summaries,
    tracking,
)
from recommendations.forms import OwnShareForm, ShareForm
from recommendations.models import Recommendation


def _of(project: Project, pk: int) -> Recommendation:
    found: Recommendation = get_object_or_404(project.recommendations.select_related("evaluation", "project"), pk=pk)
    return found


def _download(text: str, *, name: str, content_type: str) -> HttpResponse:
    answer = HttpResponse(text, content_type=f"{content_type}; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


# ------------------------------------------------------------------------------------------------ exports
@login_required
@require_safe
def markdown(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """The recommendation as Markdown, without prompts."""
    recommendation = _of(access.project_for(request.user, slug), pk)
    name = f"recommendation-{pk}.md"
    return _download(
        reports.markdown(selectors.document(recommendation)), name=name, content_type="text/markdown"
    )  # fmt: skip


@login_required
@require_safe
def as_json(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """The recommendation as JSON, as the API gives it, with its steps and its follow-up."""
    recommendation = _of(access.project_for(request.user, slug), pk)
    text = json.dumps(selectors.document(recommendation), indent=1, ensure_ascii=False)
    return _download(text, name=f"recommendation-{pk}.json", content_type="application/json")


@login_required
@require_safe
def printable(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """The recommendation as a page for paper; `?prompts=1` also shows the start of the prompts where it got worse."""
    recommendation = _of(access.project_for(request.user, slug), pk)
    return _document(request, recommendation, shows_prompts=request.GET.get("prompts") == "1")


def _document(request: HttpRequest, recommendation: Recommendation, *, shows_prompts: bool) -> HttpResponse:
    context = sheet.context(recommendation, now=timezone.now())
    previews = context["page"].previews if shows_prompts else {}
    return htmx.render(request, "recommendations/document.html", context | {"previews": previews})


@login_required
@require_POST
def summarize(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Have a model retell it; the page shows the text once it is written and checked."""
    recommendation = _of(access.project_for(request.user, slug, role=Role.MEMBER), pk)
    summaries.ask(recommendation, by=access.person(request.user))
    messages.success(request, "A model is asked to retell it. The text stands here once its numbers are checked.")
    return htmx.redirect(request, recommendation)


# ------------------------------------------------------------------------------------------------ links
@login_required
@require_http_methods(["GET", "POST"])
def share(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """The links of a recommendation, and a new one; its address is shown once."""
    project = access.project_for(request.user, slug, role=Role.MEMBER)
    recommendation = _of(project, pk)
    may_own = access.may(request.user, project, Role.OWNER)
    kind = OwnShareForm if may_own else ShareForm
    form = kind(request.POST) if request.method == "POST" else kind()
    made: sharing.Shared | None = None
    now = timezone.now()
    if request.method == "POST" and form.is_valid():
        try:
            made = sharing.share(recommendation, by=access.person(request.user), now=now, **_terms(form))
        except Invalid as error:
            htmx.refuse(form, error)
    context = {
        "project": project,
        "recommendation": recommendation,
        "form": kind() if made else form,
        "links": recommendation.share_links.select_related("created_by").order_by("-pk"),
        "address": request.build_absolute_uri(reverse("recommendations:shared", args=[made.secret])) if made else "",
        "now": now,
        "may_own": may_own,
    }
    return htmx.render(request, "recommendations/share.html", context, status=422 if form.errors else 200)


def _terms(form: ShareForm) -> dict[str, Any]:
    return {"days": form.cleaned_data["days"], "shows_prompts": bool(form.cleaned_data.get("shows_prompts"))}


@login_required
@require_POST
def revoke(request: HttpRequest, slug: str, pk: int, link: int) -> HttpResponse:
    """End a link at once."""
    project = access.project_for(request.user, slug, role=Role.MEMBER)
    recommendation = _of(project, pk)
    found = get_object_or_404(recommendation.share_links.select_related("recommendation__project"), pk=link)
    sharing.revoke(found, by=access.person(request.user), now=timezone.now())
    messages.success(request, "The link is revoked.")
    return htmx.redirect(request, reverse("recommendations:share", args=[project.slug, pk]))


@login_not_required
@require_safe
def shared(request: HttpRequest, secret: str) -> HttpResponse:
    """What a link shows, to whoever has it. It leads nowhere else, and neither search engines nor caches keep it."""
    link = sharing.open_link(secret, now=timezone.now())
    answer = _document(request, link.recommendation, shows_prompts=link.shows_prompts)
    answer["X-Robots-Tag"] = "noindex, nofollow"
    answer["Referrer-Policy"] = "no-referrer"
    answer["Cache-Control"] = "private, no-store"
    return answer


# ------------------------------------------------------------------------------------------------ the track record
@login_required
@require_safe
def track_record(request: HttpRequest, slug: str) -> HttpResponse:
    """How acknowledged recommendations of a project fared."""
    project = access.project_for(request.user, slug)
    record = tracking.record(project)
    tracks = [(record.real, "")]
    if record.simulated.acknowledged:
        tracks.append((record.simulated, "simulated"))
    context = {"project": project, "record": record, "tracks": tracks, "least": promises.LEAST_FOLLOW_UPS}
    return htmx.render(request, "recommendations/track_record.html", context)
