"""Rows of time and tokens only."""

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ingestion.formats import detection, usage
from ingestion.formats.fields import Unreadable
from ingestion.values import RawRecord

ROW = {"service": "azure-conv", "ts": "2023-11-16T18:15:46.680590Z", "input_tokens": 374, "output_tokens": 44}


def read(row: dict[str, Any]) -> RawRecord:
    return usage.read(json.dumps(row).encode())[0]


def test_time_and_tokens_are_read_and_equal_rows_are_different_calls() -> None:
    record = read(ROW)

    assert record.occurred_at == datetime(2023, 11, 16, 18, 15, 46, 680590, tzinfo=UTC)
    assert (record.input_tokens, record.output_tokens) == (374, 44)
    assert (record.source_id, record.counted, record.metadata) == (None, True, {"service": "azure-conv"})
    assert (record.model, record.obstacle, record.source_cost_nanousd) == ("", "no_body", None)


def test_a_row_with_an_id_is_one_call_however_often_it_comes() -> None:
    record = read({**ROW, "id": 7, "model": "gpt-4o", "cost_usd": "0.5"})

    assert (record.source_id, record.counted, record.model) == ("7", False, "gpt-4o")
    assert record.source_cost_nanousd == 500_000_000


def test_published_traces_spell_their_columns_otherwise() -> None:
    record = read({"TIMESTAMP": "2023-11-16 18:15:46.6805900", "ContextTokens": "374", "GeneratedTokens": "44"})

    assert (record.input_tokens, record.output_tokens) == (374, 44)


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ({"ts": None, "input_tokens": 1}, "no_time"),
        ({"ts": "2023-11-16T18:15:46Z"}, "no_tokens"),
        ({"ts": "2023-11-16T18:15:46Z", "input_tokens": -1}, "negative"),
        ({"ts": "soon", "input_tokens": 1}, "bad_time"),
    ],
)
def test_a_row_without_time_or_tokens_is_refused(row: dict[str, Any], code: str) -> None:
    with pytest.raises(Unreadable) as caught:
        read(row)

    assert caught.value.code == code


def test_recorded_usage_gives_the_file_s_own_sums(recordings: Path) -> None:
    lines = gzip.decompress((recordings / "usage_requests.jsonl.gz").read_bytes()).splitlines()
    rows = [json.loads(line) for line in lines]

    records = [record for line in lines for record in usage.read(line)]

    assert len(records) == len(rows)
    assert sum(record.input_tokens or 0 for record in records) == sum(row["input_tokens"] for row in rows)
    assert sum(record.output_tokens or 0 for record in records) == sum(row["output_tokens"] for row in rows)


def test_usage_is_found_by_looking() -> None:
    assert detection.detect([json.dumps(ROW).encode()]) == "usage"
    assert detection.detect([b'{"TIMESTAMP": "1", "ContextTokens": "1", "GeneratedTokens": "1"}']) == "usage"
