"""Rows out of files of every kind, packed or not; what is no file of logs is refused by name."""

import gzip
import io
import json
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from agentopt.lib.errors import Invalid
from ingestion import files
from ingestion.containers import documents, sheets
from ingestion.formats.fields import MAX_LINE_BYTES, Refused

ROWS: list[Any] = [{"id": "1", "text": 'a "}]{[\\'}, {"id": "2", "list": [1, {"a": None}]}, {"id": "3"}]


def written(path: Path, content: bytes) -> list[tuple[int, bytes]]:
    path.write_bytes(content)
    with files.opened(path) as stream:
        return list(files.rows(stream))


def values(path: Path, content: bytes) -> list[Any]:
    return [json.loads(row) for _, row in written(path, content)]


CONTENTS: dict[str, str] = {
    "lines": "\n".join(json.dumps(row) for row in ROWS),
    "a list": json.dumps(ROWS),
    "a list over several lines": json.dumps(ROWS, indent=2),
    "a list in an object": json.dumps({"data": ROWS, "meta": {"page": 1}}),
    "a list at the end of an object": json.dumps({"object": "list", "total": 3, "logs": ROWS}, indent=2),
    "objects over several lines": "\n".join(json.dumps(row, indent=2) for row in ROWS),
    "answers one after the other": json.dumps({"data": ROWS[:1]}) + "\n" + json.dumps({"data": ROWS[1:]}),
}


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS.keys())
@pytest.mark.parametrize("mark", [b"", files.BOM], ids=["", "with a byte order mark"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_json_is_read_in_every_form(tmp_path: Path, content: str, mark: bytes, pack: Any) -> None:
    assert values(tmp_path / "logs", pack(mark + content.encode())) == ROWS


def test_numbers_are_lines_where_there_are_lines(tmp_path: Path) -> None:
    assert [number for number, _ in written(tmp_path / "a", b'{"a":1}\n\nbroken\n{"a":2}\n')] == [1, 2, 3, 4]
    assert [number for number, _ in written(tmp_path / "b", b'a,b\n1,"x\ny"\n2,z\n')] == [2, 4]
    assert [number for number, _ in written(tmp_path / "c", b'[{"a":1},\n\n{"a":2}]')] == [1, 2]


@pytest.mark.parametrize("first", [b"broken", b"[]", b"{broken", b"a,b,c", b'{"a": {'])
def test_a_broken_first_line_does_not_hide_the_others(tmp_path: Path, first: bytes) -> None:
    found = written(tmp_path / "logs", first + b'\n{"id":"1"}\n{"id":"2"}\n')

    assert [row.strip() for _, row in found] == [first, b'{"id":"1"}', b'{"id":"2"}']


def test_a_cut_list_gives_its_whole_rows_and_says_where_it_ends(tmp_path: Path) -> None:
    found = written(tmp_path / "logs", b'[{"a":1},{"b":')

    assert found[0] == (1, b'{"a":1}')
    assert isinstance(found[1][1], Refused)
    assert (found[1][1].code, bytes(found[1][1])) == ("truncated", b'{"b":')


def test_what_stands_after_a_list_is_not_lost(tmp_path: Path) -> None:
    found = written(tmp_path / "logs", b'[{"a":1}] trailing')

    assert isinstance(found[1][1], Refused)
    assert bytes(found[1][1]) == b"trailing"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(JSON, max_size=5), st.integers(min_value=1, max_value=40), st.sampled_from([None, 1]), st.booleans())
def test_a_list_is_cut_as_json_reads_it_however_it_comes(
    rows: list[Any], step: int, indent: int | None, in_object: bool
) -> None:
    written = json.dumps({"total": len(rows), "data": rows} if in_object else rows, indent=indent).encode()
    pieces = [written[at : at + step] for at in range(0, len(written), step)]

    assert [json.loads(row) for _, row in documents.rows(pieces)] == rows


@given(st.lists(st.binary(max_size=30), max_size=6), st.booleans())
def test_any_bytes_are_cut_into_something(pieces: list[bytes], as_values: bool) -> None:
    assert all(isinstance(row, bytes) for _, row in documents.rows(pieces, values=as_values))


def sheet(content: str | bytes) -> list[tuple[int, bytes]]:
    return list(sheets.rows(io.BytesIO(content.encode() if isinstance(content, str) else content)))


def test_csv_is_texts_under_the_names_of_the_first_line() -> None:
    found = sheet('prompt,answer\r\n"Say ""hi"", please",=1+1\r\n"two\r\nlines",\r\n')

    assert [json.loads(row) for _, row in found] == [
        {"prompt": 'Say "hi", please', "answer": "=1+1"},
        {"prompt": "two\r\nlines"},
    ]


@pytest.mark.parametrize("sign", list(sheets.DELIMITERS))
def test_csv_may_have_another_delimiter(tmp_path: Path, sign: str) -> None:
    assert values(tmp_path / "a.csv", f'prompt{sign}answer\n"a,b;c"{sign}d'.encode()) == [
        {"prompt": "a,b;c", "answer": "d"}
    ]


def test_nameless_and_repeated_columns_keep_their_values() -> None:
    assert sheets.columns("a,,a, b ") == ["a", "2", "a 3", "b"]


def test_rows_that_are_no_csv_are_refused_alone() -> None:
    found = sheet(b'a,b\n1,2\n"x"y,2\n3,4\n5,6,7\n\xe9,8\n"open,9\n10,11\n')
    refused = {number: row.code for number, row in found if isinstance(row, Refused)}

    assert refused == {3: "bad_csv", 5: "columns", 6: "encoding", 7: "bad_csv"}
    assert [json.loads(row)["a"] for _, row in found if not isinstance(row, Refused)] == ["1", "3", "10"]


def table(path: Path) -> Path:
    at = datetime(2026, 1, 17, 6, 20, 43, 123456, tzinfo=UTC)
    parquet.write_table(
        pa.table(
            {
                "id": ["a", "b"],
                "created_at": pa.array([at, None], pa.timestamp("ns", tz="UTC")),
                "usage": pa.array([[("input", 1)], []], pa.map_(pa.string(), pa.int64())),
                "request": [{"model": "m", "messages": [{"role": "user"}]}, None],
                "cost": [0.5, float("nan")],
                "raw": [b"x", None],
            }
        ),
        path,
    )
    return path


def test_parquet_is_read_packed_or_not(tmp_path: Path) -> None:
    content = table(tmp_path / "logs.parquet").read_bytes()

    plain, packed = values(tmp_path / "a", content), values(tmp_path / "b", gzip.compress(content))

    assert plain == packed
    assert plain[0] == {
        "id": "a",
        "created_at": "2026-01-17T06:20:43.123456Z",
        "usage": {"input": 1},
        "request": {"model": "m", "messages": [{"role": "user"}]},
        "cost": 0.5,
        "raw": "eA==",
    }
    assert plain[1] == {"id": "b", "usage": {}, "cost": None}


def test_times_beyond_python_s_are_refused_alone(tmp_path: Path) -> None:
    at = pa.array([0, 10**17, 1], pa.timestamp("s"))
    parquet.write_table(
        pa.table({"id": ["a", "b", "c"], "at": at.cast(pa.timestamp("us"), safe=False)}), tmp_path / "logs"
    )

    with files.opened(tmp_path / "logs") as stream:
        found = list(files.rows(stream))

    assert len(found) == 3


def test_a_damaged_parquet_is_refused(tmp_path: Path) -> None:
    content = table(tmp_path / "logs.parquet").read_bytes()

    for damaged in (content[:-20], content[:40] + b"\xff" * 40 + content[80:], b"PAR1"):
        with pytest.raises(Invalid, match="damaged"):
            written(tmp_path / "a", damaged)


def archive() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("logs.jsonl", b"{}")
    return out.getvalue()


REFUSED: dict[str, tuple[bytes, str]] = {
    "UTF-16": ('{"a": 1}'.encode("utf-16"), "UTF-16"),
    "UTF-16 without a mark": ('{"a": 1}'.encode("utf-16-le"), "UTF-16"),
    "a ZIP archive": (archive(), "ZIP archive"),
    "packed twice": (gzip.compress(gzip.compress(b"{}")), "packed twice"),
    "a cut gzip": (gzip.compress(b'{"a": 1}\n' * 99)[:-8], "damaged"),
    "junk after gzip's mark": (b"\x1f\x8bjunk and more junk", "damaged"),
}


@pytest.mark.parametrize(("content", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_no_file_of_logs_is_refused_by_name(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(Invalid, match=said):
        written(tmp_path / "logs", content)


def test_a_bomb_stops_before_it_fills_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "FREE_UNPACKED_BYTES", 2 * 1024 * 1024)

    for content in (b" " * 30_000_000, b'{"a":1}\n' * 4_000_000):
        with pytest.raises(Invalid, match="500 times"):
            written(tmp_path / "bomb.gz", gzip.compress(content))


@pytest.mark.parametrize(
    "content",
    [
        b'{"a":"%s"}\n{"b":1}\n',
        b'[{"a":"%s"},{"b":1}]',
        b'{"data":[{"a":"%s"},{"b":1}]}',
    ],
    ids=["lines", "a list", "a list in an object"],
)
def test_a_row_far_too_long_is_cut_and_the_next_one_read(tmp_path: Path, content: bytes) -> None:
    found = written(tmp_path / "logs", content % (b"\\n" * MAX_LINE_BYTES))

    assert [len(row) for _, row in found] == [MAX_LINE_BYTES + 1, len(b'{"b":1}') + (b"\n" in content)]


def test_a_csv_row_far_too_long_is_refused_and_the_next_one_read(tmp_path: Path) -> None:
    found = written(tmp_path / "logs", b"a,b\n" + b"x" * (2 * MAX_LINE_BYTES) + b",1\n2,3\n")

    assert isinstance(found[0][1], Refused)
    assert [json.loads(row) for _, row in found[1:]] == [{"a": "2", "b": "3"}]


@pytest.mark.parametrize("content", [b'{"a":1}\n{"b"\n:2}}}]\n{"c":3}', b'[{"a":1}]]}[{"b":2}] {"c":3} "x'])
@pytest.mark.parametrize("as_values", [True, False])
def test_brackets_too_many_lose_nothing_however_the_bytes_come(content: bytes, as_values: bool) -> None:
    whole = list(documents.rows([content], values=as_values))
    pieces = list(documents.rows([content[at : at + 1] for at in range(len(content))], values=as_values))

    assert pieces == whole
    if as_values:
        assert b"".join(row for _, row in whole).translate(None, b" \n") == content.translate(None, b" \n")
