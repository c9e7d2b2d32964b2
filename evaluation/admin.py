"""Evaluations in the admin: looked at, never edited; what they hold is evidence."""

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from evaluation.models import (
    AnchorVerdict,
    Candidate,
    Comparison,
    Evaluation,
    HumanLabel,
    Judge,
    JudgeVersion,
    Look,
    Replay,
    Seat,
    Verdict,
)


class ReadOnly(admin.ModelAdmin):  # type: ignore[type-arg]
    """Shows rows, and lets nobody add, change or delete one."""

    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(Evaluation)
class EvaluationAdmin(ReadOnly):
    list_display = ("__str__", "project", "number", "state", "reason", "limit", "seed", "simulated", "created_at")
    list_filter = ("state", "simulated", "project")
    list_select_related = ("project",)


@admin.register(Candidate)
class CandidateAdmin(ReadOnly):
    list_display = ("offer", "evaluation", "position", "state")
    list_filter = ("state",)
    list_select_related = ("offer", "evaluation__project")


@admin.register(Replay)
class ReplayAdmin(ReadOnly):
    """Answers stay out of the list; one row shows its own."""

    list_display = ("id", "candidate", "status", "source", "reason", "cost_nanousd", "latency_us", "created_at")
    list_filter = ("status", "source")
    list_select_related = ("candidate__offer", "candidate__evaluation__project")

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Replay]":
        return super().get_queryset(request).defer("answer", "tool_calls")


@admin.register(Judge)
class JudgeAdmin(ReadOnly):
    list_display = ("project", "rubric", "form", "model", "family", "counts_as", "repeats", "exact", "active")
    list_filter = ("rubric", "active")
    list_select_related = ("project",)


@admin.register(JudgeVersion)
class JudgeVersionAdmin(ReadOnly):
    list_display = ("rubric", "form", "project", "text_hash", "lowest", "highest", "created_at")
    list_select_related = ("project",)


@admin.register(Seat)
class SeatAdmin(ReadOnly):
    list_display = ("evaluation", "judge", "version", "repeats")
    list_select_related = ("evaluation__project", "judge", "version")


@admin.register(Verdict)
class VerdictAdmin(ReadOnly):
    list_display = ("id", "judge", "score", "reason", "source", "created_at")
    list_filter = ("source", "reason")
    list_select_related = ("judge",)

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Verdict]":
        return super().get_queryset(request).defer("explanation")


@admin.register(Look)
class LookAdmin(ReadOnly):
    list_display = ("candidate", "ranking", "prompts", "chance", "p", "confidence")
    list_select_related = ("candidate__offer", "candidate__evaluation__project")


@admin.register(Comparison)
class ComparisonAdmin(ReadOnly):
    list_display = ("candidate", "metric", "use_case", "n_prompts", "estimate", "low", "high")
    list_filter = ("metric",)
    list_select_related = ("candidate__offer", "candidate__evaluation__project")


@admin.register(HumanLabel)
class HumanLabelAdmin(ReadOnly):
    list_display = ("replay", "score", "harmful", "rater", "blind", "source", "created_at")
    list_filter = ("source", "blind")
    list_select_related = ("replay__candidate__offer", "replay__candidate__evaluation__project", "replay__sample")


@admin.register(AnchorVerdict)
class AnchorVerdictAdmin(ReadOnly):
    list_display = ("anchor", "judge", "version", "score", "reason", "created_at")
    list_select_related = ("anchor__project", "judge", "version")
