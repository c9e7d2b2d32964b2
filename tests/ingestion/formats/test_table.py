"""Rows of short columns under the names that people give them."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from ingestion.formats import detection, table
from ingestion.formats.fields import Unreadable
from ingestion.values import RawRecord

ROW: dict[str, Any] = {
    "Timestamp": "2026-01-17 06:20:43",
    "Conversation ID": "c-1",
    "Model": "gpt-4o-mini",
    "Prompt": "Where is my order?",
    "Answer": "On its way.",
    "Prompt Tokens": "900",
    "Completion Tokens": "40",
    "Cost (USD)": "0.5",
    "latency_ms": "812",
    "temperature": "0.2",
    "Team": "=SUM(A1)",
    "status": "ok",
}


def read(row: dict[str, Any]) -> RawRecord:
    return table.read(json.dumps(row).encode())[0]


def test_columns_are_known_by_their_names() -> None:
    record = read(ROW)

    assert record.occurred_at == datetime(2026, 1, 17, 6, 20, 43, tzinfo=UTC)
    assert (record.source_id, record.trace_key, record.model, record.status) == (None, "c-1", "gpt-4o-mini", "ok")
    assert (record.input_tokens, record.output_tokens, record.source_cost_nanousd) == (900, 40, 500_000_000)
    assert (record.latency_us, record.preview, record.obstacle) == (812_000, "Where is my order?", "")
    assert json.loads(record.request) == {
        "model": "gpt-4o-mini", "temperature": 0.2, "messages": [{"role": "user", "content": "Where is my order?"}],
    }  # fmt: skip
    assert json.loads(record.response) == "On its way."


def test_unknown_columns_become_metadata_and_a_formula_stays_a_text() -> None:
    assert read({**ROW, "metadata": '{"user": 7}'}).metadata == {"Team": "=SUM(A1)", "user": "7"}


def test_a_system_prompt_stands_before_the_question() -> None:
    messages = json.loads(read({**ROW, "system_prompt": "Be kind."}).request)["messages"]

    assert [message["role"] for message in messages] == ["system", "user"]


def test_bodies_may_be_json_in_text() -> None:
    messages = [{"role": "user", "content": "hi"}]
    whole = read({"request": json.dumps({"model": "m", "messages": messages}), "response": "Hello.", "team": "a"})
    parts = read({"messages": json.dumps(messages), "model": "m", "output": '{"role":"assistant","content":"Hello."}'})

    for record in (whole, parts):
        assert (record.model, record.preview, record.refused, record.messages) == ("m", "hi", False, 2)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"status": "429"}, ("failed", 429)),
        ({"status": "error"}, ("failed", None)),
        ({"status": None, "error": "overloaded"}, ("failed", None)),
        ({"status_code": "200"}, ("ok", 200)),
        ({"success": "FALSE", "status": None}, ("failed", None)),
    ],
)
def test_a_status_is_a_number_or_a_word(told: dict[str, Any], expected: tuple[str, int | None]) -> None:
    row = {key: value for key, value in {**ROW, "Answer": "", **told}.items() if value is not None}

    record = read(row)

    assert (record.status, record.status_code) == expected


def test_a_row_without_a_call_is_refused() -> None:
    with pytest.raises(Unreadable) as caught:
        read({"city": "Rome"})

    assert caught.value.code == "no_call"


FOUND: dict[str, dict[str, Any]] = {
    "people's columns": ROW,
    "bodies as text": {"request": '{"messages": []}', "response": "x", "team": "a"},
    "messages beside an answer": {"messages": "[]", "answer": "x", "model": "m"},
    "question and answer": {"question": "x", "answer": "y"},
    "names that others have too": {
        "trace_id": "t",
        "start_time": 1,
        "end_time": 2,
        "prompt": "x",
        "output": "y",
        "model": "m",
    },
    "latency of a session": {"session_id": "s", "latency_ms": 5, "prompt": "x", "answer": "y"},
    "tokens of models": {"model": "m", "output_tokens": 1},
}


@pytest.mark.parametrize("row", FOUND.values(), ids=FOUND.keys())
def test_tables_are_found_by_looking(row: dict[str, Any]) -> None:
    assert detection.detect([json.dumps(row).encode()]) == "table"
