"""Recommendations over HTTP."""

from typing import Any

from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from agentopt.lib.drf import PAGE_PARAMETERS, body_of, page_body, page_of, page_schema, paging
from projects.endpoints import ProjectView
from projects.models import Role
from recommendations import bundles, following_api, selectors, services
from recommendations.drift import api as drift
from recommendations.models import Recommendation
from recommendations.serializers import AcknowledgeIn, BundleOut, DismissIn, PostponeIn, RecommendationOut


class RecommendationsView(ProjectView):
    """Recommendations of a project, the newest first."""

    @extend_schema(
        operation_id="list_recommendations",
        parameters=PAGE_PARAMETERS,
        responses=page_schema("RecommendationPage", RecommendationOut),
    )
    def get(self, request: Request, project_id: str) -> Response:
        after, limit = paging(request)
        rows = self.project().recommendations.select_related("project", "evaluation")
        return Response(page_body(page_of(rows, key="pk", after=after, limit=limit), RecommendationOut))


class GenerateView(ProjectView):
    """Make the recommendation of the newest finished evaluation, or return the one it has."""

    @extend_schema(operation_id="generate_recommendation", request=None, responses={201: RecommendationOut})
    def post(self, request: Request, project_id: str) -> Response:
        made = services.recommend(selectors.newest_finished(self.project(Role.MEMBER)), now=timezone.now())
        return Response(RecommendationOut(made).data, status=201)


class LatestView(ProjectView):
    """The newest recommendation."""

    @extend_schema(operation_id="latest_recommendation", responses=RecommendationOut)
    def get(self, request: Request, project_id: str) -> Response:
        return Response(RecommendationOut(selectors.newest_or_refuse(self.project())).data)


class RecommendationView(ProjectView):
    """One recommendation."""

    @extend_schema(operation_id="get_recommendation", responses=RecommendationOut)
    def get(self, request: Request, project_id: str, pk: int) -> Response:
        return Response(RecommendationOut(get_object_or_404(self.project().recommendations, pk=pk)).data)


class BundleView(ProjectView):
    """All that a recommendation rests on as one document; `reproduce --bundle` recomputes it without a database."""

    @extend_schema(operation_id="get_evidence_bundle", responses=BundleOut)
    def get(self, request: Request, project_id: str, pk: int) -> Response:
        rows = self.project().recommendations.select_related("basis")
        return Response(bundles.make(get_object_or_404(rows, pk=pk)))


class _DecisionView(ProjectView):
    """A person's decision about a recommendation. Nothing is switched by it."""

    def _decide(self, request: Request, pk: int, *, form: Any, service: Any) -> Response:
        recommendation: Recommendation = get_object_or_404(self.project(Role.MEMBER).recommendations, pk=pk)
        service(recommendation, by=self.person, now=timezone.now(), **body_of(form, request))
        return Response(RecommendationOut(recommendation).data)


class AcknowledgeView(_DecisionView):
    """Record that it will be followed."""

    @extend_schema(operation_id="acknowledge_recommendation", request=AcknowledgeIn, responses=RecommendationOut)
    def post(self, request: Request, project_id: str, pk: int) -> Response:
        return self._decide(request, pk, form=AcknowledgeIn, service=services.acknowledge)


class DismissView(_DecisionView):
    """Record that it will not be followed, and why."""

    @extend_schema(operation_id="dismiss_recommendation", request=DismissIn, responses=RecommendationOut)
    def post(self, request: Request, project_id: str, pk: int) -> Response:
        return self._decide(request, pk, form=DismissIn, service=services.dismiss)


class PostponeView(_DecisionView):
    """Put it off."""

    @extend_schema(operation_id="postpone_recommendation", request=PostponeIn, responses=RecommendationOut)
    def post(self, request: Request, project_id: str, pk: int) -> Response:
        return self._decide(request, pk, form=PostponeIn, service=services.postpone)


_BASE = "recommendations/<slug:project_id>"
urlpatterns: list[URLPattern] = [
    path(_BASE, RecommendationsView.as_view(), name="api-recommendations"),
    path(f"{_BASE}/generate", GenerateView.as_view(), name="api-recommendation-generate"),
    path(f"{_BASE}/latest", LatestView.as_view(), name="api-recommendation-latest"),
    path(f"{_BASE}/<int:pk>", RecommendationView.as_view(), name="api-recommendation"),
    path(f"{_BASE}/<int:pk>/bundle", BundleView.as_view(), name="api-recommendation-bundle"),
    path(f"{_BASE}/<int:pk>/acknowledge", AcknowledgeView.as_view(), name="api-recommendation-acknowledge"),
    path(f"{_BASE}/<int:pk>/dismiss", DismissView.as_view(), name="api-recommendation-dismiss"),
    path(f"{_BASE}/<int:pk>/postpone", PostponeView.as_view(), name="api-recommendation-postpone"),
    *following_api.urlpatterns,
    *drift.urlpatterns,
]
