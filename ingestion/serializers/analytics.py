"""Questions and answers as JSON; `ingestion.analytics` checks what they mean."""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

_Out = serializers.Serializer[Any]


class CatalogMetricOut(_Out):
    """A metric: its unit, which way is better, and what can be asked of it."""

    name = serializers.CharField()
    title = serializers.CharField()
    unit = serializers.CharField()
    better = serializers.CharField(allow_null=True)
    aggregates = serializers.ListField(child=serializers.CharField())
    kinds = serializers.ListField(child=serializers.CharField())


class VocabularyOut(_Out):
    """The JSON schema (2020-12) of a question, the metrics, and the keys to group by."""

    schema = serializers.DictField()
    metrics = CatalogMetricOut(many=True)
    groups = serializers.ListField(child=serializers.CharField())


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
