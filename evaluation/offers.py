"""Models that can be called: rows of the catalogue to plain values, as they stand on a day."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import date

from django.db.models import Q

from agentopt.lib.errors import GatewayError
from evaluation.learning import Seen
from evaluation.values import Offer, Population
from ingestion.catalog import loader, offers
from ingestion.gateway import Gateway
from ingestion.models import ModelOffer, OfferVersion, Price
from projects.models import Project

_NO_LIST = (404, 405, 501)


def learn(project: Project, gateway: Gateway) -> frozenset[str] | None:
    """Ask the gateway what it serves, add to the catalogue what is new there, and return the names.

    None: this gateway keeps no list, which is no fault.
    """
    try:
        listed = gateway.models()
    except GatewayError as error:
        if getattr(error, "upstream_status", None) in _NO_LIST:
            return None
        raise
    of_both = ModelOffer.objects.filter(Q(project=project) | Q(project__isnull=True))
    known = set(of_both.values_list("name", flat=True))
    unknown = [model for model in listed if model.name not in known]
    if unknown:
        loader.learn(unknown, project)
    return frozenset(model.name for model in listed)


def read(
    project: Project, *, today: date, listed: Collection[str] | None, seen: Mapping[str, Seen] | None = None
) -> list[Offer]:
    """Return all offers of the project and of the instance by name; the project's own stands before the instance's."""
    rows = {offer.name: offer for offer in ModelOffer.objects.filter(project__isnull=True)}
    rows |= {offer.name: offer for offer in ModelOffer.objects.filter(project=project)}
    # ordered by day and revision: the last one of each offer wins
    until = {"offer__in": list(rows.values()), "valid_from__lte": today}
    versions = {row.offer_id: row for row in OfferVersion.objects.filter(**until).order_by("valid_from", "revision")}
    prices = {row.offer_id: row for row in Price.objects.filter(**until).order_by("valid_from", "revision")}
    found = [
        _value(row, versions.get(row.pk), prices.get(row.pk), listed=None if listed is None else name in listed)
        for name, row in sorted(rows.items())
    ]
    past = seen or {}
    return [replace(one, latency_p95_s=past[one.name].p95_latency_s) if one.name in past else one for one in found]


def baseline(known: Iterable[Offer], population: Population) -> Offer:
    """The offer that the logs' model is; one without a row where the catalogue does not know it."""
    fitting = [offer for offer in known if population.model in (offer.model, offer.name)]
    if not fitting:
        return Offer(pk=None, name=population.model, model=population.model, provider=population.provider)
    return min(fitting, key=lambda o: (o.provider != population.provider, o.name != population.model, o.name))


def row_of(project: Project, offer: Offer) -> int:
    """Number of an offer's row; one that the catalogue does not know gets a row of the project's own."""
    return offer.pk if offer.pk is not None else offers.ensure(project, offer.provider, offer.model).pk


def _value(row: ModelOffer, able: OfferVersion | None, paid: Price | None, *, listed: bool | None) -> Offer:
    return Offer(
        pk=row.pk,
        name=row.name,
        model=row.model,
        provider=row.provider,
        family=row.family,
        retires_on=row.retires_on,
        context_window=able.context_window if able else None,
        output_limit=able.output_limit if able else None,
        tools=able.tools if able else None,
        json_mode=able.json_mode if able else None,
        vision=able.vision if able else None,
        parallel_tools=able.parallel_tools if able else None,
        json_schema=able.json_schema if able else None,
        reasoning=able.reasoning if able else None,
        seed=able.seed if able else None,
        streaming=able.streaming if able else None,
        languages=tuple(able.languages.split(", ")) if able and able.languages else None,
        input_nanousd=paid.input_nanousd if paid else None,
        output_nanousd=paid.output_nanousd if paid else None,
        cached_input_nanousd=paid.cached_input_nanousd if paid else None,
        cache_write_nanousd=paid.cache_write_nanousd if paid else None,
        reasoning_nanousd=paid.reasoning_nanousd if paid else None,
        priced_on=paid.valid_from if paid else None,
        listed=listed,
    )
