"""/api/v1/: joins the apps' routes, the schema and the API docs."""

from importlib import import_module

from django.urls import URLPattern, URLResolver, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

urlpatterns: list[URLPattern | URLResolver] = [
    path("schema", SpectacularAPIView.as_view(), name="schema"),
    path("docs", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="docs"),
]
for app in ("projects", "ingestion", "evaluation", "recommendations"):
    urlpatterns += import_module(f"{app}.api").urlpatterns
