"""Catalogue documents and public figures to rows; prices are added, never overwritten."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Protocol

import msgspec
from django.db import transaction
from django.db.models import Q

from agentopt.lib import money
from agentopt.lib.errors import Conflict, Invalid
from ingestion.catalog import facts, public
from ingestion.models import ModelOffer, OfferVersion, Price
from projects.models import Project

PUBLIC = "public: "
"""How the source of a row begins that came from public figures: only such rows are followed up by newer ones."""
LIMITS = ("context_window", "output_limit")
ABILITIES = ("tools", "parallel_tools", "json_mode", "json_schema", "vision", "streaming", "reasoning", "seed")
KNOWN = (*LIMITS, *ABILITIES, "languages")
RATES = ("input", "output", "cached_input", "cache_write", "reasoning")
MAX_LANGUAGES = 300
MAX_TOKENS, MAX_USD_PER_M = 2**31 - 1, Decimal(1_000_000)


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
    cache_write_usd_per_m: Decimal | None = None
    reasoning_usd_per_m: Decimal | None = None
    source: str = ""


class ModelEntry(msgspec.Struct):
    """One model of a catalogue document. Without a source of its own, that of the document counts."""

    provider: str
    model: str
    name: str
    valid_from: date
    family: str = ""
    retires_on: date | None = None
    retirement_source: str = ""
    context_window: int | None = None
    output_limit: int | None = None
    tools: bool | None = None
    parallel_tools: bool | None = None
    json_mode: bool | None = None
    json_schema: bool | None = None
    vision: bool | None = None
    streaming: bool | None = None
    reasoning: bool | None = None
    seed: bool | None = None
    languages: str | None = None  # that it is made for, comma-separated
    price: PriceEntry | None = None
    prices: list[PriceEntry] = []
    source: str = ""


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
    with transaction.atomic():
        added = [load_entry(entry, project=project, source=entries.source) for entry in entries.models]
    return Loaded(*(sum(getattr(one, name) for one in added) for name in ("offers", "versions", "prices")))


def load_entry(entry: ModelEntry, *, project: Project | None, source: str) -> Loaded:
    """Add one model with its abilities and prices; the caller's transaction holds them together.

    Raises:
        Invalid, Conflict: as `load` says.
    """
    source = entry.source or source
    _check_texts(entry, source)
    offer, made = _offer(entry, project)
    known = any(getattr(entry, name) is not None for name in KNOWN)
    version = known and add_version(offer, entry, source=source)
    prices = [*entry.prices, *([entry.price] if entry.price else [])]
    return Loaded(made, version, sum(add_price(offer, price, source=price.source or source) for price in prices))


def _offer(entry: ModelEntry, project: Project | None) -> tuple[ModelOffer, bool]:
    check_names(entry)
    told = {"family": entry.family, "retires_on": entry.retires_on, "retirement_source": entry.retirement_source[:200]}
    if entry.retires_on and not entry.retirement_source:
        told["retirement_source"] = entry.source[:200]
    fields = {"provider": entry.provider, "model": entry.model, **{name: one for name, one in told.items() if one}}
    return ModelOffer.objects.update_or_create(project=project, name=entry.name, defaults=fields)


def check_names(named: Named) -> None:
    """Names go into rows and into calls.

    Raises:
        Invalid: one is empty, too long, or cannot be printed.
    """
    if not fits(named):
        raise Invalid(
            "A name cannot be used.", fields={"name": "Expected name and model, 160 and 120 characters at most."}
        )


def _check_texts(entry: ModelEntry, source: str) -> None:
    """What no row can hold, or no page should show, is refused before the database is asked."""
    texts = {"family": entry.family, "retirement_source": entry.retirement_source, "source": source}
    texts |= {f"source of price {n}": price.source for n, price in enumerate(entry.prices, start=1)}
    wrong = {name: "Expected printable text." for name, text in texts.items() if not text.isprintable()}
    if len(entry.family) > 60:
        wrong["family"] = "Expected at most 60 characters."
    if wrong:
        raise Invalid(f"A text of {entry.name} cannot be used.", fields=wrong)


def add_version(offer: ModelOffer, entry: ModelEntry, *, source: str, correct: bool = False) -> bool:
    """Add what an offer can do from a day on; False where just that is known already.

    Raises:
        Invalid: a limit is no number of tokens, or languages are no list of names.
        Conflict: that day has other abilities, and `correct` does not say that these replace them.
    """
    said = {name: getattr(entry, name) for name in KNOWN} | {"languages": _languages(entry.languages)}
    wrong = {
        name: "Expected 1 or more." for name in LIMITS if said[name] is not None and not 0 < said[name] <= MAX_TOKENS
    }
    if wrong:
        raise Invalid(f"A limit of {offer.name} is no number of tokens.", fields=wrong)
    row = offer.versions.filter(valid_from=entry.valid_from).order_by("-revision").first()
    if row is not None and all(getattr(row, name) == value for name, value in said.items()):
        return False
    if row is not None and not correct:
        raise Conflict(f"{offer.name} already has other abilities from {entry.valid_from}: give the change a new day.")
    OfferVersion.objects.create(
        offer=offer, valid_from=entry.valid_from, revision=_next(row), source=source[:200], **said
    )
    return True


def _languages(text: str | None) -> str | None:
    """Names in one spelling, each once; None: not known."""
    names = dict.fromkeys(" ".join(name.split()).capitalize() for name in (text or "").split(",") if name.strip())
    told = ", ".join(names)
    if len(told) > MAX_LANGUAGES or not told.isprintable():
        raise Invalid("The languages cannot be read.", fields={"languages": "Expected names with commas between them."})
    return told or None


def add_price(offer: ModelOffer, entry: PriceEntry, *, source: str, correct: bool = False) -> bool:
    """Add a price from a day on; False where just that is known already.

    Raises:
        Invalid: a price is negative, or beyond what any model costs.
        Conflict: that day has another price, and `correct` does not say that this one replaces it.
    """
    given = {name: getattr(entry, f"{name}_usd_per_m") for name in RATES}
    if any(rate is not None and (not rate.is_finite() or rate < 0) for rate in given.values()):
        raise Invalid(f"A price of {offer.name} is negative.", fields={"price": "Expected at least 0."})
    if any(rate is not None and rate > MAX_USD_PER_M for rate in given.values()):
        raise Invalid(f"A price of {offer.name} is too high.", fields={"price": "Expected dollars per million tokens."})
    said = {f"{name}_nanousd": None if rate is None else money.nanousd(rate) for name, rate in given.items()}
    row = offer.prices.filter(valid_from=entry.valid_from).order_by("-revision").first()
    if row is not None and all(getattr(row, name) == value for name, value in said.items()):
        return False
    if row is not None and not correct:
        raise Conflict(f"{offer.name} already has another price from {entry.valid_from}: give the change a new day.")
    Price.objects.create(offer=offer, valid_from=entry.valid_from, revision=_next(row), source=source[:200], **said)
    return True


def _next(row: Price | OfferVersion | None) -> int:
    return 1 if row is None else row.revision + 1


# ------------------------------------------------------------------------------------------------ public figures
def learn(names: Iterable[Named], project: Project) -> None:
    """Make offers of the models that the project's gateway lists; public figures are added where they are known.

    A list may hold thousands of models and is read before every pull: only what is new, or has no price, costs a step.
    """
    listed = {named.name: named for named in names if fits(named)}
    known = ModelOffer.objects.filter(Q(project=project) | Q(project__isnull=True)).values_list("name", flat=True)
    for name in listed.keys() - set(known):
        provider, model = listed[name].provider.lstrip("@"), listed[name].model
        ModelOffer.objects.get_or_create(project=project, name=name, defaults={"provider": provider, "model": model})
    for offer in ModelOffer.objects.filter(project=project):
        note_facts(offer)
    for offer in ModelOffer.objects.filter(project=project, prices=None):
        if offer.name in listed:
            note_public_price(offer)


def fits(named: Named) -> bool:
    """Names are a stranger's: what no row can hold, or no call could name, is no offer."""
    limits = {"name": 160, "provider": 60, "model": 120}
    given = {name: getattr(named, name) for name in limits}
    return all(
        (text or name == "provider") and len(text) <= limits[name] and text.isprintable()
        for name, text in given.items()
    )


def note_facts(offer: ModelOffer) -> bool:
    """Give an offer the family and retirement of our own file, and tell whether that changed it; a person's stand."""
    fact = facts.look_up(offer.provider, offer.model)
    told: dict[str, Any] = {}
    if not offer.family:
        told["family"] = facts.family(offer.model)
    if fact is not None and (offer.retires_on is None or offer.retirement_source.startswith(PUBLIC)):
        said_by = f"{PUBLIC}{fact.source}, read {facts.read_on()}" if fact.retires_on else offer.retirement_source
        told |= {"retires_on": fact.retires_on, "retirement_source": said_by}
    changed = {name: value for name, value in told.items() if getattr(offer, name) != value}
    for name, value in changed.items():
        setattr(offer, name, value)
    if changed:
        offer.save(update_fields=list(changed))
    return bool(changed)


def note_public_price(offer: ModelOffer) -> None:
    """Give an offer without any price what public figures say of it; a model unknown there stays without."""
    if not offer.prices.exists():
        refresh(offer, today=datetime.now(UTC).date())


def refresh(offer: ModelOffer, *, today: date) -> bool:
    """Bring what came from public figures up to them, in new rows from today on; False where nothing was to add.

    What a person entered stands: nothing is added after a price or abilities of theirs.
    """
    found = public.look_up(offer.provider, offer.model, today)
    with transaction.atomic():
        added = [note_facts(offer), _refresh_abilities(offer, found, today=today)]
        if found is not None:
            added.append(_refresh_prices(offer, found, today=today))
    return any(added)


def _refresh_prices(offer: ModelOffer, found: public.PublicModel, *, today: date) -> bool:
    entries = [_entry(price) for price in found.prices]
    rows = list(offer.prices.order_by("valid_from", "revision"))
    if not rows:
        return sum(add_price(offer, one, source=one.source) for one in entries) > 0
    started = [one for one in entries if one.valid_from <= today]
    if not rows[-1].source.startswith(PUBLIC) or not started:
        return False
    now = started[-1]
    latest = next((row for row in reversed(rows) if row.valid_from <= today), None)
    if latest is None or _rates(now) == {name: getattr(latest, f"{name}_nanousd") for name in RATES}:
        return False
    # when it changed is known where the source dates it after the last change we know; else today
    since = now.valid_from if now.valid_from > latest.valid_from else today
    return add_price(offer, msgspec.structs.replace(now, valid_from=since), source=now.source, correct=True)


def _rates(entry: PriceEntry) -> dict[str, int | None]:
    given = {name: getattr(entry, f"{name}_usd_per_m") for name in RATES}
    return {name: None if rate is None else money.nanousd(rate) for name, rate in given.items()}


def _entry(price: public.PublicPrice) -> PriceEntry:
    fields = asdict(price)
    return PriceEntry(valid_from=fields.pop("since"), **{**fields, "source": f"{PUBLIC}{price.source}"})


def _refresh_abilities(offer: ModelOffer, found: public.PublicModel | None, *, today: date) -> bool:
    fact = facts.look_up(offer.provider, offer.model)
    if found is None and fact is None:
        return False
    row = offer.versions.filter(valid_from__lte=today).order_by("-valid_from", "-revision").first()
    if row is not None and not row.source.startswith(PUBLIC):
        return False
    entry = ModelEntry(offer.provider, offer.model, offer.name, today)
    if fact is not None:
        entry = msgspec.structs.replace(
            entry,
            context_window=fact.input_limit,
            output_limit=fact.output_limit,
            **{name: getattr(fact, name) for name in ABILITIES},
        )
    if found is not None and found.context_window is not None:
        entry.context_window = found.context_window
    names = (*LIMITS, *ABILITIES)
    if row is not None and all(getattr(row, name) == getattr(entry, name) for name in names):
        return False
    if all(getattr(entry, name) is None for name in names):
        return False
    said = [found.source] if found is not None else []
    said += [f"{fact.source}, read {facts.read_on()}"] if fact is not None else []
    return add_version(offer, entry, source=PUBLIC + "; ".join(said), correct=True)
