"""Pages of the app."""

from django.urls import URLPattern

app_name = "ingestion"
urlpatterns: list[URLPattern] = []
