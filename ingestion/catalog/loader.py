"""Catalogue documents and public prices to rows; prices are added, never overwritten."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Protocol

import msgspec
from django.db import transaction
from django.db.models import Q

from agentopt.lib import money
from agentopt.lib.errors import Conflict, Invalid
from ingestion.catalog import public
from ingestion.models import ModelOffer, OfferVersion, Price
from projects.models import Project


class Named(Protocol):
    """A model as the gateway lists it: `name` is what to send, `model` what logs call it."""

    @property
    def name(self) -> str: ...
    @property
    def provider(self) -> str: ...
    @property
    def model(self) -> str: ...


class PriceEntry(msgspec.Struct, forbid_unknown_fields=True):
    """US dollars per million tokens, from a day on."""

    valid_from: date
    input_usd_per_m: Decimal
    output_usd_per_m: Decimal
    cached_input_usd_per_m: Decimal | None = None


class ModelEntry(msgspec.Struct):
    """One model of a catalogue document."""

    provider: str
    model: str
    name: str
    valid_from: date
    family: str = ""
    retires_on: date | None = None
    context_window: int | None = None
    output_limit: int | None = None
    tools: bool | None = None
    json_mode: bool | None = None
    vision: bool | None = None
    streaming: bool | None = None
    price: PriceEntry | None = None


class Document(msgspec.Struct):
    """A catalogue: where it comes from, and its models."""

    source: str
    models: list[ModelEntry]


@dataclass(frozen=True)
class Loaded:
    """How many rows a document added."""

    offers: int
    versions: int
    prices: int


def load(document: Mapping[str, Any], *, project: Project | None = None) -> Loaded:
    """Add a document's offers, abilities and prices, for a project or for the instance; known ones are left alone.

    All or nothing.

    Raises:
        Invalid: the document is not in the form of `Document`.
        Conflict: it gives another price or other abilities for a day that already has some; a change needs a new
            `valid_from`.
    """
    try:
        entries = msgspec.convert(document, Document, strict=False)
    except msgspec.ValidationError as error:
        raise Invalid(f"The catalogue cannot be read: {error}.", fields={"catalog": str(error)}) from error
    counts = [0, 0, 0]
    with transaction.atomic():
        for entry in entries.models:
            offer, made = _offer(entry, project)
            counts[0] += made
            counts[1] += add_version(offer, entry, source=entries.source)
            counts[2] += entry.price is not None and add_price(offer, entry.price, source=entries.source)
    return Loaded(*counts)


def _offer(entry: ModelEntry, project: Project | None) -> tuple[ModelOffer, bool]:
    fields = {"provider": entry.provider, "model": entry.model, "family": entry.family, "retires_on": entry.retires_on}
    return ModelOffer.objects.update_or_create(project=project, name=entry.name, defaults=fields)


def add_version(offer: ModelOffer, entry: ModelEntry, *, source: str) -> bool:
    """Add what an offer can do from a day on; False where just that is known already.

    Raises:
        Conflict: that day has other abilities.
    """
    names = ("context_window", "output_limit", "tools", "json_mode", "vision", "streaming")
    said = {name: getattr(entry, name) for name in names}
    row, made = OfferVersion.objects.get_or_create(
        offer=offer, valid_from=entry.valid_from, defaults={**said, "source": source[:200]}
    )
    if not made and any(getattr(row, name) != value for name, value in said.items()):
        raise Conflict(f"{offer.name} already has other abilities from {entry.valid_from}: give the change a new day.")
    return made


def add_price(offer: ModelOffer, entry: PriceEntry, *, source: str) -> bool:
    """Add a price from a day on; False where just that is known already.

    Raises:
        Invalid: a price is negative.
        Conflict: that day has another price.
    """
    if min(entry.input_usd_per_m, entry.output_usd_per_m, entry.cached_input_usd_per_m or 0) < 0:
        raise Invalid(f"A price of {offer.name} is negative.", fields={"price": "Expected at least 0."})
    cached = entry.cached_input_usd_per_m
    said = {
        "input_nanousd": money.nanousd(entry.input_usd_per_m),
        "output_nanousd": money.nanousd(entry.output_usd_per_m),
        "cached_input_nanousd": None if cached is None else money.nanousd(cached),
    }
    row, made = Price.objects.get_or_create(
        offer=offer, valid_from=entry.valid_from, defaults={**said, "source": source[:200]}
    )
    if not made and any(getattr(row, name) != value for name, value in said.items()):
        raise Conflict(f"{offer.name} already has another price from {entry.valid_from}: give the change a new day.")
    return made


def learn(names: Iterable[Named], project: Project) -> None:
    """Make offers of the models that the project's gateway lists; public data add price and context where known.

    A list may hold thousands of models and is read before every pull: only what is new, or has no price, costs a step.
    """
    listed = {named.name: named for named in names if _fits(named)}
    known = ModelOffer.objects.filter(Q(project=project) | Q(project__isnull=True)).values_list("name", flat=True)
    for name in listed.keys() - set(known):
        provider, model = listed[name].provider.lstrip("@"), listed[name].model
        ModelOffer.objects.get_or_create(project=project, name=name, defaults={"provider": provider, "model": model})
    for offer in ModelOffer.objects.filter(project=project, prices=None):
        if offer.name in listed:
            note_public_price(offer)


def _fits(named: Named) -> bool:
    """Names are a stranger's: what no row can hold, or no call could name, is no offer."""
    limits = {"name": 160, "provider": 60, "model": 120}
    given = {name: getattr(named, name) for name in limits}
    return bool(named.model) and all(len(text) <= limits[name] and text.isprintable() for name, text in given.items())


def note_public_price(offer: ModelOffer) -> None:
    """Give an offer without any price or abilities those that public data has; a model unknown there stays without."""
    if offer.prices.exists():
        return
    today = datetime.now(UTC).date()
    found = public.look_up(offer.provider, offer.model, today)
    if found is None:
        return
    entry = PriceEntry(public.SINCE, found.input_usd_per_m, found.output_usd_per_m, found.cached_input_usd_per_m)
    add_price(offer, entry, source=found.source)
    if not offer.versions.exists():
        abilities = ModelEntry(offer.provider, offer.model, offer.name, today, context_window=found.context_window)
        add_version(offer, abilities, source=found.source)
    if found.family and not offer.family:
        ModelOffer.objects.filter(pk=offer.pk).update(family=found.family)
        offer.family = found.family
