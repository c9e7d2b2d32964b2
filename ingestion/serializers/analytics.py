"""Questions and answers as JSON; `ingestion.analytics` checks what they mean."""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from ingestion.analytics import requests

_Out = serializers.Serializer[Any]


class AnalyticsIn(_Out):
    """One structured question; `ingestion.analytics.requests` checks all but the project."""

    project = serializers.CharField(help_text="number or slug")
    kind = serializers.ChoiceField(choices=requests.KINDS)
    metric = serializers.ChoiceField(choices=requests.METRICS)
    aggregate = serializers.ChoiceField(choices=requests.AGGREGATES, required=False, allow_null=True)
    group_by = serializers.ListField(child=serializers.ChoiceField(choices=requests.GROUPS), required=False)
    filters = serializers.DictField(child=serializers.ListField(child=serializers.CharField()), required=False)
    since = serializers.DateTimeField(required=False, allow_null=True)
    until = serializers.DateTimeField(required=False, allow_null=True)
    quantiles = serializers.ListField(child=serializers.FloatField(), required=False)
    bins = serializers.IntegerField(required=False, min_value=1, max_value=200)
    limit = serializers.IntegerField(required=False, min_value=1, max_value=1000)


class AnalyticsOut(_Out):
    """An answer; rows hold `value`, `values` or a bin, by the kind of question."""

    kind = serializers.CharField()
    metric = serializers.DictField()
    window = serializers.DictField()
    source = serializers.CharField()  # type: ignore[assignment]
    n = serializers.IntegerField()
    rows = serializers.ListField(child=serializers.DictField())
    more = serializers.BooleanField()


@extend_schema_field(OpenApiTypes.OBJECT)
class SliceField(serializers.JSONField):
    """Figures of a group of calls."""


class SummaryOut(_Out):
    """Figures in all, by model and by day, and what is not known."""

    since = serializers.DateTimeField(allow_null=True)
    until = serializers.DateTimeField(allow_null=True)
    first_at = serializers.DateTimeField(allow_null=True)
    last_at = serializers.DateTimeField(allow_null=True)
    total = SliceField()
    by_model = serializers.ListField(child=SliceField())
    by_day = serializers.ListField(child=SliceField())
    coverage = serializers.DictField(child=serializers.IntegerField())
    obstacles = serializers.DictField(child=serializers.IntegerField())
