"""Pages: the overview of a project, its recommendations, one of them, and what a person decides about it."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from agentopt.lib import charts, htmx
from agentopt.lib.errors import Conflict, Invalid
from evaluation.values import JUDGE_SD
from ingestion import selectors as logs
from projects import access
from projects.models import Project, Role
from recommendations import (
    bundles,
    expiry,
    following,
    links,
    overview_plots,
    reproduction,
    sections,
    selectors,
    services,
    sheet,
    transitions,
)
from recommendations import overview as overviews
from recommendations.forms import AcknowledgeForm, DismissForm, PostponeForm
from recommendations.models import Recommendation

MOST_ALERTS = 5  # that its page names
DECISIONS = ("acknowledge", "postpone", "dismiss")


@login_required
@require_safe
def overview(request: HttpRequest, slug: str) -> HttpResponse:
    """What needs a person, and the numbers of a window of logs."""
    project = access.project_for(request.user, slug)
    seen = overviews.overview(project, now=timezone.now(), chosen=request.GET.get("range", ""))
    colors = charts.series(logs.models_seen(project))
    context = {
        "project": project,
        "seen": seen,
        "ranges": [("24h", "Last 24 hours"), ("7d", "Last 7 days"), ("30d", "Last 30 days"), ("all", "All calls")],
        "colors": colors,
        "charts": _overview_charts(seen, colors),
        "sparks": _sparks(seen),
        "address": request.build_absolute_uri("/").rstrip("/"),
        "may_work": access.may(request.user, project, Role.MEMBER),
        "may_own": access.may(request.user, project, Role.OWNER),
    }
    return htmx.render(request, "recommendations/overview.html", context, part="steps")


def _overview_charts(seen: overviews.Overview, colors: dict[str, str]) -> list[charts.Chart]:
    if seen.span is None:
        return []
    return [overview_plots.spend(seen.span, colors), overview_plots.latency(seen.span), overview_plots.calls(seen.span)]


def _sparks(seen: overviews.Overview) -> dict[str, str]:
    if seen.span is None:
        return {}
    buckets = seen.span.buckets
    spend = [None if None in b.spend.values() else sum(filter(None, b.spend.values())) for b in buckets]
    found = {
        "calls": overview_plots.spark([sum(b.calls.values()) for b in buckets]),
        "spend": overview_plots.spark(spend),
        "latency": overview_plots.spark([b.p95_s for b in buckets]),
        "failed": overview_plots.spark([b.calls.get("failed", 0) for b in buckets]),
        "refused": overview_plots.spark([b.calls.get("refused", 0) for b in buckets]),
    }
    return {name: path for name, path in found.items() if path}


@login_required
@require_safe
def listing(request: HttpRequest, slug: str) -> HttpResponse:
    """All recommendations of a project, the newest first."""
    project = access.project_for(request.user, slug)
    now = timezone.now()
    context = {
        "project": project,
        "rows": selectors.listing(project, now=now),
        "steps": overviews.steps_of(project),
        "may_work": access.may(request.user, project, Role.MEMBER),
    }
    return htmx.render(request, "recommendations/list.html", context)


@login_required
@require_safe
def glance(request: HttpRequest, slug: str) -> HttpResponse:
    """One line about a project, loaded by the list of projects, which stands below and knows no recommendation."""
    project = access.project_for(request.user, slug)
    context = {"project": project, "glance": selectors.glance(project, now=timezone.now())}
    return htmx.render(request, "recommendations/glance.html", context)


@login_required
@require_safe
def detail(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """One recommendation with all its evidence; `?decide=` shows a form in the page, for browsers without a script."""
    project = access.project_for(request.user, slug)
    recommendation = _of(project, pk)
    selectors.read_history(recommendation)
    if request.headers.get("Purpose") != "prefetch":
        transitions.see(recommendation, by=access.person(request.user), now=timezone.now())
    asked = request.GET.get("decide", "")
    return _detail(request, recommendation, asked=asked if asked in DECISIONS else "")


def _of(project: Project, pk: int) -> Recommendation:
    rows = project.recommendations.select_related("evaluation", "summary", "follow_up")
    found: Recommendation = get_object_or_404(rows, pk=pk)
    found.evaluation.project = project
    return found


def _detail(
    request: HttpRequest,
    recommendation: Recommendation,
    *,
    asked: str = "",
    form: Form | None = None,
    status: int = 200,
) -> HttpResponse:
    project, evidence = recommendation.project, recommendation.evidence
    may_work = access.may(request.user, project, Role.MEMBER)
    forms = _forms(recommendation) | ({asked: form} if form else {})
    context = {
        **sheet.context(recommendation, now=timezone.now()),
        "project": project,
        "row_urls": links.checks(recommendation),
        "change_urls": links.changes(recommendation),
        "judge_fitness": sections.judge_fitness(
            evidence, judge_sd=recommendation.evaluation.policy.get("judge_sd"), unlabeled_sd=JUDGE_SD
        ),
        "doubts": expiry.doubts(recommendation),
        "alerts": project.alerts.filter(found_at__gte=recommendation.created_at).order_by("-pk")[:MOST_ALERTS],
        "may_summarize": bool(settings.SUMMARY_MODEL),
        "rows": True,  # every number leads to its rows
        **_followed(recommendation),
        "forms": forms,
        "asked": asked if may_work else "",
        "may_work": may_work,
    }
    return htmx.render(request, "recommendations/detail.html", context, status=status)


def _followed(recommendation: Recommendation) -> dict[str, Any]:
    found = selectors.following_json(recommendation)
    if found is None:
        return {}
    last = found["looks"][-1] if found["looks"] else None
    shown = following.sight(found["verdict"], found["realised"], found["shares"], last_look=last)
    urls = links.followed(recommendation, switched_at=datetime.fromisoformat(found["switched_at"]))
    return {"following": found, "sight": shown, "follow_urls": urls}


def _forms(recommendation: Recommendation) -> dict[str, Form]:
    now = timezone.now()
    return {
        "acknowledge": AcknowledgeForm(),
        "postpone": PostponeForm(recommendation=recommendation, now=now),
        "dismiss": DismissForm(),
    }


@login_required
@require_safe
def bundle(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """All that a recommendation rests on as one document, to be recomputed elsewhere."""
    recommendation = _of(access.project_for(request.user, slug), pk)
    return HttpResponse(
        reproduction.canonical(bundles.make(recommendation)),
        content_type="application/json",
        headers={"Content-Disposition": f'attachment; filename="evidence-{recommendation.pk}.json"'},
    )


# ------------------------------------------------------------------------------------------------ what people do
@login_required
@require_POST
def acknowledge(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Record that it will be followed."""
    recommendation = _to_decide(request, slug, pk=pk)
    form = AcknowledgeForm(request.POST)
    return _decide(request, recommendation, name="acknowledge", form=form, service=services.acknowledge)


@login_required
@require_POST
def postpone(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Put it off until a day."""
    recommendation = _to_decide(request, slug, pk=pk)
    form = PostponeForm(request.POST, recommendation=recommendation, now=timezone.now())
    return _decide(request, recommendation, name="postpone", form=form, service=services.postpone)


@login_required
@require_POST
def dismiss(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Record that it will not be followed, and why."""
    recommendation = _to_decide(request, slug, pk=pk)
    form = DismissForm(request.POST)
    return _decide(request, recommendation, name="dismiss", form=form, service=services.dismiss)


def _to_decide(request: HttpRequest, slug: str, *, pk: int) -> Recommendation:
    return _of(access.project_for(request.user, slug, role=Role.MEMBER), pk)


def _decide(
    request: HttpRequest, recommendation: Recommendation, *, name: str, form: Form, service: Callable[..., Any]
) -> HttpResponse:
    if form.is_valid():
        try:
            decision = service(recommendation, by=access.person(request.user), now=timezone.now(), **form.cleaned_data)
        except (Invalid, Conflict) as error:
            htmx.refuse(form, error)
        else:
            messages.success(request, f"Recommendation {recommendation.pk} is {decision.kind}. Nothing was switched.")
            return htmx.redirect(request, recommendation)
    return _detail(request, recommendation, asked=name, form=form, status=422)


@login_required
@require_POST
def generate(request: HttpRequest, slug: str) -> HttpResponse:
    """Make the recommendation of the newest finished evaluation, or open the one it has."""
    project = access.project_for(request.user, slug, role=Role.MEMBER)
    return htmx.redirect(request, services.recommend(selectors.newest_finished(project), now=timezone.now()))
