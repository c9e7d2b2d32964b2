"""Offers found by what logs call a model, and their prices."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date

from django.db.models import Q, QuerySet

from ingestion.catalog import loader, pricing
from ingestion.models import ModelOffer
from ingestion.models import Price as PriceRow
from ingestion.values import Price
from projects.models import Project


def visible(project: Project) -> QuerySet[ModelOffer]:
    """The project's offers and the instance's."""
    return ModelOffer.objects.filter(Q(project=project) | Q(project__isnull=True))


def find(project: Project, provider: str, model: str) -> ModelOffer | None:
    """The offer that logs with this provider and model speak of; the project's own before the instance's.

    A log without a provider, or an offer without one, matches by the model (or the gateway's name) alone.
    """
    return nearest(visible(project).filter(Q(model=model) | Q(name=model)), provider, model)


def nearest(among: Iterable[ModelOffer], provider: str, model: str) -> ModelOffer | None:
    """The same out of offers that the caller has."""
    found = [offer for offer in among if model in (offer.model, offer.name)]
    return min(found, key=lambda offer: _distance(offer, provider, model), default=None)


def _distance(offer: ModelOffer, provider: str, model: str) -> tuple[bool, bool, bool, bool, str]:
    is_other = offer.provider != provider
    return (_differ(provider, offer.provider), is_other, offer.project_id is None, offer.model != model, offer.name)


def _differ(one: str, other: str) -> bool:
    """A gateway calls a connection `openai-prod` where its logs say `openai`: the same provider under a longer name."""
    return bool(one and other) and not f"{one}-".startswith(f"{other}-") and not f"{other}-".startswith(f"{one}-")


def ensure(project: Project, provider: str, model: str) -> ModelOffer:
    """The same, made for the project where there is none: what runs in production can be called."""
    offer = find(project, provider, model)
    if offer is None or _differ(provider, offer.provider):
        name = model if offer is None else f"@{provider}/{model}"
        offer, _made = ModelOffer.objects.get_or_create(
            project=project, name=name[:160], defaults={"provider": provider, "model": model}
        )
    return offer


def of_logs(
    project: Project, provider: str, model: str, *, among: Sequence[ModelOffer] | None = None
) -> ModelOffer | None:
    """The offer whose prices calls of a logged model have; unlike `find`, never one of another provider.

    Args:
        among: the offers of the model, where the caller has them.
    """
    offer = find(project, provider, model) if among is None else nearest(among, provider, model)
    return None if offer is None or _differ(provider, offer.provider) else offer


def dated_prices(offer: ModelOffer) -> list[tuple[date, Price]]:
    """All prices of an offer with the day they begin, corrections after what they correct."""
    return [(row.valid_from, value_of(row)) for row in offer.prices.order_by("valid_from", "revision")]


def value_of(row: PriceRow) -> Price:
    """A price as the pure functions take it."""
    return Price(
        row.input_nanousd,
        row.output_nanousd,
        row.cached_input_nanousd,
        row.cache_write_nanousd,
        row.reasoning_nanousd,
    )


@dataclass
class PriceBook:
    """Prices of the models in a stream of logs, each looked up once."""

    project: Project
    _known: dict[tuple[str, str], list[tuple[date, Price]]] = field(default_factory=dict)

    def price(self, provider: str, model: str, day: date) -> Price | None:
        """The price of a logged model on a day; a model not met before is looked up, and its public price noted."""
        key = (provider, model)
        if key not in self._known:
            offer = ensure(self.project, provider, model)
            loader.note_public_price(offer)
            self._known[key] = dated_prices(offer)
        return pricing.in_force(self._known[key], day)
