"""Whatever a row holds, every reader gives records that both databases can store, or says why it cannot."""

import json
import random
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentopt.lib.errors import Invalid
from ingestion.formats import calls, detection, fields
from ingestion.formats.bodies import FINISH_LIMIT, MODEL_LIMIT, PREVIEW_CHARACTERS
from ingestion.values import RawRecord
from tests.ingestion.conftest import portkey_row
from tests.ingestion.formats import test_helicone, test_langfuse, test_litellm, test_openai, test_table, test_transcript
from tests.ingestion.formats import test_usage as usage_samples

SAMPLES: dict[str, list[Any]] = {
    "portkey": [portkey_row(1)],
    "openai": [{"id": "a", "request": test_openai.REQUEST, "response": test_openai.RESPONSE, "metadata": {"a": "b"}}],
    "langfuse": [test_langfuse.API, test_langfuse.BLOB, {"timestamp": "2026", "observations": [test_langfuse.API]}],
    "helicone": [test_helicone.ROW],
    "litellm": [test_litellm.PAYLOAD, test_litellm.SPEND],
    "transcript": [test_transcript.row(tools=[{"type": "function"}])],
    "usage": [usage_samples.ROW],
    "table": [test_table.ROW, *test_table.FOUND.values()],
}
CRAFTED: list[Any] = [
    None, True, False, 0, -1, 1e308, 10**400, 1e-320, "", " ", "\x00", "\ud800", "a\udfffb", "NaN", "-inf", "1e999",
    "9" * 5000, "x" * 70_000, "2026-13-45", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "1e12", [], {},
    [[]], [None], [{}], {"": {}}, {"role": 1}, {"content": {}}, "{", "[", '{"messages": 1}', "[[[[", '"', '{""a"":1}',
    {"role": "user", "content": ["x", {"type": "text", "text": 1}]}, {"choices": [None]}, {"choices": {}},
    {"messages": [{"role": "user", "content": "\ud83d"}]}, {"usage": {"prompt_tokens": "many"}}, "١٢٣", "²",
]  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
_SMALL = {"status_code": 599, "input_tokens": fields.MAX_TOKENS, "output_tokens": fields.MAX_TOKENS,
          "cached_tokens": fields.MAX_TOKENS, "cache_write_tokens": fields.MAX_TOKENS,
          "reasoning_tokens": fields.MAX_TOKENS, "source_cost_nanousd": fields.MAX_COST_NANOUSD,
          "latency_us": fields.MAX_DURATION_US, "first_token_us": fields.MAX_DURATION_US}  # fmt: skip
_SHORT = {"source_id": calls.ID_LIMIT, "trace_key": calls.ID_LIMIT, "provider": calls.PROVIDER_LIMIT,
          "model": MODEL_LIMIT, "prompt_version": calls.VERSION_LIMIT, "finish_reason": FINISH_LIMIT,
          "preview": PREVIEW_CHARACTERS}  # fmt: skip


def storable(text: str) -> bool:
    """What PostgreSQL takes."""
    return "\x00" not in text and text.encode(errors="replace").decode() == text


def check(record: RawRecord) -> None:
    """Every value is of its kind, in range, and both databases can hold it."""
    for name, limit in _SHORT.items():
        text = getattr(record, name) or ""
        assert isinstance(text, str), name
        assert len(text) <= limit, name
        assert storable(text), name
    for name, most in _SMALL.items():
        number = getattr(record, name)
        assert number is None or (type(number) is int and 0 <= number <= most), name
    assert record.status in {"ok", "failed"}
    assert record.occurred_at is None or record.occurred_at.utcoffset() == datetime.now(UTC).utcoffset()
    assert record.messages >= 0
    assert record.tool_calls >= 0
    assert all(isinstance(part, str) and storable(part) for entry in record.metadata.items() for part in entry)
    assert len(record.metadata) <= fields.MAX_METADATA
    for body in (record.request, record.response):
        assert storable(body)
        if body:
            json.loads(body)
    for part, whole in (("cached_tokens", "input_tokens"), ("reasoning_tokens", "output_tokens")):
        if getattr(record, part) is not None and getattr(record, whole) is not None:
            assert getattr(record, part) <= getattr(record, whole)


def try_reading(name: str, line: bytes) -> None:
    try:
        records: Sequence[RawRecord] = detection.reader(name)(line)
    except fields.Unreadable as error:
        refused: fields.Unreadable | None = error
        records = ()
    else:
        refused = None
    assert refused is None or (refused.code and storable(refused.reason))
    for record in records:
        check(record)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place within a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, entry in inner for place in places(entry, (*path, key)))]


def changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """A copy with another value at a place."""
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = changed(copy[path[0]], path[1:], new)
    return copy


EACH = [(name, row) for name, rows in SAMPLES.items() for row in rows]


def test_every_reader_is_tried() -> None:
    readers = {detection.READERS[name] for name in SAMPLES}

    assert {name for name, read in detection.READERS.items() if read not in readers} <= {"otlp"}


@pytest.mark.parametrize(("name", "row"), EACH)
def test_every_place_of_a_row_may_hold_anything(name: str, row: Any) -> None:
    for path in places(row):
        for new in CRAFTED:
            try_reading(name, json.dumps(changed(row, path, new)).encode())


@pytest.mark.parametrize("name", SAMPLES)
@given(row=JSON)
def test_any_json_is_read_or_refused(name: str, row: Any) -> None:
    try_reading(name, json.dumps(row).encode(errors="replace"))


@pytest.mark.parametrize(("name", "row"), EACH)
@given(new=JSON, seed=st.integers(0, 2**32))
def test_any_change_of_a_row_is_read_or_refused(name: str, row: Any, new: Any, seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311 - to vary, not to hide
    for _ in range(3):
        row = changed(row, rng.choice(places(row)), new)

    try_reading(name, json.dumps(row).encode())


@pytest.mark.parametrize(("name", "row"), EACH)
@given(seed=st.integers(0, 2**32))
def test_any_damage_to_the_bytes_of_a_row_is_read_or_refused(name: str, row: Any, seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311 - to vary, not to hide
    line = bytearray(json.dumps(row).encode())
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(line))
        line[at : at + rng.randint(0, 3)] = rng.choice(
            [b"", b"\x00", b"\xff", b'"', b"\\", b"{", b"]", b"9", b"\\ud800"]
        )

    try_reading(name, bytes(line))


@pytest.mark.parametrize("name", SAMPLES)
def test_deep_json_is_read_or_refused(name: str) -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    row = json.dumps(SAMPLES[name][0])
    for key in SAMPLES[name][0]:
        at = json.dumps({**SAMPLES[name][0], key: "HERE"}).encode()
        try_reading(name, at.replace(b'"HERE"', deep))

    try_reading(name, row.encode())


@given(st.lists(st.binary(max_size=60) | JSON.map(lambda row: json.dumps(row).encode()), max_size=5))
def test_detection_names_a_format_or_refuses(lines: list[bytes]) -> None:
    try:
        found = detection.detect(lines)
    except Invalid:
        found = ""

    assert not found or found in detection.READERS
