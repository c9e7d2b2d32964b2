"""Pages of the app."""

from django.urls import path

from ingestion import views

app_name = "ingestion"
urlpatterns = [
    path("p/<slug:slug>/logs/", views.logs, name="logs"),
    path("p/<slug:slug>/logs/sync/", views.sync, name="sync"),
    path("p/<slug:slug>/logs/sync/state/", views.sync_state, name="sync-state"),
    path("p/<slug:slug>/logs/<int:pk>/", views.log, name="log"),
    path("p/<slug:slug>/settings/test/", views.test_connection, name="test-connection"),
]
