"""One include per app, sign-in, admin, health, API."""

from django.conf import settings
from django.contrib import admin
from django.urls import include, path

from agentopt import health, metrics

handler500 = "agentopt.lib.htmx.server_error"
admin.site.site_header = "agentopt"
admin.site.site_title = "agentopt"
urlpatterns = [
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", metrics.metrics, name="metrics"),
    path(settings.ADMIN_PATH, admin.site.urls),
    path("", include("allauth.account.urls")),
    path("api/v1/", include("agentopt.api")),
    path("otlp/v1/", include("ingestion.api.otlp")),
    path("", include("projects.urls")),
    path("", include("ingestion.urls")),
    path("", include("evaluation.urls")),
    path("", include("recommendations.urls")),
]
