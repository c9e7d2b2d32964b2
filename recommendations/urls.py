"""Pages of the app."""

from django.urls import URLPattern, path

from recommendations import views

app_name = "recommendations"
_ONE = "p/<slug:slug>/recommendations/<int:pk>/"
urlpatterns: list[URLPattern] = [
    path("p/<slug:slug>/", views.overview, name="overview"),
    path("p/<slug:slug>/glance/", views.glance, name="glance"),
    path("p/<slug:slug>/recommendations/", views.listing, name="list"),
    path("p/<slug:slug>/recommendations/generate/", views.generate, name="generate"),
    path(_ONE, views.detail, name="detail"),
    path(f"{_ONE}evidence.json", views.bundle, name="bundle"),
    path(f"{_ONE}acknowledge/", views.acknowledge, name="acknowledge"),
    path(f"{_ONE}postpone/", views.postpone, name="postpone"),
    path(f"{_ONE}dismiss/", views.dismiss, name="dismiss"),
]
