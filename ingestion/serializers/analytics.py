"""Questions and answers as JSON; `ingestion.analytics` checks what they mean."""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from agentopt.lib.drf import Given
from ingestion.analytics.requests import KINDS

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


class CancelIn(Given):
    """The token that the question was given."""

    token = serializers.RegexField(r"^[!-~]{1,64}$")


class CancelOut(_Out):
    """How many questions were asked to stop."""

    stopping = serializers.IntegerField()


class RunOut(_Out):
    """What differs from one answer to the same question to the next."""

    seconds = serializers.FloatField()
    cached = serializers.BooleanField()
    watermark = serializers.IntegerField(help_text="number of the newest batch that it covers")
    ids = serializers.ListField(
        child=serializers.IntegerField(), required=False, help_text="of a sample: the calls' numbers, row by row"
    )


class AnalyticsOut(_Out):
    """An answer; rows hold `value`, `values`, a bin, a use case or a key, by the kind of question.

    All but `run` is the same, byte by byte, for the same question about the same calls.
    """

    kind = serializers.ChoiceField(choices=list(KINDS))
    window = serializers.DictField()
    source = serializers.ChoiceField(choices=["rows", "rollup"])  # type: ignore[assignment]
    error = serializers.FloatField(allow_null=True, help_text="relative error of quantiles; null: exact")
    metric = serializers.DictField(required=False)
    n = serializers.IntegerField()
    unknown = serializers.IntegerField(required=False, help_text="calls that do not tell the metric")
    rows = serializers.ListField(child=serializers.DictField())
    more = serializers.BooleanField()
    run = RunOut()


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
    obstacles = serializers.DictField(child=serializers.IntegerField(), help_text="by reason; none from roll-ups")
    source = serializers.ChoiceField(choices=["rows", "rollup"])  # type: ignore[assignment]
    error = serializers.FloatField(allow_null=True, help_text="relative error of latencies; null: exact")
