"""The catalogue in the browser: the table, one model, what lacks a price, a file before it is added."""

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Page, expect

from ingestion import services
from ingestion.catalog import loader, offers
from ingestion.models import ModelOffer
from projects.models import Project
from tests.browser import checks
from tests.evaluation import studies

Inspect = Callable[..., list[str]]
HOSTILE = "</script><script>document.title = 'owned'</script>{{ 7 * 7 }}" + "w" * 60


@pytest.fixture
def filled(project: Project) -> Project:
    """Public models, a private one with corrections, one that retires soon, a hostile name, logs without a price."""
    for provider, model in (("openai", "o3"), ("openai", "gpt-4o-mini"), ("anthropic", "claude-sonnet-4-5")):
        offer = offers.ensure(project, provider, model)
        loader.note_facts(offer)
        loader.note_public_price(offer)
    own = ModelOffer.objects.create(project=project, provider="house", model="own-7b", name="@house/own-7b")
    for n, correct in enumerate((False, True), start=1):
        price = loader.PriceEntry(date(2026, 1, 1), Decimal(n), Decimal(2 * n), source="contract 7")
        loader.add_price(own, price, source="contract 7", correct=correct)
    own.retires_on = timezone.now().date() + timedelta(days=41)
    own.save()
    ModelOffer.objects.create(project=project, provider="p" * 40, model="m", name=HOSTILE)
    services.push(project, [{**row, "cost": 0} for row in studies.support_log(40)])
    return project


def address(server: Any, name: str, *args: Any) -> str:
    return str(server.url) + reverse(name, args=args)


def test_the_catalogue_and_its_pages_are_sound(filled: Project, as_owner: None, inspect: Inspect) -> None:
    own, slug = filled.offers.get(model="own-7b"), filled.slug

    wrong = inspect(reverse("ingestion:catalog", args=[slug]), name="catalog")
    wrong += inspect(reverse("ingestion:catalog-model", args=[slug, own.pk]), name="catalog-model")
    wrong += inspect(reverse("ingestion:catalog-add", args=[slug]), name="catalog-add")
    wrong += inspect(reverse("ingestion:catalog-import", args=[slug]), name="catalog-import")
    wrong += inspect(reverse("projects:settings", args=[slug]), name="catalog-connection")
    wrong += inspect(reverse("recommendations:overview", args=[slug]), name="catalog-overview")

    assert not wrong, checks.listed(wrong)


def test_an_empty_catalogue_says_how_models_come(project: Project, as_owner: None, inspect: Inspect) -> None:
    wrong = inspect(reverse("ingestion:catalog", args=[project.slug]), name="catalog-empty")

    assert not wrong, checks.listed(wrong)


def test_a_missing_price_is_added_in_two_steps(page: Page, live_server: Any, filled: Project, as_owner: None) -> None:
    page.goto(address(live_server, "recommendations:overview", filled.slug))
    page.get_by_role("link", name="Add its price").click()
    page.get_by_role("link", name="Add a price of ").first.click()

    form = page.locator("form", has=page.get_by_role("button", name="Add the price"))
    form.get_by_label("Input", exact=True).fill("0.5")
    form.get_by_label("Output", exact=True).fill("1.5")
    form.get_by_label("Source", exact=True).fill("invoice 12")
    page.get_by_role("button", name="Add the price").click()

    expect(page.get_by_text("What was stored before stays as it was.")).to_be_visible()
    expect(page.locator("tbody").get_by_text("invoice 12")).to_be_visible()
    page.goto(address(live_server, "recommendations:overview", filled.slug))
    expect(page.get_by_text("without a price")).to_have_count(0)


def test_a_search_swaps_the_table_and_stands_in_the_address(
    page: Page, live_server: Any, filled: Project, as_owner: None
) -> None:
    page.goto(address(live_server, "ingestion:catalog", filled.slug))

    page.get_by_label("Words in name, provider or family").fill("anthropic")

    expect(page.locator("#results h2")).to_have_text("1 model")
    assert "q=anthropic" in page.url
    expect(page.locator(".top")).to_have_count(1)


def test_a_file_is_shown_before_it_is_added(page: Page, live_server: Any, filled: Project, as_owner: None) -> None:
    page.goto(address(live_server, "ingestion:catalog-import", filled.slug))
    table = "name,valid_from,input_usd_per_m,output_usd_per_m,source\nnew-1,2026-01-01,1,2,x\nnew-2,soon,1,2,x\n"
    page.get_by_label("JSON or CSV file").set_input_files(
        {"name": "prices.csv", "mimeType": "text/csv", "buffer": table.encode()}
    )

    page.get_by_role("button", name="See what it adds").click()
    expect(page.get_by_text("1 row cannot be taken")).to_be_visible()
    wrong = checks.axe(page)
    page.get_by_role("button", name="Add the others").click()

    assert not wrong
    expect(page.get_by_text("Added: models 1, abilities 0, prices 1.")).to_be_visible()
    assert filled.offers.get(name="new-1").prices.count() == 1
