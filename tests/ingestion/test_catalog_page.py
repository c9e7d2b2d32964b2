"""The pages of the catalogue: what lacks a price leads to its form, prices are added, files are shown before."""

import io
from collections.abc import Callable
from datetime import date
from decimal import Decimal

import pytest
from django.test import Client
from django.urls import reverse

from ingestion import services
from ingestion.catalog import loader, offers, pricing
from ingestion.models import ModelOffer, Price
from projects.models import AuditEntry, Project, User
from tests.ingestion.conftest import portkey_row

PRICED = {"input": "0.15", "output": "0.6", "valid_from": "2026-01-01", "source": "our contract"}


@pytest.fixture
def own(project: Project) -> ModelOffer:
    return ModelOffer.objects.create(project=project, provider="house", model="own-7b", name="own-7b")


def address(project: Project, name: str = "catalog", *args: object) -> str:
    return reverse(f"ingestion:{name}", args=[project.slug, *args])


def test_a_model_in_the_logs_without_a_price_leads_to_its_form(
    project: Project, owner: User, client_of: Callable[[User], Client]
) -> None:
    row = portkey_row(1, ai_model="own-7b", ai_org="house", cost=0, created_at="2026-05-04T08:00:00Z")
    row["request"]["model"] = row["response"]["model"] = "own-7b"
    services.push(project, [row])

    text = client_of(owner).get(address(project)).content.decode()

    offer = project.offers.get()
    assert "1 model in your logs has no price" in text
    assert f"{address(project, 'catalog-model', offer.pk)}?from=2026-05-04#cat-price" in text
    form = client_of(owner).get(f"{address(project, 'catalog-model', offer.pk)}?from=2026-05-04").content.decode()
    assert 'value="2026-05-04"' in form


def test_a_member_looks_and_is_offered_nothing_to_change(
    project: Project, own: ModelOffer, member: User, client_of: Callable[[User], Client]
) -> None:
    page = client_of(member).get(address(project)).content.decode()
    one = client_of(member).get(address(project, "catalog-model", own.pk)).content.decode()

    assert "own-7b" in page
    assert "Add a model" not in page
    assert "Add a price" not in one
    assert ">Members<" not in page  # a tab they may not open


def test_an_owner_adds_a_price_and_it_is_audited(
    project: Project, own: ModelOffer, owner: User, client_of: Callable[[User], Client]
) -> None:
    given = {"what": "price", **PRICED, "cache_write": "0.2"}

    answer = client_of(owner).post(address(project, "catalog-model", own.pk), given)

    assert answer.status_code == 303
    price = own.prices.get()
    assert (price.input_nanousd, price.cache_write_nanousd, price.source) == (150_000_000, 200_000_000, "our contract")
    assert AuditEntry.objects.get(action="price.add").target == "own-7b"


def test_another_price_of_the_same_day_is_refused_unless_it_is_a_correction(
    project: Project, own: ModelOffer, owner: User, client_of: Callable[[User], Client]
) -> None:
    client, url = client_of(owner), address(project, "catalog-model", own.pk)
    client.post(url, {"what": "price", **PRICED})

    refused = client.post(url, {"what": "price", **PRICED, "input": "0.3"})
    client.post(url, {"what": "price", **PRICED, "input": "0.3", "correct": "on"})

    assert refused.status_code == 422
    assert "already has another price" in refused.content.decode()
    assert [row.input_nanousd for row in own.prices.order_by("revision")] == [150_000_000, 300_000_000]


def test_a_price_of_an_instance_s_model_makes_a_copy_that_keeps_its_past(
    project: Project, owner: User, client_of: Callable[[User], Client]
) -> None:
    shared = ModelOffer.objects.create(provider="house", model="shared-1", name="shared-1", family="house")
    loader.add_price(shared, loader.PriceEntry(date(2025, 1, 1), Decimal(1), Decimal(2)), source="by hand")

    client_of(owner).post(address(project, "catalog-model", shared.pk), {"what": "price", **PRICED})

    copy = project.offers.get()
    assert (copy.family, copy.prices.count(), shared.prices.count()) == ("house", 2, 1)
    found = offers.find(project, "house", "shared-1")
    assert found == copy
    before = pricing.in_force(offers.dated_prices(copy), date(2025, 12, 31))
    assert before is not None
    assert before.input_nanousd == 10**9


def test_abilities_and_retirement_are_set_by_hand_and_stay(
    project: Project, own: ModelOffer, owner: User, client_of: Callable[[User], Client]
) -> None:
    client, url = client_of(owner), address(project, "catalog-model", own.pk)

    client.post(
        url,
        {"what": "abilities", "context_window": "8000", "tools": "no", "parallel_tools": "yes", "seed": "yes",
         "languages": "german,  ENGLISH, German",
         "since": "2026-01-01", "source": "x"},
    )  # fmt: skip
    client.post(url, {"what": "outlook", "family": "house", "retires_on": "2027-01-01", "source": "letter"})

    own.refresh_from_db()
    version = own.versions.get()
    assert (version.context_window, version.tools, version.vision) == (8000, False, None)
    assert version.languages == "German, English"
    assert "several at once, seed" in client.get(address(project)).content.decode()
    assert (own.family, str(own.retires_on), own.retirement_source) == ("house", "2027-01-01", "letter")


def test_a_private_model_is_added_with_its_price(
    project: Project, owner: User, client_of: Callable[[User], Client]
) -> None:
    given = {"name": "@house/own-8b", "provider": "house", "model": "own-8b", **PRICED}

    answer = client_of(owner).post(address(project, "catalog-add"), given)
    again = client_of(owner).post(address(project, "catalog-add"), given)

    assert answer.status_code == 303
    assert again.status_code == 422
    assert project.offers.get().prices.get().output_nanousd == 600_000_000


def test_the_form_of_a_known_model_is_filled_with_public_figures(
    project: Project, owner: User, client_of: Callable[[User], Client]
) -> None:
    answer = client_of(owner).get(address(project, "catalog-add"), {"provider": "openai", "model": "gpt-4o-mini"})

    assert 'value="0.15"' in answer.content.decode()
    assert "genai-prices" in answer.content.decode()


def test_a_file_is_shown_before_it_is_added_and_bad_rows_are_named(
    project: Project, owner: User, client_of: Callable[[User], Client]
) -> None:
    client, url = client_of(owner), address(project, "catalog-import")
    table = (
        "name,provider,valid_from,input_usd_per_m,output_usd_per_m,source\n"
        "'@house/a,house,2026-01-01,1,2,invoice\n"
        "b,house,2026-13-01,1,2,invoice\n"
        "c,house,2026-01-01,-1,2,invoice\n"
    )

    seen = client.post(url, {"file": io.BytesIO(table.encode())}).content.decode()

    assert "models 1, abilities 0, prices 1" in seen
    assert "2 rows cannot be taken" in seen
    assert not project.offers.exists()
    client.post(url, {"text": table, "confirm": "yes"})
    assert project.offers.get().name == "@house/a"
    assert Price.objects.get().input_nanousd == 10**9


@pytest.mark.parametrize("text", ["", "{", "[]", "a,b\n1,2\n", '{"models": 3}', "\x00"])
def test_a_file_that_is_no_catalogue_is_refused(
    project: Project, owner: User, client_of: Callable[[User], Client], text: str
) -> None:
    answer = client_of(owner).post(address(project, "catalog-import"), {"text": text})

    assert answer.status_code == 422


@pytest.mark.parametrize("kind", ["json", "csv"])
def test_what_is_exported_is_there_already_when_it_is_imported(
    project: Project, own: ModelOffer, owner: User, client_of: Callable[[User], Client], kind: str
) -> None:
    loader.note_public_price(offers.ensure(project, "openai", "o3"))
    loader.add_price(own, loader.PriceEntry(date(2026, 1, 1), Decimal("0.125"), Decimal(2)), source="=cmd()")
    told = loader.ModelEntry("house", "own-7b", "own-7b", date(2026, 1, 1), languages="English, German")
    loader.add_version(own, told, source="us")
    client = client_of(owner)

    text = client.get(address(project, "catalog-export"), {"as": kind}).content.decode()
    seen = client.post(address(project, "catalog-import"), {"text": text}).content.decode()

    assert "models 0, abilities 0, prices 0" in seen
    assert "cannot be taken" not in seen
    if kind == "csv":
        assert "'=cmd()" in text


def test_hostile_names_are_shown_as_text(project: Project, owner: User, client_of: Callable[[User], Client]) -> None:
    ModelOffer.objects.create(project=project, name="<script>alert(1)</script>", model="<b>", provider="'\"><i>")

    text = client_of(owner).get(address(project), {"q": "<script>"}).content.decode()

    assert "<script>alert" not in text
    assert "1 model" in text
