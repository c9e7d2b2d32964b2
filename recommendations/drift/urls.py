"""Pages of alerts and rules; their names belong to `recommendations`."""

from django.urls import URLPattern, path

from recommendations.drift import views

_ONE = "p/<slug:slug>/alerts/<int:pk>/"
_RULE = "p/<slug:slug>/alerts/rules/<int:pk>/"
urlpatterns: list[URLPattern] = [
    path("p/<slug:slug>/alerts/", views.inbox, name="alerts"),
    path("p/<slug:slug>/alerts/count/", views.count, name="alert-count"),
    path("p/<slug:slug>/alerts/check/", views.check, name="drift-check"),
    path("p/<slug:slug>/alerts/rules/", views.rules_page, name="drift-rules"),
    path("p/<slug:slug>/alerts/rules/new/", views.new_rule, name="drift-rule-new"),
    path("p/<slug:slug>/alerts/budget/", views.budget, name="drift-budget"),
    path(_RULE, views.rule, name="drift-rule"),
    path(f"{_RULE}delete/", views.delete_rule, name="drift-rule-delete"),
    path(_ONE, views.alert, name="alert"),
    path(f"{_ONE}<slug:action>/", views.act, name="alert-act"),
]
