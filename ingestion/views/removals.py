"""Pages: what is taken out of the store, by age and of one person; patterns tried on a text."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.views.decorators.http import require_POST

from agentopt.lib import htmx
from agentopt.lib.errors import AgentOptError, Invalid
from ingestion import erasure, privacy, retention, selectors, services
from ingestion.forms.removals import AgeForm, ErasureForm
from projects import access
from projects.forms import PrivacyForm
from projects.models import Project, Role

MAX_TRIED_CHARACTERS = 5000


def removals(request: HttpRequest, slug: str) -> HttpResponse:
    """Remove bodies, or one person's calls: the first answer counts, the confirmed one starts the work."""
    project = access.project_for(request.user, slug, role=Role.OWNER)
    by_age = request.POST.get("what") == "age" if request.method == "POST" else None
    age = AgeForm(request.POST if by_age else None)
    person = ErasureForm(request.POST if by_age is False else None)
    found: dict[str, Any] = {}
    form: AgeForm | ErasureForm | None = None if by_age is None else age if by_age else person
    if form is not None and form.is_valid():
        try:
            found = _counted(project, form)
            if _is_confirmed(form, project):
                _start(request, project, form)
                messages.success(request, "The removal is under way. What it took is listed below.")
                return htmx.redirect(request, "ingestion:removals", slug)
        except AgentOptError as error:
            htmx.refuse(form, error)
    context = {
        "project": project,
        "section": "removals",
        "age": age,
        "person": person,
        "removals": selectors.removals(project)[:50],
        **found,
    }
    status = 422 if age.errors or person.errors else 200
    return htmx.render(request, "ingestion/removals.html", context, status=status)


def _counted(project: Project, form: AgeForm | ErasureForm) -> dict[str, Any]:
    if isinstance(form, AgeForm):
        days = form.cleaned_data["older_than_days"]
        return {"age_found": retention.preview_age(project, days=days, now=timezone.now())}
    return {"person_found": erasure.preview(project, _asked(form))}


def _asked(form: ErasureForm) -> erasure.Asked:
    return erasure.Asked(form.cleaned_data["key"], form.cleaned_data["value"], tuple(form.keys()))


def _is_confirmed(form: AgeForm | ErasureForm, project: Project) -> bool:
    given = form.cleaned_data["confirm"].strip()
    if given and given != project.slug:
        raise Invalid("That is not the project.", fields={"confirm": f"Expected {project.slug}."})
    return bool(given)


def _start(request: HttpRequest, project: Project, form: AgeForm | ErasureForm) -> None:
    by = access.person(request.user)
    if isinstance(form, AgeForm):
        services.remove_bodies(project, days=form.cleaned_data["older_than_days"], by=by)
    else:
        services.erase_person(project, _asked(form), by=by)


@require_POST
def lift(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Let later calls of an erased person be kept whole again."""
    project = access.project_for(request.user, slug, role=Role.OWNER)
    retention.lift(get_object_or_404(project.removals, pk=pk), by=access.person(request.user), now=timezone.now())
    messages.success(request, "Later calls of this person are kept as the privacy mode says.")
    return htmx.redirect(request, "ingestion:removals", slug)


@require_POST
def try_redaction(request: HttpRequest, slug: str) -> HttpResponse:
    """What redaction makes of a pasted text, with the patterns as they stand in the form; neither is stored."""
    project = access.project_for(request.user, slug, role=Role.OWNER)
    form = PrivacyForm(request.POST)
    form.is_valid()
    text = request.POST.get("text", "")[:MAX_TRIED_CHARACTERS]
    context: dict[str, Any] = {"project": project, "section": "privacy"}
    try:
        context["tried"] = privacy.redact(text, privacy.rules(form.patterns()))
    except Invalid as error:
        context["wrong"] = error.message
    return htmx.render(request, "ingestion/tried.html", context, part="tried")
