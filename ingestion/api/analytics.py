"""Questions about logs over HTTP."""

import re
from typing import Any

from django.urls import URLPattern, path
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from agentopt.lib.drf import WINDOW_PARAMETERS, body_of
from agentopt.lib.errors import Invalid
from ingestion import analytics, selectors
from ingestion.analytics import requests
from ingestion.serializers.analytics import AnalyticsOut, CancelIn, CancelOut, SummaryOut, VocabularyOut
from projects import access
from projects.endpoints import ApiView, ProjectView

_SLUG = r"[-a-zA-Z0-9_]{1,60}"
_PROJECT = {"project": {"type": "string", "pattern": f"^{_SLUG}$", "description": "number or slug"}}
TOKEN_HEADER = "X-Question-Token"  # noqa: S105 - the name of a header
_TOKEN = OpenApiParameter(
    TOKEN_HEADER, str, OpenApiParameter.HEADER, description="A name of your choice for the question, to cancel it by."
)


class AnalyticsView(ApiView):
    """Answer one structured question."""

    @extend_schema(
        operation_id="ask",
        parameters=[_TOKEN],
        request={"application/json": requests.inline_schema(**_PROJECT)},
        responses=AnalyticsOut,
    )
    def post(self, request: Request) -> Response:
        given: Any = request.data
        named = given.get("project") if isinstance(given, dict) else None
        if not isinstance(named, str | int) or not re.fullmatch(_SLUG, str(named)):
            raise Invalid("Say which project.", fields={"project": "Expected a number or slug."})
        project = access.project_for(request.user, named)
        question = analytics.read({name: value for name, value in given.items() if name != "project"})
        return Response(analytics.answer(project, question, token=_token(request.headers.get(TOKEN_HEADER, ""))))


def _token(text: str) -> str:
    if not re.fullmatch(r"[!-~]{0,64}", text):
        raise Invalid("The token is too long.", fields={TOKEN_HEADER: "At most 64 ASCII characters without spaces."})
    return text


class CancelView(ProjectView):
    """Stop a running question by the token it was given."""

    @extend_schema(operation_id="cancel_question", request=CancelIn, responses={202: CancelOut})
    def post(self, request: Request, project_id: str) -> Response:
        project = self.project()
        return Response({"stopping": analytics.cancel(project, body_of(CancelIn, request)["token"])}, status=202)


class VocabularyView(ApiView):
    """All there is to ask: the JSON schema of a question, and the catalogue of metrics."""

    @extend_schema(operation_id="analytics_vocabulary", responses=VocabularyOut)
    def get(self, request: Request) -> Response:
        return Response(requests.vocabulary())


class SummaryView(ProjectView):
    """Calls, cost, latency, failures and refusals, in all, by model and by day."""

    @extend_schema(operation_id="analytics_summary", parameters=WINDOW_PARAMETERS, responses=SummaryOut)
    def get(self, request: Request, project_id: str) -> Response:
        project = self.project()
        window = selectors.read_filter(request.query_params)
        return Response(analytics.summary(project, window.since, window.until).to_json())


urlpatterns: list[URLPattern] = [
    path("analytics", AnalyticsView.as_view(), name="api-analytics"),
    path("analytics/vocabulary", VocabularyView.as_view(), name="api-analytics-vocabulary"),
    path("analytics/<slug:project_id>/cancel", CancelView.as_view(), name="api-analytics-cancel"),
    path("analytics/<slug:project_id>/summary", SummaryView.as_view(), name="api-analytics-summary"),
]
