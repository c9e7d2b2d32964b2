"""Logs as JSON: `…Out` shows, `…In` checks shape; services check meaning."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from agentopt.lib.drf import Given
from agentopt.lib.money import usd
from ingestion import receipts
from ingestion.formats.detection import READERS

_Out = serializers.Serializer[Any]
STATUSES = ("ok", "failed", "refused")


def usd_number(amount_nanousd: int | None) -> float | None:
    """Nano-dollars as the nearest JSON number of US dollars; None stays null."""
    amount = usd(amount_nanousd)
    return None if amount is None else float(amount)


class SyncIn(Given):
    """A window to pull; without it the pull goes on where the last one ended."""

    since = serializers.DateTimeField(required=False, allow_null=True)
    until = serializers.DateTimeField(required=False, allow_null=True)


class SyncRunOut(_Out):
    """One window of a pull; `read_rows` of `expected` calls are stored."""

    since = serializers.DateTimeField()
    until = serializers.DateTimeField()
    state = serializers.CharField()
    doing = serializers.CharField(help_text="what it is at, or waits for")
    started_at = serializers.DateTimeField(allow_null=True)
    ended_at = serializers.DateTimeField(allow_null=True)
    read_rows = serializers.IntegerField()
    expected = serializers.IntegerField(allow_null=True)
    added = serializers.IntegerField()
    already_there = serializers.IntegerField()
    set_aside = serializers.IntegerField()
    missing = serializers.IntegerField(help_text="counted by the gateway and absent from its file")
    error_code = serializers.CharField()
    error = serializers.CharField()


class SyncOut(_Out):
    """How far the newest pull is: windows that are not done, and those of the newest job."""

    doing = serializers.CharField()
    started_at = serializers.DateTimeField(allow_null=True)
    windows = serializers.IntegerField(source="n_windows")
    windows_done = serializers.IntegerField(source="n_done")
    rows = serializers.IntegerField()
    expected = serializers.IntegerField()
    runs = SyncRunOut(many=True)


class StatsOut(_Out):
    """What the store holds; `records` counts versions."""

    records = serializers.IntegerField()
    batches = serializers.IntegerField()
    set_aside = serializers.IntegerField()
    first_at = serializers.DateTimeField(allow_null=True)
    last_at = serializers.DateTimeField(allow_null=True)
    received_at = serializers.DateTimeField(allow_null=True)
    models = serializers.ListField(child=serializers.CharField())
    simulated = serializers.BooleanField()


class LogOut(_Out):
    """One call in a list; null: not known."""

    id = serializers.IntegerField(source="pk")
    source_id = serializers.CharField()
    version = serializers.IntegerField()
    occurred_at = serializers.DateTimeField()
    trace_id = serializers.CharField(source="trace_key")
    provider = serializers.CharField()
    model = serializers.CharField()
    status = serializers.ChoiceField(choices=STATUSES)
    status_code = serializers.IntegerField(allow_null=True)
    input_tokens = serializers.IntegerField(allow_null=True)
    output_tokens = serializers.IntegerField(allow_null=True)
    cost_usd = serializers.SerializerMethodField()
    latency_s = serializers.SerializerMethodField()
    obstacle = serializers.CharField(help_text="why it cannot be replayed; empty: it can")
    preview = serializers.CharField()

    @extend_schema_field({"type": "number", "nullable": True})
    def get_cost_usd(self, row: Any) -> float | None:
        return usd_number(row.cost_nanousd)

    @extend_schema_field({"type": "number", "nullable": True})
    def get_latency_s(self, row: Any) -> float | None:
        return None if row.latency_us is None else row.latency_us / 10**6


class LogDetailOut(_Out):
    """One call with what was said; bodies are JSON texts, or hashes in hashed mode."""

    id = serializers.IntegerField(source="record.pk")
    source_id = serializers.CharField(source="record.source_id")
    version = serializers.IntegerField(source="record.version")
    is_newest = serializers.BooleanField()
    versions = serializers.SerializerMethodField()
    occurred_at = serializers.DateTimeField(source="record.occurred_at")
    trace_id = serializers.CharField(source="record.trace.key")
    provider = serializers.CharField(source="record.provider")
    model = serializers.CharField(source="record.model")
    prompt_version = serializers.CharField(source="record.prompt_version")
    status = serializers.CharField(source="record.status")
    status_code = serializers.IntegerField(source="record.status_code", allow_null=True)
    refused = serializers.BooleanField(source="record.refused", allow_null=True)
    finish_reason = serializers.CharField(source="record.finish_reason")
    input_tokens = serializers.IntegerField(source="record.input_tokens", allow_null=True)
    output_tokens = serializers.IntegerField(source="record.output_tokens", allow_null=True)
    cached_tokens = serializers.IntegerField(source="record.cached_tokens", allow_null=True)
    cache_write_tokens = serializers.IntegerField(source="record.cache_write_tokens", allow_null=True)
    reasoning_tokens = serializers.IntegerField(source="record.reasoning_tokens", allow_null=True)
    cost_usd = serializers.SerializerMethodField()
    cost_is_ours = serializers.BooleanField(source="record.cost_is_ours", help_text="computed from tokens and a price")
    source_cost_usd = serializers.SerializerMethodField()
    cost_deviation = serializers.SerializerMethodField(help_text="ours above the source's, as a share of it")
    latency_s = serializers.SerializerMethodField()
    obstacle = serializers.CharField(source="record.obstacle")
    metadata = serializers.DictField(source="record.metadata", child=serializers.CharField())
    request = serializers.CharField()
    response = serializers.CharField()
    body_removed_at = serializers.DateTimeField(source="removal.created_at", default=None, allow_null=True)

    @extend_schema_field({"type": "array", "items": {"type": "integer"}})
    def get_versions(self, detail: Any) -> list[int]:
        """Ids of all versions, newest first."""
        return [record.pk for record in detail.versions]

    @extend_schema_field({"type": "number", "nullable": True})
    def get_cost_usd(self, detail: Any) -> float | None:
        return usd_number(detail.record.cost_nanousd)

    @extend_schema_field({"type": "number", "nullable": True})
    def get_source_cost_usd(self, detail: Any) -> float | None:
        return usd_number(detail.record.source_cost_nanousd)

    @extend_schema_field({"type": "number", "nullable": True})
    def get_cost_deviation(self, detail: Any) -> float | None:
        return receipts.deviation(detail.record)

    @extend_schema_field({"type": "number", "nullable": True})
    def get_latency_s(self, detail: Any) -> float | None:
        latency_us = detail.record.latency_us
        return None if latency_us is None else latency_us / 10**6


class PushIn(Given):
    """Rows in one of the formats that files may have."""

    records = serializers.ListField(child=serializers.JSONField(), min_length=1, max_length=1000)
    format = serializers.ChoiceField(choices=list(READERS), required=False, help_text="found out by looking if absent")


class PushedRowOut(_Out):
    """What became of one row."""

    index = serializers.IntegerField()
    status = serializers.ChoiceField(choices=["added", "already_there", "set_aside"])
    source_id = serializers.CharField(allow_null=True)
    code = serializers.CharField(allow_null=True)
    reason = serializers.CharField(allow_null=True)


class PushOut(_Out):
    """What became of pushed rows; they are committed."""

    added = serializers.IntegerField()
    already_there = serializers.IntegerField()
    set_aside = serializers.IntegerField()
    results = PushedRowOut(many=True)
