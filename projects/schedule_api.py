"""Schedules over HTTP: how they stand, and a turn by hand."""

from typing import Any

from django.urls import URLPattern, path
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from agentopt.lib.drf import Given, body_of
from projects import access, scheduling, supervisor
from projects.endpoints import JOB_STARTED, ApiView, accepted
from projects.models import Role
from projects.serializers import JobOut

MOST_PROJECTS = 200
_Out = serializers.Serializer[Any]


class ScheduleTurnOut(_Out):
    """One turn: the job it started, or why it started none."""

    at = serializers.DateTimeField()
    due_at = serializers.DateTimeField(allow_null=True, help_text="null: a person asked for it")
    by = serializers.CharField(source="by.email", default=None, allow_null=True, help_text="null: the schedule")
    job = JobOut(allow_null=True)
    why_not = serializers.CharField(help_text="why it started nothing; empty where it did")


class ScheduledJobOut(_Out):
    """A scheduled job of one project."""

    name = serializers.CharField()
    title = serializers.CharField()
    cron = serializers.CharField(help_text="five fields, UTC")
    is_own = serializers.BooleanField(help_text="whether the cron is the project's own")
    next_at = serializers.DateTimeField(allow_null=True, help_text="null: schedules are off, or no worker ran yet")
    newest = ScheduleTurnOut(allow_null=True)


class ProjectSchedulesOut(_Out):
    """The scheduled jobs of a project."""

    project = serializers.CharField()
    jobs = ScheduledJobOut(many=True)


class SchedulerOut(_Out):
    """How the schedules stand, for the projects someone sees."""

    enabled = serializers.BooleanField(help_text="ENABLE_SCHEDULER")
    worker_seen_at = serializers.DateTimeField(allow_null=True)
    projects = ProjectSchedulesOut(many=True)


class TriggerIn(Given):
    """Which scheduled job, of which project."""

    job = serializers.CharField(max_length=30)
    project = serializers.CharField(max_length=60, help_text="number or slug")


class SchedulerStatusView(ApiView):
    """How the schedules stand."""

    @extend_schema(operation_id="get_scheduler_status", responses=SchedulerOut)
    def get(self, request: Request) -> Response:
        projects = list(access.projects_of(request.user).order_by("name")[:MOST_PROJECTS])
        found = scheduling.standing(projects)
        told = [{"project": project.slug, "jobs": found[project.pk]} for project in projects]
        body = {"enabled": scheduling.is_on(), "worker_seen_at": supervisor.last_seen(), "projects": told}
        return Response(SchedulerOut(body).data)


class SchedulerTriggerView(ApiView):
    """Start a scheduled job now."""

    @extend_schema(operation_id="trigger_scheduled_job", request=TriggerIn, responses={202: JOB_STARTED})
    def post(self, request: Request) -> Response:
        given = body_of(TriggerIn, request)
        project = access.project_for(request.user, given["project"], Role.MEMBER)
        return accepted(scheduling.trigger(project, given["job"], by=self.person, now=timezone.now()))


urlpatterns: list[URLPattern] = [
    path("scheduler/status", SchedulerStatusView.as_view(), name="api-scheduler-status"),
    path("scheduler/trigger", SchedulerTriggerView.as_view(), name="api-scheduler-trigger"),
]
