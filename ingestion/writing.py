"""Logs into their tables in bulk: binary COPY on PostgreSQL, prepared statements on SQLite, one set of columns.

All of it belongs to the transaction of the caller, who holds the project's lock.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any

import msgspec
from django.db import connection

from agentopt.lib.packing import pack
from ingestion import hashing
from ingestion.entries import Entry

BATCHES, RECORDS, BODIES = "ingestion_batch", "ingestion_logrecord", "ingestion_logbody"
TRACES = "ingestion_trace"
_TOLD_TYPES = (
    "text", "text", "text", "text", "int2", "text", "bool", "int4", "int4", "int4", "int4", "int4", "int8", "int8",
    "int8", "bool", "bool", "bool", "bool", "text",
)  # fmt: skip
_COLUMNS = {
    "id": "int8", "project_id": "int8", "batch_id": "int8", "trace_id": "int8",
    "key": "bytea",  # ready bytes, as its own type and that of the metadata would send them
    "source_id": "text", "occurred_at": "timestamptz", **dict(zip(hashing.TOLD, _TOLD_TYPES, strict=True)),
    "version": "int4", "cost_nanousd": "int8", "cost_is_ours": "bool", "content_hash": "text", "body_hash": "text",
    "row_hash": "text", "metadata": "bytea",
}  # fmt: skip
RECORD_COLUMNS = tuple(_COLUMNS)
ROW_HASH = RECORD_COLUMNS.index("row_hash")
BODY_COLUMNS = ("record_id", "request", "response", "preview")
_RECORD_TYPES = list(_COLUMNS.values())
_BODY_TYPES = ["int8", "bytea", "bytea", "text"]
_told = attrgetter(*hashing.TOLD)
_encode = msgspec.json.Encoder().encode
Row = tuple[Any, ...]


def on_sqlite() -> bool:
    """Whether this database is SQLite."""
    return connection.vendor == "sqlite"


def next_pks(n: int, table: str = RECORDS) -> list[int]:
    """Primary keys for `n` rows, in rising order, that nobody else takes."""
    with connection.cursor() as cursor:
        if on_sqlite():  # we hold the write lock, and the database keeps the highest key ever used
            cursor.execute("SELECT seq FROM sqlite_sequence WHERE name = %s", [table])
            first = (cursor.fetchone() or (0,))[0] + 1
            return list(range(first, first + n))
        cursor.execute("SELECT nextval(pg_get_serial_sequence(%s, 'id')) FROM generate_series(1, %s)", [table, n])
        return sorted(pk for (pk,) in cursor.fetchall())


class Stored(msgspec.Struct, frozen=True):
    """What is stored of one key: its newest version, the hashes of all, and when the newest happened."""

    version: int
    hashes: frozenset[str]
    occurred_at: datetime


def stored(project_id: int, keys: Collection[bytes]) -> dict[bytes, Stored]:
    """The versions of those keys that the project has."""
    texts = [key.hex() for key in keys]
    chosen = "key IN (SELECT value FROM json_each(%s))" if on_sqlite() else "key = ANY(%s::uuid[])"
    query = (
        f"SELECT key, version, content_hash, occurred_at FROM {RECORDS} "  # noqa: S608
        f"WHERE project_id = %s AND {chosen} ORDER BY version"
    )
    found: dict[bytes, Stored] = {}
    with connection.cursor() as cursor:
        cursor.execute(query, [project_id, _encode(texts).decode() if on_sqlite() else texts])
        for key, version, content_hash, at in cursor.fetchall():
            place = bytes.fromhex(key) if isinstance(key, str) else key.bytes
            before = found[place].hashes if place in found else frozenset()
            moment = datetime.fromisoformat(at).replace(tzinfo=UTC) if isinstance(at, str) else at
            found[place] = Stored(version, before | {content_hash}, moment)
    return found


def traces(project_id: int, keys: Collection[str]) -> dict[str, int]:
    """Primary keys of the traces, made where they are missing."""
    found = _traces(project_id, keys)
    missing = sorted(set(keys) - set(found))
    if not missing:
        return found
    with connection.cursor() as cursor:
        if on_sqlite():
            cursor.executemany(
                f"INSERT INTO {TRACES} (project_id, key) VALUES (%s, %s)",  # noqa: S608
                [(project_id, key) for key in missing],
            )
            return found | _traces(project_id, missing)
        cursor.execute(
            f"INSERT INTO {TRACES} (project_id, key) SELECT %s, unnest(%s::text[]) RETURNING key, id",
            [project_id, missing],
        )
        return found | dict(cursor.fetchall())


def _traces(project_id: int, keys: Collection[str]) -> dict[str, int]:
    chosen = "key IN (SELECT value FROM json_each(%s))" if on_sqlite() else "key = ANY(%s::text[])"
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT key, id FROM {TRACES} WHERE project_id = %s AND {chosen}",  # noqa: S608
            [project_id, _encode(list(keys)).decode() if on_sqlite() else list(keys)],
        )
        return dict(cursor.fetchall())


class Place(msgspec.Struct, frozen=True):
    """Where a record goes: its primary key, version and cost, and the key of its trace."""

    pk: int
    version: int
    cost_nanousd: int | None
    trace_id: int


class Batched(msgspec.Struct, frozen=True):
    """The batch of some records."""

    project_id: int
    pk: int
    number: int


def row(entry: Entry, place: Place, batch: Batched, hasher: hashing.Hasher) -> Row:
    """The columns of a record, the last but one being its hash."""
    record = entry.record
    assert record.occurred_at is not None and record.trace_key is not None  # noqa: S101, PT018 - `entries` saw to it
    cost = place.cost_nanousd
    told = (
        *_told(record),
        place.version,
        # 0 from the source may mean "no price", so only our own figure or a real amount stands
        cost if cost is not None else record.source_cost_nanousd or None,
        cost is not None,
        entry.content_hash,
        entry.body_hash,
    )
    row_hash = hasher.sealed(
        (*told, batch.number, entry.key.hex(), hashing.microseconds(record.occurred_at)),
        entry.id_hash,
        trace_key=record.trace_key,
        metadata=record.metadata,
    )
    at, key, metadata = record.occurred_at, entry.key, _encode(record.metadata)
    head = (place.pk, batch.project_id, batch.pk, place.trace_id)
    if on_sqlite():
        moment = str(at.astimezone(UTC).replace(tzinfo=None))
        return (*head, key.hex(), record.source_id, moment, *told, row_hash, metadata.decode())
    return (*head, key, record.source_id, at, *told, row_hash, b"\x01" + metadata)


def write(rows: Sequence[Row], entries: Iterable[tuple[int, Entry]]) -> None:
    """Write records, and the bodies of those that have one."""
    bodies = [
        (pk, pack(entry.request), pack(entry.response), entry.record.preview)
        for pk, entry in entries
        if entry.body_hash
    ]
    _insert(RECORDS, RECORD_COLUMNS, _RECORD_TYPES, rows)
    _insert(BODIES, BODY_COLUMNS, _BODY_TYPES, bodies)


def _insert(table: str, columns: Sequence[str], types: Sequence[str], rows: Sequence[Row]) -> None:
    with connection.cursor() as cursor:
        if on_sqlite():
            places = ", ".join(["%s"] * len(columns))
            cursor.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})", rows)  # noqa: S608
            return
        with cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(types)
            for one in rows:
                copy.write_row(one)


def versions(found: Mapping[bytes, Stored], entries: Iterable[Entry]) -> list[int]:
    """The version that each entry becomes, in order; 0 where one that is stored says the same.

    A record that returns to what it said before stays at its newest version: a file taken in twice adds nothing, also
    where it tells two things of one id.
    """
    held = {key: (one.version, set(one.hashes)) for key, one in found.items()}
    out = []
    for entry in entries:
        version, hashes = held.get(entry.key, (0, set()))
        if entry.content_hash in hashes:
            out.append(0)
            continue
        hashes.add(entry.content_hash)
        held[entry.key] = (version + 1, hashes)
        out.append(version + 1)
    return out
