"""Removals as JSON: `…Out` shows, `…In` checks shape; services check meaning."""

from typing import Any

from rest_framework import serializers

from agentopt.lib.drf import Given
from ingestion.models import Removal

_Out = serializers.Serializer[Any]


class RemovalOut(_Out):
    """What was taken out of the store; an erased value is known by its keyed hash only."""

    id = serializers.IntegerField()
    kind = serializers.ChoiceField(choices=Removal.Kind.choices)
    by = serializers.CharField(source="by.email", default=None, allow_null=True, help_text="null: schedule or command")
    older_than = serializers.DateTimeField(allow_null=True)
    key = serializers.CharField()
    value_hash = serializers.CharField()
    other_keys = serializers.ListField(child=serializers.CharField())
    calls = serializers.IntegerField()
    records = serializers.IntegerField(help_text="versions of calls")
    bodies = serializers.IntegerField()
    set_aside = serializers.IntegerField()
    answers = serializers.IntegerField(help_text="copies in evaluations")
    created_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True, help_text="null: under way")
    lifted_at = serializers.DateTimeField(allow_null=True, help_text="null: later calls are kept without what was said")


class AgeIn(Given):
    """Bodies of calls older than some days; without `confirm` they are only counted."""

    older_than_days = serializers.IntegerField()
    confirm = serializers.BooleanField(default=False)


class ErasureIn(Given):
    """A person's calls by a metadata key; without `confirm` they are only counted."""

    key = serializers.CharField(max_length=128, trim_whitespace=False)
    value = serializers.CharField(max_length=128, trim_whitespace=False)
    other_keys = serializers.ListField(child=serializers.CharField(max_length=128), required=False, max_length=64)
    confirm = serializers.BooleanField(default=False)


class AgePreviewOut(_Out):
    """What a removal by age would take."""

    older_than = serializers.DateTimeField()
    bodies = serializers.IntegerField()
    set_aside = serializers.IntegerField()


class ErasurePreviewOut(_Out):
    """What an erasure would change."""

    calls = serializers.IntegerField()
    others = serializers.IntegerField(help_text="calls of the same conversations that say nothing under the key")
    records = serializers.IntegerField(help_text="versions of calls")
    bodies = serializers.IntegerField()
    set_aside = serializers.IntegerField()
    ids = serializers.IntegerField(help_text="ids of calls and conversations that hold the value")
