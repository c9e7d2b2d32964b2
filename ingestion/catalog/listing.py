"""The catalogue as pages and API show it: what a project may call, what lacks a price, what retires when."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import chain

from django.db.models import Q

from ingestion import selectors
from ingestion.catalog import offers
from ingestion.models import ModelOffer, OfferVersion, Price
from projects.models import Project

NEWEST = 200  # calls of a model that are asked for their provider
SOON_DAYS = 180
_CAN = {
    "tools": "tools", "parallel_tools": "several at once", "json_mode": "JSON", "json_schema": "schema",
    "vision": "images", "streaming": "streaming", "reasoning": "reasoning", "seed": "seed",
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """A model with what holds on a day; None: not known."""

    offer: ModelOffer
    price: Price | None
    able: OfferVersion | None
    is_own: bool
    days_left: int | None  # until it retires; negative: since

    @property
    def can(self) -> list[str]:
        """What it is known to be able to do, in words."""
        return [said for name, said in _CAN.items() if self.able is not None and getattr(self.able, name)]


@dataclass(frozen=True)
class Missing:
    """A model in the logs whose price nobody knows; `first_on` is the day of its first call.

    `offer`: its row in the catalogue; None: it has none yet.
    """

    provider: str
    model: str
    first_on: date
    offer: ModelOffer | None


@dataclass(frozen=True)
class Retirement:
    """When a model that serves calls goes; `days` from today, negative where it has."""

    model: str
    on: date
    days: int
    source: str


def rows(project: Project, *, today: date, words: str = "") -> list[Row]:
    """What the project may call, by name, with what holds today; the project's own before the instance's of that name.

    words: all must stand in name, provider, model or family.
    """
    found = offers.visible(project)
    for word in words.split()[:8]:
        found = found.filter(
            Q(name__icontains=word) | Q(provider__icontains=word) | Q(model__icontains=word) | Q(family__icontains=word)
        )
    # the project's own come last and win
    by_name = {one.name: one for one in sorted(found, key=lambda one: one.project_id is not None)}
    return _rows(sorted(by_name.values(), key=lambda one: one.name), project=project, today=today)


def _rows(found: Sequence[ModelOffer], *, project: Project, today: date) -> list[Row]:
    until = {"offer__in": found, "valid_from__lte": today}
    prices = {row.offer_id: row for row in Price.objects.filter(**until).order_by("valid_from", "revision")}
    able = {row.offer_id: row for row in OfferVersion.objects.filter(**until).order_by("valid_from", "revision")}
    return [
        Row(
            one,
            prices.get(one.pk),
            able.get(one.pk),
            is_own=one.project_id == project.pk,
            days_left=None if one.retires_on is None else (one.retires_on - today).days,
        )
        for one in found
    ]


def row(project: Project, offer: ModelOffer, *, today: date) -> Row:
    """One model with what holds today."""
    return _rows([offer], project=project, today=today)[0]


def missing(project: Project, models: Iterable[str] | None = None) -> list[Missing]:
    """Which models in the logs have no price; `models`: only these, else all that the logs hold."""
    asked = [model for model in (selectors.models_seen(project) if models is None else models) if model]
    if not asked:
        return []
    known = list(offers.visible(project).filter(Q(model__in=asked) | Q(name__in=asked)))
    priced = set(Price.objects.filter(offer__in=known).values_list("offer", flat=True).distinct())
    found = []
    for model in asked:
        calls = project.logs.filter(model=model)
        for provider in sorted(set(calls.order_by("-occurred_at").values_list("provider", flat=True)[:NEWEST])):
            offer = offers.of_logs(project, provider, model, among=known)
            if offer is None or offer.pk not in priced:
                first = calls.order_by("occurred_at").values_list("occurred_at", flat=True)[:1].get()
                found.append(Missing(provider, model, first.date(), offer))
    return found


def retirements(project: Project, models: Sequence[str], *, today: date) -> list[Retirement]:
    """Which of the models that serve calls have an end: the first one's whenever it is, the others' if it is near."""
    ending = offers.visible(project).filter(Q(model__in=models) | Q(name__in=models), retires_on__isnull=False)
    names = {*chain(*ending.values_list("model", "name"))}
    found = []
    for n, model in enumerate(models):
        if model not in names:
            continue
        calls = project.logs.filter(model=model).order_by("-occurred_at")
        # a host of the same model has dates of its own
        offer = offers.of_logs(project, calls.values_list("provider", flat=True).first() or "", model)
        if offer is not None and offer.retires_on is not None:
            days = (offer.retires_on - today).days
            if n == 0 or days <= SOON_DAYS:
                found.append(Retirement(model, offer.retires_on, days, offer.retirement_source))
    return found
