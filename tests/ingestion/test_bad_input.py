"""Bad input through the whole import: a clear outcome each, nothing lost, nothing crashes, on both databases."""

import gzip
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from agentopt.lib.errors import Invalid
from ingestion import files, imports, values
from ingestion.formats.fields import MAX_LINE_BYTES
from ingestion.models import LogBody, LogRecord, SetAside
from projects.models import Project
from tests.ingestion.conftest import portkey_row
from tests.ingestion.formats import test_helicone, test_langfuse, test_litellm, test_table, test_transcript, test_usage


@pytest.fixture
def take(agent: Project, tmp_path: Path) -> Callable[..., values.Imported]:
    """Import bytes as a file."""

    def take(content: bytes, **options: Any) -> values.Imported:
        path = tmp_path / "logs"
        path.write_bytes(content)
        return imports.import_file(agent, path, **options)

    return take


Take = Callable[..., values.Imported]


def line(row: Any) -> bytes:
    return json.dumps(row).encode() + b"\n"


GOOD = line(portkey_row(1))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (gzip.compress(b""), "is empty"),
        (b"[]", "is empty"),
        (b"prompt,answer\n", "is empty"),
        (GOOD.decode().encode("utf-16"), "UTF-16"),
        (b"\x00" * 100, "no log in a format"),
        (b"%PDF-1.7 something else", "no log in a format"),
    ],
    ids=["empty", "blank lines", "empty gzip", "an empty list", "a header", "UTF-16", "NUL bytes", "a PDF"],
)
def test_a_file_without_logs_is_refused_and_nothing_is_stored(take: Take, content: bytes, said: str) -> None:
    with pytest.raises(Invalid, match=said):
        take(content)

    assert not LogRecord.objects.exists()
    assert not SetAside.objects.exists()


NOW = timezone.now()
ROWS: dict[str, tuple[bytes, str]] = {
    "Latin-1": (json.dumps(portkey_row(2, trace_id="é"), ensure_ascii=False).encode("latin-1") + b"\n", "encoding"),
    "NUL bytes": (line(portkey_row(2)).replace(b"log-2", b"log\x002"), "nul_bytes"),
    "deep JSON": (line(portkey_row(2, request="DEEP")).replace(b'"DEEP"', b"[" * 10**5 + b"]" * 10**5), "too_deep"),
    "a negative cost": (line(portkey_row(2, cost=-1)), "negative"),
    "NaN": (line(portkey_row(2, cost=float("nan"))), "bad_json"),
    "Infinity": (line(portkey_row(2, req_units=float("inf"))), "bad_json"),
    "a NaN in text": (line(portkey_row(2, cost="NaN")), "wrong_type"),
    "1970": (line(portkey_row(2, created_at=0)), "absurd_time"),
    "next week": (line(portkey_row(2, created_at=(NOW + timedelta(days=7)).isoformat())), "absurd_time"),
    "the year 2500": (line(portkey_row(2, created_at="2500-01-01T00:00:00Z")), "absurd_time"),
    "half a row": (line(portkey_row(2))[:50] + b"\n", "bad_json"),
    "a huge count": (line(portkey_row(2, response=None, req_units=10**12)), "wrong_type"),
}


@pytest.mark.parametrize(("row", "code"), ROWS.values(), ids=ROWS.keys())
def test_a_row_that_cannot_be_read_is_set_aside_with_its_line_and_the_others_stored(
    take: Take, row: bytes, code: str
) -> None:
    found = take(GOOD + row + line(portkey_row(3)), format="portkey")

    assert (found.added, found.set_aside) == (2, 1)
    assert (found.reasons[0].line, found.reasons[0].code) == (2, code)
    assert SetAside.objects.get().line == 2
    assert take(GOOD + row + line(portkey_row(3)), format="portkey").added == 0
    assert SetAside.objects.count() == 1


def test_a_row_of_200_mb_is_set_aside(take: Take, tmp_path: Path) -> None:
    packed = gzip.compress(line(portkey_row(1)) + b'{"id": "' + b"long " * (40 * 1024 * 1024) + b'"}\n' + GOOD, 1)

    found = take(packed)

    assert (found.added + found.already_there, found.set_aside) == (2, 1)
    assert (found.reasons[0].line, found.reasons[0].code) == (2, "too_long")


def test_a_bomb_leaves_what_came_before_it(take: Take, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "FREE_UNPACKED_BYTES", 4 * 1024 * 1024)

    with pytest.raises(Invalid, match="500 times"):
        take(gzip.compress(GOOD + b"\n" * 50_000_000))


def test_an_id_with_another_body_is_another_version(take: Take) -> None:
    found = take(GOOD + GOOD + line(portkey_row(1, response="Lost.")))

    assert (found.added, found.already_there) == (2, 1)
    assert sorted(LogRecord.objects.values_list("version", flat=True)) == [1, 2]


def test_halves_of_characters_and_escaped_nul_are_stored_marked(take: Take) -> None:
    messages = [{"role": "user", "content": "a\ud83d b\x00"}]
    row = portkey_row(
        1, request={"model": "m\ud800", "messages": messages}, metadata={"k\x00": "v\udfff"}, trace_id="t\x00"
    )

    found = take(line(row))

    assert found.added == 1
    assert json.loads(LogBody.objects.get().request)["messages"][0]["content"] == "a\ufffd b\ufffd"


def test_a_byte_order_mark_is_no_part_of_the_first_row(take: Take) -> None:
    assert take(files.BOM + GOOD).added == 1


def test_a_formula_of_a_spreadsheet_stays_a_text(take: Take) -> None:
    content = b'model,prompt,answer,team\ngpt-4o,=1+1,"=HYPERLINK(""x"")",+cmd|\' /C calc\'!A0\n'

    assert take(content).added == 1
    assert LogRecord.objects.get().metadata["team"] == "+cmd|' /C calc'!A0"
    assert json.loads(LogBody.objects.get().response) == '=HYPERLINK("x")'


def test_a_csv_row_of_another_shape_is_set_aside_as_it_came(take: Take) -> None:
    found = take(b"model,prompt,answer\nm,a,b\nm,a,b,c,d\n\xe9,a,b\nm,c,d\n")

    assert (found.added, found.set_aside) == (2, 2)
    assert [(row.line, row.code) for row in found.reasons] == [(3, "columns"), (4, "encoding")]
    assert SetAside.objects.get(line=3).raw == "m,a,b,c,d\n"


def test_a_list_that_was_cut_gives_its_whole_rows(take: Take) -> None:
    found = take(json.dumps([portkey_row(1), portkey_row(2)]).encode()[:-20])

    assert (found.added, found.set_aside, found.reasons[0].code) == (1, 1, "truncated")


EVERY = {
    "portkey": portkey_row(1),
    "langfuse": test_langfuse.API,
    "langfuse blob": test_langfuse.BLOB,
    "helicone": test_helicone.ROW,
    "litellm": test_litellm.PAYLOAD,
    "litellm spend": test_litellm.SPEND,
    "transcript": test_transcript.row(),
    "usage": test_usage.ROW,
    "table": test_table.ROW,
}


@pytest.mark.parametrize("row", EVERY.values(), ids=EVERY.keys())
def test_every_format_is_stored_once_however_often_it_comes(take: Take, row: dict[str, Any]) -> None:
    first, second = take(line(row)), take(json.dumps([row]).encode())

    assert first.added > 0
    assert (second.added, second.already_there, second.set_aside) == (0, first.added, 0)
    assert LogRecord.objects.count() == first.added


def test_a_limit_of_a_line_is_told_in_its_reason(take: Take) -> None:
    found = take(GOOD + b"x" * (MAX_LINE_BYTES + 5), format="portkey")

    assert found.reasons[0].reason == "The line is longer than 16 MB."
