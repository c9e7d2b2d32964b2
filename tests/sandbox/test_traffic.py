"""Production logs of the invented agents."""

import re
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from agentopt.sandbox import shop, traffic, worlds

NOW = datetime(2026, 5, 20, 12, 34, tzinfo=UTC)
SUPPORT = traffic.BY_KEY["sandbox-support"]


def conversations(key: str, *, seed: int = 7) -> Counter[str]:
    return Counter(record.row["trace_id"] for record in traffic.records(traffic.BY_KEY[key], seed=seed, now=NOW))


def test_support_has_about_nine_hundred_conversations_of_one_to_four_answered_calls() -> None:
    rows = [record.row for record in traffic.records(SUPPORT, seed=7, now=NOW)]

    answered = Counter(row["trace_id"] for row in rows if row["is_success"])
    assert len(answered) == pytest.approx(900, abs=5)
    assert set(answered.values()) == {1, 2, 3, 4}


def test_returns_has_about_five_hundred_conversations() -> None:
    assert len(conversations("sandbox-returns")) == pytest.approx(500, abs=5)


@pytest.mark.parametrize("seed", range(5))
def test_warranty_has_too_few_prompts_to_decide(seed: int) -> None:
    counts = conversations("sandbox-warranty", seed=seed)

    assert len(counts) == pytest.approx(14, abs=1)
    assert sum(counts.values()) < 30


def test_logs_end_at_the_start_of_the_hour_and_reach_back_three_weeks() -> None:
    moments = [record.at for record in traffic.records(SUPPORT, seed=7, now=NOW)]

    assert moments == sorted(moments)
    assert max(moments) < NOW.replace(minute=0)
    assert timedelta(days=20, hours=20) < max(moments) - min(moments) < timedelta(days=21)


def test_a_call_stays_the_same_however_late_it_is_asked_for() -> None:
    early = {record.row["id"]: record.row for record in traffic.records(SUPPORT, seed=7, now=NOW)}
    late = {record.row["id"]: record.row for record in traffic.records(SUPPORT, seed=7, now=NOW + timedelta(days=3))}

    both = early.keys() & late.keys()
    assert len(both) > 0.8 * len(early)
    assert all(early[key] == late[key] for key in both)
    assert late.keys() - early.keys()


def test_orders_change_on_the_day_that_their_key_ends_in_and_nothing_else_of_them_does() -> None:
    day = datetime(2026, 5, 12, tzinfo=UTC)
    usual, changed = (
        traffic.records(agent, seed=7, now=NOW)
        for key in ("sandbox-orders", "sandbox-orders@2026-05-12")
        if (agent := traffic.agent_of(key))
    )

    assert [record.row["id"] for record in usual] == [record.row["id"] for record in changed]
    moved = [(a, b) for a, b in zip(usual, changed, strict=True) if a.row != b.row]
    assert min(b.at for _, b in moved) > day
    assert {b.row["prompt_slug"] for _, b in moved} == {"support-v4"}
    slower = [(a, b) for a, b in moved if a.row["response_time"] != b.row["response_time"]]
    assert 0.3 < len(slower) / len(moved) < 0.7
    assert all(b.row["response_time"] == pytest.approx(2.5 * a.row["response_time"], abs=2) for a, b in slower)


def test_a_key_of_no_workspace_or_of_no_day_opens_nothing() -> None:
    assert [traffic.agent_of(key) for key in ("sandbox-orders@", "sandbox-orders@May", "nobody", "")] == [None] * 4


def test_ids_are_unique() -> None:
    ids = [record.row["id"] for record in traffic.records(SUPPORT, seed=7, now=NOW)]

    assert len(ids) == len(set(ids))


def test_one_model_is_in_production_and_another_answers_a_little() -> None:
    models = Counter(record.row["ai_model"] for record in traffic.records(SUPPORT, seed=7, now=NOW))

    assert set(models) == {"aurora-large", "corvus-medium"}
    assert models["aurora-large"] > 10 * models["corvus-medium"]


def test_failures_and_refusals_occur_at_the_rate_of_the_model() -> None:
    rows = [record.row for seed in range(5) for record in traffic.records(SUPPORT, seed=seed, now=NOW)]

    failed = sum(row["response_status_code"] == 500 for row in rows) / len(rows)
    texts = [row["response"]["choices"][0]["message"]["content"] for row in rows if row["is_success"]]
    refused = sum(text == shop.REFUSAL for text in texts) / len(texts)
    assert failed == pytest.approx(0.006, abs=0.003)
    assert refused == pytest.approx(0.01, abs=0.004)


def test_the_longest_prompts_do_not_fit_a_window_of_four_thousand_tokens() -> None:
    sizes = sorted(record.row["req_units"] for record in traffic.records(SUPPORT, seed=7, now=NOW))

    assert sizes[int(0.99 * len(sizes))] > worlds.BY_NAME["ember-4k"].context_window
    assert sizes[len(sizes) // 2] < 1_500


def test_a_row_has_the_quirks_of_a_real_export() -> None:
    row = next(record.row for record in traffic.records(SUPPORT, seed=7, now=NOW) if record.row["is_success"])

    price = row["req_units"] * 2.5e-6 + row["res_units"] * 1e-5  # dollars
    assert re.fullmatch(r"\w{3} \w{3} \d\d \d{4} [\d:]{8} GMT\+0000 \(Coordinated Universal Time\)", row["created_at"])
    assert row["cost"] == pytest.approx(100 * price)
    assert row["request"]["messages"][0]["role"] == "system"
    assert row["response"]["usage"]["prompt_tokens"] == row["req_units"]
    assert row["metadata"]["_user"]


def test_the_conversation_of_a_later_call_holds_the_tool_result_it_answers() -> None:
    rows = [record.row for record in traffic.records(SUPPORT, seed=7, now=NOW)]

    after_tool = [row for row in rows if row["request"]["messages"][-1]["role"] == "tool"]
    for row in after_tool:
        call, result = row["request"]["messages"][-2:]
        assert call["tool_calls"][0]["id"] == result["tool_call_id"]
    assert len(after_tool) > 300
