"""The catalogue as JSON: `…Out` shows, `…In` checks shape; services check meaning. Money in US dollars."""

from decimal import Decimal
from typing import Any

from rest_framework import serializers

from agentopt.lib import money
from agentopt.lib.drf import Given
from ingestion.catalog.listing import Row
from ingestion.catalog.loader import KNOWN, RATES, ModelEntry, PriceEntry
from ingestion.models import ModelOffer, OfferVersion, Price

_Out = serializers.Serializer[Any]


def _rate(*, required: bool = False) -> serializers.DecimalField:
    return serializers.DecimalField(18, 9, required=required, allow_null=not required, min_value=Decimal(0))


def _usd(*, allow_null: bool = False) -> serializers.DecimalField:
    return serializers.DecimalField(18, 9, allow_null=allow_null)


class PriceOut(_Out):
    """A price, in US dollars per million tokens. null: none of its own."""

    valid_from = serializers.DateField()
    revision = serializers.IntegerField(help_text="the last one of a day counts")
    input_usd_per_m = _usd()
    output_usd_per_m = _usd()
    cached_input_usd_per_m = _usd(allow_null=True)
    cache_write_usd_per_m = _usd(allow_null=True)
    reasoning_usd_per_m = _usd(allow_null=True)
    source = serializers.CharField()  # type: ignore[assignment]  # DRF takes it for a field

    def to_representation(self, instance: Price) -> dict[str, Any]:
        """Nano-dollars as dollars."""
        told: dict[str, Any] = {"valid_from": str(instance.valid_from), "revision": instance.revision}
        for name in RATES:
            usd = money.usd(getattr(instance, f"{name}_nanousd"))
            told[f"{name}_usd_per_m"] = None if usd is None else f"{usd:.9f}"
        return {**told, "source": instance.source}


class AbilitiesOut(_Out):
    """What a model can do, from a day on. null: not known."""

    valid_from = serializers.DateField()
    revision = serializers.IntegerField(help_text="the last one of a day counts")
    context_window = serializers.IntegerField(allow_null=True)
    output_limit = serializers.IntegerField(allow_null=True)
    tools = serializers.BooleanField(allow_null=True)
    parallel_tools = serializers.BooleanField(allow_null=True)
    json_mode = serializers.BooleanField(allow_null=True)
    json_schema = serializers.BooleanField(allow_null=True)
    vision = serializers.BooleanField(allow_null=True)
    streaming = serializers.BooleanField(allow_null=True)
    reasoning = serializers.BooleanField(allow_null=True)
    seed = serializers.BooleanField(allow_null=True)
    languages = serializers.CharField(allow_null=True, help_text="that it is made for, comma-separated")
    source = serializers.CharField()  # type: ignore[assignment]  # DRF takes it for a field


class CatalogModelOut(_Out):
    """A model with what holds today."""

    id = serializers.IntegerField(source="offer.pk")
    name = serializers.CharField(source="offer.name", help_text="what the gateway takes")
    provider = serializers.CharField(source="offer.provider")
    model = serializers.CharField(source="offer.model", help_text="what logs call it")
    family = serializers.CharField(source="offer.family")
    own = serializers.BooleanField(source="is_own", help_text="false: shared by the projects of this instance")
    retires_on = serializers.DateField(source="offer.retires_on", allow_null=True)
    retirement_source = serializers.CharField(source="offer.retirement_source")
    days_left = serializers.IntegerField(allow_null=True)
    price = PriceOut(allow_null=True)
    abilities = AbilitiesOut(source="able", allow_null=True)


class CatalogModelDetailOut(CatalogModelOut):
    """The same with all days, the newest first."""

    prices = PriceOut(many=True)
    versions = AbilitiesOut(many=True)


class MissingPriceOut(_Out):
    """A model in the logs without a price."""

    provider = serializers.CharField()
    model = serializers.CharField()
    first_on = serializers.DateField()
    id = serializers.IntegerField(
        source="offer.pk", default=None, allow_null=True, help_text="null: not in the catalogue"
    )


class CatalogOut(_Out):
    """The catalogue of a project."""

    items = CatalogModelOut(many=True)
    without_price = MissingPriceOut(many=True)


class PriceIn(Given):
    """A price to add."""

    valid_from = serializers.DateField()
    input_usd_per_m = _rate(required=True)
    output_usd_per_m = _rate(required=True)
    cached_input_usd_per_m = _rate()
    cache_write_usd_per_m = _rate()
    reasoning_usd_per_m = _rate()
    source = serializers.CharField(max_length=200)  # type: ignore[assignment]  # DRF takes it for a field
    correct = serializers.BooleanField(default=False, help_text="it takes the place of the price of that day")


class _AbilitiesIn(Given):
    context_window = serializers.IntegerField(required=False, allow_null=True)
    output_limit = serializers.IntegerField(required=False, allow_null=True)
    tools = serializers.BooleanField(required=False, allow_null=True)
    parallel_tools = serializers.BooleanField(required=False, allow_null=True)
    json_mode = serializers.BooleanField(required=False, allow_null=True)
    json_schema = serializers.BooleanField(required=False, allow_null=True)
    vision = serializers.BooleanField(required=False, allow_null=True)
    streaming = serializers.BooleanField(required=False, allow_null=True)
    reasoning = serializers.BooleanField(required=False, allow_null=True)
    seed = serializers.BooleanField(required=False, allow_null=True)
    languages = serializers.CharField(max_length=300, required=False, allow_null=True, help_text="comma-separated")
    source = serializers.CharField(max_length=200)  # type: ignore[assignment]  # DRF takes it for a field
    valid_from = serializers.DateField()


class AbilitiesIn(_AbilitiesIn):
    """What a model can do, from a day on; what is absent becomes not known."""


class CatalogModelIn(_AbilitiesIn):
    """A model to add, with its first price where one is given."""

    name = serializers.CharField(max_length=160)
    provider = serializers.CharField(max_length=60, allow_blank=True, default="")
    model = serializers.CharField(max_length=120, allow_blank=True, default="", help_text="empty: the name")
    family = serializers.CharField(max_length=60, allow_blank=True, default="")
    retires_on = serializers.DateField(required=False, allow_null=True)
    price = PriceIn(required=False, allow_null=True)


class OutlookIn(Given):
    """Whose make a model is, and when it retires."""

    family = serializers.CharField(max_length=60, allow_blank=True, required=False)
    retires_on = serializers.DateField(required=False, allow_null=True)
    source = serializers.CharField(max_length=200, allow_blank=True, default="")  # type: ignore[assignment]  # DRF takes it for a field


class ImportIn(Given):
    """A catalogue as text, JSON or CSV; without `confirm` it is only said what it would add."""

    text = serializers.CharField(trim_whitespace=False)
    confirm = serializers.BooleanField(default=False)


class ImportRowOut(_Out):
    """What becomes of a row."""

    row = serializers.IntegerField()
    name = serializers.CharField()
    outcome = serializers.ChoiceField(choices=["added", "there", "refused"])
    says = serializers.CharField()


class ImportOut(_Out):
    """What a file adds, or would."""

    offers = serializers.IntegerField()
    versions = serializers.IntegerField()
    prices = serializers.IntegerField()
    refused = serializers.IntegerField()
    results = ImportRowOut(many=True)


class RecomputedOut(_Out):
    """A model's past calls: the sum as stored, and at the prices of their days as known now."""

    provider = serializers.CharField()
    model = serializers.CharField()
    calls = serializers.IntegerField()
    n_stored = serializers.IntegerField(help_text="calls whose cost is stored")
    stored_nanousd = serializers.IntegerField()
    n_now = serializers.IntegerField(help_text="calls whose cost is known now")
    now_nanousd = serializers.IntegerField()


def price_entry(given: dict[str, Any]) -> PriceEntry:
    """A checked price as the services take it."""
    rates: dict[str, Any] = {f"{name}_usd_per_m": given.get(f"{name}_usd_per_m") for name in RATES}
    return PriceEntry(valid_from=given["valid_from"], **rates, source=given["source"])


def model_entry(given: dict[str, Any]) -> ModelEntry:
    """A checked model as the services take it."""
    known: dict[str, Any] = {name: given.get(name) for name in (*KNOWN, "retires_on", "family")}
    price = price_entry(given["price"]) if given.get("price") else None
    model = given["model"] or given["name"]
    return ModelEntry(given["provider"], model, given["name"], given["valid_from"], price=price, **known)


def detail(row: Row) -> dict[str, Any]:
    """A row with all its days."""
    offer: ModelOffer = row.offer
    prices: list[Price] = list(offer.prices.order_by("-valid_from", "-revision"))
    versions: list[OfferVersion] = list(offer.versions.order_by("-valid_from", "-revision"))
    told: dict[str, Any] = CatalogModelOut(row).data
    return {**told, "prices": PriceOut(prices, many=True).data, "versions": AbilitiesOut(versions, many=True).data}
