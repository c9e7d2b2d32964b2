"""Questions about logs over HTTP."""

from typing import Any

from django.urls import URLPattern, path
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from agentopt.lib.drf import WINDOW_PARAMETERS
from agentopt.lib.errors import Invalid
from ingestion import analytics, selectors
from ingestion.analytics import requests
from ingestion.serializers.analytics import AnalyticsOut, SummaryOut, VocabularyOut
from projects import access
from projects.endpoints import ApiView, ProjectView

PROJECT = {"project": {"type": "string", "pattern": "^[-a-zA-Z0-9_]+$", "description": "number or slug"}}


class AnalyticsView(ApiView):
    """Answer one structured question."""

    @extend_schema(
        operation_id="ask", request={"application/json": requests.inline_schema(**PROJECT)}, responses=AnalyticsOut
    )
    def post(self, request: Request) -> Response:
        given: Any = request.data
        if not isinstance(given, dict) or not isinstance(given.get("project"), str | int):
            raise Invalid("Say which project.", fields={"project": "Expected a number or slug."})
        project = access.project_for(request.user, given["project"])
        question = analytics.read({name: value for name, value in given.items() if name != "project"})
        return Response(analytics.answer(project, question))


class VocabularyView(ApiView):
    """All there is to ask: the JSON schema of a question, and the catalogue of metrics."""

    @extend_schema(operation_id="analytics_vocabulary", responses=VocabularyOut)
    def get(self, request: Request) -> Response:  # noqa: ARG002
        return Response(requests.vocabulary())


class SummaryView(ProjectView):
    """Calls, cost, latency, failures and refusals, in all, by model and by day."""

    @extend_schema(operation_id="analytics_summary", parameters=WINDOW_PARAMETERS, responses=SummaryOut)
    def get(self, request: Request, project_id: str) -> Response:  # noqa: ARG002
        project = self.project()
        window = selectors.read_filter(request.query_params)
        return Response(analytics.summary(project, window.since, window.until).to_json())


urlpatterns: list[URLPattern] = [
    path("analytics", AnalyticsView.as_view(), name="api-analytics"),
    path("analytics/vocabulary", VocabularyView.as_view(), name="api-analytics-vocabulary"),
    path("analytics/<slug:project_id>/summary", SummaryView.as_view(), name="api-analytics-summary"),
]
