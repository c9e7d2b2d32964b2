"""Logs over HTTP: pull them, push them, read them."""

from collections import Counter
from typing import Any

from django.conf import settings
from django.urls import URLPattern, path
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from agentopt.lib import payload
from agentopt.lib.drf import PAGE_PARAMETERS, WINDOW_PARAMETERS, body_of, page_schema, paging
from ingestion import progress, selectors, services
from ingestion.formats import pushed
from ingestion.serializers.logs import LogDetailOut, LogOut, PushIn, PushOut, StatsOut, SyncIn, SyncOut
from ingestion.values import PushedRow
from projects import access
from projects.endpoints import JOB_STARTED, ProjectView, accepted
from projects.models import Role

_FILTERS = [
    OpenApiParameter("model", str),
    OpenApiParameter("status", str, enum=selectors.STATUSES),
    OpenApiParameter("q", str, description="Words of the preview."),
    OpenApiParameter("use_case", str, description="Its name."),
    OpenApiParameter("prompt_version", str),
    OpenApiParameter("trace", str, description="Trace id."),
    *WINDOW_PARAMETERS,
]


_PUSH = (
    'Up to 1000 rows and 5 MB, as `{"records": [...]}`, as a bare list, or one row a line (`application/x-ndjson`); '
    "`Content-Encoding: gzip` is understood. Each row is answered on its own, in order: a bad one is set aside with "
    "its reason and the others are stored. What the answer calls added is committed."
)


class SyncView(ProjectView):
    """Pull logs from the gateway, and see how far that is."""

    @extend_schema(operation_id="sync_state", responses=SyncOut)
    def get(self, request: Request, project_id: str) -> Response:
        project = self.project()
        return Response(SyncOut(progress.newest(project)).data)

    @extend_schema(operation_id="sync_logs", request=SyncIn, responses={202: JOB_STARTED})
    def post(self, request: Request, project_id: str) -> Response:
        project = self.project(Role.MEMBER)
        return accepted(services.start_sync(project, by=self.person, **body_of(SyncIn, request)))


class StatsView(ProjectView):
    """What the store holds."""

    @extend_schema(operation_id="log_stats", responses=StatsOut)
    def get(self, request: Request, project_id: str) -> Response:
        return Response(StatsOut(selectors.stats(self.project())).data)


class LogsView(ProjectView):
    """The calls of a project: read them by pages, push new ones."""

    @extend_schema(
        operation_id="list_logs", parameters=[*PAGE_PARAMETERS, *_FILTERS], responses=page_schema("LogPage", LogOut)
    )
    def get(self, request: Request, project_id: str) -> Response:
        project = self.project()
        after, limit = paging(request)
        page = selectors.logs(project, selectors.read_filter(request.query_params), after=after, limit=limit)
        return Response({"items": LogOut(page.rows, many=True).data, "next": page.after})

    @extend_schema(
        operation_id="push_logs",
        request={"application/json": PushIn, "application/x-ndjson": OpenApiTypes.STR},
        responses=PushOut,
        description=_PUSH,
    )
    def post(self, request: Request, project_id: str) -> Response:
        project = self.project(Role.MEMBER, scope=access.INGEST)
        body = payload.read(request._request, limit=settings.DATA_UPLOAD_MAX_MEMORY_SIZE)  # noqa: SLF001 — rows stay bytes
        given = pushed.read_lines(body) if "ndjson" in str(request.content_type) else pushed.read(body)
        results = services.push(project, given.rows, format=given.format)
        counts = Counter(row.status for row in results)
        told = {name: counts[name] for name in ("added", "already_there", "set_aside")}
        return Response({**told, "results": [_told(row) for row in results]})


def _told(row: PushedRow) -> dict[str, Any]:
    """As PushedRowOut says; `asdict` would copy deeply and cost more than reading the row."""
    return {
        "index": row.index,
        "status": row.status,
        "source_id": row.source_id,
        "code": row.code,
        "reason": row.reason,
    }


class LogView(ProjectView):
    """One call with what was said."""

    @extend_schema(operation_id="get_log", responses=LogDetailOut)
    def get(self, request: Request, project_id: str, pk: int) -> Response:
        return Response(LogDetailOut(selectors.log_detail(self.project(), pk)).data)


urlpatterns: list[URLPattern] = [
    path("logs/<slug:project_id>/sync", SyncView.as_view(), name="api-logs-sync"),
    path("logs/<slug:project_id>/stats", StatsView.as_view(), name="api-logs-stats"),
    path("logs/<slug:project_id>", LogsView.as_view(), name="api-logs"),
    path("logs/<slug:project_id>/<int:pk>", LogView.as_view(), name="api-log"),
]
