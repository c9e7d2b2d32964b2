"""Pages of the app."""

from django.urls import URLPattern, path

from recommendations import document_views, views
from recommendations.drift import urls as drift

app_name = "recommendations"
_ONE = "p/<slug:slug>/recommendations/<int:pk>/"
urlpatterns: list[URLPattern] = [
    path("p/<slug:slug>/", views.overview, name="overview"),
    path("p/<slug:slug>/glance/", views.glance, name="glance"),
    path("p/<slug:slug>/recommendations/", views.listing, name="list"),
    path("p/<slug:slug>/recommendations/generate/", views.generate, name="generate"),
    path("p/<slug:slug>/recommendations/track-record/", document_views.track_record, name="track-record"),
    path(_ONE, views.detail, name="detail"),
    path(f"{_ONE}evidence.json", views.bundle, name="bundle"),
    path(f"{_ONE}export.md", document_views.markdown, name="markdown"),
    path(f"{_ONE}export.json", document_views.as_json, name="json"),
    path(f"{_ONE}print/", document_views.printable, name="print"),
    path(f"{_ONE}summarize/", document_views.summarize, name="summarize"),
    path(f"{_ONE}share/", document_views.share, name="share"),
    path(f"{_ONE}share/<int:link>/revoke/", document_views.revoke, name="revoke-link"),
    path("share/<str:secret>/", document_views.shared, name="shared"),
    path(f"{_ONE}acknowledge/", views.acknowledge, name="acknowledge"),
    path(f"{_ONE}postpone/", views.postpone, name="postpone"),
    path(f"{_ONE}dismiss/", views.dismiss, name="dismiss"),
    *drift.urlpatterns,
]
