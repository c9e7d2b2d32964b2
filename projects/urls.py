"""Pages of the app."""

from django.urls import path

from projects import notice_views, schedule_views, views

app_name = "projects"
urlpatterns = [
    path("", views.index, name="list"),
    path("setup/", views.setup, name="setup"),
    path("projects/new/", views.create, name="create"),
    path("p/<slug:slug>/settings/", views.connection, name="settings"),
    path("p/<slug:slug>/settings/goal/", views.goal, name="goal"),
    path("p/<slug:slug>/settings/limits/", views.limits, name="limits"),
    path("p/<slug:slug>/settings/privacy/", views.privacy, name="privacy"),
    path("p/<slug:slug>/settings/schedules/", schedule_views.schedules, name="schedules"),
    path("p/<slug:slug>/settings/schedules/<slug:name>/run/", schedule_views.run_schedule, name="run-schedule"),
    path("p/<slug:slug>/settings/notices/", notice_views.notices, name="notices"),
    path("p/<slug:slug>/settings/notices/<int:pk>/", notice_views.channel, name="channel"),
    path("p/<slug:slug>/settings/notices/<int:pk>/test/", notice_views.test_channel, name="test-channel"),
    path("p/<slug:slug>/settings/notices/<int:pk>/remove/", notice_views.remove_channel, name="remove-channel"),
    path("p/<slug:slug>/settings/notices/<int:pk>/renew/", notice_views.renew_channel, name="renew-channel"),
    path("p/<slug:slug>/settings/notices/deliveries/<int:pk>/again/", notice_views.send_again, name="send-again"),
    path("p/<slug:slug>/settings/tokens/", views.api_tokens, name="tokens"),
    path("p/<slug:slug>/settings/tokens/<int:pk>/revoke/", views.revoke_token, name="revoke-token"),
    path("p/<slug:slug>/settings/members/", views.members, name="members"),
    path("p/<slug:slug>/settings/members/<int:pk>/remove/", views.remove_member, name="remove-member"),
]
