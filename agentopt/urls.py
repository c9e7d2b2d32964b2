"""One include per app, sign-in, admin, API."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("allauth.account.urls")),
    path("api/v1/", include("agentopt.api")),
    path("", include("projects.urls")),
    path("", include("ingestion.urls")),
    path("", include("evaluation.urls")),
    path("", include("recommendations.urls")),
]
