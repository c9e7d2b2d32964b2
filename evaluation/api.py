"""Evaluations and judges over HTTP."""

from dataclasses import replace
from typing import Any

from django.urls import URLPattern, path, reverse
from django.utils import timezone
from drf_spectacular.utils import extend_schema, inline_serializer
from rest_framework.request import Request
from rest_framework.response import Response

from agentopt.lib.drf import PAGE_PARAMETERS, body_of, page_of, page_schema, paging
from evaluation import case_api, judge_api, noise, people_api, selectors, services, standing, studies
from evaluation.models import Evaluation
from evaluation.serializers import (
    EvaluationDetailOut,
    EvaluationIn,
    EvaluationOut,
    JudgeOut,
    JudgesIn,
    PlanOut,
    ResumeIn,
)
from ingestion.gateway import open_gateway
from projects import access
from projects.endpoints import JOB_STARTED, ApiView, ProjectView
from projects.models import Job, Project, Role

_STARTED = inline_serializer(
    "EvaluationStarted",
    {"evaluation": EvaluationOut(), "job": JOB_STARTED.fields["job"], "study": EvaluationOut(many=True)},
)  # fmt: skip


def _row(evaluation: Evaluation, project: Project) -> Any:
    return EvaluationOut(selectors.rows_of([evaluation])[0], context={"project": project}).data


def _started(evaluation: Evaluation, job: Job, project: Project) -> Response:
    link = {"id": job.pk, "url": reverse("api-job", args=[job.pk])}
    evaluation.refresh_from_db()
    parts = EvaluationOut([part.row for part in studies.parts(evaluation)], many=True, context={"project": project})
    return Response({"evaluation": _row(evaluation, project), "job": link, "study": parts.data}, status=202)


class EvaluationsView(ApiView):
    """New evaluations."""

    @extend_schema(operation_id="start_evaluation", request=EvaluationIn, responses={200: PlanOut, 202: _STARTED})
    def post(self, request: Request) -> Response:
        given = body_of(EvaluationIn, request)
        project = access.project_for(request.user, given.pop("project"), Role.MEMBER)
        by_use_case = given.pop("per_use_case")
        forecast_only, names = given.pop("forecast_only"), given.pop("candidates", None)
        wanted = services.EvaluationRequest(**given)
        if names is not None:
            wanted = replace(wanted, candidates=tuple(names))
        gateway = open_gateway(project.connection)
        if forecast_only:
            planned = services.plan(project, wanted, gateway=gateway, now=timezone.now())
            return Response(PlanOut(planned.to_json()).data)
        how: dict[str, Any] = {"by": self.person, "gateway": gateway, "now": timezone.now()}
        if by_use_case:
            opened = studies.open_study(project, wanted, **how)
        else:
            opened = [services.open_evaluation(project, wanted, **how)]
        return _started(opened[0], studies.start(opened, self.person)[0], project)


class ProjectEvaluationsView(ProjectView):
    """A project's evaluations, the newest first."""

    @extend_schema(
        operation_id="list_evaluations",
        parameters=PAGE_PARAMETERS,
        responses=page_schema("EvaluationPage", EvaluationOut),
    )
    def get(self, request: Request, project_id: str) -> Response:
        after, limit = paging(request)
        project = self.project()
        page = page_of(project.evaluations.all(), key="number", after=after, limit=limit)
        items = EvaluationOut(selectors.rows_of(page.rows), many=True, context={"project": project}).data
        return Response({"items": items, "next": page.next})


class EvaluationView(ProjectView):
    """One evaluation, by its number within the project."""

    @extend_schema(operation_id="get_evaluation", responses=EvaluationDetailOut)
    def get(self, request: Request, project_id: str, number: int) -> Response:
        project = self.project()
        evaluation = selectors.named(project, number)
        found = selectors.detail(evaluation)
        parts, floor = studies.parts(evaluation), noise.floor(evaluation)
        measured = floor.to_json() if floor else None
        beside = {"study": [part.row for part in parts], "mixed": studies.sentence(parts), "noise_floor": measured}
        whole = {**vars(found), **beside, **standing.summary(evaluation, found, now=timezone.now())}
        return Response(EvaluationDetailOut(whole, context={"project": project}).data)


class EvaluationPauseView(ProjectView):
    """Stop sending calls."""

    @extend_schema(operation_id="pause_evaluation", request=None, responses=EvaluationOut)
    def post(self, request: Request, project_id: str, number: int) -> Response:
        project = self.project(Role.MEMBER)
        evaluation = selectors.named(project, number)
        services.pause(evaluation, self.person)
        return Response(_row(evaluation, project))


class EvaluationCancelView(ProjectView):
    """End it for good."""

    @extend_schema(operation_id="cancel_evaluation", request=None, responses=EvaluationOut)
    def post(self, request: Request, project_id: str, number: int) -> Response:
        project = self.project(Role.MEMBER)
        evaluation = selectors.named(project, number)
        services.cancel(evaluation, self.person)
        return Response(_row(evaluation, project))


class EvaluationRetryView(ProjectView):
    """Ask failed calls again."""

    @extend_schema(operation_id="retry_evaluation", request=ResumeIn, responses={202: _STARTED})
    def post(self, request: Request, project_id: str, number: int) -> Response:
        project = self.project(Role.MEMBER)
        evaluation = selectors.named(project, number)
        job = services.retry_failed(evaluation, self.person, **body_of(ResumeIn, request))
        return _started(evaluation, job, project)


class EvaluationResumeView(ProjectView):
    """Go on where it stopped."""

    @extend_schema(operation_id="resume_evaluation", request=ResumeIn, responses={202: _STARTED})
    def post(self, request: Request, project_id: str, number: int) -> Response:
        project = self.project(Role.MEMBER)
        evaluation = selectors.named(project, number)
        job = services.resume(evaluation, self.person, **body_of(ResumeIn, request))
        return _started(evaluation, job, project)


class JudgesView(ProjectView):
    """Who judges a project's evaluations."""

    @extend_schema(operation_id="list_judges", responses=JudgeOut(many=True))
    def get(self, request: Request, project_id: str) -> Response:
        return Response(JudgeOut(selectors.standing_judges(self.project()), many=True).data)

    @extend_schema(operation_id="set_judges", request=JudgesIn, responses=JudgeOut(many=True))
    def put(self, request: Request, project_id: str) -> Response:
        project = self.project(Role.OWNER)
        rows = services.set_judges(project, by=self.person, **body_of(JudgesIn, request))
        return Response(JudgeOut(rows, many=True).data)


_ONE = "evaluations/<slug:project_id>/<int:number>"
urlpatterns: list[URLPattern] = [
    *case_api.urlpatterns,
    *people_api.urlpatterns,
    *judge_api.urlpatterns,
    path("evaluations", EvaluationsView.as_view(), name="api-evaluations"),
    path("evaluations/<slug:project_id>", ProjectEvaluationsView.as_view(), name="api-project-evaluations"),
    path(_ONE, EvaluationView.as_view(), name="api-evaluation"),
    path(f"{_ONE}/pause", EvaluationPauseView.as_view(), name="api-evaluation-pause"),
    path(f"{_ONE}/resume", EvaluationResumeView.as_view(), name="api-evaluation-resume"),
    path(f"{_ONE}/retry", EvaluationRetryView.as_view(), name="api-evaluation-retry"),
    path(f"{_ONE}/cancel", EvaluationCancelView.as_view(), name="api-evaluation-cancel"),
    path("projects/<slug:project_id>/judges", JudgesView.as_view(), name="api-judges"),
]
