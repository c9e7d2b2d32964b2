"""The catalogue of a project over HTTP."""

from dataclasses import asdict
from datetime import UTC, date

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from agentopt.lib.drf import WINDOW_PARAMETERS, body_of
from ingestion import selectors
from ingestion.catalog import documents, editing, listing, offers, recomputing
from ingestion.models import ModelOffer
from ingestion.serializers import catalog as shapes
from projects.endpoints import ProjectView
from projects.models import Project, Role


def _today() -> date:
    return timezone.now().astimezone(UTC).date()


def _found(project: Project, pk: int) -> ModelOffer:
    return get_object_or_404(offers.visible(project), pk=pk)


def _shown(project: Project, offer: ModelOffer, *, status: int = 200) -> Response:
    return Response(shapes.detail(listing.row(project, offer, today=_today())), status=status)


class CatalogView(ProjectView):
    """The models that a project may call, and those in its logs without a price."""

    @extend_schema(
        operation_id="get_catalog",
        parameters=[OpenApiParameter("q", str, description="Words in name, provider, model or family.")],
        responses=shapes.CatalogOut,
    )
    def get(self, request: Request, project_id: str) -> Response:
        project = self.project()
        words = request.query_params.get("q", "")[:200].replace("\x00", "")
        found = {
            "items": listing.rows(project, today=_today(), words=words),
            "without_price": listing.missing(project),
        }
        return Response(shapes.CatalogOut(found).data)

    @extend_schema(
        operation_id="add_model", request=shapes.CatalogModelIn, responses={201: shapes.CatalogModelDetailOut}
    )
    def post(self, request: Request, project_id: str) -> Response:
        project = self.project(Role.OWNER)
        given = body_of(shapes.CatalogModelIn, request)
        offer = editing.add_model(project, shapes.model_entry(given), source=given["source"], by=self.person)
        return _shown(project, offer, status=201)


class CatalogModelView(ProjectView):
    """One model with all its days."""

    @extend_schema(operation_id="get_model", responses=shapes.CatalogModelDetailOut)
    def get(self, request: Request, project_id: str, pk: int) -> Response:
        project = self.project()
        return _shown(project, _found(project, pk))

    @extend_schema(
        operation_id="change_model", request=shapes.OutlookIn, responses=shapes.CatalogModelDetailOut,
        description="A model of the instance is copied into the project; the answer has the id of the copy.",
    )  # fmt: skip
    def patch(self, request: Request, project_id: str, pk: int) -> Response:
        project = self.project(Role.OWNER)
        offer, given = _found(project, pk), body_of(shapes.OutlookIn, request)
        own = editing.set_outlook(
            project,
            offer,
            family=given.get("family", offer.family),
            retires_on=given.get("retires_on", offer.retires_on),
            source=given["source"],
            by=self.person,
        )
        return _shown(project, own)


class PricesView(ProjectView):
    """Prices of a model; they are only ever added."""

    @extend_schema(
        operation_id="add_price", request=shapes.PriceIn, responses={201: shapes.CatalogModelDetailOut},
        description="A model of the instance is copied into the project; the answer has the id of the copy.",
    )  # fmt: skip
    def post(self, request: Request, project_id: str, pk: int) -> Response:
        project = self.project(Role.OWNER)
        offer, given = _found(project, pk), body_of(shapes.PriceIn, request)
        entry, correct = shapes.price_entry(given), given["correct"]
        own = editing.add_price(project, offer, entry, source=given["source"], by=self.person, correct=correct)
        return _shown(project, own, status=201)


class AbilitiesView(ProjectView):
    """What a model can do, from a day on."""

    @extend_schema(
        operation_id="add_abilities", request=shapes.AbilitiesIn, responses={201: shapes.CatalogModelDetailOut}
    )
    def post(self, request: Request, project_id: str, pk: int) -> Response:
        project = self.project(Role.OWNER)
        offer, given = _found(project, pk), body_of(shapes.AbilitiesIn, request)
        since, source = given["valid_from"], given["source"]
        own = editing.set_abilities(project, offer, given, since=since, source=source, by=self.person)
        return _shown(project, own, status=201)


class ExportView(ProjectView):
    """The catalogue as a file that the import reads."""

    @extend_schema(
        operation_id="export_catalog", responses=OpenApiTypes.OBJECT,
        parameters=[OpenApiParameter("as", str, enum=["json", "csv"], description="json unless said.")],
    )  # fmt: skip
    def get(self, request: Request, project_id: str) -> Response | HttpResponse:
        project = self.project()
        if request.query_params.get("as") == "csv":
            return HttpResponse(documents.as_csv(project), content_type="text/csv; charset=utf-8")
        return Response(documents.as_json(project))


class ImportView(ProjectView):
    """Add a file to the catalogue, each row with its own outcome."""

    @extend_schema(operation_id="import_catalog", request=shapes.ImportIn, responses=shapes.ImportOut)
    def post(self, request: Request, project_id: str) -> Response:
        project = self.project(Role.OWNER)
        given = body_of(shapes.ImportIn, request)
        found = documents.take(project, given["text"], by=self.person, today=_today(), confirm=given["confirm"])
        return Response(shapes.ImportOut(found).data)


class CostsView(ProjectView):
    """What past calls cost at the prices of their days as the catalogue has them now. Nothing stored changes."""

    @extend_schema(
        operation_id="recompute_costs", parameters=WINDOW_PARAMETERS, responses=shapes.RecomputedOut(many=True)
    )
    def get(self, request: Request, project_id: str) -> Response:
        project = self.project()
        asked = selectors.read_filter({name: request.query_params.get(name, "") for name in ("since", "until")})
        found = recomputing.recompute(project, since=asked.since, until=asked.until)
        return Response(shapes.RecomputedOut([asdict(one) for one in found], many=True).data)


urlpatterns: list[URLPattern] = [
    path("catalog/<slug:project_id>", CatalogView.as_view(), name="api-catalog"),
    path("catalog/<slug:project_id>/export", ExportView.as_view(), name="api-catalog-export"),
    path("catalog/<slug:project_id>/import", ImportView.as_view(), name="api-catalog-import"),
    path("catalog/<slug:project_id>/costs", CostsView.as_view(), name="api-catalog-costs"),
    path("catalog/<slug:project_id>/<int:pk>", CatalogModelView.as_view(), name="api-catalog-model"),
    path("catalog/<slug:project_id>/<int:pk>/prices", PricesView.as_view(), name="api-catalog-prices"),
    path("catalog/<slug:project_id>/<int:pk>/abilities", AbilitiesView.as_view(), name="api-catalog-abilities"),
]
