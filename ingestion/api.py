"""Logs and questions about them over HTTP."""

from collections import Counter
from dataclasses import asdict
from typing import Any

from django.urls import URLPattern, path
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from agentopt.lib.drf import PAGE_PARAMETERS, page_schema, paging
from agentopt.lib.errors import Invalid
from ingestion import analytics, selectors, services
from ingestion.serializers import (
    AnalyticsIn,
    AnalyticsOut,
    LogDetailOut,
    LogOut,
    PushIn,
    PushOut,
    StatsOut,
    SummaryOut,
    SyncIn,
)
from projects import access
from projects.endpoints import JOB_STARTED, ApiView, ProjectView, accepted
from projects.models import Role

_WINDOW = [OpenApiParameter(name, str, description="ISO-8601; [since, until)") for name in ("since", "until")]
_FILTERS = [
    OpenApiParameter("model", str),
    OpenApiParameter("status", str, enum=selectors.STATUSES),
    OpenApiParameter("q", str, description="Words of the preview."),
    OpenApiParameter("trace", str, description="Trace id."),
    *_WINDOW,
]


class SyncView(ProjectView):
    """Pull logs from the gateway."""

    @extend_schema(operation_id="sync_logs", request=SyncIn, responses={202: JOB_STARTED})
    def post(self, request: Request, project_id: str) -> Response:  # noqa: ARG002
        project = self.project(Role.MEMBER)
        form = SyncIn(data=request.data or {})
        form.is_valid(raise_exception=True)
        return accepted(services.start_sync(project, by=self.person, **form.validated_data))


class StatsView(ProjectView):
    """What the store holds."""

    @extend_schema(operation_id="log_stats", responses=StatsOut)
    def get(self, request: Request, project_id: str) -> Response:  # noqa: ARG002
        return Response(StatsOut(selectors.stats(self.project())).data)


class LogsView(ProjectView):
    """The calls of a project: read them by pages, push new ones."""

    @extend_schema(
        operation_id="list_logs", parameters=[*PAGE_PARAMETERS, *_FILTERS], responses=page_schema("LogPage", LogOut)
    )
    def get(self, request: Request, project_id: str) -> Response:  # noqa: ARG002
        project = self.project()
        after, limit = paging(request)
        page = selectors.logs(project, selectors.read_filter(request.query_params), after=after, limit=limit)
        return Response({"items": LogOut(page.rows, many=True).data, "next": page.after})

    @extend_schema(operation_id="push_logs", request=PushIn, responses=PushOut)
    def post(self, request: Request, project_id: str) -> Response:  # noqa: ARG002
        project = self.project(Role.MEMBER, scope=access.INGEST)
        form = PushIn(data={"records": request.data} if isinstance(request.data, list) else request.data)
        form.is_valid(raise_exception=True)
        results = services.push(project, form.validated_data["records"], format=form.validated_data.get("format"))
        counts = Counter(row.status for row in results)
        body = {name: counts[name] for name in ("added", "already_there", "set_aside")}
        return Response(PushOut({**body, "results": [asdict(row) for row in results]}).data)


class LogView(ProjectView):
    """One call with what was said."""

    @extend_schema(operation_id="get_log", responses=LogDetailOut)
    def get(self, request: Request, project_id: str, pk: int) -> Response:  # noqa: ARG002
        return Response(LogDetailOut(selectors.log_detail(self.project(), pk)).data)


class AnalyticsView(ApiView):
    """Answer one structured question."""

    @extend_schema(operation_id="ask", request=AnalyticsIn, responses=AnalyticsOut)
    def post(self, request: Request) -> Response:
        given: Any = request.data
        if not isinstance(given, dict) or not isinstance(given.get("project"), str | int):
            raise Invalid("Say which project.", fields={"project": "Expected a number or slug."})
        project = access.project_for(request.user, given["project"])
        question = analytics.read({name: value for name, value in given.items() if name != "project"})
        return Response(analytics.answer(project, question))


class SummaryView(ProjectView):
    """Calls, cost, latency, failures and refusals, in all, by model and by day."""

    @extend_schema(operation_id="analytics_summary", parameters=_WINDOW, responses=SummaryOut)
    def get(self, request: Request, project_id: str) -> Response:  # noqa: ARG002
        project = self.project()
        window = selectors.read_filter(request.query_params)
        return Response(analytics.summary(project, window.since, window.until).to_json())


urlpatterns: list[URLPattern] = [
    path("logs/<slug:project_id>/sync", SyncView.as_view(), name="api-logs-sync"),
    path("logs/<slug:project_id>/stats", StatsView.as_view(), name="api-logs-stats"),
    path("logs/<slug:project_id>", LogsView.as_view(), name="api-logs"),
    path("logs/<slug:project_id>/<int:pk>", LogView.as_view(), name="api-log"),
    path("analytics", AnalyticsView.as_view(), name="api-analytics"),
    path("analytics/<slug:project_id>/summary", SummaryView.as_view(), name="api-analytics-summary"),
]
