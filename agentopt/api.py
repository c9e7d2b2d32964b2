"""/api/v1/: joins the apps' routes, the schema and the API docs."""

from importlib import import_module

from django.urls import URLPattern, URLResolver, path, re_path
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from agentopt.lib.errors import NotFound


class MissingView(APIView):
    """Every address that is none, so that programs get the envelope there too."""

    @extend_schema(exclude=True)
    def get(self, request: Request) -> Response:
        raise NotFound(f"There is no {request.path}; addresses have no slash at their end. See /api/v1/docs.")

    post = put = patch = delete = get


urlpatterns: list[URLPattern | URLResolver] = [
    path("schema", SpectacularAPIView.as_view(), name="schema"),
    path("docs", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="docs"),
]
for app in ("projects", "ingestion", "evaluation", "recommendations"):
    urlpatterns += import_module(f"{app}.api").urlpatterns
urlpatterns.append(re_path("", MissingView.as_view(), name="api-missing"))
