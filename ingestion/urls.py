"""Pages of the app."""

from django.urls import path

from ingestion.views import analytics, catalog, imports, logs, removals, usecases

app_name = "ingestion"
urlpatterns = [
    path("p/<slug:slug>/logs/", logs.logs, name="logs"),
    path("p/<slug:slug>/logs/sync/", logs.sync, name="sync"),
    path("p/<slug:slug>/logs/sync/state/", logs.sync_state, name="sync-state"),
    path("p/<slug:slug>/logs/import/", imports.import_file, name="import"),
    path("p/<slug:slug>/logs/set-aside/", imports.set_aside, name="set-aside"),
    path("p/<slug:slug>/logs/coverage/", imports.coverage_page, name="coverage"),
    path("p/<slug:slug>/logs/<int:pk>/", logs.log, name="log"),
    path("p/<slug:slug>/use-cases/", usecases.use_cases, name="use-cases"),
    path("p/<slug:slug>/use-cases/state/", usecases.state, name="use-cases-state"),
    path("p/<slug:slug>/use-cases/refresh/", usecases.refresh, name="use-cases-refresh"),
    path("p/<slug:slug>/use-cases/<int:number>/", usecases.use_case, name="use-case"),
    path("p/<slug:slug>/use-cases/<int:number>/merge/", usecases.merge, name="use-case-merge"),
    path("p/<slug:slug>/use-cases/<int:number>/take-out/", usecases.take_out, name="use-case-take-out"),
    path("p/<slug:slug>/use-cases/<int:number>/split/", usecases.split, name="use-case-split"),
    path("p/<slug:slug>/settings/removals/", removals.removals, name="removals"),
    path("p/<slug:slug>/settings/removals/<int:pk>/lift/", removals.lift, name="lift-erasure"),
    path("p/<slug:slug>/settings/privacy/try/", removals.try_redaction, name="try-redaction"),
    path("p/<slug:slug>/analytics/", analytics.analytics, name="analytics"),
    path("p/<slug:slug>/analytics/views/", analytics.save_view, name="save-view"),
    path("p/<slug:slug>/analytics/views/<int:pk>/delete/", analytics.delete_view, name="delete-view"),
    path("p/<slug:slug>/settings/catalog/", catalog.catalog, name="catalog"),
    path("p/<slug:slug>/settings/catalog/add/", catalog.add, name="catalog-add"),
    path("p/<slug:slug>/settings/catalog/import/", catalog.take, name="catalog-import"),
    path("p/<slug:slug>/settings/catalog/export/", catalog.export, name="catalog-export"),
    path("p/<slug:slug>/settings/catalog/refresh/", catalog.refresh, name="catalog-refresh"),
    path("p/<slug:slug>/settings/catalog/<int:pk>/", catalog.model, name="catalog-model"),
    path("p/<slug:slug>/settings/test/", logs.test_connection, name="test-connection"),
]
