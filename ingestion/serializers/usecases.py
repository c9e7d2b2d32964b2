"""Use cases as JSON."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from agentopt.lib.drf import Given
from ingestion.models import UseCase
from ingestion.portraits import MEASURES, QUANTILES, Portrait
from ingestion.serializers.logs import usd_number

_Out = serializers.Serializer[Any]
_SCALE = {"latency": 10**6, "cost": 10**9, "input": 1, "output": 1}
_NAMES = {"latency": "latency_s", "cost": "cost_usd", "input": "input_tokens", "output": "output_tokens"}


class UsedOut(_Out):
    """One model within a use case."""

    model = serializers.CharField()
    calls = serializers.IntegerField()
    cost_usd = serializers.SerializerMethodField()

    @extend_schema_field({"type": "number", "nullable": True})
    def get_cost_usd(self, used: Any) -> float | None:
        return usd_number(used.cost_nanousd)


class UseCaseOut(_Out):
    """One use case with its figures; null: not known. `number` null: the calls that belong to none."""

    number = serializers.IntegerField(source="use_case.number", allow_null=True, default=None)
    name = serializers.CharField(source="use_case.name", allow_null=True, default=None)
    origin = serializers.ChoiceField(
        choices=UseCase.Origin.choices, source="use_case.origin", allow_null=True, default=None
    )
    named_by_hand = serializers.BooleanField(source="use_case.named_by_hand", default=False)
    terms = serializers.ListField(child=serializers.CharField(), source="use_case.terms", default=list)
    calls = serializers.IntegerField()
    failed = serializers.IntegerField()
    refused = serializers.IntegerField()
    share_of_calls = serializers.FloatField(source="share_calls", allow_null=True)
    share_of_cost = serializers.FloatField(source="share_cost", allow_null=True)
    cost_usd = serializers.SerializerMethodField()
    models = UsedOut(many=True)
    quantiles = serializers.SerializerMethodField()

    @extend_schema_field({"type": "number", "nullable": True})
    def get_cost_usd(self, portrait: Portrait) -> float | None:
        return usd_number(portrait.cost_nanousd)

    @extend_schema_field(
        {"type": "object", "additionalProperties": {"type": "object", "additionalProperties": {"type": "number"}}}
    )
    def get_quantiles(self, portrait: Portrait) -> dict[str, dict[str, float | None]]:
        """p50, p95 and p99 of what was asked for: latency in a list, cost and tokens, too, of one use case."""
        return {
            _NAMES[measure]: {f"p{q * 100:.0f}": _scaled(portrait.at(measure, q), measure) for q in QUANTILES}
            for measure in MEASURES
            if measure in portrait.quantiles
        }


def _scaled(value: int | None, measure: str) -> float | None:
    return None if value is None else value / _SCALE[measure]


class UseCasesOut(_Out):
    """All use cases of a project, the largest spend first."""

    items = UseCaseOut(many=True)
    refused = serializers.CharField(help_text="why there can be none; empty: there can")
    calls_behind = serializers.IntegerField(help_text="calls taken in since the last assignment")
    sample = serializers.IntegerField(allow_null=True, help_text="conversations that the last fit was made of")


class ExampleOut(_Out):
    """A call of a use case."""

    id = serializers.IntegerField(source="pk")
    occurred_at = serializers.DateTimeField()
    model = serializers.CharField()
    preview = serializers.CharField()


class PartOut(_Out):
    """A use case that was merged into another."""

    number = serializers.IntegerField()
    name = serializers.CharField()


class UseCaseDetailOut(UseCaseOut):
    """One use case with examples and what was merged into it."""

    merged_into = serializers.IntegerField(allow_null=True)
    split_from = serializers.IntegerField(allow_null=True)
    is_found = serializers.BooleanField(help_text="false: clustering no longer finds it")
    merged = PartOut(many=True)
    examples = ExampleOut(many=True)


class NameIn(Given):
    """A name by hand; an empty one gives the automatic name back."""

    name = serializers.CharField(allow_blank=True, max_length=200)


class MergeIn(Given):
    """Numbers of use cases that this one shall stand for."""

    numbers = serializers.ListField(child=serializers.IntegerField(min_value=1), min_length=1, max_length=200)


class RefreshIn(Given):
    """Whether to fit anew; without it only new calls are assigned, unless a new fit is due."""

    refit = serializers.BooleanField(default=False)
