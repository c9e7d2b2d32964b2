"""Pages of the app."""

from django.urls import path

from projects import views

app_name = "projects"
urlpatterns = [
    path("", views.index, name="list"),
    path("setup/", views.setup, name="setup"),
    path("projects/new/", views.create, name="create"),
    path("p/<slug:slug>/settings/", views.connection, name="settings"),
    path("p/<slug:slug>/settings/goal/", views.goal, name="goal"),
    path("p/<slug:slug>/settings/limits/", views.limits, name="limits"),
    path("p/<slug:slug>/settings/privacy/", views.privacy, name="privacy"),
    path("p/<slug:slug>/settings/tokens/", views.api_tokens, name="tokens"),
    path("p/<slug:slug>/settings/tokens/<int:pk>/revoke/", views.revoke_token, name="revoke-token"),
    path("p/<slug:slug>/settings/members/", views.members, name="members"),
    path("p/<slug:slug>/settings/members/<int:pk>/remove/", views.remove_member, name="remove-member"),
]
