"""Projects, tokens and jobs as JSON: `…Out` shows, `…In` checks shape; meaning is checked by the services."""

from decimal import Decimal
from typing import Any

from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from agentopt.lib.drf import Given
from agentopt.lib.money import usd
from agentopt.schedules import JOBS
from projects import access, modes, services
from projects.models import ApiToken, Job, Privacy, Project, Role

_Out = serializers.Serializer[Any]


def _numbers(**options: Any) -> "serializers.DictField":
    return serializers.DictField(child=serializers.FloatField(), **options)


class GoalOut(_Out):
    """The goal in force."""

    version = serializers.IntegerField()
    weights = _numbers(source="terms.weights")
    scales = _numbers(source="terms.scales")
    margins = _numbers(source="terms.margins")
    limits = _numbers(source="terms.limits")
    min_gain = serializers.FloatField(source="terms.min_gain")


class GoalIn(Given):
    """Terms of a goal; an absent one stays as it is."""

    weights = _numbers(required=False)
    scales = _numbers(required=False)
    margins = _numbers(required=False)
    limits = _numbers(required=False)
    min_gain = serializers.FloatField(required=False)


class ConnectionOut(_Out):
    """Where calls go; key and config themselves are never shown."""

    base_url = serializers.CharField()
    control_url = serializers.CharField()
    auth_header = serializers.CharField()
    has_key = serializers.SerializerMethodField()
    has_config = serializers.SerializerMethodField()
    simulated = serializers.BooleanField()
    checked_at = serializers.DateTimeField()

    def get_has_key(self, row: Any) -> bool:
        return bool(row.api_key)

    def get_has_config(self, row: Any) -> bool:
        return bool(row.config)


class ConnectionIn(Given):
    """Where calls go; an empty text returns a field to the instance's setting."""

    base_url = serializers.CharField(required=False, allow_blank=True, max_length=500)
    control_url = serializers.CharField(required=False, allow_blank=True, max_length=500)
    auth_header = serializers.CharField(required=False, max_length=60)
    api_key = serializers.CharField(required=False, allow_blank=True, max_length=500, write_only=True)
    config = serializers.CharField(
        required=False, allow_blank=True, max_length=4000, write_only=True, help_text="id of a saved config, or JSON"
    )


class OverridesOut(_Out):
    """Settings of the project's own; null where the instance's stand."""

    replay_sample_size = serializers.IntegerField(allow_null=True)
    confidence_threshold = serializers.FloatField(allow_null=True)
    judge_disagreement_threshold = serializers.FloatField(allow_null=True)
    max_evaluation_cost_usd = serializers.SerializerMethodField()

    @extend_schema_field({"type": "number", "nullable": True})
    def get_max_evaluation_cost_usd(self, row: Any) -> float | None:
        amount = usd(row.max_evaluation_cost_nanousd)
        return None if amount is None else float(amount)


class CapsOut(_Out):
    """Hard caps on a calendar month (UTC), over all evaluations, judges and rankings; null: none."""

    monthly_usd = serializers.SerializerMethodField()
    monthly_calls = serializers.IntegerField(source="monthly_call_cap", allow_null=True)

    @extend_schema_field({"type": "number", "nullable": True})
    def get_monthly_usd(self, row: Any) -> float | None:
        amount = usd(row.monthly_cap_nanousd)
        return None if amount is None else float(amount)


class CapsIn(Given):
    """The same; null removes a cap."""

    monthly_usd = serializers.DecimalField(
        required=False, allow_null=True, max_digits=16, decimal_places=9, min_value=Decimal(0)
    )
    monthly_calls = serializers.IntegerField(required=False, allow_null=True)


class OverridesIn(Given):
    """The same; null returns one to the instance's setting."""

    replay_sample_size = serializers.IntegerField(required=False, allow_null=True)
    confidence_threshold = serializers.FloatField(required=False, allow_null=True)
    judge_disagreement_threshold = serializers.FloatField(required=False, allow_null=True)
    max_evaluation_cost_usd = serializers.DecimalField(
        required=False, allow_null=True, max_digits=16, decimal_places=9, min_value=Decimal(0)
    )


class ScheduleOut(_Out):
    """What comes again by itself, as far as the project says so."""

    evaluation_cron = serializers.CharField(help_text="five cron fields, UTC; empty: the instance's")
    judging_per_day = serializers.IntegerField(allow_null=True, help_text="production calls judged; null: none")
    judging_cap_usd = serializers.SerializerMethodField(help_text="on that per calendar month; null: none are judged")

    @extend_schema_field({"type": "number", "nullable": True})
    def get_judging_cap_usd(self, row: Any) -> float | None:
        amount = usd(row.judging_cap_nanousd)
        return None if amount is None else float(amount)


class ScheduleIn(Given):
    """The same; null or an empty text returns one to none."""

    evaluation_cron = serializers.CharField(required=False, allow_blank=True, max_length=100)
    judging_per_day = serializers.IntegerField(required=False, allow_null=True)
    judging_cap_usd = serializers.DecimalField(
        required=False, allow_null=True, max_digits=16, decimal_places=9, min_value=Decimal(0)
    )


class PatternOut(_Out):
    """A pattern of the project's own that redaction replaces."""

    name = serializers.CharField()
    pattern = serializers.CharField()


class PatternIn(Given):
    """The same; its meaning is checked when it is saved."""

    name = serializers.CharField(max_length=200)
    pattern = serializers.CharField(max_length=1000, trim_whitespace=False)


class ProjectOut(_Out):
    """A project with its goal, connection and settings."""

    id = serializers.IntegerField()
    slug = serializers.CharField()
    name = serializers.CharField()
    privacy = serializers.ChoiceField(choices=Privacy.choices)
    privacy_patterns = PatternOut(many=True)
    retention_days = serializers.IntegerField(allow_null=True, help_text="null: bodies are kept")
    notices = serializers.SerializerMethodField()
    created_at = serializers.DateTimeField()
    role = serializers.SerializerMethodField()
    goal = serializers.SerializerMethodField()
    connection = ConnectionOut()
    overrides = OverridesOut(source="*")
    caps = CapsOut(source="*")
    schedule = ScheduleOut(source="*")
    effective = serializers.SerializerMethodField()
    allowed_providers = serializers.ListField(child=serializers.CharField())
    banned_models = serializers.ListField(child=serializers.CharField())

    @extend_schema_field({"type": "array", "items": {"type": "string"}})
    def get_notices(self, project: Project) -> list[str]:
        """What the privacy mode makes impossible; after a change of it, also what becomes of old rows."""
        return [*self.context.get("notices", []), *modes.of(project.privacy).impossible]

    @extend_schema_field(serializers.ChoiceField(choices=Role.choices, allow_null=True))
    def get_role(self, project: Project) -> str | None:
        """Of the person who asks; null for a project token."""
        return access.role_in(self.context["user"], project)

    @extend_schema_field(GoalOut)
    def get_goal(self, project: Project) -> Any:
        return GoalOut(services.goal_of(project)).data

    @extend_schema_field(OverridesOut)
    def get_effective(self, project: Project) -> Any:
        return OverridesOut(services.effective(project)).data


class ProjectIn(Given):
    """A new project."""

    name = serializers.CharField(max_length=80)
    privacy = serializers.ChoiceField(choices=Privacy.choices, required=False)
    goal = GoalIn(required=False)
    connection = ConnectionIn(required=False)


class ProjectChangeIn(Given):
    """What changes; absent fields stay."""

    name = serializers.CharField(max_length=80, required=False)
    privacy = serializers.ChoiceField(choices=Privacy.choices, required=False)
    privacy_patterns = PatternIn(many=True, required=False)
    retention_days = serializers.IntegerField(required=False, allow_null=True)
    goal = GoalIn(required=False)
    connection = ConnectionIn(required=False)
    overrides = OverridesIn(required=False)
    caps = CapsIn(required=False)
    schedule = ScheduleIn(required=False)
    allowed_providers = serializers.ListField(child=serializers.CharField(max_length=80), required=False)
    banned_models = serializers.ListField(child=serializers.CharField(max_length=200), required=False)


class TokenOut(_Out):
    """A token without its secret."""

    id = serializers.IntegerField()
    prefix = serializers.SerializerMethodField()
    name = serializers.CharField()
    scopes = serializers.ListField(child=serializers.CharField())
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    revoked_at = serializers.DateTimeField()
    last_used_at = serializers.DateTimeField()

    def get_prefix(self, token: ApiToken) -> str:
        return f"aop_{token.prefix}"


class NewTokenOut(TokenOut):
    """A token just issued; `token` is shown this once."""

    token = serializers.CharField()


class TokenIn(Given):
    """A new project token."""

    name = serializers.CharField(max_length=80)
    scopes = serializers.ListField(child=serializers.ChoiceField(choices=sorted(access.SCOPES)), allow_empty=False)
    expires_at = serializers.DateTimeField(required=False)


class PersonalTokenIn(Given):
    """A new personal token."""

    name = serializers.CharField(max_length=80)
    expires_at = serializers.DateTimeField(required=False)


class JobErrorOut(_Out):
    """Why a job failed."""

    code = serializers.CharField(source="error_code")
    message = serializers.CharField(source="error")


class JobOut(_Out):
    """A job and how far it is."""

    id = serializers.IntegerField()
    url = serializers.SerializerMethodField()
    project = serializers.CharField(source="project.slug")
    kind = serializers.CharField()
    title = serializers.SerializerMethodField()
    subject_id = serializers.IntegerField(allow_null=True)
    state = serializers.ChoiceField(choices=Job.State.choices)
    cancel = serializers.BooleanField(help_text="whether it was asked to stop")
    done = serializers.IntegerField()
    total = serializers.IntegerField(allow_null=True)
    message = serializers.CharField()
    result = serializers.SerializerMethodField()
    error = serializers.SerializerMethodField()
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField()

    def get_url(self, job: Job) -> str:
        return reverse("api-job", args=[job.pk])

    def get_title(self, job: Job) -> str:
        return JOBS[job.kind].title if job.kind in JOBS else job.kind

    @extend_schema_field(OpenApiTypes.OBJECT)
    def get_result(self, job: Job) -> Any:
        return job.result

    @extend_schema_field(JobErrorOut(allow_null=True))
    def get_error(self, job: Job) -> Any:
        return JobErrorOut(job).data if job.error_code else None
