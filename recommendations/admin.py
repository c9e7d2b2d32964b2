"""Recommendations in the admin: read them, acknowledge them with a note."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ActionForm
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from agentopt.lib.errors import AgentOptError
from projects import access
from recommendations import explain, services, states, transitions
from recommendations.models import Recommendation, Transition


class NoteForm(ActionForm):
    """The action bar with a note."""

    note = forms.CharField(required=False, max_length=2000, widget=forms.TextInput(attrs={"placeholder": "Note"}))


class TransitionInline(admin.TabularInline):  # type: ignore[type-arg]  # generic in the stubs only
    """What became of it; steps are only added, by actions and jobs."""

    model = Transition
    extra = 0
    fields = readonly_fields = ("number", "was", "state", "code", "why", "until", "by", "at")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Recommendation)
class RecommendationAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Immutable rows; the one thing to do is to decide about them."""

    action_form = NoteForm
    actions = ("acknowledge",)
    inlines = (TransitionInline,)
    list_display = ("id", "project", "says", "kind", "confidence", "stands", "created_at", "expires_at")
    list_filter = ("kind", "project")
    list_select_related = ("project",)
    fields = readonly_fields = (
        "project", "evaluation", "kind", "says", "confidence", "reasons", "evidence", "evidence_hash", "provenance",
        "simulated", "created_at", "expires_at",
    )  # fmt: skip

    @admin.display(description="says")
    def says(self, recommendation: Recommendation) -> str:
        return explain.headline(recommendation.evidence)

    @admin.display(description="state")
    def stands(self, recommendation: Recommendation) -> str:
        return states.words(transitions.state_of(recommendation, now=timezone.now()))

    @admin.action(description="Acknowledge (with the note beside)")
    def acknowledge(self, request: HttpRequest, chosen: QuerySet[Recommendation]) -> None:
        note, done = request.POST.get("note", ""), 0
        for recommendation in chosen:
            try:
                services.acknowledge(recommendation, by=access.person(request.user), now=timezone.now(), note=note)
                done += 1
            except AgentOptError as error:
                messages.error(request, error.message)
        messages.success(request, f"{done} acknowledged. Nothing was switched.")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return obj is None and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
