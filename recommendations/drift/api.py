"""Alerts, rules and checks over HTTP."""

from typing import Any

from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from agentopt.lib.drf import PAGE_PARAMETERS, body_of, page_body, page_of, page_schema, paging
from agentopt.lib.errors import NotFound
from projects import jobs
from projects.endpoints import JOB_STARTED, ProjectView, accepted
from projects.models import Role
from recommendations.drift import alerts, preview, rules, selectors
from recommendations.drift.models import Alert, DriftRule
from recommendations.drift.serializers import (
    AlertActionIn,
    AlertOut,
    DriftOut,
    DriftRuleIn,
    DriftRuleOut,
    PreviewOut,
)

_STATE = OpenApiParameter("state", OpenApiTypes.STR, enum=Alert.State.values, description="only those in this state")


class AlertsView(ProjectView):
    """Alerts of a project, the newest first."""

    @extend_schema(
        operation_id="list_alerts", parameters=[*PAGE_PARAMETERS, _STATE], responses=page_schema("AlertPage", AlertOut)
    )
    def get(self, request: Request, project_id: str) -> Response:
        after, limit = paging(request)
        rows = self.project().alerts.select_related("project")
        if request.query_params.get("state") in Alert.State.values:
            rows = rows.filter(state=request.query_params["state"])
        return Response(page_body(page_of(rows, key="pk", after=after, limit=limit), AlertOut))


class AlertView(ProjectView):
    """One alert."""

    @extend_schema(operation_id="get_alert", responses=AlertOut)
    def get(self, request: Request, project_id: str, pk: int) -> Response:
        return Response(AlertOut(get_object_or_404(self.project().alerts.select_related("project"), pk=pk)).data)


class AlertActionView(ProjectView):
    """Acknowledge, mute, expected, resolve or reopen."""

    @extend_schema(operation_id="act_on_alert", request=AlertActionIn, responses=AlertOut)
    def post(self, request: Request, project_id: str, pk: int, action: str) -> Response:
        row = get_object_or_404(self.project(Role.MEMBER).alerts.select_related("project"), pk=pk)
        if action not in alerts.ACTIONS:
            raise NotFound(f"There is no action {action}; expected one of {', '.join(alerts.ACTIONS)}.")
        given = body_of(AlertActionIn, request)
        more: dict[str, Any] = {"note": given["note"]}
        if action == "mute":
            more["days"] = given["days"]
        return Response(AlertOut(alerts.ACTIONS[action](row, by=self.person, now=timezone.now(), **more)).data)


class DriftView(ProjectView):
    """How far a project is watched, and by which rules."""

    @extend_schema(operation_id="get_drift", responses=DriftOut)
    def get(self, request: Request, project_id: str) -> Response:
        project = self.project()
        watch = getattr(project, "drift_watch", None)
        found = {
            "false_alarms_a_year": watch.false_alarms if watch else 1.0,
            "since": watch.since if watch else None,
            "cursor": watch.cursor if watch else None,
            "checked_at": watch.checked_at if watch else None,
            "calls": watch.calls if watch else 0,
            "open_alerts": selectors.open_count(project),
            "rules": project.drift_rules.prefetch_related("series").order_by("pk"),
        }
        return Response(DriftOut(found).data)


class DriftCheckView(ProjectView):
    """Check what closed since the last check, in the background."""

    @extend_schema(operation_id="check_drift", request=None, responses={202: JOB_STARTED})
    def post(self, request: Request, project_id: str) -> Response:
        return accepted(jobs.start("drift", self.project(Role.MEMBER), by=self.person))


class DriftRulesView(ProjectView):
    """Add a rule."""

    @extend_schema(operation_id="create_drift_rule", request=DriftRuleIn, responses={201: DriftRuleOut})
    def post(self, request: Request, project_id: str) -> Response:
        project = self.project(Role.MEMBER)
        made = rules.create(project, _terms(request, partial=False), by=self.person)
        return Response(DriftRuleOut(made).data, status=201)


class DriftRuleView(ProjectView):
    """Change or remove a rule."""

    def _rule(self, pk: int) -> DriftRule:
        found: DriftRule = get_object_or_404(self.project(Role.MEMBER).drift_rules, pk=pk)
        return found

    @extend_schema(operation_id="change_drift_rule", request=DriftRuleIn(partial=True), responses=DriftRuleOut)
    def patch(self, request: Request, project_id: str, pk: int) -> Response:
        rule = self._rule(pk)
        return Response(DriftRuleOut(rules.change(rule, _terms(request, partial=True), by=self.person)).data)

    @extend_schema(operation_id="delete_drift_rule", request=None, responses={204: None})
    def delete(self, request: Request, project_id: str, pk: int) -> Response:
        rules.delete(self._rule(pk), by=self.person)
        return Response(status=204)


class DriftPreviewView(ProjectView):
    """How often a rule would have fired in the last thirty days."""

    @extend_schema(operation_id="preview_drift_rule", request=DriftRuleIn, responses=PreviewOut)
    def post(self, request: Request, project_id: str) -> Response:
        project = self.project()
        return Response(PreviewOut(preview.of_project(project, _terms(request, partial=False))).data)


def _terms(request: Request, *, partial: bool) -> dict[str, Any]:
    return body_of(DriftRuleIn, request, partial=partial)


_ALERTS, _DRIFT = "alerts/<slug:project_id>", "drift/<slug:project_id>"
urlpatterns: list[URLPattern] = [
    path(_ALERTS, AlertsView.as_view(), name="api-alerts"),
    path(f"{_ALERTS}/<int:pk>", AlertView.as_view(), name="api-alert"),
    path(f"{_ALERTS}/<int:pk>/<slug:action>", AlertActionView.as_view(), name="api-alert-action"),
    path(_DRIFT, DriftView.as_view(), name="api-drift"),
    path(f"{_DRIFT}/check", DriftCheckView.as_view(), name="api-drift-check"),
    path(f"{_DRIFT}/rules", DriftRulesView.as_view(), name="api-drift-rules"),
    path(f"{_DRIFT}/rules/<int:pk>", DriftRuleView.as_view(), name="api-drift-rule"),
    path(f"{_DRIFT}/preview", DriftPreviewView.as_view(), name="api-drift-preview"),
]
