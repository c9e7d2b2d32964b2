"""Projects, tokens and jobs over HTTP."""

from typing import Any

from django.db import transaction
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from agentopt.lib.drf import PAGE_PARAMETERS, body_of, page_of, page_schema, paging
from agentopt.lib.errors import NotAllowed
from agentopt.lib.money import nanousd
from projects import access, jobs, member_api, modes, notice_api, schedule_api, services, tokens
from projects.endpoints import ApiView, ProjectView
from projects.models import ApiToken, Project, Role, User
from projects.serializers import (
    JobOut,
    NewTokenOut,
    PersonalTokenIn,
    ProjectChangeIn,
    ProjectIn,
    ProjectOut,
    TokenIn,
    TokenOut,
)


class _Person(ApiView):
    def _must_be_person(self) -> User:
        if self.person is None:
            raise NotAllowed("A project token cannot do this: it needs a person's session or personal token.")
        return self.person


class ProjectsView(_Person):
    """The projects someone sees."""

    @extend_schema(
        operation_id="list_projects", parameters=PAGE_PARAMETERS, responses=page_schema("ProjectPage", ProjectOut)
    )
    def get(self, request: Request) -> Response:
        after, limit = paging(request)
        rows = access.projects_of(request.user).select_related("connection")
        page = page_of(rows, key="pk", after=after, limit=limit)
        items = ProjectOut(page.rows, many=True, context={"user": request.user}).data
        return Response({"items": items, "next": page.next})

    @extend_schema(operation_id="create_project", request=ProjectIn, responses={201: ProjectOut})
    def post(self, request: Request) -> Response:
        person = self._must_be_person()
        given = body_of(ProjectIn, request)
        connection = given.pop("connection", None)
        with transaction.atomic():
            project = services.create_project(owner=person, **given)
            if connection:
                services.connect(project, by=person, **connection)
        return Response(ProjectOut(project, context={"user": person}).data, status=201)


class ProjectDetailView(ProjectView):
    """One project."""

    @extend_schema(operation_id="get_project", responses=ProjectOut)
    def get(self, request: Request, project_id: str) -> Response:
        return Response(ProjectOut(self.project(), context={"user": request.user}).data)

    @extend_schema(operation_id="change_project", request=ProjectChangeIn, responses=ProjectOut)
    def patch(self, request: Request, project_id: str) -> Response:
        project = self.project(Role.OWNER)
        before = project.privacy
        _change(project, body_of(ProjectChangeIn, request), by=self.person)
        said = modes.of_old_rows(before, project.privacy)
        return Response(ProjectOut(project, context={"user": request.user, "notices": [said] if said else []}).data)


_STORED = {
    "monthly_usd": "monthly_cap_nanousd", "monthly_calls": "monthly_call_cap",
    "max_evaluation_cost_usd": "max_evaluation_cost_nanousd", "judging_cap_usd": "judging_cap_nanousd",
}  # fmt: skip


def _change(project: Project, given: dict[str, Any], *, by: User | None) -> None:
    """All of a PATCH, or nothing."""
    goal, connection = given.pop("goal", None), given.pop("connection", None)
    changes: dict[str, Any] = {}
    for part in (given, *(given.pop(name, None) or {} for name in ("overrides", "caps", "schedule"))):
        changes |= {_STORED.get(name, name): value for name, value in part.items()}
    for name in _STORED.values() & changes.keys():
        if name.endswith("_nanousd") and changes[name] is not None:
            changes[name] = nanousd(changes[name])
    with transaction.atomic():
        services.change_project(project, changes, by=by)
        if goal:
            services.change_goal(project, {**services.goal_of(project).terms, **goal}, by=by)
        if connection:
            services.connect(project, by=by, **connection)


# ------------------------------------------------------------------------------------------------ tokens
class ProjectTokensView(ProjectView):
    """Tokens of a project; an answer that holds a secret is not kept for repeats."""

    keeps_answer = False

    @extend_schema(
        operation_id="list_project_tokens", parameters=PAGE_PARAMETERS, responses=page_schema("TokenPage", TokenOut)
    )
    def get(self, request: Request, project_id: str) -> Response:
        after, limit = paging(request)
        page = page_of(self.project(Role.OWNER).tokens.all(), key="pk", after=after, limit=limit)
        return Response({"items": TokenOut(page.rows, many=True).data, "next": page.next})

    @extend_schema(operation_id="issue_project_token", request=TokenIn, responses={201: NewTokenOut})
    def post(self, request: Request, project_id: str) -> Response:
        project = self.project(Role.OWNER)
        return _shown_once(tokens.issue(project=project, by=self.person, **body_of(TokenIn, request)))


class ProjectTokenView(ProjectView):
    """One token of a project."""

    @extend_schema(operation_id="revoke_project_token", responses={204: None})
    def delete(self, request: Request, project_id: str, pk: int) -> Response:
        token = get_object_or_404(self.project(Role.OWNER).tokens, pk=pk)
        tokens.revoke(token, by=self.person)
        return Response(status=204)


class PersonalTokensView(_Person):
    """One's own tokens."""

    keeps_answer = False

    @extend_schema(
        operation_id="list_tokens", parameters=PAGE_PARAMETERS, responses=page_schema("PersonalTokenPage", TokenOut)
    )
    def get(self, request: Request) -> Response:
        after, limit = paging(request)
        page = page_of(self._must_be_person().tokens.all(), key="pk", after=after, limit=limit)
        return Response({"items": TokenOut(page.rows, many=True).data, "next": page.next})

    @extend_schema(operation_id="issue_token", request=PersonalTokenIn, responses={201: NewTokenOut})
    def post(self, request: Request) -> Response:
        person = self._must_be_person()
        if isinstance(request.auth, ApiToken):
            raise NotAllowed("A token cannot issue tokens of its person: sign in on the site.")
        return _shown_once(tokens.issue(user=person, by=person, **body_of(PersonalTokenIn, request)))


class PersonalTokenView(_Person):
    """One of one's own tokens."""

    @extend_schema(operation_id="revoke_token", responses={204: None})
    def delete(self, request: Request, pk: int) -> Response:
        person = self._must_be_person()
        tokens.revoke(get_object_or_404(person.tokens, pk=pk), by=person)
        return Response(status=204)


def _shown_once(issued: tokens.Issued) -> Response:
    return Response({**TokenOut(issued.token).data, "token": issued.plain}, status=201)


# ------------------------------------------------------------------------------------------------ jobs
class JobView(ApiView):
    """A job, to poll."""

    @extend_schema(operation_id="get_job", responses=JobOut)
    def get(self, request: Request, pk: int) -> Response:
        return Response(JobOut(access.job_for(request.user, pk)).data)


class JobCancelView(ApiView):
    """Stop a job."""

    @extend_schema(operation_id="cancel_job", request=None, responses={202: JobOut})
    def post(self, request: Request, pk: int) -> Response:
        job = access.job_for(request.user, pk, Role.MEMBER)
        jobs.cancel(job)
        return Response(JobOut(job).data, status=202)


class JobRetryView(ApiView):
    """Queue a failed or cancelled job again; it goes on where it stopped."""

    @extend_schema(operation_id="retry_job", request=None, responses={202: JobOut})
    def post(self, request: Request, pk: int) -> Response:
        job = jobs.retry(access.job_for(request.user, pk, Role.MEMBER))
        return Response(JobOut(job).data, status=202)


urlpatterns: list[URLPattern] = [
    path("projects", ProjectsView.as_view(), name="api-projects"),
    path("projects/<slug:project_id>", ProjectDetailView.as_view(), name="api-project"),
    path("projects/<slug:project_id>/tokens", ProjectTokensView.as_view(), name="api-project-tokens"),
    path("projects/<slug:project_id>/tokens/<int:pk>", ProjectTokenView.as_view(), name="api-project-token"),
    path("tokens", PersonalTokensView.as_view(), name="api-tokens"),
    path("tokens/<int:pk>", PersonalTokenView.as_view(), name="api-token"),
    path("jobs/<int:pk>", JobView.as_view(), name="api-job"),
    path("jobs/<int:pk>/cancel", JobCancelView.as_view(), name="api-job-cancel"),
    path("jobs/<int:pk>/retry", JobRetryView.as_view(), name="api-job-retry"),
    *member_api.urlpatterns,
    *schedule_api.urlpatterns,
    *notice_api.urlpatterns,
]
