"""Django admin for operators: people, projects and what happened; no secret is ever shown."""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.http import HttpRequest

from agentopt.lib.errors import Invalid
from projects import tokens
from projects.access import person
from projects.destinations import checked_address
from projects.models import (
    ApiToken,
    AuditEntry,
    Channel,
    Connection,
    Goal,
    Job,
    Membership,
    NoticeDelivery,
    Project,
    ScheduleRun,
    User,
)  # fmt: skip


class _ReadOnly:
    """Rows that only the product writes."""

    def has_add_permission(self, *_args: Any) -> bool:
        return False

    def has_change_permission(self, *_args: Any) -> bool:
        return False

    def has_delete_permission(self, *_args: Any) -> bool:
        return False


@admin.register(User)
class PersonAdmin(UserAdmin):  # type: ignore[type-arg]
    """People, who sign in with their e-mail address."""

    ordering = ["email"]
    list_display = ["email", "first_name", "last_name", "is_active", "is_superuser", "last_login"]
    list_filter = ["is_active", "is_superuser"]
    search_fields = ["email", "first_name", "last_name"]
    fieldsets = [
        (None, {"fields": ["email", "password"]}),
        ("Person", {"fields": ["first_name", "last_name", "timezone"]}),
        ("May", {"fields": ["is_active", "is_staff", "is_superuser"]}),
        ("Dates", {"fields": ["last_login", "date_joined"]}),
    ]
    add_fieldsets = [(None, {"classes": ["wide"], "fields": ["email", "usable_password", "password1", "password2"]})]
    readonly_fields = ["last_login", "date_joined"]


class MembershipInline(admin.TabularInline):  # type: ignore[type-arg]
    model = Membership
    extra = 0
    autocomplete_fields = ["user"]


class GoalInline(_ReadOnly, admin.TabularInline):  # type: ignore[type-arg]
    model = Goal
    fields = ["version", "terms", "created_at", "created_by"]
    readonly_fields = ["version", "terms", "created_at", "created_by"]
    extra = 0
    ordering = ["-version"]


@admin.register(Project)
class ProjectAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Projects; they are made on the site, where goal, connection and keys are made with them."""

    list_display = ["name", "slug", "privacy", "created_by", "created_at"]
    list_filter = ["privacy"]
    search_fields = ["name", "slug"]
    readonly_fields = ["slug", "created_at", "created_by"]
    exclude = ["hash_key"]
    inlines = [MembershipInline, GoalInline]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # its logs are immutable: deletion has a door of its own


class ConnectionForm(forms.ModelForm):  # type: ignore[type-arg]
    """The key is write-only: an empty field keeps the one that is stored."""

    base_url = forms.URLField(required=False, assume_scheme="https")
    control_url = forms.URLField(required=False, assume_scheme="https")
    new_key = forms.CharField(
        required=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
        help_text="Empty: the stored key stays.",
    )

    class Meta:
        model = Connection
        fields = ["base_url", "control_url", "auth_header"]

    def clean_base_url(self) -> str:
        return self._address("base_url")

    def clean_control_url(self) -> str:
        return self._address("control_url")

    def _address(self, name: str) -> str:
        given: str = self.cleaned_data[name]
        try:
            return checked_address(given, field=name) if given else ""
        except Invalid as error:
            raise forms.ValidationError(error.fields[name]) from error

    def save(self, commit: bool = True) -> Connection:  # noqa: FBT001, FBT002 — Django's signature
        if self.cleaned_data["new_key"]:
            self.instance.api_key = self.cleaned_data["new_key"]
        row: Connection = super().save(commit)
        return row


@admin.register(Connection)
class ConnectionAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Where calls go."""

    form = ConnectionForm
    list_display = ["project", "base_url", "has_key", "simulated", "checked_at"]
    readonly_fields = ["project", "simulated", "checked_at"]

    @admin.display(boolean=True, description="key")
    def has_key(self, row: Connection) -> bool:
        return bool(row.api_key)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False


@admin.register(ApiToken)
class TokenAdmin(_ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """Tokens by their first letters; they are issued on the site and can be revoked here."""

    list_display = ["__str__", "project", "user", "scopes", "created_at", "expires_at", "revoked_at", "last_used_at"]
    list_filter = ["project"]
    search_fields = ["name", "prefix"]
    exclude = ["digest"]
    actions = ["revoke"]

    @admin.action(description="Revoke")
    def revoke(self, request: HttpRequest, chosen: Any) -> None:
        for token in chosen:
            tokens.revoke(token, by=person(request.user))


@admin.register(Job)
class JobAdmin(_ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """Background work."""

    list_display = ["pk", "kind", "project", "state", "done", "total", "attempts", "slices", "error_code", "created_at"]
    list_filter = ["state", "kind", "project"]
    ordering = ["-pk"]


@admin.register(Channel)
class ChannelAdmin(_ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]  # generic in the stubs only
    """Where notices go; channels are made on the site, and neither address nor key is shown here."""

    list_display = ["name", "project", "form", "enabled", "failing_since", "created_by", "created_at"]
    list_filter = ["form", "enabled", "project"]
    search_fields = ["name"]
    exclude = ["address", "secret"]


@admin.register(NoticeDelivery)
class NoticeDeliveryAdmin(_ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]  # generic in the stubs only
    """What was brought to channels."""

    list_display = ["pk", "notice", "channel_name", "state", "attempts", "error", "created_at", "due_at", "sent_at"]
    list_filter = ["state", "notice__kind", "notice__project"]
    list_select_related = ["notice"]
    ordering = ["-pk"]


@admin.register(ScheduleRun)
class ScheduleRunAdmin(_ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]  # generic in the stubs only
    """Turns of schedules: the job each started, or why it started none."""

    list_display = ["at", "project", "name", "due_at", "by", "job", "why_not"]
    list_filter = ["name", "project"]
    list_select_related = ["project", "by", "job"]
    ordering = ["-pk"]


@admin.register(AuditEntry)
class AuditAdmin(_ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """Who changed what."""

    list_display = ["at", "user", "project", "action", "target"]
    list_filter = ["action", "project"]
    search_fields = ["target", "user__email"]
    ordering = ["-pk"]
