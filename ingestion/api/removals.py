"""What is taken out of the store, over HTTP."""

from dataclasses import asdict

from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from agentopt.lib.drf import PAGE_PARAMETERS, body_of, page_of, page_schema, paging
from ingestion import erasure, retention, selectors, services
from ingestion.serializers.removals import AgeIn, AgePreviewOut, ErasureIn, ErasurePreviewOut, RemovalOut
from projects.endpoints import JOB_STARTED, ProjectView, accepted
from projects.models import Role


class RemovalsView(ProjectView):
    """Removals of a project; remove bodies by age."""

    @extend_schema(
        operation_id="list_removals", parameters=PAGE_PARAMETERS, responses=page_schema("RemovalPage", RemovalOut)
    )
    def get(self, request: Request, project_id: str) -> Response:
        after, limit = paging(request)
        page = page_of(selectors.removals(self.project(Role.OWNER)).order_by(), key="pk", after=after, limit=limit)
        return Response({"items": RemovalOut(page.rows, many=True).data, "next": page.next})

    @extend_schema(operation_id="remove_bodies", request=AgeIn, responses={200: AgePreviewOut, 202: JOB_STARTED})
    def post(self, request: Request, project_id: str) -> Response:
        project = self.project(Role.OWNER)
        given = body_of(AgeIn, request)
        if given["confirm"]:
            return accepted(services.remove_bodies(project, days=given["older_than_days"], by=self.person))
        found = retention.preview_age(project, days=given["older_than_days"], now=timezone.now())
        return Response(AgePreviewOut(asdict(found)).data)


class ErasuresView(ProjectView):
    """Erase one person's calls."""

    @extend_schema(operation_id="erase_person", request=ErasureIn, responses={200: ErasurePreviewOut, 202: JOB_STARTED})
    def post(self, request: Request, project_id: str) -> Response:
        project = self.project(Role.OWNER)
        given = body_of(ErasureIn, request)
        asked = erasure.Asked(given["key"], given["value"], tuple(given.get("other_keys", ())))
        if given["confirm"]:
            return accepted(services.erase_person(project, asked, by=self.person))
        return Response(ErasurePreviewOut(asdict(erasure.preview(project, asked))).data)


class ErasureView(ProjectView):
    """One erasure."""

    @extend_schema(operation_id="lift_erasure", responses={204: None})
    def delete(self, request: Request, project_id: str, pk: int) -> Response:
        """Let later calls of the person be kept whole again; what was removed stays removed."""
        removal = get_object_or_404(self.project(Role.OWNER).removals, pk=pk, kind="erasure")
        retention.lift(removal, by=self.person, now=timezone.now())
        return Response(status=204)


urlpatterns: list[URLPattern] = [
    path("logs/<slug:project_id>/removals", RemovalsView.as_view(), name="api-removals"),
    path("logs/<slug:project_id>/erasures", ErasuresView.as_view(), name="api-erasures"),
    path("logs/<slug:project_id>/erasures/<int:pk>", ErasureView.as_view(), name="api-erasure"),
]
