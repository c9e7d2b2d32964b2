"""Logs and the catalogue for admins. What is immutable can only be looked at; prices can be added."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from ingestion.models import Batch, LogRecord, ModelOffer, OfferVersion, Price, SetAside, SyncRun


class _ReadOnly(admin.ModelAdmin):  # type: ignore[type-arg]
    show_full_result_count = False
    list_per_page = 50

    def has_add_permission(self, _request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        return False


class _AddOnly(_ReadOnly):
    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm(f"ingestion.add_{self.opts.model_name}"))


@admin.register(LogRecord)
class LogRecordAdmin(_ReadOnly):
    """Figures of calls; what was said stays on the project's own pages."""

    list_display = ("source_id", "version", "project", "occurred_at", "model", "status")
    list_filter = ("project", "status")
    list_select_related = ("project",)
    raw_id_fields = ("batch", "trace")


@admin.register(Batch)
class BatchAdmin(_ReadOnly):
    """Batches with their manifests."""

    list_display = ("project", "number", "source", "format", "label", "added", "set_aside", "created_at")
    list_filter = ("project", "source")


@admin.register(SetAside)
class SetAsideAdmin(_ReadOnly):
    """Rows that could not be read, without their text."""

    list_display = ("project", "label", "line", "code", "reason")
    list_filter = ("project", "code")
    exclude = ("raw",)


@admin.register(SyncRun)
class SyncRunAdmin(_ReadOnly):
    """Windows asked of the gateway."""

    list_display = ("project", "since", "until", "state", "added", "error_code")
    list_filter = ("project", "state")


@admin.register(ModelOffer)
class ModelOfferAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Models that can be called."""

    list_display = ("name", "project", "provider", "model", "family", "retires_on", "retirement_source")
    list_filter = ("project", "provider", "family")
    list_select_related = ("project",)
    search_fields = ("name", "model")

    def has_delete_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        return False  # its prices are immutable, and the database would refuse


@admin.register(OfferVersion, Price)
class AbilitiesAndPricesAdmin(_AddOnly):
    """A change is a new row with a new day."""

    list_display = ("offer", "valid_from", "revision", "source")
    list_select_related = ("offer",)
    search_fields = ("offer__name", "source")
    date_hierarchy = "valid_from"
    autocomplete_fields = ("offer",)
