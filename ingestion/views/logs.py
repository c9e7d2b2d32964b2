"""Pages: logs, one log, the test of a connection, a sync by hand."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from agentopt.lib import charts, htmx
from agentopt.lib.errors import AgentOptError
from ingestion import analytics, lines, plots, progress, receipts, selectors, services, usecases
from ingestion.analytics.requests import Aggregation, Filters
from ingestion.forms.logs import LogFilterForm
from ingestion.gateway import open_gateway
from ingestion.values import Counted, LogFilter
from projects import access
from projects.jobs import ACTIVE
from projects.models import Project, Role

PAGE = 50


@require_safe
def logs(request: HttpRequest, slug: str) -> HttpResponse:
    """The list of calls; htmx asks for the results alone."""
    project = access.project_for(request.user, slug)
    models = selectors.models_seen(project)
    use_cases = sorted(set(usecases.names(project).values()))
    form = LogFilterForm(request.GET, models=models, use_cases=use_cases)
    form.is_valid()
    wanted = selectors.read_filter(form.asked(now=timezone.now()))
    after = request.GET.get("after", "")
    page = selectors.logs(project, wanted, after=after or None, limit=PAGE)
    sync = selectors.newest_sync(project)
    colors = charts.series(models)
    context = {
        "project": project,
        "form": form,
        "ignored": _ignored(request, form),
        "page": page,
        "after": after,
        # a first page that is not full counts itself
        "count": selectors.count(project, wanted) if after or page.after else Counted(len(page.rows), more=False),
        "any": bool(models),
        "lines": lines.lines(page.rows, slug=slug, colors=colors),
        "chart": None if after else _strip(project, wanted),
        "grouped": bool(use_cases),
        "window": form.window(),
        "filtered": any(request.GET.get(name) for name in form.fields),
        "sync": sync,
        "pull": progress.newest_of(project, sync),
        "set_aside": selectors.rows_set_aside(project)[:20],
        "simulated": project.connection.simulated,
    }
    return htmx.render(request, "ingestion/logs.html", context, part="results")


@require_safe
def sync_state(request: HttpRequest, slug: str) -> HttpResponse:
    """How far a pull of logs is; the page asks for it while one runs, and shows itself anew when it ends."""
    project = access.project_for(request.user, slug)
    job = selectors.newest_sync(project)
    response = htmx.render(
        request, "ingestion/sync.html", {"project": project, "sync": job, "pull": progress.newest_of(project, job)}
    )
    if job is None or job.state not in ACTIVE:
        response["HX-Refresh"] = "true"
    return response


def _strip(project: Project, wanted: LogFilter) -> charts.Chart | None:
    """Calls by status over the list; None where the engine cannot ask for what the list is narrowed to."""
    if wanted.words or wanted.trace:
        return None
    names = ("model", "status", "use_case", "prompt_version")
    given: dict[str, Any] = {name: (getattr(wanted, name),) for name in names if getattr(wanted, name)}
    asked = Aggregation(
        metric="failed", aggregate="count", group_by=("day",), limit=1000,
        filters=Filters(**given), since=wanted.since, until=wanted.until,
    )  # fmt: skip
    return plots.calls(analytics.answer(project, asked)["rows"])


def _ignored(request: HttpRequest, form: LogFilterForm) -> list[str]:
    """Names in the address that are no filter, and filters with a value that does not exist."""
    known = {*form.fields, "after"}
    return sorted({name for name in request.GET if name not in known} | set(form.errors))


@require_safe
def log(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """One call; beside the list htmx asks for the sheet alone."""
    project = access.project_for(request.user, slug)
    found = selectors.log_detail(project, pk)
    context = {
        "project": project,
        "detail": found,
        "record": found.record,
        "receipt": receipts.receipt(project, found.record),
        "deviation": receipts.deviation(found.record),
        "beside": htmx.wants_part(request),
        "simulated": found.record.batch.simulated,
        "colors": charts.series(selectors.models_seen(project)),
    }
    return htmx.render(request, "ingestion/log.html", context, part="call")


@require_POST
def test_connection(request: HttpRequest, slug: str) -> HttpResponse:
    """Ask the gateway for its models: address and key are right if it answers."""
    project = access.project_for(request.user, slug, role=Role.OWNER)
    try:
        found = services.check_connection(project, open_gateway(project.connection))
    except AgentOptError as error:
        messages.error(request, f"The connection does not work: {error.message}")
    else:
        messages.success(request, f"The gateway answered and lists {found.n_models} models.")
    return htmx.redirect(request, "projects:settings", slug)


@require_POST
def sync(request: HttpRequest, slug: str) -> HttpResponse:
    """Pull new logs from the gateway in the background."""
    project = access.project_for(request.user, slug, role=Role.MEMBER)
    services.start_sync(project, by=access.person(request.user))
    messages.success(request, "The sync is queued. New calls appear here when it is done.")
    return htmx.redirect(request, "ingestion:logs", slug)
