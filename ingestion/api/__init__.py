"""Logs, and what is read out of them, over HTTP."""

from django.urls import URLPattern

from ingestion.api import analytics, catalog, logs, removals, usecases

urlpatterns: list[URLPattern] = [
    *logs.urlpatterns,
    *removals.urlpatterns,
    *analytics.urlpatterns,
    *catalog.urlpatterns,
    *usecases.urlpatterns,
]
