"""The analytics page: a sentence that is a form, its answer as figure and table, and views that people keep."""

import csv
import json

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from agentopt.lib import htmx
from agentopt.lib.charts import Table
from agentopt.lib.errors import AgentOptError
from ingestion import explorer, saved_views, selectors
from ingestion.forms.analytics import KINDS, RANGES, QuestionForm
from projects import access
from projects.models import Role

FORMULA = ("=", "+", "-", "@", "\t", "\r")


@require_safe
def analytics(request: HttpRequest, slug: str) -> HttpResponse:
    """The page; htmx asks for the answer alone, `format=csv` for the table as a file."""
    project = access.project_for(request.user, slug)
    models = selectors.models_seen(project)
    form = QuestionForm(request.GET, models=models)
    context = {
        "project": project,
        "form": form,
        "kinds": KINDS,
        "ignored": _ignored(request, form),
        "any": bool(models),
        "views": project.saved_views.order_by("name"),
        "state": _state(request),
        "simulated": project.connection.simulated,
    }
    status = 200
    if models:
        try:
            found = explorer.find(project, form, now=timezone.now())
        except AgentOptError as error:
            context["refusal"], status = error, error.status
            context["ways_out"] = _ways_out(request, form, error)
        else:
            if request.GET.get("format") == "csv":
                return _csv(found.table, name=f"{slug}-{form.kind_chosen}.csv")
            context |= {"found": found, "asked": _as_asked(slug, found.question)}
    # htmx shows what came with a refusal only where the answer says 422
    status = 422 if status != 200 and htmx.wants_part(request) else status
    return htmx.render(request, "ingestion/analytics.html", context, part="results", status=status)


def _as_asked(slug: str, question: object) -> str:
    """The question as the API takes it."""
    assert isinstance(question, dict)  # noqa: S101
    return json.dumps({"project": slug, **question}, indent=2)


def _ways_out(request: HttpRequest, form: QuestionForm, error: AgentOptError) -> list[tuple[str, str]]:
    """What to ask instead of a question over its budget: the address and the words of each choice."""
    found = []
    if form.asked.get("exact"):
        found.append((_changed(request, exact=""), "Answer from roll-ups"))
    shorter = form.range_within(getattr(error, "proposal", None), timezone.now())
    if shorter:
        found.append((_changed(request, range=shorter), f"Ask about the {RANGES[shorter][0]}, which fits"))
    return found


def _changed(request: HttpRequest, **values: str) -> str:
    asked = request.GET.copy()
    for name, value in {"format": "", **values}.items():
        asked.pop(name, None)
        if value:
            asked[name] = value
    return f"?{asked.urlencode()}"


def _state(request: HttpRequest) -> str:
    """The address without what is no part of a question."""
    asked = request.GET.copy()
    for name in ("format", "view"):
        asked.pop(name, None)
    return asked.urlencode()


def _ignored(request: HttpRequest, form: QuestionForm) -> list[str]:
    """Names in the address that are none of the page's, and those with a value that does not exist."""
    known = {*form.fields, "format", "view"}
    return sorted({name for name in request.GET if name not in known} | set(form.errors))


def _csv(table: Table, *, name: str) -> HttpResponse:
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    writer = csv.writer(response)
    for row in (table.head, *table.rows):
        # a spreadsheet would run what begins like a formula, and names come from logs
        writer.writerow([f"'{cell}" if cell.startswith(FORMULA) else cell for cell in row])
    return response


@require_POST
def save_view(request: HttpRequest, slug: str) -> HttpResponse:
    """Keep the question of the page under a name; a name that exists gets the new question."""
    project = access.project_for(request.user, slug, role=Role.MEMBER)
    try:
        view = saved_views.save(
            project,
            name=request.POST.get("name", ""),
            query=request.POST.get("query", ""),
            by=access.person(request.user),
        )
    except AgentOptError as error:
        messages.error(request, error.message)
        return htmx.redirect(request, "ingestion:analytics", slug)
    messages.success(request, f"The view “{view.name}” is saved.")
    return htmx.redirect(request, f"{reverse('ingestion:analytics', args=[slug])}?{view.query}")


@require_POST
def delete_view(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Forget a saved view."""
    project = access.project_for(request.user, slug, role=Role.MEMBER)
    view = get_object_or_404(project.saved_views, pk=pk)
    saved_views.delete(view, by=access.person(request.user))
    messages.success(request, f"The view “{view.name}” is gone.")
    return htmx.redirect(request, "ingestion:analytics", slug)
