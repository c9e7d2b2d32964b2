"""The catalogue over HTTP, and what past calls would cost now."""

import json
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import DatabaseError, connection, transaction
from django.test import Client

from ingestion import services
from ingestion.catalog import loader, recomputing
from ingestion.models import LogRecord, ModelOffer, OfferVersion
from projects.models import Project, User
from tests.ingestion.conftest import portkey_row

PRICE = {"valid_from": "2026-01-01", "input_usd_per_m": "1", "output_usd_per_m": "2", "source": "contract"}
KNOWN = {"valid_from": "2026-01-01", "source": "contract"}


@pytest.fixture
def client(owner: User, client_of: Callable[[User], Client]) -> Client:
    return client_of(owner)


def post(client: Client, path: str, given: Any) -> Any:
    return client.post(f"/api/v1/catalog/support-agent{path}", json.dumps(given), content_type="application/json")


def house_row(number: int = 1, **changes: Any) -> dict[str, Any]:
    """A logged call of a private model."""
    row = portkey_row(number, ai_model="own-7b", ai_org="house", cost=0, **changes)
    row["request"]["model"] = row["response"]["model"] = "own-7b"
    return row


def test_a_model_is_added_found_and_given_further_prices(project: Project, client: Client) -> None:
    made = post(
        client,
        "",
        {"name": "own-7b", "provider": "house", "tools": True, "languages": "german", "price": PRICE, **KNOWN},
    ).json()
    again = post(
        client, f"/{made['id']}/prices", {**PRICE, "valid_from": "2026-02-01", "cache_write_usd_per_m": "1.25"}
    )
    found = client.get("/api/v1/catalog/support-agent", {"q": "own"}).json()

    assert (made["price"]["input_usd_per_m"], made["abilities"]["tools"], made["abilities"]["seed"]) == (
        "1.000000000", True, None,
    )  # fmt: skip
    assert made["abilities"]["languages"] == "German"
    assert again.status_code == 201
    assert [one["valid_from"] for one in again.json()["prices"]] == ["2026-02-01", "2026-01-01"]
    assert found["items"][0]["price"]["cache_write_usd_per_m"] == "1.250000000"


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({**PRICE, "input_usd_per_m": "3"}, 409),
        ({**PRICE, "input_usd_per_m": "-1"}, 400),
        ({**PRICE, "input_usd_per_m": "NaN"}, 400),
        ({**PRICE, "input_usd_per_m": 1e300}, 400),
        ({**PRICE, "source": ""}, 400),
        ({**PRICE, "valid_from": "soon"}, 400),
        ([], 400),
        (PRICE, 400),  # there already
    ],
)
def test_a_price_that_cannot_be_added_is_refused(project: Project, client: Client, given: Any, status: int) -> None:
    offer = ModelOffer.objects.create(project=project, name="own-7b", model="own-7b")
    loader.add_price(offer, loader.PriceEntry(date(2026, 1, 1), Decimal(1), Decimal(2)), source="contract")

    assert post(client, f"/{offer.pk}/prices", given).status_code == status
    assert offer.prices.count() == 1


def test_abilities_and_outlook_are_changed_over_http(project: Project, client: Client) -> None:
    offer = ModelOffer.objects.create(project=project, name="own-7b", model="own-7b")

    able = post(client, f"/{offer.pk}/abilities", {"valid_from": "2026-01-01", "context_window": 9, "source": "card"})
    changed = client.patch(
        f"/api/v1/catalog/support-agent/{offer.pk}",
        json.dumps({"family": "house", "retires_on": "2027-01-01", "source": "letter"}),
        content_type="application/json",
    ).json()

    assert able.json()["abilities"]["context_window"] == 9
    assert (changed["family"], changed["retires_on"], changed["retirement_source"]) == ("house", "2027-01-01", "letter")


def test_another_project_s_models_are_not_there(project: Project, stranger: User, client: Client) -> None:
    from projects.services import create_project

    other = create_project("Other", owner=stranger)
    hidden = ModelOffer.objects.create(project=other, name="secret-1", model="secret-1")

    assert client.get(f"/api/v1/catalog/support-agent/{hidden.pk}").status_code == 404
    assert client.get("/api/v1/catalog/support-agent").json()["items"] == []


def test_a_file_goes_out_and_in_again(project: Project, client: Client) -> None:
    post(client, "", {"name": "own-7b", "provider": "house", "tools": True, "price": PRICE, **KNOWN})
    text = client.get("/api/v1/catalog/support-agent/export").content.decode()

    same = post(client, "/import", {"text": text, "confirm": True}).json()
    more = post(client, "/import", {"text": text.replace("2026-01-01", "2026-03-01")}).json()

    assert (same["prices"], same["results"][0]["outcome"]) == (0, "there")
    assert (more["versions"], more["prices"], more["results"][0]["outcome"]) == (1, 1, "added")
    assert project.offers.get().prices.count() == 1  # it was only shown


HOSTILE: list[dict[str, Any]] = [
    {"name": "a\x00b"},
    {"name": "\ud800"},
    {"family": "f" * 61},
    {"family": "\x00"},
    {"source": "\x1b[31m"},
    {"prices": [{**PRICE, "source": "\x00"}]},
    {"prices": [{**PRICE, "input_usd_per_m": "1e999999999"}]},
    {"prices": [{**PRICE, "input_usd_per_m": "NaN"}]},
    {"context_window": 10**30},
    {"context_window": -1},
    {"valid_from": "0000-00-00"},
    {"tools": "maybe"},
    {"prices": [[[[]]]]},
    {"prices": [{**PRICE, "\ud800": 1}]},
]


@pytest.mark.parametrize("changes", HOSTILE)
def test_a_hostile_row_is_refused_and_the_others_are_taken(
    project: Project, client: Client, changes: dict[str, Any]
) -> None:
    row = {"name": "x-1", "model": "x-1", "provider": "", "valid_from": "2026-01-01", "tools": True}
    text = json.dumps({"source": "file", "models": [{**row, **changes}, {**row, "name": "good-1"}]})

    found = post(client, "/import", {"text": text, "confirm": True}).json()

    assert [one["outcome"] for one in found["results"]] == ["refused", "added"]
    assert [offer.name for offer in project.offers.all()] == ["good-1"]


def test_prices_added_later_show_in_what_calls_would_cost_and_change_nothing_stored(
    project: Project, client: Client
) -> None:
    services.push(
        project, [house_row(1, created_at="2026-05-04T08:00:00Z"), house_row(2, created_at="2026-05-05T00:00:00Z")]
    )
    offer = project.offers.get()
    loader.add_price(offer, loader.PriceEntry(date(2026, 5, 4), Decimal(1), Decimal(0)), source="x")
    loader.add_price(offer, loader.PriceEntry(date(2026, 5, 5), Decimal(3), Decimal(0)), source="x")
    tokens = LogRecord.objects.values_list("input_tokens", flat=True)[0]
    assert tokens

    found = client.get("/api/v1/catalog/support-agent/costs").json()

    # by hand: one call at $1 a million, the other, on the next day, at $3: 1,000 and 3,000 nano-dollars a token
    assert [(one["calls"], one["n_stored"], one["n_now"], one["now_nanousd"]) for one in found] == [
        (2, 0, 2, tokens * 4000)
    ]
    assert set(LogRecord.objects.values_list("cost_nanousd", flat=True)) == {None}


def test_what_calls_would_cost_is_refused_for_too_many(
    project: Project, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    services.push(project, [house_row(1), house_row(2)])
    monkeypatch.setattr(recomputing, "MAX_CALLS", 1)

    answer = client.get("/api/v1/catalog/support-agent/costs")

    assert answer.status_code == 400
    assert "shorter time" in answer.json()["error"]["message"]


def test_the_command_says_that_stored_costs_stay(project: Project) -> None:
    services.push(project, [house_row(1)])
    out, rows = StringIO(), StringIO()

    call_command("recompute_costs", "support-agent", stdout=out)
    call_command("recompute_costs", "support-agent", "--json", stdout=rows)

    assert "house/own-7b: 1 calls" in out.getvalue()
    assert "Stored costs do not change" in out.getvalue()
    assert json.loads(rows.getvalue())["models"][0]["n_now"] == 0
    with pytest.raises(CommandError):
        call_command("recompute_costs", "no-such-project")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ingestion_price SET cache_write_nanousd = 1",
        "DELETE FROM ingestion_price",
        "UPDATE ingestion_offerversion SET seed = NULL",
        "DELETE FROM ingestion_offerversion",
    ],
)
def test_the_database_itself_refuses_to_overwrite(project: Project, statement: str) -> None:
    offer = ModelOffer.objects.create(project=project, name="own-7b", model="own-7b")
    loader.add_price(offer, loader.PriceEntry(date(2026, 1, 1), Decimal(1), Decimal(2)), source="x")
    OfferVersion.objects.create(offer=offer, valid_from=date(2026, 1, 1), source="x")

    with pytest.raises(DatabaseError, match="immutable"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


def test_an_admin_sees_the_catalogue_adds_a_price_and_can_overwrite_none(project: Project) -> None:
    operator = Client()
    operator.force_login(User.objects.create_superuser("boss@example.com", "x"))
    offer = ModelOffer.objects.create(project=project, name="own-7b", model="own-7b")
    form = {"offer": offer.pk, "valid_from": "2026-01-01", "input_nanousd": 1, "output_nanousd": 2, "revision": 1}

    added = operator.post("/admin/ingestion/price/add/", {**form, "source": "x"})
    again = operator.post("/admin/ingestion/price/add/", {**form, "source": "x"})
    price = offer.prices.get()
    lists = [operator.get(f"/admin/ingestion/{name}/").status_code for name in ("price", "offerversion", "modeloffer")]

    assert (added.status_code, again.status_code) == (302, 200)
    assert lists == [200, 200, 200]
    assert operator.post(f"/admin/ingestion/price/{price.pk}/change/", {**form, "source": "y"}).status_code == 403
    assert operator.post(f"/admin/ingestion/modeloffer/{offer.pk}/delete/", {"post": "yes"}).status_code == 403
