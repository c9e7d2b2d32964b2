"""Removal of bodies: by age, and of one person."""

import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from agentopt.lib.crypto import keyed_hash
from agentopt.lib.errors import Invalid, NotFound
from agentopt.lib.immutable import door
from ingestion import entries, erasure, hashing, retention, store, verification
from ingestion.models import LogBody, LogRecord, Removal, RemovedBody, SetAside
from projects import jobs
from projects.models import AuditEntry, Privacy, Project
from tests.ingestion.conftest import encoded, portkey_row
from tests.ingestion.test_privacy import database_text
from tests.raw_files import raw_bytes

NOW = datetime(2026, 2, 1, tzinfo=UTC)


def keep(project: Project, *rows: object, label: str = "logs") -> None:
    store.append(project, encoded(*rows), format="portkey", source="file", label=label, simulated=False, now=NOW)


def test_only_a_proven_removal_counts(agent: Project, make_project: Callable[..., Project]) -> None:
    keep(agent, portkey_row(1), portkey_row(2))
    removal = Removal.objects.create(project=agent, kind="retention")
    first, second = LogRecord.objects.order_by("pk")
    right = retention.proof(agent, first.pk, removal.pk, first.content_hash)
    RemovedBody.objects.create(record=first, removal=removal, proof=right)
    RemovedBody.objects.create(record=second, removal=removal, proof=right)

    found = retention.removed(agent, [first.pk, second.pk])

    assert found == {first.pk}
    assert retention.removed(make_project("other"), [first.pk]) == frozenset()


@pytest.mark.parametrize("rows", [Removal.objects, RemovedBody.objects])
def test_what_tells_of_a_removal_cannot_be_deleted(agent: Project, rows: Any) -> None:
    keep(agent, portkey_row(1))
    removal = Removal.objects.create(project=agent, kind="retention")
    RemovedBody.objects.create(record=LogRecord.objects.get(), removal=removal, proof="")

    with pytest.raises(DatabaseError, match="immutable"), transaction.atomic():
        rows.all()._raw_delete("default")  # without the cascade


# ------------------------------------------------------------------------------------------------ by age
def at(day: str) -> str:
    return f"{day}T12:00:00Z"


def told(project: Project, name: str = "removal.end") -> dict[str, Any]:
    entry = AuditEntry.objects.get(project=project, action=name)
    assert entry.after is not None
    return dict(entry.after)


def test_bodies_older_than_allowed_go_and_figures_stay(agent: Project) -> None:
    keep(agent, portkey_row(1, created_at=at("2026-01-01")), portkey_row(2, created_at=at("2026-01-30")), b"{broken")
    SetAside.objects.update(created_at=NOW - timedelta(days=20))
    before = list(LogRecord.objects.order_by("pk").values())
    removal = retention.open_by_age(agent, days=10, now=NOW, by=None)

    assert retention.work(removal)

    assert list(LogRecord.objects.order_by("pk").values()) == before
    assert list(LogBody.objects.values_list("record__source_id", flat=True)) == ["log-2"]
    assert SetAside.objects.get().raw == ""
    assert retention.removed(agent, LogRecord.objects.values_list("pk", flat=True)) == {before[0]["id"]}
    assert (removal.bodies, removal.set_aside) == (1, 1)
    assert told(agent)["bodies"] == 1
    assert told(agent, "bodies.remove")["days"] == 10


def test_other_projects_keep_their_bodies(agent: Project, make_project: Callable[..., Project]) -> None:
    other = make_project("other")
    keep(agent, portkey_row(1))
    keep(other, portkey_row(1))

    retention.work(retention.open_by_age(agent, days=0, now=NOW, by=None))

    assert LogBody.objects.get().record.project == other


def test_a_removal_that_was_stopped_goes_on_where_it_stood(agent: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "CHUNK", 2)
    keep(agent, *[portkey_row(n) for n in range(5)])
    removal = retention.open_by_age(agent, days=0, now=NOW, by=None)

    assert not retention.work(removal, deadline=0.0)
    assert LogBody.objects.count() == 3
    with pytest.raises(KeyboardInterrupt):
        retention.work(removal, beat=stop)
    assert LogBody.objects.count() == 1
    assert retention.open_due(agent, now=NOW) == removal
    assert retention.work(removal)
    assert retention.work(removal)

    assert removal.bodies == RemovedBody.objects.count() == 5
    assert AuditEntry.objects.filter(action="removal.end").count() == 1


def stop(**_: Any) -> None:
    raise KeyboardInterrupt


def test_the_schedule_removes_by_the_projects_own_setting(agent: Project) -> None:
    keep(agent, portkey_row(1, created_at=at("2026-01-01")))
    first = jobs.start("retention", agent)
    Project.objects.update(retention_days=30)
    second = jobs.start("retention", Project.objects.get())
    third = jobs.start("retention", Project.objects.get())

    assert [job.state for job in (first, second, third)] == ["done"] * 3
    assert (first.subject_id, third.subject_id) == (None, None)
    assert second.result is not None
    assert second.result["bodies"] == 1
    assert LogBody.objects.count() == 0


@pytest.mark.parametrize("days", [-1, 40_000])
def test_an_age_that_is_none_is_refused(agent: Project, days: int) -> None:
    with pytest.raises(Invalid) as refused:
        retention.open_by_age(agent, days=days, now=NOW, by=None)

    assert "older_than_days" in refused.value.fields


# ------------------------------------------------------------------------------------------------ one person
JANE, JOHN = "jane.doe@example.org", "john-4711"


def call(number: int, who: str | None, **changes: Any) -> dict[str, Any]:
    metadata = {"team": "support"} if who is None else {"team": "support", "user_id": who, "city": "Bonn"}
    said = {"model": "m", "messages": [{"role": "user", "content": f"I am {who}, call {number}"}]}
    return portkey_row(number, metadata=metadata, request=said, **changes)


def erase(project: Project, value: str = JANE, **more: Any) -> Removal:
    removal = retention.open_erasure(project, erasure.Asked("user_id", value, **more), by=None)
    assert retention.work(removal)
    return removal


@pytest.mark.parametrize("mode", Privacy.values)
def test_one_persons_calls_lose_what_was_said_and_the_value(make_project: Callable[..., Project], mode: str) -> None:
    project = make_project(privacy=mode)
    keep(project, call(1, JANE), call(2, JOHN), call(3, JANE, trace_id="t"), call(4, None, trace_id="t"))
    keep(project, call(1, JANE, cost=1))  # version 2
    keep(project, call(5, JOHN, trace_id="t"))
    figures = list(LogRecord.objects.order_by("pk").values_list("cost_nanousd", "row_hash", "content_hash"))
    shown = erasure.preview(project, erasure.Asked("user_id", JANE))

    removal = erase(project)

    assert shown == erasure.Preview(calls=2, others=1, records=4, bodies=4, set_aside=0, ids=0)
    assert (removal.calls, removal.records, removal.bodies) == (3, 4, 4)
    assert list(LogRecord.objects.order_by("pk").values_list("cost_nanousd", "row_hash", "content_hash")) == figures
    held = LogRecord.objects.filter(metadata__user_id__startswith="erased:")
    assert list(held.order_by("pk").values_list("source_id", "version")) == [("log-1", 1), ("log-3", 1), ("log-1", 2)]
    assert sorted(LogBody.objects.values_list("record__source_id", flat=True)) == ["log-2", "log-5"]
    assert len({one.metadata["user_id"] for one in held}) == 1
    assert JANE not in database_text()
    with pytest.raises(NotFound):
        erase(project)


def test_the_rows_prove_themselves_after_an_erasure(agent: Project) -> None:
    keep(agent, call(1, JANE, trace_id=f"trace of {JANE}", id=f"call of {JANE}"), call(2, JANE))

    erase(agent, other_keys=["city"])

    hasher = hashing.Hasher(agent.hash_key)
    for row in LogRecord.objects.select_related("batch", "trace"):
        assert row.row_hash == hasher.row_hash(row, batch=row.batch.number, trace_key=row.trace.key)
        assert row.metadata["city"].startswith("erased:")
        assert row.metadata["team"] == "support"
    assert JANE not in database_text()
    assert retention.removed(agent, LogRecord.objects.values_list("pk", flat=True)) == set(
        LogRecord.objects.values_list("pk", flat=True)
    )


def test_rows_set_aside_that_hold_the_value_are_emptied(agent: Project) -> None:
    escaped = "".join(f"\\u{ord(letter):04x}" for letter in JANE)
    keep(
        agent, f'{{"a": "{JANE}"'.encode(), f'{{"a": "{escaped}"'.encode(), f'{{"a": "x{JANE}y"'.encode(), call(1, JANE)
    )

    removal = erase(agent)

    assert [row.raw != "" for row in SetAside.objects.order_by("line")] == [False, False, True]
    assert removal.set_aside == 2


def test_a_short_value_takes_no_text_that_holds_it_by_chance(agent: Project) -> None:
    keep(agent, call(1, "7"), call(17, "71"), b'{"a": "7 of 7"')

    erase(agent, "7")

    assert LogBody.objects.get().record.source_id == "log-17"
    assert SetAside.objects.get().raw != ""


def test_values_of_odd_keys_are_found(agent: Project) -> None:
    for number, key in enumerate(["0", 'a "b" $.c', "user__id", "naïve"], start=1):
        keep(agent, portkey_row(number, metadata={key: "person-1"}))

        removal = retention.open_erasure(agent, erasure.Asked(key, "person-1"), by=None)

        assert retention.work(removal)
        assert removal.bodies == 1


@pytest.mark.parametrize("mode", Privacy.values)
def test_an_erasure_stands_until_it_is_lifted(make_project: Callable[..., Project], mode: str) -> None:
    project = make_project(privacy=mode)
    keep(project, call(1, JANE))
    removal = erase(project, other_keys=["city"])

    keep(project, call(1, JANE), call(2, JANE), call(3, JOHN))

    later = LogRecord.objects.get(source_id="log-2")
    assert LogRecord.objects.count() == 3
    assert (later.input_tokens, later.obstacle, later.body_hash) == (1000, "no_body", "")
    assert later.metadata["user_id"] == LogRecord.objects.get(source_id="log-1").metadata["user_id"]
    assert later.metadata["city"].startswith("erased:")
    assert not LogBody.objects.filter(record=later).exists()
    assert JANE not in database_text()

    retention.lift(removal, by=None, now=NOW)
    keep(project, call(4, JANE))
    assert LogBody.objects.filter(record__source_id="log-4").exists()


def test_an_erasure_that_comes_between_reading_and_storing_is_not_missed(
    agent: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(agent, call(1, JANE))
    protect = entries.kept
    calls: list[int] = []

    def erase_meanwhile(*arguments: Any) -> Any:
        if not calls:
            calls.append(1)
            erase(agent)
        return protect(*arguments)

    monkeypatch.setattr(entries, "kept", erase_meanwhile)

    keep(agent, call(2, JANE))

    assert LogBody.objects.count() == 0


def test_an_erasure_leaves_no_value_in_the_audit_or_its_own_row(agent: Project) -> None:
    keep(agent, call(1, JANE))

    removal = erase(agent)

    assert told(agent, "person.erase")["value_hash"] == removal.value_hash == keyed_hash(agent.hash_key, JANE)
    assert JANE not in str(list(AuditEntry.objects.values())) + str(list(Removal.objects.values()))


@pytest.mark.parametrize(("key", "value"), [("", "x"), ("user_id", ""), ("user_id", "x" * 129)])
def test_an_erasure_that_names_nobody_is_refused(key: str, value: str) -> None:
    with pytest.raises(Invalid):
        erasure.Asked(key, value)


# ------------------------------------------------------------------------------------------------ the file
@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL frees pages by VACUUM")
@pytest.mark.parametrize("way", ["age", "person"])
def test_what_was_removed_stands_nowhere_in_the_file(make_project: Callable[..., Project], way: str) -> None:
    word = "".join(secrets.choice("bcdfghjkmnpqrstvwxz") for _ in range(16))
    project = make_project(word[:8])
    rows = [call(n, word, trace_id=f"t-{word}-{n % 7}") for n in range(300)]
    keep(project, *rows, f'{{"broken": "{word}"'.encode())
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        cursor.execute("SELECT request FROM ingestion_logbody UNION SELECT response FROM ingestion_logbody")
        packed = [bytes(cell) for (cell,) in cursor.fetchall() if len(cell) > 40]
    keep(project, *[call(n, word) for n in range(300, 320)])  # some of it stands in the write-ahead log only
    whole = file_bytes()
    assert word.encode() in whole
    assert all(one in whole for one in packed)

    if way == "age":
        SetAside.objects.update(created_at=NOW - timedelta(days=2))
        assert retention.work(retention.open_by_age(project, days=0, now=NOW, by=None))
    else:
        assert retention.work(retention.open_erasure(project, erasure.Asked("user_id", word), by=None))

    left = file_bytes()
    assert not any(one in left for one in packed)
    if way == "person":
        assert word.encode() not in left
    assert f"I am {word}".encode() not in left
    assert f'"broken": "{word}'.encode() not in left


def file_bytes() -> bytes:
    name = Path(str(connection.settings_dict["NAME"]))
    return b"".join(raw_bytes(path) for path in (name, name.with_name(f"{name.name}-wal")) if path.exists())


# ------------------------------------------------------------------------------------------------ the chain
@pytest.mark.parametrize("mode", Privacy.values)
def test_the_chain_verifies_after_both_removals_and_what_comes_then(
    make_project: Callable[..., Project], mode: str
) -> None:
    project = make_project(privacy=mode)
    keep(project, call(1, JANE, trace_id=f"of {JANE}", id=f"call of {JANE}"), call(2, JOHN), f'"{JANE}"'.encode())
    keep(project, call(2, JOHN, cost=2), call(3, JANE, trace_id=f"of {JANE}"))

    erase(project, other_keys=["city"])
    keep(project, call(4, JANE, trace_id=f"of {JANE}"), call(5, JOHN))
    retention.work(retention.open_by_age(project, days=0, now=NOW, by=None))

    found = verification.verify(project)
    assert found.findings == []
    assert (found.records, found.bodies, found.removed) == (6, 0, 5)


def test_a_body_that_somebody_else_took_is_a_finding(agent: Project) -> None:
    keep(agent, call(1, JANE), call(2, JOHN))
    removal = erase(agent)
    taken = LogRecord.objects.get(source_id="log-2")
    with door():
        LogBody.objects.filter(record=taken).delete()
        RemovedBody.objects.create(record=taken, removal=removal, proof="0" * 64)

    found = verification.verify(agent)

    assert [(one.code, one.record) for one in found.findings] == [("body_missing", taken.pk)]


def test_a_value_that_somebody_else_put_for_another_is_a_finding(agent: Project) -> None:
    keep(agent, call(1, JANE))
    with door():
        LogRecord.objects.update(metadata={"user_id": "erased:" + "0" * 64})

    assert [one.code for one in verification.verify(agent).findings] == ["row_changed"]
