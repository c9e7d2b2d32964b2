"""Pages: alerts, one alert and what people do about it, rules with their preview."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from agentopt.lib import htmx
from agentopt.lib.errors import AgentOptError, Invalid
from projects import access, jobs
from projects.models import Job, Project, Role
from recommendations.drift import alerts, preview, rules, selectors
from recommendations.drift.forms import BudgetForm, NoteForm, RuleForm, initial_of
from recommendations.drift.models import Alert, DriftRule

DONE = {
    "acknowledge": "acknowledged", "mute": "muted", "expected": "expected: what is since then becomes the reference",
    "resolve": "resolved", "reopen": "open again",
}  # fmt: skip
# words of the explorer's figures for what is watched
FROM_EXPLORER = {
    "p50": "latency", "p95": "latency", "p99": "latency", "first": "latency", "spend": "cost", "cost": "cost",
    "in": "tokens", "out": "tokens", "failed": "errors", "refused": "refusals", "calls": "mix",
}  # fmt: skip


@login_required
@require_safe
def inbox(request: HttpRequest, slug: str) -> HttpResponse:
    """Live alerts; `?all=1` shows resolved and expected ones, too."""
    project = access.project_for(request.user, slug)
    before, everything = request.GET.get("before", ""), bool(request.GET.get("all"))
    context = {
        "project": project,
        "inbox": selectors.inbox(
            project, everything=everything, before=int(before) if before.isdigit() and len(before) < 19 else None
        ),
        "everything": everything,
        "working": _working(project),
        "tab": "alerts",
    }
    return htmx.render(request, "recommendations/alerts.html", context)


def _working(project: Project) -> Job | None:
    states = (Job.State.QUEUED, Job.State.RUNNING)
    return project.jobs.filter(kind="drift", state__in=states).order_by("-pk").first()


@login_required
@require_safe
def count(request: HttpRequest, slug: str) -> HttpResponse:
    """How many alerts are open, loaded by the menu, which stands below and knows no alert."""
    project = access.project_for(request.user, slug)
    return htmx.render(request, "recommendations/alert_count.html", {"n_open": selectors.open_count(project)})


@login_required
@require_POST
def check(request: HttpRequest, slug: str) -> HttpResponse:
    """Check now, in the background, unless a check is under way."""
    project = access.project_for(request.user, slug, role=Role.MEMBER)
    if _working(project) is None:
        jobs.start("drift", project, by=access.person(request.user))
        messages.success(request, "A check has started.")
    return htmx.redirect(request, "recommendations:alerts", slug)


# ------------------------------------------------------------------------------------------------ one alert
@login_required
@require_safe
def alert(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """One alert with all that is known about it."""
    project = access.project_for(request.user, slug)
    return _alert(request, _of(project, pk))


def _of(project: Project, pk: int) -> Alert:
    found: Alert = get_object_or_404(project.alerts.select_related("rule", "project__connection"), pk=pk)
    return found


def _alert(request: HttpRequest, row: Alert, *, form: NoteForm | None = None, status: int = 200) -> HttpResponse:
    page = selectors.page(row)
    context = {
        "project": row.project,
        "page": page,
        "form": form or NoteForm(),
        "may": {name for name, state in _STATES.items() if row.state in alerts.FROM[state]},
    }
    return htmx.render(request, "recommendations/alert.html", context, status=status)


_STATES = {
    "acknowledge": Alert.State.ACKNOWLEDGED, "mute": Alert.State.MUTED, "expected": Alert.State.EXPECTED,
    "resolve": Alert.State.RESOLVED, "reopen": Alert.State.OPEN,
}  # fmt: skip


@login_required
@require_POST
def act(request: HttpRequest, slug: str, pk: int, action: str) -> HttpResponse:
    """Acknowledge, mute, expect, resolve or open again."""
    project = access.project_for(request.user, slug, role=Role.MEMBER)
    if action not in alerts.ACTIONS:
        raise Http404
    row, form = _of(project, pk), NoteForm(request.POST)
    if form.is_valid():
        days = form.cleaned_data["days"]
        more = {"days": days} if action == "mute" and days else {}
        try:
            alerts.ACTIONS[action](
                row, by=access.person(request.user), now=timezone.now(), note=form.cleaned_data["note"], **more
            )
        except AgentOptError as error:
            htmx.refuse(form, error)
        else:
            messages.success(request, f"Alert {pk} is {DONE[action]}.")
            return htmx.redirect(request, row)
    return _alert(request, row, form=form, status=422)


# ------------------------------------------------------------------------------------------------ rules
@login_required
@require_safe
def rules_page(request: HttpRequest, slug: str) -> HttpResponse:
    """All rules, how they stand, and how often they may be wrong together."""
    project = access.project_for(request.user, slug)
    return _rules(request, project)


def _rules(
    request: HttpRequest, project: Project, *, form: BudgetForm | None = None, status: int = 200
) -> HttpResponse:
    watch = getattr(project, "drift_watch", None)
    found = watch.false_alarms if watch else 1.0
    context = {
        "project": project,
        "rows": selectors.rule_rows(project),
        "watch": watch,
        "budget": form or BudgetForm(initial={"false_alarms": found}),
        "tab": "rules",
    }
    return htmx.render(request, "recommendations/drift_rules.html", context, status=status)


@login_required
@require_POST
def budget(request: HttpRequest, slug: str) -> HttpResponse:
    """Change how often the project may be alarmed for nothing."""
    project = access.project_for(request.user, slug, role=Role.OWNER)
    form = BudgetForm(request.POST)
    if form.is_valid():
        rules.set_false_alarms(project, form.cleaned_data["false_alarms"], by=access.person(request.user))
        messages.success(request, "The number of false alarms is saved.")
        return htmx.redirect(request, "recommendations:drift-rules", slug)
    return _rules(request, project, form=form, status=422)


@login_required
@require_http_methods(["GET", "POST"])
def new_rule(request: HttpRequest, slug: str) -> HttpResponse:
    """A new rule; the explorer brings its question in the address."""
    project = access.project_for(request.user, slug, role=Role.MEMBER)
    if request.method == "POST":
        return _save(request, project, DriftRule(project=project))
    initial: dict[str, Any] = {"metric": FROM_EXPLORER.get(request.GET.get("metric", ""), "latency")}
    if request.GET.get("model"):
        initial["target"] = f"model:{request.GET['model'][:120]}"
    elif request.GET.get("status") in {"failed", "refused"}:
        initial["metric"] = FROM_EXPLORER[request.GET["status"]]
    return _form(request, project, RuleForm(initial=initial, project=project), rule=None)


@login_required
@require_http_methods(["GET", "POST"])
def rule(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Change a rule, or try it."""
    project = access.project_for(request.user, slug, role=Role.MEMBER)
    found = get_object_or_404(project.drift_rules, pk=pk)
    if request.method == "POST":
        return _save(request, project, found)
    return _form(request, project, RuleForm(initial=initial_of(found), project=project), rule=found)


def _save(request: HttpRequest, project: Project, found: DriftRule) -> HttpResponse:
    """Save the form, or try it where that was asked for; both show what is wrong beside the fields."""
    stored = found if found.pk else None
    form = RuleForm(request.POST, initial={"target": request.POST.get("target", "")}, project=project)
    tried, by = None, access.person(request.user)
    if form.is_valid():
        try:
            if "preview" in request.POST:
                trial = DriftRule(project=project, pk=found.pk, **form.terms())
                tried = preview.preview(trial)
            else:
                saved = (
                    rules.change(found, form.terms(), by=by) if stored else rules.create(project, form.terms(), by=by)
                )
                messages.success(request, f"The rule about {saved} is saved.")
                return htmx.redirect(request, "recommendations:drift-rules", project.slug)
        except Invalid as error:
            htmx.refuse(form, error)
    return _form(request, project, form, rule=stored, tried=tried, status=200 if tried else 422)


def _form(
    request: HttpRequest,
    project: Project,
    form: RuleForm,
    *,
    rule: DriftRule | None,
    tried: preview.Preview | None = None,
    status: int = 200,
) -> HttpResponse:
    context = {"project": project, "form": form, "rule": rule, "tried": tried, "tab": "rules"}
    return htmx.render(request, "recommendations/drift_rule.html", context, status=status)


@login_required
@require_POST
def delete_rule(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Remove a rule; its alerts stay."""
    project = access.project_for(request.user, slug, role=Role.MEMBER)
    rules.delete(get_object_or_404(project.drift_rules, pk=pk), by=access.person(request.user))
    messages.success(request, "The rule is gone; its alerts stay.")
    return htmx.redirect(request, "recommendations:drift-rules", slug)
