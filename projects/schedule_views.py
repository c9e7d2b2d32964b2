"""Pages of what comes again by itself: when it comes next, what came of it, and a turn by hand."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_POST

from agentopt.lib import htmx
from agentopt.lib.errors import Conflict, Invalid
from agentopt.schedules import SCHEDULES
from projects import access, scheduling, sections, services, supervisor
from projects.forms import ScheduleForm
from projects.models import Role


def schedules(request: HttpRequest, slug: str) -> HttpResponse:
    """Schedules of the project; owners change them."""
    role = Role.OWNER if request.method == "POST" else Role.READER
    project = access.project_for(request.user, slug, role=role)
    form = ScheduleForm(sections.given(request), initial=ScheduleForm.initial_of(project))
    if request.method == "POST" and form.is_valid():
        try:
            services.change_project(project, form.changes(), by=sections.person(request))
        except Invalid as error:
            htmx.refuse(form, error)
        else:
            return sections.saved(request, "Saved.", "projects:schedules", slug)
    return sections.section(
        request, project, "schedules", form=form, standing=scheduling.standing([project])[project.pk],
        turns=scheduling.turns(project), is_on=scheduling.is_on(), seen=supervisor.last_seen(),
        instance_cron=scheduling.cron_of("evaluation") if "evaluation" in SCHEDULES else "",
    )  # fmt: skip


@require_POST
def run_schedule(request: HttpRequest, slug: str, name: str) -> HttpResponse:
    """Start a scheduled job now."""
    project = access.project_for(request.user, slug, role=Role.MEMBER)
    try:
        scheduling.trigger(project, name, by=sections.person(request), now=timezone.now())
    except Conflict as why:
        messages.warning(request, f"Nothing was started. {why.message}")
    else:
        messages.success(request, f"{SCHEDULES[name].title} is started.")
    return htmx.redirect(request, "projects:schedules", slug)
