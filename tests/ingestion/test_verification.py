"""verify_logs finds whatever was changed past the product, and nothing else."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from agentopt.lib.immutable import door
from ingestion import erasure, retention, store, verification
from ingestion.models import Batch, LogBody, LogRecord, Trace
from projects.models import Privacy, Project
from tests.ingestion.conftest import encoded, portkey_row

NOW = datetime(2026, 2, 1, tzinfo=UTC)


def keep(project: Project, *rows: Any) -> None:
    store.append(project, encoded(*rows), format="portkey", source="file", label="l", simulated=False, now=NOW)


def changed(statement: str, *values: Any) -> None:
    """What somebody with the password of the database could do."""
    with door(), connection.cursor() as cursor:
        cursor.execute(statement, values)
        assert cursor.rowcount > 0


def found(project: Project) -> set[tuple[str, int | None, int | None]]:
    return {(one.code, one.batch, one.record) for one in verification.verify(project).findings}


@pytest.fixture
def filled(agent: Project, make_project: Callable[..., Project]) -> Project:
    """Three batches of two records, among those of another project."""
    other = make_project("other")
    for number in range(3):
        keep(agent, portkey_row(2 * number), portkey_row(2 * number + 1, metadata={"team": "sales", "n": str(number)}))
        keep(other, portkey_row(number))
    return agent


def pk_of(number: int) -> int:
    return LogRecord.objects.get(project__slug="agent", source_id=f"log-{number}").pk


@pytest.mark.parametrize("mode", Privacy.values)
def test_logs_as_they_were_stored_verify(make_project: Callable[..., Project], mode: str) -> None:
    project = make_project(privacy=mode)
    mail = [{"role": "user", "content": "I am jane@example.com"}]
    keep(project, portkey_row(1, request={"model": "m", "messages": mail}), portkey_row(2, id="jane@example.com"))
    keep(project, portkey_row(1, cost=None), portkey_row(3, created_at=None, trace_id=None, request=None), b"{broken")
    keep(project, b"{broken too")

    verified = verification.verify(project)

    assert verified.findings == []
    assert (verified.batches, verified.records, verified.bodies) == (3, 4, 4)
    assert verified.head == Batch.objects.latest("number").manifest_hash


TAMPERED: dict[str, tuple[str, list[Any], set[str]]] = {
    "a column": ("UPDATE ingestion_logrecord SET input_tokens = 999 WHERE id = %s", [], {"row_changed"}),
    "one letter": ("UPDATE ingestion_logrecord SET model = 'gpt-4o-minj' WHERE id = %s", [], {"row_changed"}),
    "null for a value": ("UPDATE ingestion_logrecord SET latency_us = NULL WHERE id = %s", [], {"row_changed"}),
    "the time": ("UPDATE ingestion_logrecord SET occurred_at = '2026-01-17 06:20:44+00' WHERE id = %s", [],
                 {"row_changed"}),
    "metadata": ("UPDATE ingestion_logrecord SET metadata = '{\"team\": \"sale\", \"n\": \"1\"}' WHERE id = %s", [],
                 {"row_changed"}),
    "its hash": (f"UPDATE ingestion_logrecord SET row_hash = '{'0' * 64}' WHERE id = %s", [],
                 {"row_changed", "batch_changed"}),
    "a body's hash": ("UPDATE ingestion_logrecord SET body_hash = '' WHERE id = %s", [], {"row_changed", "body_added"}),
    "a preview": ("UPDATE ingestion_logbody SET preview = 'x' WHERE record_id = %s", [], {"body_changed"}),
}  # fmt: skip


@pytest.mark.parametrize(("statement", "values", "codes"), TAMPERED.values(), ids=TAMPERED.keys())
def test_a_change_is_found_and_its_place_named(
    filled: Project, statement: str, values: list[Any], codes: set[str]
) -> None:
    pk = pk_of(3)

    changed(statement, *values, pk)

    assert {code for code, _, _ in found(filled)} == codes
    assert all(batch == 2 and record in (pk, None) for _, batch, record in found(filled))


@pytest.mark.parametrize("column", ["request", "response"])
def test_any_changed_byte_of_a_body_is_found(filled: Project, column: str) -> None:
    pk = pk_of(3)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {column} FROM ingestion_logbody WHERE record_id = %s", [pk])
        stored = bytes(cursor.fetchone()[0])

    for place in (0, 1, len(stored) // 2, len(stored) - 1):
        damaged = bytearray(stored)
        damaged[place] ^= 4
        changed(f"UPDATE ingestion_logbody SET {column} = %s WHERE record_id = %s", bytes(damaged), pk)
        assert found(filled) == {("body_changed", 2, pk)}
    changed(f"UPDATE ingestion_logbody SET {column} = %s WHERE record_id = %s", stored + b"x", pk)
    assert found(filled) == {("body_changed", 2, pk)}


def test_a_missing_row_is_found(filled: Project) -> None:
    with door():
        LogRecord.objects.filter(pk=pk_of(3)).delete()

    assert {code for code, batch, _ in found(filled) if batch == 2} == {"row_missing", "batch_changed"}


def test_a_missing_body_is_found(filled: Project) -> None:
    pk = pk_of(3)
    with door():
        LogBody.objects.filter(pk=pk).delete()

    assert found(filled) == {("body_missing", 2, pk)}


@pytest.mark.parametrize("batch", [1, 3])
def test_an_added_row_is_found(filled: Project, batch: int) -> None:
    record = LogRecord.objects.get(pk=pk_of(3))
    record.pk, record.version = None, 2
    record.batch = Batch.objects.get(project=filled, number=batch)
    record.save(force_insert=True)

    assert found(filled) == {("row_added", None, record.pk)}


def test_two_rows_that_changed_places_are_found(filled: Project) -> None:
    one, other = pk_of(2), pk_of(3)
    with door():
        LogBody.objects.filter(pk__in=[one, other]).delete()
        for pk, place in ((one, 10**6), (other, one), (10**6, other)):
            changed("UPDATE ingestion_logrecord SET id = %s WHERE id = %s", place, pk)

    assert ("batch_changed", 2, None) in found(filled)


def test_a_missing_batch_is_found(filled: Project) -> None:
    with door():
        Batch.objects.get(project=filled, number=2).delete()

    assert {("batch_missing", 2, None), ("chain_broken", 3, None)} <= found(filled)


def test_swapped_batches_are_found(filled: Project) -> None:
    for number, other in ((2, 99), (3, 2), (99, 3)):
        changed(
            "UPDATE ingestion_batch SET number = %s WHERE number = %s AND project_id = %s", other, number, filled.pk
        )

    assert {code for code, _, _ in found(filled)} >= {"chain_broken", "batch_changed"}


def test_a_batch_that_tells_another_story_is_found(filled: Project) -> None:
    changed("UPDATE ingestion_batch SET simulated = %s WHERE number = 2 AND project_id = %s", True, filled.pk)

    assert found(filled) == {("batch_changed", 2, None)}


def test_a_conversation_that_was_renamed_is_found(filled: Project) -> None:
    Trace.objects.filter(project=filled, key="trace-3").update(key="trace-x")

    assert found(filled) == {("row_changed", 2, pk_of(3))}


def test_batches_cut_off_the_end_are_found_by_the_hash_that_was_kept(filled: Project) -> None:
    head = verification.verify(filled).head
    with door():
        Batch.objects.get(project=filled, number=3).delete()

    assert verification.verify(filled).intact
    assert [one.code for one in verification.verify(filled, head=head).findings] == ["head_missing"]


def test_a_value_that_can_no_longer_be_read_is_a_finding_and_not_a_crash(filled: Project) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("PostgreSQL refuses such values")
    pk = pk_of(3)
    changed("UPDATE ingestion_logrecord SET key = 'no key' WHERE id = %s", pk)

    assert ("row_changed", 2, pk) in found(filled)


def test_what_retention_and_erasure_took_is_no_finding(filled: Project) -> None:
    removal = retention.open_erasure(filled, erasure.Asked("n", "1"), by=None)
    assert retention.work(removal)
    assert retention.work(retention.open_by_age(filled, days=1, now=NOW, by=None))

    verified = verification.verify(filled)

    assert verified.findings == []
    assert (verified.bodies, verified.removed) == (0, 6)


def test_the_walk_takes_as_many_queries_a_batch_however_many_rows(
    agent: Project, monkeypatch: pytest.MonkeyPatch, django_assert_max_num_queries: Any
) -> None:
    monkeypatch.setattr(verification, "PIECE", 4)
    keep(agent, *(portkey_row(n) for n in range(18)))

    with django_assert_max_num_queries(2 + 3 * 5 + 2):
        assert verification.verify(agent).records == 18


def test_the_command_says_what_it_saw(filled: Project) -> None:
    out = StringIO()

    call_command("verify_logs", "agent", stdout=out)

    assert "3 batches, 6 records and 6 bodies checked" in out.getvalue()
    assert "all is as it was stored" in out.getvalue()


def test_the_command_ends_with_1_and_names_the_places(filled: Project) -> None:
    changed("UPDATE ingestion_logbody SET preview = 'x' WHERE record_id = %s", pk_of(3))
    plain, as_json = StringIO(), StringIO()

    with pytest.raises(SystemExit) as ended:
        call_command("verify_logs", "agent", stdout=plain)
    with pytest.raises(SystemExit):
        call_command("verify_logs", "agent", "--json", stdout=as_json)

    assert ended.value.code == 1
    assert f"batch 2, record {pk_of(3)}: the body is not what was stored" in plain.getvalue()
    told = json.loads(as_json.getvalue())
    assert (told["intact"], told["counts"]) == (False, {"body_changed": 1})
    assert told["findings"] == [{"code": "body_changed", "batch": 2, "record": pk_of(3)}]


def test_the_command_refuses_a_project_that_does_not_exist(db: None) -> None:
    with pytest.raises(CommandError):
        call_command("verify_logs", "nobody")
