"""`import_logs`: what came of a file, in words or as JSON."""

import gzip
import json
from collections.abc import Callable
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from ingestion.models import LogRecord, Trace
from projects.models import Project
from tests.ingestion.conftest import portkey_row
from tests.ingestion.formats import test_langfuse, test_transcript, test_usage


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("import_logs", *arguments, stdout=out)
    return out.getvalue()


def test_it_says_what_was_added_and_why_rows_were_set_aside(agent: Project, write_lines: Callable[..., Path]) -> None:
    path = write_lines(portkey_row(1), b"{broken", portkey_row(2))

    said = run("agent", str(path))

    assert said.splitlines() == [
        "2 added, 0 already there, 1 set aside.",
        "The file holds 2 conversations, 4 messages, 2,000 input tokens, 100 output tokens, $0.0003600 as it says.",
        "  line 2: The line is not one JSON value.",
    ]


def test_as_json_it_is_one_object(agent: Project, write_lines: Callable[..., Path]) -> None:
    path = write_lines(portkey_row(1))
    run("agent", str(path))

    found = json.loads(run("agent", str(path), "--json"))

    assert found == {
        "added": 0, "already_there": 1, "set_aside": 0, "traces": 1, "messages": 2, "tool_calls": 0,
        "input_tokens": 1000, "output_tokens": 50, "cost_usd": 0.00018, "reasons": [],
    }  # fmt: skip


def test_rows_that_hold_no_call_are_counted_and_not_set_aside(agent: Project, write_lines: Callable[..., Path]) -> None:
    path = write_lines(test_langfuse.API, *test_langfuse.OTHERS.values())

    said = run("agent", str(path))

    assert said.splitlines()[:2] == [
        "1 added, 0 already there, 0 set aside.",
        "5 rows hold no call (spans, traces or scores).",
    ]


SUMS = ("traces", "messages", "tool_calls", "input_tokens", "output_tokens", "cost_usd")


def recorded_runs(folder: Path) -> tuple[Path, int, dict[str, Any]]:
    """A file, how many calls it holds, and the sums of its own columns."""
    path = folder / "agent_trajectories.jsonl.gz"
    runs = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    messages = [message for run in runs for message in run["messages"]]
    own = [
        meta
        for run in runs
        for message, meta in zip(run["messages"], run["message_meta"] or [], strict=False)
        if message["role"] == "assistant"
    ]
    sums = {
        "traces": len(runs),
        "messages": len(messages),
        "tool_calls": sum(len(message.get("tool_calls") or []) for message in messages),
        "input_tokens": sum(meta[1] or 0 for meta in own),
        "output_tokens": sum(meta[2] or 0 for meta in own),
        "cost_usd": float(sum(Decimal(str(meta[3])) for meta in own if meta[3] is not None)),
    }
    return path, sum(message["role"] == "assistant" for message in messages), sums


def recorded_usage(folder: Path) -> tuple[Path, int, dict[str, Any]]:
    path = folder / "usage_requests.jsonl.gz"
    rows = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    sums = {name: sum(row[name] for row in rows) for name in ("input_tokens", "output_tokens")}
    return path, len(rows), {"traces": 0, "messages": 0, "tool_calls": 0, "cost_usd": None, **sums}


@pytest.mark.parametrize("recorded", [recorded_runs, recorded_usage])
def test_recorded_files_give_their_own_sums_and_nothing_the_second_time(
    agent: Project, recordings: Path, recorded: Callable[[Path], tuple[Path, int, dict[str, Any]]]
) -> None:
    path, calls, sums = recorded(recordings)

    first = json.loads(run("agent", str(path), "--json"))
    second = json.loads(run("agent", str(path), "--json"))

    assert first == {"added": calls, "already_there": 0, "set_aside": 0, **sums, "reasons": []}
    assert second == {"added": 0, "already_there": calls, "set_aside": 0, **sums, "reasons": []}
    assert agent.logs.count() == calls


def test_conversations_and_equal_rows_of_usage_are_stored_call_by_call(
    agent: Project, write_lines: Callable[..., Path]
) -> None:
    runs = write_lines(test_transcript.row(), test_transcript.row(trajectory_id=None), name="runs.jsonl")
    usage = write_lines(test_usage.ROW, test_usage.ROW, {**test_usage.ROW, "input_tokens": 1}, name="usage.jsonl")

    told = {name: json.loads(run("agent", str(path), "--json")) for name, path in (("runs", runs), ("usage", usage))}

    assert [told["runs"][name] for name in ("added", *SUMS)] == [6, 2, 12, 2, 13664, 148, 0.004684]
    assert [told["usage"][name] for name in ("added", *SUMS)] == [3, 0, 0, 0, 749, 132, None]
    assert json.loads(run("agent", str(usage), "--json"))["added"] == 0
    assert json.loads(run("agent", str(runs), "--json"))["added"] == 0
    assert Trace.objects.filter(records__model="gpt-4.1").distinct().count() == 2


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
