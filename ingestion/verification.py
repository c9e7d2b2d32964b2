"""Are the logs still what was stored? Every hash is made anew, batch by batch, in the same memory however many.

The chain binds each batch to the one before, a batch its rows in their order, and a row all that it holds; a body
counts through its hash, metadata, ids and traces through the keyed hashes of their values. What retention and erasure
took is no finding where they left their proof. Batches cut off the end leave no trace in the chain: whoever keeps the
newest hash (`head`) elsewhere can tell.
"""

import hmac
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

from agentopt.lib import packing
from ingestion import hashing, retention
from ingestion.hashing import Hasher
from ingestion.models import Batch, LogRecord
from projects.models import Project

PIECE = 500
MAX_PLACES = 50
_NAMES = (*hashing.COLUMNS, "key", "occurred_at", "source_id", "metadata", "trace__key", "batch_id", "row_hash")
SAYS = {
    "batch_missing": "a batch is missing",
    "batch_changed": "the batch or its list of rows is not what was stored",
    "chain_broken": "the batch does not follow the one before it",
    "head_missing": "no batch has the hash that was kept",
    "row_missing": "rows are missing",
    "row_added": "a row was added past the product",
    "row_changed": "the row is not what was stored",
    "body_missing": "the body is missing, and neither retention nor an erasure took it",
    "body_changed": "the body is not what was stored",
    "body_added": "a body stands where none was stored",
}


@dataclass(frozen=True)
class Finding:
    """Something that is not as it was stored: `code` of SAYS, the number of the batch, the primary key of the row."""

    code: str
    batch: int | None = None
    record: int | None = None

    def __str__(self) -> str:
        at = [f"batch {self.batch}" if self.batch else "", f"record {self.record}" if self.record else ""]
        return f"{', '.join(one for one in at if one) or 'chain'}: {SAYS[self.code]}"


@dataclass
class Verified:
    """What was looked at, and what was found: the first places, and how many of each code. `head` is the newest hash.

    `removed` counts bodies that retention or an erasure took.
    """

    batches: int = 0
    records: int = 0
    bodies: int = 0
    removed: int = 0
    head: str = ""
    findings: list[Finding] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def intact(self) -> bool:
        """Whether all is as it was stored."""
        return not self.counts

    def add(self, code: str, batch: int | None = None, record: int | None = None) -> None:
        """Note a finding."""
        self.counts[code] = self.counts.get(code, 0) + 1
        if len(self.findings) < MAX_PLACES:
            self.findings.append(Finding(code, batch, record))


def verify(project: Project, *, head: str = "", beat: Callable[..., object] | None = None) -> Verified:
    """Make all hashes of a project anew.

    Args:
        head: a hash that was kept elsewhere; some batch must have it.
        beat: called after each batch with `done=`, the records looked at; may raise to stop.
    """
    found = Verified()
    hasher = Hasher(project.hash_key)
    before, last_pk, seen_head = None, 0, not head
    for batch in Batch.objects.filter(project=project).order_by("number").iterator(chunk_size=PIECE):
        _check_place(batch, before, found)
        last_pk = _check_rows(project, batch, hasher, found, after=last_pk)
        found.batches, found.head = found.batches + 1, batch.manifest_hash
        seen_head = seen_head or hmac.compare_digest(batch.manifest_hash, head)
        before = batch
        if beat is not None:
            beat(done=found.records)
    for pk in _pks(project, after=last_pk, until=None):
        found.add("row_added", None, pk)
    if not seen_head:
        found.add("head_missing")
    return found


def _check_place(batch: Batch, before: Batch | None, found: Verified) -> None:
    """Each follows its number and its hash."""
    expected = before.number + 1 if before else 1
    if batch.number != expected:
        for number in range(expected, min(batch.number, expected + MAX_PLACES)):
            found.add("batch_missing", number)
    if batch.previous_hash != (before.manifest_hash if before else ""):
        found.add("chain_broken", batch.number)


def _check_rows(project: Project, batch: Batch, hasher: Hasher, found: Verified, *, after: int) -> int:
    """The rows of a batch, and whatever stands between those of the batch before and its last; the last key seen."""
    until = max(after, batch.last_pk or 0)
    hashes: list[str] = []
    for pks in _pieces(_pks(project, after=after, until=until)):
        kept = _rows(project, pks)
        for pk in pks:
            row = kept.get(pk)
            if row is None:
                found.add("row_changed", batch.number, pk)  # a value of it can no longer be read
            elif row["batch_id"] != batch.pk or pk < (batch.first_pk or 0):
                found.add("row_added", batch.number, pk)
                del kept[pk]
            else:
                hashes.append(row["row_hash"])
                if row["row_hash"] != _row_hash(hasher, row, batch.number):
                    found.add("row_changed", batch.number, pk)
        _check_bodies(project, batch, kept, hasher, found=found)
    found.records += len(hashes)
    if len(hashes) < batch.added:
        found.add("row_missing", batch.number)
    if hasher.manifest_hash(batch, hashes) != batch.manifest_hash:
        found.add("batch_changed", batch.number)
    return until


def _row_hash(hasher: Hasher, row: dict[str, Any], number: int) -> str:
    told = tuple(row[name] for name in hashing.COLUMNS)
    moment = hashing.microseconds(row["occurred_at"])
    return hasher.sealed(
        (*told, number, row["key"].hex, moment),
        hasher.value_hash(row["source_id"]),
        trace_key=row["trace__key"],
        metadata=row["metadata"],
    )


def _check_bodies(
    project: Project, batch: Batch, kept: dict[int, dict[str, Any]], hasher: Hasher, *, found: Verified
) -> None:
    bodies = _bodies(list(kept))
    found.bodies += len(bodies)
    for pk, body in bodies.items():
        code = _body_code(hasher, kept[pk]["body_hash"], body)
        if code:
            found.add(code, batch.number, pk)
    missing = [pk for pk, row in kept.items() if row["body_hash"] and pk not in bodies]
    removed = retention.removed(project, missing) if missing else frozenset()
    found.removed += len(removed)
    for pk in missing:
        if pk not in removed:
            found.add("body_missing", batch.number, pk)


def _body_code(hasher: Hasher, body_hash: str, body: tuple[Any, ...]) -> str:
    """What is wrong with a body, as a code of SAYS; "" if nothing."""
    if not body_hash:
        return "body_added"
    try:
        request, response = (packing.unpack(bytes(part)) for part in body[:2])
    except ValueError:
        return "body_changed"
    return "" if hasher.body_hash(request, response, body[2]) == body_hash else "body_changed"


def _pks(project: Project, *, after: int, until: int | None) -> Iterator[int]:
    """Primary keys of a project's records in (after, until], in order."""
    while True:
        rows = LogRecord.objects.filter(project=project, pk__gt=after).order_by("pk")
        rows = rows if until is None else rows.filter(pk__lte=until)
        found = list(rows.values_list("pk", flat=True)[:PIECE])
        yield from found
        if len(found) < PIECE:
            return
        after = found[-1]


def _pieces(pks: Iterable[int]) -> Iterator[list[int]]:
    piece: list[int] = []
    for pk in pks:
        piece.append(pk)
        if len(piece) == PIECE:
            yield piece
            piece = []
    if piece:
        yield piece


def _rows(project: Project, pks: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Records by key; without those of which a value cannot be read."""
    rows = LogRecord.objects.filter(project=project)
    try:
        return {row["pk"]: row for row in rows.filter(pk__in=pks).values("pk", *_NAMES)}
    except (ValueError, TypeError, OverflowError):
        if len(pks) == 1:
            return {}
        half = len(pks) // 2
        return _rows(project, pks[:half]) | _rows(project, pks[half:])


def _bodies(pks: Sequence[int]) -> dict[int, tuple[Any, ...]]:
    """Bodies as they stand, packed: one that is damaged must not stop the others."""
    if not pks:
        return {}
    places = ", ".join(["%s"] * len(pks))
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT record_id, request, response, preview FROM ingestion_logbody WHERE record_id IN ({places})",  # noqa: S608
            pks,
        )
        return {pk: tuple(rest) for pk, *rest in cursor.fetchall()}
