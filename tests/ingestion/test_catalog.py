"""The catalogue: prices are dated and only ever added; costs are worked by hand."""

from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentopt.lib.errors import Conflict, Invalid
from ingestion.catalog import facts, loader, offers, pricing, public
from ingestion.models import ModelOffer, OfferVersion, Price
from ingestion.values import Price as PriceValue
from ingestion.values import Usage
from projects.models import Project

MINI = PriceValue(input_nanousd=150_000_000, output_nanousd=600_000_000, cached_input_nanousd=75_000_000)


def entry(**changes: Any) -> dict[str, Any]:
    price = {"valid_from": "2026-01-01", "input_usd_per_m": 0.15, "output_usd_per_m": 0.6}
    return {
        "provider": "sim", "model": "swift-1", "name": "swift-1", "family": "swift", "valid_from": "2026-01-01",
        "context_window": 8000, "tools": True, "price": price, **changes,
    }  # fmt: skip


def document(*entries: dict[str, Any]) -> dict[str, Any]:
    return {"source": "by hand", "models": list(entries)}


def test_a_cost_is_tokens_times_price_with_cached_tokens_apart() -> None:
    # 600 × $0.15 + 400 cached × $0.075 + 50 × $0.60, per million = $0.00009 + $0.00003 + $0.00003
    assert pricing.cost_nanousd(Usage(1000, 50, 400), MINI) == 90_000 + 30_000 + 30_000


def test_without_a_cached_price_cached_tokens_cost_what_others_do() -> None:
    assert pricing.cost_nanousd(Usage(1000, 0, 400), PriceValue(150_000_000, 0)) == 150_000


def test_tokens_written_to_a_cache_and_spent_on_reasoning_stand_apart() -> None:
    found = pricing.lines(Usage(1000, 50, 400, 100, 20), MINI)

    # by hand: 500 × $0.15, 400 × $0.075, 100 × $0.15, 30 × $0.60, 20 × $0.60, per million
    assert found is not None
    assert [(line.kind, line.tokens, line.cost_nanousd) for line in found] == [
        ("In", 500, 75_000), ("In, cached", 400, 30_000), ("In, written to cache", 100, 15_000),
        ("Out", 30, 18_000), ("Out, reasoning", 20, 12_000),
    ]  # fmt: skip


def test_prices_of_their_own_hold_for_tokens_written_to_a_cache_and_spent_on_reasoning() -> None:
    price = PriceValue(3_000_000_000, 15_000_000_000, 300_000_000, 3_750_000_000, 20_000_000_000)

    found = pricing.lines(Usage(1000, 50, 400, 100, 20), price)

    # by hand: 500 × $3, 400 × $0.30, 100 × $3.75, 30 × $15, 20 × $20, per million
    assert found is not None
    assert [line.cost_nanousd for line in found] == [1_500_000, 120_000, 375_000, 450_000, 400_000]


def test_a_price_of_zero_of_its_own_is_no_missing_price() -> None:
    assert pricing.cost_nanousd(Usage(10, 10, 0, 10, 10), PriceValue(10**9, 10**9, None, 0, 0)) == 0


@given(
    counts=st.tuples(*[st.integers(0, 10**6)] * 5),
    rates=st.tuples(*[st.integers(0, 10**5)] * 5),
    times=st.integers(0, 50),
)
def test_a_cost_is_linear_in_tokens_and_in_price(
    counts: tuple[int, int, int, int, int], rates: tuple[int, int, int, int, int], times: int
) -> None:
    # whole nano-dollars per token, so that nothing is rounded
    price = PriceValue(*(rate * 1_000_000 for rate in rates))
    cached, written = min(counts[2], counts[0]), min(counts[3], max(counts[0] - counts[2], 0))
    usage = Usage(counts[0], counts[1], cached, written, min(counts[4], counts[1]))
    more = Usage(*(n * times for n in (counts[0], counts[1], cached, written, min(counts[4], counts[1]))))
    dearer = PriceValue(*(rate * times * 1_000_000 for rate in rates))

    once = pricing.cost_nanousd(usage, price)

    assert once is not None
    assert pricing.cost_nanousd(more, price) == once * times == pricing.cost_nanousd(usage, dearer)


@given(
    counts=st.tuples(*[st.integers(0, 10**6)] * 2, *[st.none() | st.integers(0, 2 * 10**6)] * 3),
    rates=st.tuples(*[st.integers(0, 10**11)] * 2, *[st.none() | st.integers(0, 10**11)] * 3),
)
def test_a_receipt_adds_up_to_the_cost_whatever_a_source_says(
    counts: tuple[int, int, int | None, int | None, int | None],
    rates: tuple[int, int, int | None, int | None, int | None],
) -> None:
    usage, price = Usage(*counts), PriceValue(*rates)

    found = pricing.lines(usage, price)

    assert found is not None
    assert sum(line.cost_nanousd for line in found) == pricing.cost_nanousd(usage, price)
    assert sum(line.tokens for line in found) == counts[0] + counts[1]
    assert all(line.tokens > 0 for line in found)


def test_our_cost_deviates_by_a_share_of_the_source_s() -> None:
    assert pricing.deviation(103, 100) == pytest.approx(0.03)
    assert pricing.deviation(50, 100) == -0.5
    assert [pricing.deviation(*pair) for pair in ((None, 100), (100, None), (100, 0))] == [None] * 3


@pytest.mark.parametrize("usage", [Usage(None, 5), Usage(5, None), Usage(None, None)])
def test_unknown_tokens_cost_something_unknown(usage: Usage) -> None:
    assert pricing.cost_nanousd(usage, MINI) is None


def test_parts_of_a_nano_dollar_are_rounded_half_up_each() -> None:
    # 1 token at 1,500,000 nano-dollars per million is 1.5 nano-dollars
    assert pricing.cost_nanousd(Usage(1, 1), PriceValue(1_500_000, 1_499_999)) == 2 + 1


def test_the_newest_price_not_after_the_day_counts() -> None:
    prices = [(date(2026, 3, 1), PriceValue(3, 3)), (date(2026, 1, 1), PriceValue(1, 1))]

    assert pricing.in_force(prices, date(2025, 12, 31)) is None
    assert pricing.in_force(prices, date(2026, 2, 28)) == PriceValue(1, 1)
    assert pricing.in_force(prices, date(2026, 3, 1)) == PriceValue(3, 3)


DAYS = st.dates(date(2024, 1, 1), date(2026, 12, 31))


@given(days=st.lists(DAYS, min_size=1, max_size=8), asked=DAYS)
def test_on_every_day_the_newest_price_counts_and_of_one_day_the_last(days: list[date], asked: date) -> None:
    prices = [(day, PriceValue(n, 0)) for n, day in enumerate(days)]

    found = pricing.in_force(prices, asked)

    # the same, the long way: walk through the days in order, a later line takes the place of an earlier one
    expected = None
    for day, price in sorted(prices, key=lambda entry: (entry[0], entry[1].input_nanousd)):
        expected = price if day <= asked else expected
    assert found == expected


def test_a_document_becomes_rows_and_again_adds_nothing(db: None) -> None:
    first = loader.load(document(entry(), entry(name="swift-2", model="swift-2", price=None)))
    again = loader.load(document(entry(), entry(name="swift-2", model="swift-2", price=None)))

    assert (first.offers, first.versions, first.prices) == (2, 2, 1)
    assert (again.offers, again.versions, again.prices) == (0, 0, 0)
    assert Price.objects.get().input_nanousd == 150_000_000


def test_a_new_price_needs_a_new_day(db: None) -> None:
    loader.load(document(entry()))
    dearer = {"valid_from": "2026-01-01", "input_usd_per_m": 0.3, "output_usd_per_m": 0.6}

    with pytest.raises(Conflict, match="swift-1 already has another price from 2026-01-01"):
        loader.load(document(entry(price=dearer)))
    loader.load(document(entry(price={**dearer, "valid_from": "2026-02-01"})))

    offer = ModelOffer.objects.get()
    first, second = (
        pricing.in_force(offers.dated_prices(offer), date(2026, 1, 31)),
        pricing.in_force(offers.dated_prices(offer), date(2026, 2, 1)),
    )
    assert first is not None
    assert second is not None
    assert (first.input_nanousd, second.input_nanousd) == (150_000_000, 300_000_000)


def test_a_document_with_a_fault_adds_nothing(db: None) -> None:
    with pytest.raises(Conflict):
        loader.load(document(entry(), entry(context_window=1)))
    with pytest.raises(Invalid, match="catalogue"):
        loader.load({"source": "x", "models": [{"name": "nameless"}]})
    with pytest.raises(Invalid, match="negative"):
        loader.load(document(entry(price={"valid_from": "2026-01-01", "input_usd_per_m": -1, "output_usd_per_m": 1})))

    assert ModelOffer.objects.count() == OfferVersion.objects.count() == Price.objects.count() == 0


def test_a_project_s_own_offer_comes_before_the_instance_s(agent: Project) -> None:
    loader.load(document(entry()))
    shared = offers.find(agent, "sim", "swift-1")

    loader.load(document(entry()), project=agent)

    assert shared is not None
    own = offers.find(agent, "sim", "swift-1")
    assert own is not None
    assert (shared.project_id, own.project_id) == (None, agent.pk)
    assert offers.find(agent, "", "swift-1") == own
    assert offers.find(agent, "sim", "swift-9") is None


def test_a_logged_model_without_an_offer_gets_one(agent: Project) -> None:
    made = offers.ensure(agent, "house", "in-house-7b")

    assert offers.ensure(agent, "house", "in-house-7b") == made
    assert (made.name, made.prices.count()) == ("in-house-7b", 0)


@dataclass(frozen=True)
class Listed:
    name: str
    provider: str
    model: str


def test_models_of_the_gateway_are_learned_with_public_prices_where_they_are_known(agent: Project) -> None:
    listed = [
        Listed("@openai-prod/gpt-4o-mini", "openai-prod", "gpt-4o-mini"),
        Listed("@house/own-7b", "house", "own-7b"),
    ]

    loader.learn(listed, agent)
    loader.learn(listed, agent)

    known, own = agent.offers.order_by("-provider")
    assert known.prices.get().input_nanousd == 150_000_000  # $0.15 per million
    assert known.versions.get().context_window == 128_000
    assert "genai-prices" in known.prices.get().source
    assert own.prices.count() == 0


def test_a_provider_we_do_not_know_is_not_priced_as_another_one() -> None:
    assert public.look_up("in-house", "gpt-4o-mini", date(2026, 1, 1)) is None
    assert public.look_up("", "gpt-4o-mini", date(2026, 1, 1)) is not None


def test_public_prices_come_with_the_day_they_begin_where_it_is_known(agent: Project) -> None:
    offer = offers.ensure(agent, "openai", "o3")

    loader.note_public_price(offer)

    # the price was cut to a fifth on 2025-06-10
    before, after = (
        pricing.in_force(offers.dated_prices(offer), date(2025, 6, 9)),
        pricing.in_force(offers.dated_prices(offer), date(2025, 6, 10)),
    )
    assert before is not None
    assert after is not None
    assert (before.input_nanousd, after.input_nanousd) == (10 * 10**9, 2 * 10**9)


def test_public_prices_of_writing_to_a_cache_are_taken(agent: Project) -> None:
    offer = offers.ensure(agent, "anthropic", "claude-sonnet-4-5")

    loader.note_public_price(offer)

    row = offer.prices.get()
    assert row.cache_write_nanousd == 3_750_000_000
    assert row.reasoning_nanousd is None
    assert "up to 200,000 tokens" in row.source


def test_our_own_file_tells_abilities_family_and_retirement_with_source(agent: Project) -> None:
    offer = offers.ensure(agent, "openai-prod", "o3")

    loader.note_facts(offer)
    loader.note_public_price(offer)

    version = offer.versions.get()
    assert (version.tools, version.parallel_tools, version.json_schema, version.reasoning) == (True, False, True, True)
    assert version.seed is None
    assert (offer.family, str(offer.retires_on)) == ("openai", "2026-12-11")
    assert "LiteLLM" in offer.retirement_source
    assert "LiteLLM" in version.source


def test_dates_and_limits_of_a_provider_do_not_hold_for_another_host_but_the_family_does() -> None:
    assert facts.look_up("azure-openai", "o3") is None
    assert facts.look_up("in-house", "o3") is None
    assert facts.family("us.anthropic.claude-3-5-sonnet-20241022-v2:0") == "anthropic"
    assert facts.family("accounts/fireworks/models/llama-v3p1-70b") == "meta"
    assert facts.family("own-7b") == ""


def test_each_fact_of_our_file_names_its_source_and_stands_once() -> None:
    found = facts._file().models

    assert len({(one.provider, one.model) for one in found}) == len(found)
    assert all(one.source for one in found)
    assert all(one.provider == facts.OWN.get(one.provider, one.provider) for one in found)


def test_what_a_person_entered_stands_when_public_figures_change(agent: Project) -> None:
    offer = offers.ensure(agent, "openai", "gpt-4o-mini")
    loader.add_price(offer, loader.PriceEntry(date(2026, 1, 1), Decimal(1), Decimal(2)), source="our contract")

    assert loader.refresh(offer, today=date(2026, 11, 22))  # abilities
    assert not loader.refresh(offer, today=date(2026, 11, 23))

    assert offer.prices.get().source == "our contract"


def test_a_newer_public_price_is_a_new_row_from_the_day_it_is_seen(agent: Project, monkeypatch: Any) -> None:
    offer = offers.ensure(agent, "openai", "gpt-4o-mini")
    loader.refresh(offer, today=date(2026, 11, 1))
    known = public.look_up("openai", "gpt-4o-mini", date(2026, 11, 22))
    assert known is not None
    dearer = replace(known, prices=(replace(known.prices[0], input_usd_per_m=Decimal(7)),))
    monkeypatch.setattr(public, "look_up", lambda *_: dearer)

    assert loader.refresh(offer, today=date(2026, 11, 22))
    assert not loader.refresh(offer, today=date(2026, 11, 22))

    assert [(str(row.valid_from), row.input_nanousd) for row in offer.prices.order_by("valid_from")] == [
        ("2020-01-01", 150_000_000), ("2026-11-22", 7_000_000_000),
    ]  # fmt: skip


def test_a_correction_of_a_day_is_a_row_of_its_own_that_counts(agent: Project) -> None:
    offer = offers.ensure(agent, "house", "own-7b")
    day = date(2026, 1, 1)
    loader.add_price(offer, loader.PriceEntry(day, Decimal(1), Decimal(2)), source="typed")

    with pytest.raises(Conflict, match="another price"):
        loader.add_price(offer, loader.PriceEntry(day, Decimal(3), Decimal(4)), source="typed")
    loader.add_price(offer, loader.PriceEntry(day, Decimal(3), Decimal(4)), source="invoice", correct=True)

    assert [(row.revision, row.source) for row in offer.prices.order_by("revision")] == [(1, "typed"), (2, "invoice")]
    assert pricing.in_force(offers.dated_prices(offer), day) == PriceValue(3 * 10**9, 4 * 10**9)


@pytest.mark.parametrize("usd", [Decimal("NaN"), Decimal(-1), Decimal(10) ** 12, Decimal("Infinity")])
def test_a_price_that_makes_no_sense_is_refused(agent: Project, usd: Decimal) -> None:
    offer = offers.ensure(agent, "house", "own-7b")

    with pytest.raises(Invalid):
        loader.add_price(offer, loader.PriceEntry(date(2026, 1, 1), usd, Decimal(1)), source="x")
