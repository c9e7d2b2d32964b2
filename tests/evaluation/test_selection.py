"""Which models are tried, and what is said of the others."""

import json
from dataclasses import replace
from datetime import date

import pytest

from evaluation import selection
from evaluation.ranking import Ranking
from evaluation.traffic import Traffic
from evaluation.values import Choice, Offer
from ingestion.values import UsageProfile
from projects.values import Goal

TODAY = date(2026, 11, 22)
PROFILE = UsageProfile(
    n_calls=1000,
    n_failed=10,
    days=28,
    monthly_calls=1070,
    p50_input_tokens=900,
    p99_input_tokens=7_000,
    p99_output_tokens=1_500,
    mean_input_tokens=1_000,
    mean_output_tokens=200,
    share_cached=0.0,
    share_tools=0.6,
    share_json=0.1,
    share_images=0.0,
    share_streamed=0.0,
    mean_cost_nanousd=None,
)


def _offer(name: str, **changes: object) -> Offer:
    able = Offer(
        pk=hash(name) % 1000,
        name=name,
        model=name,
        provider="acme",
        context_window=128_000,
        output_limit=8_000,
        tools=True,
        json_mode=True,
        vision=False,
        input_nanousd=1_000_000_000,  # $1 per million tokens
        output_nanousd=4_000_000_000,
        listed=True,
    )
    return replace(able, **changes)  # type: ignore[arg-type]


BASELINE = _offer("now")


def _choose(*offers: Offer, **changes: object) -> dict[str, Choice]:
    arguments: dict[str, object] = {"baseline": BASELINE, "allowed_providers": [], "banned": [], "today": TODAY}
    goal = changes.pop("goal", Goal())
    profile = changes.pop("profile", PROFILE)
    found = selection.choose(goal, profile, offers, **{**arguments, **changes})  # type: ignore[arg-type]
    return {choice.offer.name: choice for choice in found}


def _codes(choice: Choice) -> list[str]:
    return [reason.code for reason in choice.reasons]


def _notes(choice: Choice) -> list[str]:
    return [note.code for note in choice.notes]


def test_a_model_without_an_objection_is_kept_with_its_expected_cost() -> None:
    # by hand: 1,000 · $1/M + 200 · $4/M = $0.0018, as the model in production
    choice = _choose(_offer("a"))["a"]

    assert choice.kept
    assert choice.rank == 1
    assert choice.cost_per_call_nanousd == 1_800_000
    assert choice.notes[-1].to_json() == {
        "code": "expected_cost",
        "text": "Expected $0.0018 per call at the traffic's mean lengths, 100% of what the model in production costs.",
        "cost_per_call_nanousd": 1_800_000,
        "ratio": 1.0,
    }


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"context_window": 8_499}, "context_too_short"),
        ({"output_limit": 1_499}, "output_too_short"),
        ({"tools": False}, "no_tools"),
        ({"json_mode": False}, "no_json"),
        ({"retires_on": date(2026, 11, 22)}, "retired"),
        ({"retires_on": date(2026, 12, 22)}, "retiring"),
        ({"listed": False}, "not_listed"),
        ({"provider": "other"}, "provider_not_allowed"),
        ({"provider": ""}, "provider_not_allowed"),
    ],
)
def test_each_fact_that_speaks_against_a_model_prunes_it(changes: dict[str, object], code: str) -> None:
    choice = _choose(_offer("a", **changes), allowed_providers=["acme"])["a"]

    assert not choice.kept
    assert _codes(choice) == [code]


@pytest.mark.parametrize(
    "changes",
    [
        {"context_window": 8_500},
        {"output_limit": 1_500},
        {"vision": False},
        {"retires_on": date(2026, 12, 23)},
    ],
)
def test_a_model_that_just_suffices_is_kept(changes: dict[str, object]) -> None:
    assert _choose(_offer("a", **changes))["a"].kept


def test_every_reason_that_applies_is_given_with_its_numbers() -> None:
    choice = _choose(_offer("a", context_window=4_000, tools=False), banned=["a"])["a"]

    assert _codes(choice) == ["banned", "context_too_short", "no_tools"]
    assert choice.reasons[1].numbers == {"context_window": 4_000, "needed": 8_500}
    assert "p99 prompt 7,000 + p99 answer 1,500" in choice.reasons[1].text
    assert choice.reasons[2].text == "No tool calling, which 60% of the calls use."


def test_what_is_not_known_prunes_nothing_and_is_said() -> None:
    unknown = Offer(pk=1, name="a", model="a", provider="acme")

    choice = _choose(unknown)["a"]

    assert choice.kept
    assert _notes(choice) == ["context_unknown", "output_limit_unknown", "tools_unknown", "json_unknown",
                              "listing_unknown", "cost_unknown"]  # fmt: skip


def test_traffic_without_token_counts_checks_no_lengths_and_says_so() -> None:
    blind = replace(
        PROFILE, p99_input_tokens=None, p99_output_tokens=None, mean_input_tokens=None, mean_output_tokens=None
    )

    choice = _choose(_offer("a", context_window=10), profile=blind)["a"]

    assert choice.kept
    assert choice.cost_per_call_nanousd is None
    assert _notes(choice) == ["lengths_unknown", "cost_unknown"]


def test_a_model_over_the_goals_cost_limit_is_pruned_with_both_figures() -> None:
    choice = _choose(_offer("a"), goal=Goal(limits={"cost_per_call_usd": 0.001}))["a"]

    assert _codes(choice) == ["over_cost_limit"]
    assert choice.reasons[0].numbers == {"cost_per_call_nanousd": 1_800_000, "limit_nanousd": 1_000_000}


def test_the_model_in_production_is_no_candidate_under_any_gateway_name_but_by_another_provider_it_is() -> None:
    found = _choose(
        BASELINE, _offer("@acme/now", model="now"), _offer("@other/now", model="now", provider="other")
    )  # fmt: skip

    assert _codes(found["now"]) == ["baseline"]
    assert _codes(found["@acme/now"]) == ["baseline"]
    assert found["@other/now"].kept


def test_a_judge_is_not_tried() -> None:
    assert _codes(_choose(_offer("a"), judges=["a"])["a"]) == ["judge"]


def test_a_model_of_a_judges_family_is_not_tried_where_no_judge_may_judge_its_kind() -> None:
    kin = _offer("a", family="aurora")

    assert _codes(_choose(kin, judge_families=["aurora"])["a"]) == ["judge_family"]
    assert _choose(kin, judge_families=["tern"])["a"].kept
    assert _choose(_offer("b"), judge_families=[""])["b"].kept


def test_the_cheapest_come_first_unknown_prices_last_and_the_rest_is_beyond_the_limit() -> None:
    dear, cheap, unknown = (
        _offer("dear", input_nanousd=9_000_000_000), _offer("cheap", input_nanousd=1), _offer("odd", input_nanousd=None)
    )  # fmt: skip

    found = _choose(unknown, dear, cheap, _offer("b"), limit=3)

    assert [name for name, choice in found.items() if choice.kept] == ["cheap", "b", "dear"]
    assert [choice.rank for choice in found.values()] == [1, 2, 3, None]
    assert _codes(found["odd"]) == ["beyond_limit"]


def test_the_order_of_the_offers_does_not_matter_and_the_result_is_json() -> None:
    offers = [_offer(name) for name in "dacb"] + [_offer("z", tools=False)]

    one, other = _choose(*offers), _choose(*reversed(offers))

    assert list(one.values()) == list(other.values())
    assert json.loads(json.dumps([choice.to_json() for choice in one.values()]))[-1]["reasons"][0]["code"] == "no_tools"


def test_what_bodies_tell_prunes_as_columns_do() -> None:
    seen = Traffic(100, share_parallel_tools=0.2, share_json_mode=0.0, share_json_schema=0.1)
    found = _choose(
        _offer("serial", parallel_tools=False), _offer("loose", json_schema=False, json_mode=False), _offer("unknown"),
        traffic=seen,
    )  # fmt: skip

    assert _codes(found["serial"]) == ["no_parallel_tools"]
    assert found["serial"].reasons[0].text == "No parallel tool calls, which 20% of the calls use."
    # nobody uses plain JSON mode here, so only the schema is missed
    assert _codes(found["loose"]) == ["no_json_schema"]
    assert {"parallel_tools_unknown", "json_schema_unknown"} <= set(_notes(found["unknown"]))


def test_languages_of_the_calls_that_a_model_is_not_made_for_prune_it() -> None:
    seen = Traffic(100, languages=(("English", 0.6), ("German", 0.3), ("Cyrillic", 0.06), ("Dutch", 0.04)))
    found = _choose(
        _offer("english", languages=("English",)),
        _offer("both", languages=("German", "English", "Thai")),
        _offer("unknown"),
        traffic=seen,
    )

    reason = found["english"].reasons[0]
    assert (reason.code, reason.numbers) == ("no_language", {"share": 0.3, "languages": ["German"]})
    assert reason.text == "Made for English; 30% of the calls are in German."
    # a group of languages that letters tell, and a share within the error of telling, prune nothing
    assert found["both"].kept
    assert found["unknown"].kept
    assert "languages_unknown" in [note.code for note in found["unknown"].notes]
    english = Traffic(100, languages=(("English", 0.99),))
    assert "languages_unknown" not in [note.code for note in _choose(_offer("a"), traffic=english)["a"].notes]


def test_streams_seeds_and_reasoning_prune_whom_the_catalogue_says_lack_them() -> None:
    seen = Traffic(100, share_seed=0.5, share_reasoning=0.25)
    found = _choose(
        _offer("seedless", seed=False), _offer("simple", reasoning=False), _offer("able", seed=True, reasoning=True),
        _offer("unknown"), traffic=seen,
    )  # fmt: skip

    assert _codes(found["seedless"]) == ["no_seed"]
    assert found["seedless"].reasons[0].numbers == {"share": 0.5}
    assert found["simple"].reasons[0].text == "No control of reasoning, which 25% of the calls use."
    assert found["able"].kept
    assert {"seed_unknown", "reasoning_unknown"} <= set(_notes(found["unknown"]))


def test_a_latency_measured_here_prunes_beyond_twice_the_limit() -> None:
    goal = Goal(limits={"latency_p95_s": 2})
    found = _choose(_offer("slow", latency_p95_s=4.1), _offer("so-so", latency_p95_s=3.9), goal=goal)

    assert _codes(found["slow"]) == ["over_latency_limit"]
    assert found["so-so"].kept


def test_a_model_s_order_stands_before_cost_and_decides_who_is_beyond_the_limit() -> None:
    order = Ranking("judge-model", (("dear", "strong"), ("cheap", "weak")))
    found = _choose(
        _offer("cheap", input_nanousd=1), _offer("dear", input_nanousd=9_000_000_000), _offer("other"),
        ranking=order, limit=2,
    )  # fmt: skip

    assert (found["dear"].rank, found["cheap"].rank, found["other"].rank) == (1, 2, None)
    assert found["other"].reasons[0].text == "Ranked 3 by judge-model; at most 2 are tried."
    assert "ranked_by_model" in _notes(found["dear"])
