"""Pages: first start, projects, and the settings of one. Judges and the test of a connection stand in upper apps."""

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_POST, require_safe

from agentopt.lib import htmx
from agentopt.lib.errors import AgentOptError, Invalid
from projects import access, modes, people, sections, selectors, services, tokens
from projects.forms import (
    ConnectionForm,
    GoalForm,
    LimitsForm,
    MemberForm,
    PrivacyForm,
    ProjectForm,
    SetupForm,
    TokenForm,
)
from projects.models import DEFAULT_AUTH_HEADER

MODEL_BACKEND = "django.contrib.auth.backends.ModelBackend"


@login_not_required
def setup(request: HttpRequest) -> HttpResponse:
    """Create the owner account, as long as nobody is here."""
    if not selectors.nobody_here():
        return redirect("account_login")
    form = SetupForm(sections.given(request))
    if request.method == "POST" and form.is_valid():
        try:
            user = services.create_first_owner(form.cleaned_data["email"], form.cleaned_data["password"])
        except Invalid as error:
            htmx.refuse(form, error)
        else:
            login(request, user, backend=MODEL_BACKEND)
            return htmx.redirect(request, "projects:create")
    return htmx.render(request, "projects/setup.html", {"form": form}, status=422 if form.errors else 200)


@login_not_required
@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """List the projects of a person; a visitor is sent to the first start or to the sign-in."""
    if not request.user.is_authenticated:
        return redirect("projects:setup" if selectors.nobody_here() else "account_login")
    projects = access.projects_of(request.user).order_by("name")
    return htmx.render(request, "projects/list.html", {"projects": projects})


def create(request: HttpRequest) -> HttpResponse:
    """Create a project of one's own."""
    form = ProjectForm(sections.given(request))
    if request.method == "POST" and form.is_valid():
        try:
            project = services.create_project(
                form.cleaned_data["name"], owner=sections.person(request), privacy=form.cleaned_data["privacy"]
            )
        except Invalid as error:
            htmx.refuse(form, error)
        else:
            messages.success(request, f"{project.name} is there. Next: say where its calls go.")
            return htmx.redirect(request, "projects:settings", project.slug)
    return htmx.render(request, "projects/create.html", {"form": form}, status=422 if form.errors else 200)


def connection(request: HttpRequest, slug: str) -> HttpResponse:
    """Where calls go: addresses, key and its header."""
    project = sections.owned(request, slug)
    row = project.connection
    now = {name: getattr(row, name) for name in ("base_url", "control_url", "auth_header")}
    form = ConnectionForm(sections.given(request), initial=now)
    if request.method == "POST" and form.is_valid():
        try:
            services.connect(
                project,
                by=sections.person(request),
                base_url=form.cleaned_data["base_url"],
                api_key=form.cleaned_data["api_key"] or None,
                control_url=form.cleaned_data["control_url"],
                auth_header=form.cleaned_data["auth_header"] or DEFAULT_AUTH_HEADER,
                config="" if form.cleaned_data["forget_config"] else form.cleaned_data["config"] or None,
            )
        except Invalid as error:
            htmx.refuse(form, error)
        else:
            return sections.saved(
                request, "The connection is saved. Test it before you rely on it.", "projects:settings", slug
            )
    context = {
        "row": row,
        "default_auth_header": DEFAULT_AUTH_HEADER,
        "has_key": bool(row.api_key),
        "has_config": bool(row.config),
        "instance_url": settings.PORTKEY_BASE_URL,
        # the instance's key goes to the instance's address only
        "instance_key": bool(settings.PORTKEY_API_KEY) and not row.base_url and not row.control_url,
    }
    return sections.section(request, project, "connection", form=form, **context)


def goal(request: HttpRequest, slug: str) -> HttpResponse:
    """What the project wants of a model."""
    project = sections.owned(request, slug)
    newest = services.goal_of(project)
    form = GoalForm(sections.given(request), initial=GoalForm.initial_of(newest.value()))
    if request.method == "POST" and form.is_valid():
        try:
            stored = services.change_goal(project, form.terms(newest.terms), by=sections.person(request))
        except Invalid as error:
            htmx.refuse(form, error)
        else:
            return sections.saved(request, f"The goal stands as version {stored.version}.", "projects:goal", slug)
    return sections.section(request, project, "goal", form=form, goal=newest, limits=newest.value().limits)


def limits(request: HttpRequest, slug: str) -> HttpResponse:
    """What an evaluation of the project may use."""
    project = sections.owned(request, slug)
    form = LimitsForm(sections.given(request), initial=LimitsForm.initial_of(project))
    if request.method == "POST" and form.is_valid():
        try:
            services.change_project(project, form.changes(), by=sections.person(request))
        except Invalid as error:
            htmx.refuse(form, error)
        else:
            return sections.saved(request, "Saved. The next evaluation keeps to it.", "projects:limits", slug)
    return sections.section(request, project, "limits", form=form, effective=services.effective(project))


def privacy(request: HttpRequest, slug: str) -> HttpResponse:
    """What is kept of calls, for how long, and what that makes impossible."""
    project = sections.owned(request, slug)
    form = PrivacyForm(sections.given(request), initial=PrivacyForm.initial_of(project))
    before = project.privacy
    if request.method == "POST" and form.is_valid():
        try:
            services.change_project(project, form.changes(), by=sections.person(request))
        except Invalid as error:
            htmx.refuse(form, error)
        else:
            said = modes.of_old_rows(before, project.privacy) or "It holds for calls that come from now on."
            return sections.saved(request, f"Saved. {said}", "projects:privacy", slug)
    return sections.section(request, project, "privacy", form=form, modes=modes.MODES, mode=modes.of(before))


def api_tokens(request: HttpRequest, slug: str) -> HttpResponse:
    """Tokens of the project; a new one is shown on this answer only."""
    project = sections.owned(request, slug)
    form = TokenForm(sections.given(request))
    issued = None
    if request.method == "POST" and form.is_valid():
        try:
            issued = tokens.issue(
                form.cleaned_data["name"],
                project=project,
                scopes=form.cleaned_data["scopes"],
                by=sections.person(request),
            )
            form = TokenForm()
        except Invalid as error:
            htmx.refuse(form, error)
    return sections.section(request, project, "tokens", form=form, tokens=selectors.tokens_of(project), issued=issued)


@require_POST
def revoke_token(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """End a token at once."""
    project = sections.owned(request, slug)
    token = get_object_or_404(project.tokens, pk=pk)
    tokens.revoke(token, by=sections.person(request))
    return sections.saved(request, f"The token “{token.name}” is revoked.", "projects:tokens", slug)


def members(request: HttpRequest, slug: str) -> HttpResponse:
    """People of the project; the first password of a new one is shown on this answer only."""
    project = sections.owned(request, slug)
    form = MemberForm(sections.given(request))
    invited = None
    if request.method == "POST" and form.is_valid():
        try:
            invited = people.invite(
                project, form.cleaned_data["email"], role=form.cleaned_data["role"], by=sections.person(request)
            )
            form = MemberForm()
        except AgentOptError as error:
            htmx.refuse(form, error)
    return sections.section(
        request, project, "members", form=form, members=selectors.members_of(project), invited=invited
    )


@require_POST
def remove_member(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Take a person out of the project."""
    project = sections.owned(request, slug)
    membership = get_object_or_404(project.memberships.select_related("user"), pk=pk)
    services.remove_member(membership, by=sections.person(request))
    return sections.saved(request, f"{membership.user.email} is no member any more.", "projects:members", slug)
