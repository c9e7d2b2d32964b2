"""The store: every row once, a changed one as a new version, an unreadable one with its reason."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from ingestion import store, values
from ingestion.models import Batch, LogBody, LogRecord, SetAside, Trace
from projects.models import Project
from tests.ingestion.conftest import encoded, portkey_row

NOW = datetime(2026, 2, 1, tzinfo=UTC)


def append(project: Project, *rows: Any, **options: Any) -> values.Imported:
    given = {"format": "portkey", "source": "file", "label": "logs.jsonl", "simulated": False, "now": NOW, **options}
    return store.append(project, encoded(*rows), **given)


def test_rows_become_records_with_their_bodies_and_trace(agent: Project) -> None:
    outcome = append(agent, portkey_row(1), portkey_row(2, trace_id="trace-1"))

    assert (outcome.added, outcome.already_there, outcome.set_aside, outcome.batches) == (2, 0, 0, 1)
    record = LogRecord.objects.get(source_id="log-1")
    assert (record.model, record.status, record.input_tokens, record.latency_us) == ("gpt-4o-mini", "ok", 1000, 812_000)
    assert record.body.preview == "Where is order 1?"
    assert Trace.objects.get().records.count() == 2


def test_the_same_rows_again_add_nothing(agent: Project) -> None:
    rows = [portkey_row(n) for n in range(5)] + [b"{broken"]
    append(agent, *rows)

    again = append(agent, *rows)

    assert (again.added, again.already_there, again.set_aside, again.batches) == (0, 5, 1, 0)
    assert (LogRecord.objects.count(), SetAside.objects.count(), Batch.objects.count()) == (5, 1, 1)


def test_a_row_twice_in_one_file_is_stored_once(agent: Project) -> None:
    outcome = append(agent, portkey_row(1), portkey_row(1))

    assert (outcome.added, outcome.already_there) == (1, 1)


def test_a_changed_row_becomes_the_next_version_and_reads_see_the_newest(agent: Project) -> None:
    append(agent, portkey_row(1))

    append(agent, portkey_row(1, metadata={"feedback": "good"}), portkey_row(1, metadata={"feedback": "bad"}))

    assert list(LogRecord.objects.order_by("version").values_list("version", flat=True)) == [1, 2, 3]
    assert agent.logs.all().newest().get().metadata == {"feedback": "bad"}


def test_injected_headers_and_unknown_fields_are_no_change(agent: Project) -> None:
    append(agent, portkey_row(1))

    again = append(agent, portkey_row(1, portkeyHeaders={"other": "x"}, surprise=[1]))

    assert again.already_there == 1


def test_bodies_stay_the_bytes_that_came(agent: Project) -> None:
    request = b'{"model" :"m","messages":[{"role":"user","content":"\\u00e9"}]}'

    append(agent, b'{"id":"a","ai_model":"m","response":{"choices":[]},"request":' + request + b"}")

    assert LogBody.objects.get().request == request.decode()


def test_batches_are_numbered_and_their_manifests_chained(agent: Project) -> None:
    append(agent, portkey_row(1))
    append(agent, portkey_row(2))

    first, second = Batch.objects.order_by("number")

    assert (first.number, second.number, second.previous_hash) == (1, 2, first.manifest_hash)
    assert (first.first_pk, first.last_pk) == (first.last_pk, first.records.get().pk)
    assert second.first_at == second.last_at == second.records.get().occurred_at


def test_a_row_without_an_id_is_known_by_its_content(agent: Project) -> None:
    append(agent, portkey_row(1, id=None))

    again = append(agent, portkey_row(1, id=None), portkey_row(2, id=None))

    assert (again.added, again.already_there) == (1, 1)
    assert LogRecord.objects.filter(source_id__startswith="content-").count() == 2


def test_a_row_without_a_time_or_trace_has_the_time_of_import_a_flag_and_its_own_id(agent: Project) -> None:
    append(agent, portkey_row(1, created_at=None, trace_id=None))

    record = LogRecord.objects.get()
    assert record.occurred_at == NOW
    assert values.TIME_FLAG in record.metadata
    assert record.trace.key == record.source_id


def test_an_unknown_time_is_no_change_when_imported_later(agent: Project) -> None:
    append(agent, portkey_row(1, created_at=None))

    again = append(agent, portkey_row(1, created_at=None), now=datetime(2026, 3, 1, tzinfo=UTC))

    assert again.already_there == 1


def test_a_time_in_the_future_is_set_aside(agent: Project) -> None:
    outcome = append(agent, portkey_row(1, created_at="2026-02-03T00:00:00Z"))

    assert [(aside.line, aside.code) for aside in outcome.reasons] == [(1, "absurd_time")]


def test_rows_set_aside_keep_line_reason_and_text(agent: Project) -> None:
    append(agent, portkey_row(1), b"not json", b"", b"[1]")

    asides = SetAside.objects.order_by("line")
    assert [(row.line, row.code, row.raw) for row in asides] == [
        (2, "bad_json", "not json"),
        (4, "not_an_object", "[1]"),
    ]


def test_chunks_are_committed_one_by_one(agent: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(store.CHUNK_ROWS, connection.vendor, 2)
    seen: list[tuple[int, int]] = []

    def beat(done: int) -> None:
        seen.append((done, LogRecord.objects.count()))

    outcome = append(agent, *(portkey_row(n) for n in range(5)), beat=beat)

    assert seen == [(2, 2), (4, 4), (5, 5)]
    assert outcome.batches == 3


def test_a_beat_that_raises_stops_after_a_commit(agent: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(store.CHUNK_ROWS, connection.vendor, 2)

    def cancelled(done: int) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        append(agent, *(portkey_row(n) for n in range(5)), beat=cancelled)

    assert LogRecord.objects.count() == 2


def test_the_cost_is_ours_where_tokens_and_a_price_are_known(agent: Project) -> None:
    append(agent, portkey_row(1))

    record = LogRecord.objects.get()
    # gpt-4o-mini: 1000 tokens at $0.15 and 50 at $0.60 per million = $0.00015 + $0.00003
    assert (record.cost_nanousd, record.cost_is_ours) == (180_000, True)
    assert record.source_cost_nanousd == 180_000  # 0.018 cents


def test_without_a_price_the_source_s_cost_stands_and_its_0_is_unknown(agent: Project) -> None:
    append(agent, portkey_row(1, ai_model="in-house", cost=0.5), portkey_row(2, ai_model="in-house", cost=0))

    stated, zero = LogRecord.objects.order_by("source_id")
    assert (stated.cost_nanousd, stated.cost_is_ours) == (5_000_000, False)
    assert (zero.cost_nanousd, zero.source_cost_nanousd) == (None, 0)


def test_two_projects_do_not_see_each_other_s_rows(make_project: Callable[..., Project]) -> None:
    one, other = make_project("one"), make_project("other")
    append(one, portkey_row(1))

    outcome = append(other, portkey_row(1))

    assert outcome.added == 1
    assert one.logs.get().content_hash != other.logs.get().content_hash


@pytest.mark.django_db(transaction=True)
def test_two_writers_at_once_store_each_row_once_and_keep_one_chain(
    transactional_db: None, make_project: Callable[..., Project], monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project()
    monkeypatch.setitem(store.CHUNK_ROWS, connection.vendor, 5)
    rows = [portkey_row(n, trace_id=f"trace-{n % 3}") for n in range(40)]

    def write(given: list[Any]) -> int:
        try:
            return append(project, *given).added
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as threads:
        added = sum(threads.map(write, [rows, rows[::-1]]))

    assert added == LogRecord.objects.count() == 40
    batches = list(Batch.objects.order_by("number"))
    assert [batch.number for batch in batches] == list(range(1, len(batches) + 1))
    assert [batch.previous_hash for batch in batches[1:]] == [batch.manifest_hash for batch in batches[:-1]]


STATEMENTS = {
    "an update": "UPDATE ingestion_logrecord SET model = 'x'",
    "a deletion": "DELETE FROM ingestion_logrecord",
    "a changed body": "UPDATE ingestion_logbody SET request = 'x'",
    "a removed body": "DELETE FROM ingestion_logbody",
    "a changed batch": "UPDATE ingestion_batch SET added = 0",
    "a removed batch": "DELETE FROM ingestion_batch",
    "a changed price": "UPDATE ingestion_price SET input_nanousd = 0",
    "a removed price": "DELETE FROM ingestion_price",
}


@pytest.mark.parametrize("statement", STATEMENTS.values(), ids=STATEMENTS.keys())
def test_the_database_itself_refuses(agent: Project, statement: str) -> None:
    append(agent, portkey_row(1))

    with pytest.raises(DatabaseError, match="immutable"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.parametrize("table", ["logrecord", "logbody", "batch"])
def test_sqlite_refuses_to_replace_a_row(agent: Project, table: str) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("REPLACE is SQLite's")
    append(agent, portkey_row(1))

    with pytest.raises(DatabaseError, match="immutable"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"INSERT OR REPLACE INTO ingestion_{table} SELECT * FROM ingestion_{table}")


@pytest.mark.parametrize("table", ["logrecord", "logbody", "batch"])
def test_postgresql_refuses_to_truncate(agent: Project, table: str) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("TRUNCATE is PostgreSQL's")
    append(agent, portkey_row(1))
    connection.check_constraints()  # foreign keys that wait for the commit would refuse first

    with pytest.raises(DatabaseError, match="immutable"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE ingestion_{table} CASCADE")


def test_the_triggers_that_must_exist_exist(db: None) -> None:
    tables = ("batch", "logbody", "logrecord", "offerversion", "price", "removedbody")
    names = {f"ingestion_{table}_no_{event}" for table in tables for event in ("update", "delete")}
    names.add("ingestion_removal_no_delete")  # its counts go up while it works
    if connection.vendor == "postgresql":
        names |= {f"ingestion_{table}_no_truncate" for table in (*tables, "removal")}
        query = "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal"
    else:
        query = "SELECT name FROM sqlite_master WHERE type = 'trigger'"

    with connection.cursor() as cursor:
        cursor.execute(query)
        found = {name for (name,) in cursor.fetchall() if name.startswith("ingestion_")}

    assert found == names
