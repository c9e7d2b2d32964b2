"""Pages of the app."""

from django.urls import path

from ingestion.views import analytics, logs, removals

app_name = "ingestion"
urlpatterns = [
    path("p/<slug:slug>/logs/", logs.logs, name="logs"),
    path("p/<slug:slug>/logs/sync/", logs.sync, name="sync"),
    path("p/<slug:slug>/logs/sync/state/", logs.sync_state, name="sync-state"),
    path("p/<slug:slug>/logs/<int:pk>/", logs.log, name="log"),
    path("p/<slug:slug>/settings/removals/", removals.removals, name="removals"),
    path("p/<slug:slug>/settings/removals/<int:pk>/lift/", removals.lift, name="lift-erasure"),
    path("p/<slug:slug>/settings/privacy/try/", removals.try_redaction, name="try-redaction"),
    path("p/<slug:slug>/analytics/", analytics.analytics, name="analytics"),
    path("p/<slug:slug>/analytics/views/", analytics.save_view, name="save-view"),
    path("p/<slug:slug>/analytics/views/<int:pk>/delete/", analytics.delete_view, name="delete-view"),
    path("p/<slug:slug>/settings/test/", logs.test_connection, name="test-connection"),
]
