"""The app over HTTP."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
