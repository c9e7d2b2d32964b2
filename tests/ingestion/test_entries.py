"""Rows of several calls, rows without ids, and what a file held, counted."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from ingestion import store, values, writing
from ingestion.formats import detection, portkey
from ingestion.formats.fields import Unreadable
from ingestion.models import LogBody, LogRecord
from ingestion.models.rollups import DirtyHour
from projects.models import Project
from tests.ingestion.conftest import encoded, portkey_row

NOW = datetime(2026, 2, 1, tzinfo=UTC)


def append(project: Project, *rows: Any, **options: Any) -> values.Imported:
    given = {"format": "portkey", "source": "file", "label": "logs.jsonl", "simulated": False, "now": NOW, **options}
    return store.append(project, encoded(*rows), **given)


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A format whose rows are lists of Portkey rows."""

    def read(line: bytes) -> Sequence[values.RawRecord]:
        return [portkey.read(json.dumps(row).encode())[0] for row in json.loads(line)]

    monkeypatch.setitem(detection.READERS, "listed", read)


@pytest.mark.usefixtures("listed")
def test_the_calls_of_one_row_are_taken_together(agent: Project) -> None:
    outcomes: list[values.PushedRow] = []

    imported = append(
        agent,
        [portkey_row(1), portkey_row(2)],
        [portkey_row(3), portkey_row(4, response_time=-1)],
        [portkey_row(2)],
        [portkey_row(2), portkey_row(5)],
        format="listed",
        outcomes=outcomes.append,
    )

    assert (imported.added, imported.already_there, imported.set_aside) == (3, 2, 1)
    assert [row.status for row in outcomes] == ["added", "set_aside", "already_there", "added"]
    assert sorted(LogRecord.objects.values_list("source_id", flat=True)) == ["log-1", "log-2", "log-5"]


USAGE = {"created_at": "2026-01-05T10:00:00Z", "input_tokens": 120, "output_tokens": 30}


def test_equal_rows_of_a_file_without_ids_are_different_calls_and_yet_stored_once(agent: Project) -> None:
    rows = [USAGE, USAGE, {**USAGE, "input_tokens": 7}, USAGE]

    first = append(agent, *rows, format="usage")
    again = append(agent, *rows[::-1], format="usage")

    assert (first.added, first.already_there) == (4, 0)
    assert (again.added, again.already_there) == (0, 4)
    assert (first.input_tokens, first.output_tokens, first.traces) == (367, 120, 0)


def test_equal_rows_are_told_apart_across_chunks(agent: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(store.CHUNK_ROWS, connection.vendor, 2)

    assert append(agent, *[USAGE] * 5, format="usage").added == 5


def test_what_the_file_held_is_counted_whether_it_was_new_or_not(agent: Project) -> None:
    rows = [portkey_row(n, trace_id=f"t{n % 2}") for n in range(4)]
    append(agent, *rows[:2])

    imported = append(agent, *rows, b"{broken", portkey_row(9, trace_id=None, cost=None))

    # every row asks once and is answered once
    assert (imported.messages, imported.tool_calls, imported.traces) == (10, 0, 2)
    assert (imported.input_tokens, imported.output_tokens) == (5000, 250)
    assert imported.cost_nanousd == 4 * 180_000


def test_tokens_and_cost_that_no_row_tells_are_not_known(agent: Project) -> None:
    imported = append(agent, portkey_row(1, response=None, req_units=None, res_units=None, cost=None))

    assert (imported.input_tokens, imported.output_tokens, imported.cost_nanousd) == (None, None, None)


def test_a_file_that_tells_two_things_of_one_id_adds_nothing_the_second_time(agent: Project) -> None:
    rows = [portkey_row(1), portkey_row(1, metadata={"feedback": "good"})]
    append(agent, *rows)

    again = append(agent, *rows)

    assert (again.added, again.already_there) == (0, 2)
    assert agent.logs.all().newest().get().metadata == {"feedback": "good"}


def test_the_hours_of_what_is_written_are_marked_and_those_of_versions_before(agent: Project) -> None:
    append(agent, portkey_row(1, created_at="2026-01-05T10:20:00Z"))
    DirtyHour.objects.all().delete()

    append(agent, portkey_row(1, created_at="2026-01-07T01:59:59Z"))
    append(agent, portkey_row(1, created_at="2026-01-07T01:59:59Z"))

    marked = DirtyHour.objects.order_by("hour").values_list("hour", flat=True)
    assert [f"{hour:%dT%H:%M}" for hour in marked] == ["05T10:00", "07T01:00"]


def test_every_column_of_the_tables_is_written() -> None:
    for model, columns in ((LogRecord, writing.RECORD_COLUMNS), (LogBody, writing.BODY_COLUMNS)):
        assert set(columns) == {field.column for field in model._meta.concrete_fields}


def test_odd_texts_come_back_as_they_were(agent: Project) -> None:
    said = 'a\tb "c" \\ \u00e9 \U0001f600 \\N'
    request = {"model": "m", "messages": [{"role": "user", "content": said}]}

    append(agent, portkey_row(1, request=request, metadata={"k\t1": said}, ai_org="a\tb"))

    record = LogRecord.objects.get()
    assert (record.metadata, record.provider) == ({"k\t1": said}, "a\tb")
    assert json.loads(record.body.request) == request


class AnyOrder(TestCase):
    """Rows in any order and any chunks."""

    @given(order=st.permutations([*range(7), *range(4)]), size=st.integers(1, 12), cut=st.integers(0, 11))
    def test_any_order_and_chunking_of_rows_gives_the_same_newest_records(
        self, order: list[int], size: int, cut: int
    ) -> None:
        project = Project.objects.create(slug="agent", name="Agent", hash_key="key")
        rows = [portkey_row(n, id=None if n > 4 else f"log-{n}", trace_id=f"t{n % 3}") for n in order]
        before = store.CHUNK_ROWS[connection.vendor]
        store.CHUNK_ROWS[connection.vendor] = size
        try:
            append(project, *rows[:cut])
            append(project, *rows[cut:])
        finally:
            store.CHUNK_ROWS[connection.vendor] = before

        found = project.logs.all().newest().values_list("key", "content_hash", "trace__key", "body__preview")
        assert project.logs.count() == 7
        assert set(found) == self.expected()

    def expected(self) -> set[tuple[Any, ...]]:
        other = Project.objects.create(slug="other", name="Other", hash_key="key")
        append(other, *(portkey_row(n, id=None if n > 4 else f"log-{n}", trace_id=f"t{n % 3}") for n in range(7)))
        return set(other.logs.values_list("key", "content_hash", "trace__key", "body__preview"))


def test_a_reader_that_finds_nothing_in_a_row_stores_nothing(agent: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes: list[values.PushedRow] = []
    monkeypatch.setitem(detection.READERS, "listed", lambda _line: [])

    imported = append(agent, {}, format="listed", outcomes=outcomes.append)

    assert (imported.added, imported.batches, [row.status for row in outcomes]) == (0, 0, ["already_there"])


def test_an_unreadable_call_tells_why_its_row_was_set_aside(
    agent: Project, monkeypatch: pytest.MonkeyPatch, make_project: Callable[..., Project]
) -> None:
    def read(line: bytes) -> Sequence[values.RawRecord]:
        raise Unreadable("no_model", "It names no model.")

    monkeypatch.setitem(detection.READERS, "listed", read)

    (aside,) = append(agent, {}, format="listed").reasons

    assert (aside.code, aside.reason) == ("no_model", "It names no model.")
