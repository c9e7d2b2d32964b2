"""Logs, and what is read out of them, over HTTP."""

from django.urls import URLPattern

from ingestion.api import analytics, logs

urlpatterns: list[URLPattern] = [*logs.urlpatterns, *analytics.urlpatterns]
