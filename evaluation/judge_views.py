"""Pages of judges: the library with its versions, an own judge and its dry run, rules, and the panel of a run."""

from typing import Any

from django.conf import settings as instance
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from agentopt.lib import htmx
from agentopt.lib.errors import Conflict, GatewayError, Invalid
from evaluation import bearing, dry_run, judge_forms, library, pages, proposals, selectors, services
from evaluation.forms import JudgesForm
from evaluation.judge_forms import OwnJudgeForm, RuleForm
from evaluation.judges import rules, versions
from evaluation.library import OwnJudge
from evaluation.models import Evaluation, JudgeVersion
from ingestion import refusals
from projects import access
from projects.models import Project, Role


@login_required
@require_GET
def listing(request: HttpRequest, slug: str) -> HttpResponse:
    """All judges of a project: the product's, its own, and rules."""
    project = access.project_for(request.user, slug)
    found = library.entries(project)
    context = {
        "project": project,
        "judges": [entry for entry in found if entry.kind != "rule"],
        "rules": [(entry, rules.SAID[rules.Rule(entry.name)]) for entry in found if entry.kind == "rule"],
        "has_standing": any(entry.models for entry in found if entry.kind == "product"),
        "languages": refusals.LANGUAGES,
        "may_set": access.may(request.user, project, Role.OWNER),
    }
    return htmx.render(request, "evaluation/library.html", context)


@login_required
@require_GET
def detail(request: HttpRequest, slug: str, name: str) -> HttpResponse:
    """One judge or rule: what it is asked now, its versions, and what changed between two of them."""
    project = access.project_for(request.user, slug)
    editions = library.history(project, name)
    now = next((edition for edition in editions if edition.is_in_force), editions[0])
    after = request.GET.get("after") or now.hash
    newer = next((i for i, edition in enumerate(editions) if edition.hash == after), 0)
    before = request.GET.get("before") or (editions[newer + 1].hash if newer + 1 < len(editions) else "")
    entry = next(one for one in library.entries(project) if one.name == name)
    context = {
        "project": project,
        "entry": entry,
        "editions": editions,
        "now": now,
        "before": before,
        "after": after,
        "diff": library.difference(editions, before=before, after=after) if before else None,
        "said": rules.SAID[rules.Rule(name)] if entry.kind == "rule" else "",
        "may_set": access.may(request.user, project, Role.OWNER),
    }
    return htmx.render(request, "evaluation/judge.html", context)


# ------------------------------------------------------------------------------------------------ an own judge
@login_required
@require_http_methods(["GET", "POST"])
def own(request: HttpRequest, slug: str) -> HttpResponse:
    """Write a judge of the project's own, try it on five logged answers, and put it in force."""
    project = access.project_for(request.user, slug, Role.OWNER)
    name = request.GET.get("name", "")
    before = library.own_judge(project, name) if name else None
    form = OwnJudgeForm(request.POST if request.method == "POST" else None, initial=vars(before) if before else None)
    tried: dry_run.DryRun | None = None
    wanted = form.judge() if request.method == "POST" and form.is_valid() else None
    if wanted is not None:
        try:
            if "save" in request.POST:
                return _saved(request, project, wanted)
            tried = dry_run.run(project, wanted, gateway=proposals.gateway_of(project), now=timezone.now)
        except (Conflict, GatewayError, Invalid) as error:
            htmx.refuse(form, error)
    context = {
        "project": project,
        "form": form,
        "edited": before,
        "tried": tried,
        "expected_nanousd": _expected(project, wanted or before),
        "frame": versions.whole("").strip(),
    }
    return htmx.render(request, "evaluation/judge_form.html", context, status=422 if form.errors else 200)


def _saved(request: HttpRequest, project: Project, wanted: OwnJudge) -> HttpResponse:
    library.save_own(project, wanted, by=access.person(request.user))
    messages.success(request, f"{wanted.name} is in force. The next evaluation seats it.")
    return htmx.redirect(request, "evaluation:judge", project.slug, wanted.name)


def _expected(project: Project, wanted: OwnJudge | None) -> int | None:
    return None if wanted is None else dry_run.estimate(project, wanted, now=timezone.now())


# ------------------------------------------------------------------------------------------------ rules
@login_required
@require_http_methods(["GET", "POST"])
def rule(request: HttpRequest, slug: str, name: str) -> HttpResponse:
    """Set a rule."""
    project = access.project_for(request.user, slug, Role.OWNER)
    found, judge = library.rule_of(project, name)
    stored = versions.settings_of(judge.version) if judge is not None and judge.version is not None else {}
    given = request.POST if request.method == "POST" else None
    form = RuleForm(found, given, initial=judge_forms.initial_of(judge, stored))
    if request.method == "POST" and form.is_valid():
        try:
            library.set_rule(
                project, found, form.settings(), counts_as=form.cleaned_data["counts_as"],
                margin=form.cleaned_data["margin"], by=access.person(request.user),
            )  # fmt: skip
        except Invalid as error:
            htmx.refuse(form, error)
        else:
            messages.success(request, f"The rule {found.replace('_', ' ')} is in force. The next evaluation seats it.")
            return htmx.redirect(request, "evaluation:judge-library", slug)
    context = {"project": project, "form": form, "rule": found, "said": rules.SAID[found], "judge": judge}
    return htmx.render(request, "evaluation/rule_form.html", context, status=422 if form.errors else 200)


@login_required
@require_POST
def retire(request: HttpRequest, slug: str, name: str) -> HttpResponse:
    """Take an own judge or a rule out of force."""
    project = access.project_for(request.user, slug, Role.OWNER)
    library.retire(project, name, by=access.person(request.user))
    messages.success(request, f"{name} is no longer in force. Its versions and verdicts are kept.")
    return htmx.redirect(request, "evaluation:judge-library", slug)


# ------------------------------------------------------------------------------------------------ who judges
@login_required
@require_http_methods(["GET", "POST"])
def settings(request: HttpRequest, slug: str) -> HttpResponse:
    """Which models judge: a section of the project's settings."""
    project = access.project_for(request.user, slug, Role.OWNER)
    active = selectors.standing_judges(project)
    models = sorted({judge.model for judge in active})
    initial = {
        "models": "\n".join(models),
        "repeats": max((judge.repeats for judge in active), default=1),
        "compare": any(judge.form == JudgeVersion.Form.PAIR for judge in active),
    }
    form = JudgesForm(request.POST if request.method == "POST" else None, initial=initial)
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        try:
            services.set_judges(
                project, form.names(), repeats=given["repeats"] or 1, compare=given["compare"],
                by=access.person(request.user),
            )  # fmt: skip
        except (Conflict, Invalid) as error:
            htmx.refuse(form, error)
        else:
            messages.success(request, "The judges are saved. The next evaluation seats them.")
            return htmx.redirect(request, "evaluation:judges", slug)
    context = {
        "project": project,
        "section": "judges",
        "form": form,
        "active": models,
        "of_the_instance": instance.JUDGE_MODELS,
    }
    return htmx.render(request, "evaluation/judges.html", context, status=422 if form.errors else 200)


# ------------------------------------------------------------------------------------------------ of a run
@login_required
@require_GET
def panel(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """Who judged an evaluation, and how they bore themselves."""
    evaluation = selectors.named(access.project_for(request.user, slug), number)
    sight: dict[str, Any] = {
        "tone": pages.TONES[Evaluation.State(evaluation.state)],
        "question": "who judged, and how far they can be trusted",
    }
    context = {
        "project": evaluation.project,
        "evaluation": evaluation,
        "sight": sight,
        "tab": "panel",
        "report": bearing.read(evaluation),
    }
    return htmx.render(request, "evaluation/panel.html", context)
