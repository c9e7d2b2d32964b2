"""Pages of evaluations: the list, a new one, one of them, and what a member may do to it."""

from datetime import UTC
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, QueryDict
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from agentopt.lib import htmx, money
from agentopt.lib.errors import Conflict, GatewayError, Invalid
from evaluation import counting, pages, planning, proposals, selectors, services, standing, studies, tabs
from evaluation.forms import EvaluationForm, ResumeForm
from evaluation.models import Evaluation
from evaluation.planning import Plan
from evaluation.services import EvaluationRequest
from ingestion import usecases
from ingestion.catalog.listing import Retirement
from projects import access
from projects import services as projects
from projects.models import Project, Role


@login_required
@require_GET
def listing(request: HttpRequest, slug: str) -> HttpResponse:
    """All evaluations of a project, the newest first."""
    project = access.project_for(request.user, slug)
    before = request.GET.get("before", "")
    lines, older = pages.lines(project, before=int(before) if before.isascii() and before.isdigit() else None)
    context = {
        "project": project,
        "lines": lines,
        "older": older,
        "before": before,
        "may_work": access.may(request.user, project, Role.MEMBER),
        "is_live": any(line.job for line in lines),
    }
    return htmx.render(request, "evaluation/list.html", context, part="table")


# ------------------------------------------------------------------------------------------------ a new one
@login_required
@require_http_methods(["GET", "POST"])
def create(request: HttpRequest, slug: str) -> HttpResponse:
    """Choose and see what it would take (GET), or start it (POST)."""
    project = access.project_for(request.user, slug, Role.MEMBER)
    given = request.POST if request.method == "POST" else _asked(request, project)
    form = EvaluationForm(given, initial=_defaults(project), use_cases=usecases.names(project).values())
    is_sound = not form.is_bound or form.is_valid()
    wanted = form.request()  # before a refusal takes the refused fields out of the form
    if request.method == "POST" and is_sound:
        try:
            by_use_case = bool(form.cleaned_data.get("per_use_case"))
            return htmx.redirect(request, _start(request, project, wanted, by_use_case=by_use_case))
        except Invalid as error:
            htmx.refuse(form, error)
            is_sound = False
        except (Conflict, GatewayError):
            is_sound = False  # the proposal meets the same, and says the way out
    proposal = proposals.propose(project, wanted, now=timezone.now())
    if proposal.problem is not None and request.method != "POST":
        htmx.refuse(form, proposal.problem)
    context = {"project": project, "form": form, "proposal": proposal, "plan": proposal.plan, "is_sound": is_sound}
    context["retirement"] = _retirement(proposal.plan)
    status = 422 if request.method == "POST" else 200
    return htmx.render(request, "evaluation/create.html", context, part="summary", status=status)


def _retirement(plan: Plan | None) -> Retirement | None:
    """When the model in production goes, which is a reason to evaluate."""
    if plan is None or plan.baseline.retires_on is None:
        return None
    days = (plan.baseline.retires_on - timezone.now().astimezone(UTC).date()).days
    return Retirement(plan.baseline.name, plan.baseline.retires_on, days, "")


def _asked(request: HttpRequest, project: Project) -> QueryDict | None:
    """What the address says; None on a first visit. A link that names a part of the calls leaves the rest as usual."""
    given = request.GET.copy()
    if not given:
        return None
    if "sample" not in given:
        for name, value in _defaults(project).items():
            given.setdefault(name, str(value))
    return given


def _defaults(project: Project) -> dict[str, Any]:
    effective = projects.effective(project)
    cap = money.usd(effective.max_evaluation_cost_nanousd)
    return {
        "sample": effective.replay_sample_size,
        "seed": planning.SEED,
        "max_cost_usd": f"{cap:.2f}",
        "max_calls": settings.MAX_EVALUATION_CALLS,
        "repetitions": 1,
    }


def _start(request: HttpRequest, project: Project, wanted: EvaluationRequest, *, by_use_case: bool) -> Evaluation:
    by, gateway, now = access.person(request.user), proposals.gateway_of(project), timezone.now()
    if by_use_case:
        opened = studies.open_study(project, wanted, by=by, gateway=gateway, now=now)
    else:
        opened = [services.open_evaluation(project, wanted, by=by, gateway=gateway, now=now)]
    studies.start(opened, by)
    return opened[0]


# ------------------------------------------------------------------------------------------------ one
@login_required
@require_GET
def detail(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """One evaluation; while it runs its page asks for the part that changes."""
    project = access.project_for(request.user, slug)
    evaluation = selectors.named(project, number)
    response = _show(request, project, evaluation)
    if htmx.wants_part(request) and evaluation.state not in pages.ACTIVE:
        response["HX-Refresh"] = "true"  # figures and actions outside the part change with the end, too
    return response


def _show(
    request: HttpRequest, project: Project, evaluation: Evaluation, *, form: ResumeForm | None = None
) -> HttpResponse:
    sight = pages.sight(evaluation)
    context = {
        "project": project,
        "evaluation": evaluation,
        "sight": sight,
        "tab": "detail",
        "may_work": access.may(request.user, project, Role.MEMBER),
        "is_part": htmx.wants_part(request),
        "has_new_looks": request.GET.get("looks") != str(sight.n_looks),  # else the figure stays as it is drawn
        "form": form or ResumeForm(evaluation),
    }
    return htmx.render(request, "evaluation/detail.html", context, part="live", status=422 if form else 200)


@login_required
@require_GET
def costs(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """What it cost so far, by model, and how well the forecast fits."""
    evaluation = selectors.named(access.project_for(request.user, slug), number)
    counts = counting.read(evaluation)
    spent = selectors.spend(evaluation, counts)
    sight = {
        **pages.heading(evaluation, paid=int(spent.total_usd * money.NANO)),
        "found": {"spend": spent, "outcome": evaluation.outcome},
        "spend_bar": pages.spend_bar(evaluation, spent),
    }
    found = {"costs": standing.costs(evaluation, counts), "kept": tabs.kept(evaluation, spent, prompts=counts.prompts)}
    return _tab(request, evaluation, "costs", sight=sight, **found)


@login_required
@require_GET
def coverage(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """What could not be replayed and what failed, by reason."""
    evaluation = selectors.named(access.project_for(request.user, slug), number)
    counts = counting.read(evaluation)
    found, lost = standing.coverage(evaluation, counts=counts), standing.failures(evaluation, counts)
    return _tab(request, evaluation, "coverage", sight=pages.heading(evaluation), coverage=found, lost=lost)


@login_required
@require_GET
def activity(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """What people and programs did to it."""
    evaluation = selectors.named(access.project_for(request.user, slug), number)
    return _tab(request, evaluation, "activity", sight=pages.heading(evaluation), events=standing.activity(evaluation))


def _tab(request: HttpRequest, evaluation: Evaluation, tab: str, **more: Any) -> HttpResponse:
    context = {
        "project": evaluation.project,
        "evaluation": evaluation,
        "tab": tab,
        **more,
    }
    return htmx.render(request, f"evaluation/{tab}.html", context)


@login_required
@require_POST
def pause(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """Stop sending calls; it can be resumed."""
    evaluation = selectors.named(access.project_for(request.user, slug, Role.MEMBER), number)
    services.pause(evaluation, access.person(request.user))
    messages.success(request, "Paused. Calls in flight are stored; nothing more is sent.")
    return htmx.redirect(request, evaluation)


@login_required
@require_POST
def resume(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """Go on where it stopped, with a higher cap where one is given."""
    project = access.project_for(request.user, slug, Role.MEMBER)
    evaluation = selectors.named(project, number)
    form = ResumeForm(evaluation, request.POST)
    if not form.is_valid():
        return _show(request, project, evaluation, form=form)
    services.resume(evaluation, access.person(request.user), **form.cleaned_data)
    return htmx.redirect(request, evaluation)


@login_required
@require_POST
def retry(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """Have failed calls asked again, and go on."""
    evaluation = selectors.named(access.project_for(request.user, slug, Role.MEMBER), number)
    services.retry_failed(evaluation, access.person(request.user))
    messages.success(request, "Failed calls are asked again, of all models alike.")
    return htmx.redirect(request, evaluation)


@login_required
@require_POST
def cancel(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """End it for good."""
    evaluation = selectors.named(access.project_for(request.user, slug, Role.MEMBER), number)
    services.cancel(evaluation, access.person(request.user))
    messages.success(request, "Cancelled. Answers and verdicts that were paid are kept and reused.")
    return htmx.redirect(request, evaluation)
