"""Pages: the kinds of requests that an agent gets, and one of them."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from agentopt.lib import charts, htmx
from agentopt.lib.errors import AgentOptError
from ingestion import portraits, selectors, usecases
from ingestion.forms.logs import RANGES
from ingestion.forms.usecases import MergeForm, NameForm, RangeForm
from ingestion.models import UseCase
from projects import access
from projects.models import Project, Role


@require_safe
def use_cases(request: HttpRequest, slug: str) -> HttpResponse:
    """The list; htmx asks for the results alone."""
    project = access.project_for(request.user, slug)
    form = RangeForm(request.GET)
    state = portraits.state(project)
    context = {
        "project": project,
        "form": form,
        "state": state,
        "portraits": portraits.portraits(project, _since(form)),
        "colors": charts.series(selectors.models_seen(project)),
        "simulated": project.connection.simulated,
    }
    return htmx.render(request, "ingestion/use_cases.html", context, part="results")


@require_safe
def state(request: HttpRequest, slug: str) -> HttpResponse:
    """How far the job is; the page asks for it while one runs, and shows itself anew when it ends."""
    project = access.project_for(request.user, slug)
    found = portraits.state(project)
    response = htmx.render(request, "ingestion/use_cases_state.html", {"project": project, "state": found})
    if not found.is_live:
        response["HX-Refresh"] = "true"
    return response


def use_case(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """One use case; a POST names it."""
    role = Role.MEMBER if request.method == "POST" else Role.READER
    project = access.project_for(request.user, slug, role=role)
    found = usecases.numbered(project, number)
    name = NameForm(request.POST if request.method == "POST" else None, initial={"name": found.name})
    if request.method == "POST" and name.is_valid():
        try:
            usecases.rename(found, name.cleaned_data["name"], by=access.person(request.user))
        except AgentOptError as error:
            htmx.refuse(name, error)
        else:
            messages.success(request, f"The use case is called {found.name} now.")
            return htmx.redirect(request, "ingestion:use-case", slug, number)
    return _page(request, project, found, name=name)


def _page(
    request: HttpRequest,
    project: Project,
    found: UseCase,
    *,
    name: NameForm | None = None,
    merge: MergeForm | None = None,
) -> HttpResponse:
    form = RangeForm(request.GET)
    known = list(project.use_cases.order_by("number"))
    others = [other for other in usecases.standing(known) if other.pk != found.pk]
    merged = [other for other in known if other.merged_into_id == found.pk]
    context: dict[str, Any] = {
        "project": project,
        "use_case": found,
        "form": form,
        "state": portraits.state(project),
        "portrait": portraits.portrait(project, found, _since(form), known=known),
        "examples": portraits.examples(project, found, merged),
        "merged": merged,
        "name_form": name or NameForm(initial={"name": found.name}),
        "merge_form": merge or MergeForm(others=others),
        "can_merge": bool(others) and found.merged_into_id is None and found.retired_at is None,
        "can_split": found.origin == UseCase.Origin.FOUND and found.merged_into_id is None and not found.retired_at,
        "colors": charts.series(selectors.models_seen(project)),
        "simulated": project.connection.simulated,
    }
    wrong = bool((name and name.errors) or (merge and merge.errors))
    return htmx.render(request, "ingestion/use_case.html", context, part="figures", status=422 if wrong else 200)


def _since(form: RangeForm) -> datetime | None:
    chosen = RANGES.get(form.cleaned_data["range"]) if form.is_valid() else None
    return timezone.now() - timedelta(days=chosen[1]) if chosen else None


@require_POST
def merge(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """Let this use case stand for others."""
    project = access.project_for(request.user, slug, role=Role.MEMBER)
    found = usecases.numbered(project, number)
    others = [other for other in usecases.shown(project) if other.pk != found.pk]
    form = MergeForm(request.POST, others=others)
    if form.is_valid():
        chosen = [other for other in others if other.number in form.cleaned_data["numbers"]]
        try:
            usecases.merge(found, chosen, by=access.person(request.user))
        except AgentOptError as error:
            htmx.refuse(form, error)
        else:
            messages.success(request, f"{found.name} stands for {len(chosen)} more now. Take them out to undo it.")
            return htmx.redirect(request, "ingestion:use-case", slug, number)
    return _page(request, project, found, merge=form)


@require_POST
def take_out(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """Undo a merge."""
    project = access.project_for(request.user, slug, role=Role.MEMBER)
    found = usecases.numbered(project, number)
    root = found.merged_into or found

    def undo() -> str:
        usecases.take_out(found, by=access.person(request.user))
        return f"{found.name} stands for itself again."

    return _told(request, undo, "ingestion:use-case", slug, root.number)


@require_POST
def split(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """Cut a use case in two in the background."""
    project = access.project_for(request.user, slug, role=Role.MEMBER)
    found = usecases.numbered(project, number)

    def begin() -> str:
        usecases.split(found, by=access.person(request.user))
        return "The use case is being split. Merge the two parts to undo it."

    return _told(request, begin, "ingestion:use-cases", slug)


@require_POST
def refresh(request: HttpRequest, slug: str) -> HttpResponse:
    """Assign new calls in the background, or find the use cases anew."""
    project = access.project_for(request.user, slug, role=Role.MEMBER)
    refit = request.POST.get("refit") == "yes"

    def begin() -> str:
        usecases.start(project, refit=refit, by=access.person(request.user))
        return "Use cases are being found anew." if refit else "New calls are being assigned."

    return _told(request, begin, "ingestion:use-cases", slug)


def _told(request: HttpRequest, change: Callable[[], str], to: str, *arguments: object) -> HttpResponse:
    """Make a change and say what came of it on the page that follows."""
    try:
        messages.success(request, change())
    except AgentOptError as error:
        messages.error(request, error.message)
    return htmx.redirect(request, to, *arguments)
