"""What people change in the catalogue of a project: models, prices, abilities, dates. Rows are added, each audited."""

from collections.abc import Mapping
from datetime import date
from typing import Any, TypeVar

import msgspec
from django.db import transaction

from agentopt.lib.errors import Conflict, Invalid
from ingestion.catalog import loader
from ingestion.catalog.loader import KNOWN, ModelEntry, PriceEntry
from ingestion.models import ModelOffer, OfferVersion, Price
from projects import audit
from projects.models import Project, User

Held = TypeVar("Held", Price, OfferVersion)


def add_model(project: Project, entry: ModelEntry, *, source: str, by: User | None) -> ModelOffer:
    """Add a model of the project's own, with what `entry` tells of it.

    Raises:
        Conflict: the project has one of that name.
        Invalid: names, limits or prices make no sense.
    """
    loader.check_names(entry)
    if project.offers.filter(name=entry.name).exists():
        raise Conflict(f"There is a model {entry.name} already: add a price or abilities to it.")
    with transaction.atomic():
        loader.load_entry(entry, project=project, source=_checked_source(source))
        offer = project.offers.get(name=entry.name)
        loader.note_facts(offer)
        audit.record(project, by, "model.add", offer.name, after={"provider": offer.provider, "model": offer.model})
    return offer


def add_price(
    project: Project, offer: ModelOffer, entry: PriceEntry, *, source: str, by: User | None, correct: bool = False
) -> ModelOffer:
    """Add a price from a day on and return the offer that has it: the project's own, made where it was the instance's.

    Raises:
        Conflict: that day has another price, and `correct` does not say that this one replaces it.
        Invalid: it makes no sense, or it says nothing new.
    """
    with transaction.atomic():
        own = _own(project, offer)
        if not loader.add_price(own, entry, source=_checked_source(source), correct=correct):
            raise Invalid("That price is there already.", fields={"valid_from": "This day has just this price."})
        rates = {name: str(getattr(entry, f"{name}_usd_per_m")) for name in loader.RATES}
        audit.record(project, by, "price.add", own.name, after={"valid_from": str(entry.valid_from), **rates})
    return own


def set_abilities(
    project: Project, offer: ModelOffer, given: Mapping[str, Any], *, since: date, source: str, by: User | None
) -> ModelOffer:
    """Say what a model can do from a day on; names of KNOWN, None: not known.

    Raises:
        Invalid: a limit is no number of tokens, languages are no list of names, or nothing is new.
    """
    known = {name: given.get(name) for name in KNOWN}
    with transaction.atomic():
        own = _own(project, offer)
        entry = msgspec.structs.replace(ModelEntry(own.provider, own.model, own.name, since), **known)
        if not loader.add_version(own, entry, source=_checked_source(source), correct=True):
            raise Invalid("That is known already.", fields={"since": "This day has just these."})
        audit.record(project, by, "abilities.add", own.name, after={"valid_from": str(since), **known})
    return own


def set_outlook(
    project: Project, offer: ModelOffer, *, family: str, retires_on: date | None, source: str, by: User | None
) -> ModelOffer:
    """Say whose make a model is, and when it retires; None: no end is known.

    Raises:
        Invalid: the family's name is too long.
    """
    family = " ".join(family.split())
    if len(family) > 60 or not family.isprintable():
        raise Invalid("That is no name of a family.", fields={"family": "Expected at most 60 characters."})
    with transaction.atomic():
        own = _own(project, offer)
        before = {"family": own.family, "retires_on": str(own.retires_on)}
        if retires_on != own.retires_on:
            own.retirement_source = _checked_source(source)
        own.family, own.retires_on = family, retires_on
        own.save(update_fields=["family", "retires_on", "retirement_source"])
        after = {"family": family, "retires_on": str(retires_on)}
        audit.record(project, by, "model.change", own.name, before=before, after=after)
    return own


def refresh(project: Project, *, today: date, by: User | None) -> int:
    """Bring the project's models up to the public figures of this release, and count those that changed."""
    changed = [offer.name for offer in project.offers.order_by("pk") if loader.refresh(offer, today=today)]
    if changed:
        audit.record(project, by, "catalog.refresh", project.slug, after={"models": changed[:100]})
    return len(changed)


def _checked_source(source: str) -> str:
    """Where a figure comes from; what only public figures may say is no source of a person's."""
    source = " ".join(source.split())
    if not source or len(source) > 200 or not source.isprintable() or source.startswith(loader.PUBLIC):
        raise Invalid(
            "Say where it comes from.", fields={"source": "Expected 1 to 200 characters, such as an address."}
        )
    return source


def _own(project: Project, offer: ModelOffer) -> ModelOffer:
    """The project's own offer of that name; one of the instance is copied with all it has, so that no day is lost."""
    if offer.project_id == project.pk:
        return offer
    fields = {name: getattr(offer, name) for name in ("provider", "model", "family", "retires_on", "retirement_source")}
    own, made = ModelOffer.objects.get_or_create(project=project, name=offer.name, defaults=fields)
    if made:
        Price.objects.bulk_create([_copy(row, own) for row in offer.prices.order_by("valid_from", "revision")])
        versions = offer.versions.order_by("valid_from", "revision")
        OfferVersion.objects.bulk_create([_copy(row, own) for row in versions])
    return own


def _copy(row: Held, own: ModelOffer) -> Held:
    row.pk, row.offer = None, own
    return row
