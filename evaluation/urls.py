"""Addresses of the pages of evaluations."""

from django.urls import URLPattern, path

from evaluation import case_views, judge_views, people_views, views

app_name = "evaluation"
_PROJECT = "p/<slug:slug>/evaluations"
urlpatterns: list[URLPattern] = [
    path(f"{_PROJECT}/", views.listing, name="list"),
    path(f"{_PROJECT}/new/", views.create, name="create"),
    path(f"{_PROJECT}/<int:number>/", views.detail, name="detail"),
    path(f"{_PROJECT}/<int:number>/pause/", views.pause, name="pause"),
    path(f"{_PROJECT}/<int:number>/resume/", views.resume, name="resume"),
    path(f"{_PROJECT}/<int:number>/retry/", views.retry, name="retry"),
    path(f"{_PROJECT}/<int:number>/cases/", case_views.listing, name="cases"),
    path(f"{_PROJECT}/<int:number>/cases/<int:position>/", case_views.detail, name="case"),
    path(f"{_PROJECT}/<int:number>/replay/", case_views.replay, name="replay"),
    path(f"{_PROJECT}/<int:number>/costs/", views.costs, name="costs"),
    path(f"{_PROJECT}/<int:number>/coverage/", views.coverage, name="coverage"),
    path(f"{_PROJECT}/<int:number>/activity/", views.activity, name="activity"),
    path(f"{_PROJECT}/<int:number>/label/", people_views.label, name="label"),
    path("p/<slug:slug>/judges/accuracy/", people_views.accuracy, name="accuracy"),
    path("p/<slug:slug>/judges/anchors/", people_views.judge_anchors, name="judge-anchors"),
    path(f"{_PROJECT}/<int:number>/judges/", judge_views.panel, name="panel"),
    path("p/<slug:slug>/settings/judges/", judge_views.settings, name="judges"),
    path("p/<slug:slug>/judges/", judge_views.listing, name="judge-library"),
    path("p/<slug:slug>/judges/new/", judge_views.own, name="judge-own"),
    path("p/<slug:slug>/judges/rules/<slug:name>/", judge_views.rule, name="judge-rule"),
    path("p/<slug:slug>/judges/<slug:name>/", judge_views.detail, name="judge"),
    path("p/<slug:slug>/judges/<slug:name>/retire/", judge_views.retire, name="judge-retire"),
    path(f"{_PROJECT}/<int:number>/cancel/", views.cancel, name="cancel"),
]
