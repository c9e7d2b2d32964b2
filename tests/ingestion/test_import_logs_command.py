"""`import_logs`: what came of a file, in words or as JSON."""

import gzip
import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from ingestion.models import LogRecord
from projects.models import Project
from tests.ingestion.conftest import portkey_row


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("import_logs", *arguments, stdout=out)
    return out.getvalue()


def test_it_says_what_was_added_and_why_rows_were_set_aside(agent: Project, write_lines: Callable[..., Path]) -> None:
    path = write_lines(portkey_row(1), b"{broken", portkey_row(2))

    said = run("agent", str(path))

    assert said.splitlines() == ["2 added, 0 already there, 1 set aside.", "  line 2: The line is not one JSON value."]


def test_as_json_it_is_one_object(agent: Project, write_lines: Callable[..., Path]) -> None:
    path = write_lines(portkey_row(1))
    run("agent", str(path))

    found = json.loads(run("agent", str(path), "--json"))

    assert found == {"added": 0, "already_there": 1, "set_aside": 0, "reasons": []}


def test_a_compressed_file_with_a_byte_order_mark_is_read(agent: Project, tmp_path: Path) -> None:
    path = tmp_path / "logs.jsonl.gz"
    path.write_bytes(gzip.compress(b"\xef\xbb\xbf" + json.dumps(portkey_row(1)).encode()))

    run("agent", str(path))

    assert LogRecord.objects.get().source_id == "log-1"


def test_an_unknown_project_is_refused_with_what_exists(agent: Project, write_lines: Callable[..., Path]) -> None:
    with pytest.raises(CommandError, match=r"no project 'nobody'. There are: agent"):
        run("nobody", str(write_lines(portkey_row(1))))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"\n\n", "empty"),
        ('{"request":'.encode("utf-16"), "UTF-16"),
        (b'{"neither": 1}\n', "no log in a format"),
        (gzip.compress(b'{"request": {"messages": []}}\n' * 9)[:-8], "damaged"),
    ],
    ids=["empty", "blank lines", "UTF-16", "no log", "damaged"],
)
def test_a_file_that_holds_no_logs_is_refused(agent: Project, tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "logs.jsonl"
    path.write_bytes(content)

    with pytest.raises(CommandError, match=said):
        run("agent", str(path))


def test_a_missing_file_is_named(agent: Project, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"nothing\.jsonl"):
        run("agent", str(tmp_path / "nothing.jsonl"))
