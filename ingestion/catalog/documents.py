"""The catalogue of a project as a file, and a file into the catalogue: JSON or CSV, each row with its own outcome."""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

import msgspec
from django.db import transaction

from agentopt.lib import money
from agentopt.lib.errors import AgentOptError, Invalid
from ingestion.catalog import loader, offers
from ingestion.catalog.loader import ABILITIES, KNOWN, RATES, ModelEntry
from ingestion.models import ModelOffer, Price
from projects import audit
from projects.models import Project, User

MAX_ROWS, MAX_CHARACTERS = 5000, 2_000_000
FORMULA = ("=", "+", "-", "@", "\t", "\r")
_NAMES = ("name", "provider", "model", "family", "retires_on", "retirement_source")
_PRICE = ("valid_from", *(f"{name}_usd_per_m" for name in RATES))
COLUMNS = (*_NAMES, *KNOWN, "known_from", "known_source", *_PRICE, "source")


@dataclass(frozen=True)
class Result:
    """What becomes of a row: "added" (or what would be), "there" already, or "refused" with the reason."""

    row: int
    name: str
    outcome: str
    says: str


@dataclass(frozen=True)
class Taken:
    """Rows of a file in order, and what it adds."""

    results: tuple[Result, ...]
    offers: int
    versions: int
    prices: int

    @property
    def refused(self) -> int:
        """How many rows cannot be taken."""
        return sum(one.outcome == "refused" for one in self.results)


# ------------------------------------------------------------------------------------------------ out
def as_json(project: Project) -> dict[str, Any]:
    """All that the project may call, as a document that `take` and `loader.load` read."""
    models = [entry for offer in _all(project) for entry in _entries(offer)]
    return {"source": f"agentopt, {project.slug}", "models": models}


def as_csv(project: Project) -> str:
    """The same as a table: a line for each price, the newest abilities in the first line of a model."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for offer in _all(project):
        entries = _entries(offer)
        prices = entries[0]["prices"] or [{}]
        for n, price in enumerate(prices):
            able = entries[-1] if n == 0 else {}
            row = {**{name: entries[-1].get(name) for name in _NAMES}, **price}
            row |= {name: able.get(name) for name in KNOWN}
            if able and any(able.get(name) is not None for name in KNOWN):
                row |= {"known_from": able["valid_from"], "known_source": able["source"]}
            writer.writerow([_cell(row.get(name)) for name in COLUMNS])
    return out.getvalue()


def _all(project: Project) -> list[ModelOffer]:
    found = offers.visible(project).prefetch_related("prices", "versions")
    by_name = {one.name: one for one in sorted(found, key=lambda one: one.project_id is not None)}
    return sorted(by_name.values(), key=lambda one: one.name)


def _entries(offer: ModelOffer) -> list[dict[str, Any]]:
    """An entry for each day of abilities; the prices stand in the first one."""
    names = {name: getattr(offer, name) for name in _NAMES}
    names["retires_on"] = None if offer.retires_on is None else str(offer.retires_on)
    prices = [_price(row) for row in _last_of_each_day(offer.prices.all())]
    versions = _last_of_each_day(offer.versions.all())
    if not versions:
        since = prices[0]["valid_from"] if prices else "2020-01-01"
        return [{**names, "valid_from": since, "prices": prices}]
    return [
        {
            **names,
            **{name: getattr(row, name) for name in KNOWN},
            "valid_from": str(row.valid_from),
            "source": row.source,
            "prices": prices if n == 0 else [],
        }
        for n, row in enumerate(versions)
    ]


def _last_of_each_day(rows: Any) -> list[Any]:
    ordered = sorted(rows, key=lambda row: (row.valid_from, row.revision))
    return list({row.valid_from: row for row in ordered}.values())


def _price(row: Price) -> dict[str, Any]:
    rates = {f"{name}_usd_per_m": money.usd(getattr(row, f"{name}_nanousd")) for name in RATES}
    told = {name: None if rate is None else f"{rate.normalize():f}" for name, rate in rates.items()}
    return {"valid_from": str(row.valid_from), **told, "source": row.source}


def _cell(value: object) -> str:
    text = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    # a spreadsheet would run what begins like a formula
    return f"'{text}" if text.startswith(FORMULA) else text


# ------------------------------------------------------------------------------------------------ in
def take(project: Project, text: str, *, by: User | None, today: date, confirm: bool) -> Taken:
    """Add what a file holds to the project's catalogue, row by row; without `confirm` only say what would come of it.

    A row that cannot be taken is refused with its reason, and the others are added.

    Raises:
        Invalid: the file is no catalogue at all, or too long.
    """
    rows = list(_read(text, today=today))
    with transaction.atomic():
        found = [_take(project, number, entry) for number, entry in rows]
        added = [one for _, one in found if one is not None]
        counts = [sum(getattr(one, name) for one in added) for name in ("offers", "versions", "prices")]
        if confirm:
            audit.record(project, by, "catalog.import", project.slug, after={"rows": len(rows), "prices": counts[2]})
        else:
            transaction.set_rollback(True)
    return Taken(tuple(result for result, _ in found), *counts)


def _take(project: Project, number: int, entry: ModelEntry | str) -> tuple[Result, loader.Loaded | None]:
    if isinstance(entry, str):
        return Result(number, "", "refused", _shown(entry)), None
    try:
        with transaction.atomic():
            found = loader.load_entry(entry, project=project, source=entry.source or "imported file")
    except AgentOptError as error:
        says = " ".join([error.message, *error.fields.values()])
        return Result(number, _shown(entry.name), "refused", _shown(says)), None
    parts = [
        *(["the model"] if found.offers else []),
        *(["abilities"] if found.versions else []),
        *([f"{found.prices} price{'s' if found.prices > 1 else ''}"] if found.prices else []),
    ]
    return Result(number, entry.name, "added" if parts else "there", ", ".join(parts)), found


def _shown(text: str) -> str:
    """Text of a stranger as an answer can carry it: JSON may hold halves of characters."""
    return text.encode("utf-8", "replace").decode()[:500]


def _read(text: str, *, today: date) -> Iterator[tuple[int, ModelEntry | str]]:
    """Rows with their number, or why one cannot be read."""
    if len(text) > MAX_CHARACTERS or "\x00" in text:
        raise _no_catalog(f"Expected text of at most {MAX_CHARACTERS:,} characters.")
    rows = _json_rows(text) if text.lstrip("\ufeff \r\n\t").startswith(("{", "[")) else _csv_rows(text, today=today)
    if not rows:
        raise _no_catalog("Expected at least one model.")
    if len(rows) > MAX_ROWS:
        raise _no_catalog(f"Expected at most {MAX_ROWS:,} rows.")
    for number, row in rows:
        try:
            yield number, msgspec.convert(row, ModelEntry, strict=False)
        except msgspec.ValidationError as error:
            yield number, f"{error}."
        except UnicodeEncodeError:
            yield number, "It holds halves of characters."


def _json_rows(text: str) -> list[tuple[int, Any]]:
    try:
        found = json.loads(text.lstrip("\ufeff"), parse_float=str)
    except (ValueError, RecursionError) as error:
        raise _no_catalog("Expected JSON.") from error
    source = str(found.get("source", ""))[:200] if isinstance(found, dict) else ""
    models = found.get("models") if isinstance(found, dict) else found
    if not isinstance(models, list):
        raise _no_catalog('Expected {"source": …, "models": […]}.')
    return [(n, {"source": source, **one} if isinstance(one, dict) else one) for n, one in enumerate(models, start=1)]


def _csv_rows(text: str, *, today: date) -> list[tuple[int, Any]]:
    try:
        lines = list(csv.DictReader(io.StringIO(text.lstrip("\ufeff")), strict=True))
    except csv.Error as error:
        raise _no_catalog(f"Expected a table: {error}.") from error
    if lines and "name" not in lines[0]:
        raise _no_catalog(f"Expected a first line with the names of the columns: {', '.join(COLUMNS)}.")
    return [(n, _from_csv(line, today=today)) for n, line in enumerate(lines, start=2)]


def _from_csv(line: dict[str | None, Any], *, today: date) -> dict[str, Any]:
    given = {name: _plain(text) for name, text in line.items() if name in COLUMNS and isinstance(text, str)}
    told: dict[str, Any] = {name: text for name, text in given.items() if text}
    price = {name: told.pop(name) for name in _PRICE if name in told}
    if price:
        told["prices"] = [{**price, "source": told.get("source", "")}]
    for name in ABILITIES:
        if name in told:
            told[name] = {"true": True, "yes": True, "false": False, "no": False}.get(told[name].lower(), told[name])
    told["valid_from"] = told.pop("known_from", str(today))
    told["source"] = told.pop("known_source", told.get("source", ""))
    return {"provider": "", "model": told.get("name", ""), **told}


def _plain(text: str) -> str:
    text = text.strip()
    return text[1:] if text[:1] == "'" and text[1:].startswith(FORMULA) else text


def _no_catalog(expected: str) -> Invalid:
    return Invalid("The file is no catalogue.", fields={"text": expected})
