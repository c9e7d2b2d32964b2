"""The only writer of logs: records and bodies in bulk, versions, batch manifests.

Rows come as a stream and are written chunk by chunk, one transaction each, so memory stays flat and pages can write in
between. What `append` has counted is committed.
"""

import gc
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime

import msgspec
from django.db import connection, transaction

from ingestion import entries, hashing, privacy, retention, rollups, values, writing
from ingestion.catalog import pricing
from ingestion.catalog.offers import PriceBook
from ingestion.entries import Entry, Told
from ingestion.formats import detection
from ingestion.models import Batch, SetAside
from ingestion.tally import Tally
from projects.models import Project

CHUNK_ROWS = {"sqlite": 500, "postgresql": 2000}
CHUNK_BYTES = 16 * 1024 * 1024
MAX_REASONS = 100
KNOWN_TRACES = 20_000

Row = tuple[int, bytes]


class _Read(msgspec.Struct, frozen=True):
    """A row as read: its calls, or why it was set aside."""

    line: int
    raw: bytes
    found: list[Told] | values.RowAside


@dataclass
class _Import:
    """What stays the same from chunk to chunk."""

    project: Project
    source: entries.Source
    format: str
    kind: str
    label: str
    simulated: bool
    tally: Tally
    prices: PriceBook
    outcomes: Callable[[values.PushedRow], None] | None
    known_prices: dict[tuple[str, str, date], values.Price | None] = field(default_factory=dict)
    known_traces: dict[str, int] = field(default_factory=dict)


class _Stale(Exception):
    """Somebody was erased since the rows were read."""


def append(
    project: Project,
    rows: Iterable[Row],
    *,
    format: str,  # noqa: A002
    source: str,
    label: str,
    simulated: bool,
    now: datetime,
    beat: Callable[..., object] | None = None,
    outcomes: Callable[[values.PushedRow], None] | None = None,
) -> values.Imported:
    """Read, protect and store rows: known ones are left alone, changed ones are version n+1, unreadable ones set aside.

    Calls are counted where they are added or known already, rows where they are set aside; a row's calls share its lot.

    Args:
        rows: line number and bytes of one JSON value each; blank lines are skipped.
        format: a name of `formats.detection.READERS`.
        now: taken where the source tells no time; nothing may lie more than a day after it.
        beat: called after each committed chunk with `done=`, the rows read so far; may raise to stop the import.
        outcomes: called with what became of each row, in order, after its chunk is committed.

    Raises:
        Invalid: unknown format, or a bad privacy pattern of the project. Nothing is written then.
    """
    total, done = values.Imported(), 0
    with Tally() as tally:
        rules = privacy.rules(project.privacy_patterns)
        job = _Import(
            project=project,
            source=_source(project, format, rules, tally, now=now),
            format=format,
            kind=source,
            label=privacy.label_text(label, mode=project.privacy, own=rules)[:200],
            simulated=simulated,
            tally=tally,
            prices=PriceBook(project),
            outcomes=outcomes,
        )
        for chunk in _chunks(rows, most=CHUNK_BYTES // detection.GROWTH.get(format, 1)):
            with _calm():
                total = _sum(total, _take(job, chunk))
            done += len(chunk)
            if beat is not None:
                beat(done=done)
        return replace(total, **tally.totals())


@contextmanager
def _calm() -> Iterator[None]:
    """Without the collector of cycles: it would walk over a chunk's thousands of values again and again for nothing."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _source(project: Project, name: str, rules: privacy.Rules, tally: Tally, *, now: datetime) -> entries.Source:
    return entries.Source(
        read=detection.reader(name),
        mode=project.privacy,
        rules=rules,
        hasher=hashing.Hasher(project.hash_key),
        now=now,
        occurrence=tally.occurrence,
    )


def _chunks(rows: Iterable[Row], *, most: int) -> Iterator[list[Row]]:
    """Cut a stream by rows and by bytes: a few long lines must not fill the memory."""
    chunk: list[Row] = []
    size = 0
    for line, raw in rows:
        chunk.append((line, raw))
        size += len(raw)
        if len(chunk) == CHUNK_ROWS[connection.vendor] or size >= most:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _sum(one: values.Imported, other: values.Imported) -> values.Imported:
    return values.Imported(
        added=one.added + other.added,
        already_there=one.already_there + other.already_there,
        set_aside=one.set_aside + other.set_aside,
        without_calls=one.without_calls + other.without_calls,
        batches=one.batches + other.batches,
        reasons=(one.reasons + other.reasons)[:MAX_REASONS],
    )


def _take(job: _Import, rows: list[Row]) -> values.Imported:
    """Read and store a chunk; protect and store it once more where an erasure came in between."""
    read = [_Read(line, raw, entries.told(job.source, line, raw)) for line, raw in rows if raw.strip()]
    calls = [call for row in read if isinstance(row.found, list) for call in row.found]
    while True:
        job.source.standing = retention.standing(job.project)
        kept = [entries.kept(job.source, call) for call in calls]
        costs = [_cost(job, entry.record) for entry in kept]  # before the write lock is taken
        try:
            versions, imported = _store(job, read, kept, costs)
        except _Stale:
            continue
        break
    job.tally.add(call.record for call in calls)
    job.tally.trace({job.source.hasher.value_hash(call.record.trace_key or "") for call in calls if not call.own_trace})
    if job.outcomes is not None:
        _tell(job.outcomes, read, kept, versions)
    return imported


def _cost(job: _Import, record: values.RawRecord) -> int | None:
    """The cost at the price of the call's day; None where tokens or price are unknown."""
    if record.occurred_at is None:
        return None
    key = (record.provider, record.model, record.occurred_at.date())
    if key not in job.known_prices:
        if len(job.known_prices) >= KNOWN_TRACES:
            job.known_prices.clear()
        job.known_prices[key] = job.prices.price(*key)
    price = job.known_prices[key]
    return None if price is None else pricing.cost_nanousd(values.usage_of(record), price)


def _store(
    job: _Import, read: list[_Read], kept: list[Entry], costs: list[int | None]
) -> tuple[list[int], values.Imported]:
    """Write a chunk in one transaction; the version that each entry became, 0 where it was there."""
    asides = [row for row in read if isinstance(row.found, values.RowAside)]
    with transaction.atomic():
        # one writer a project: batch numbers and versions are counted up. SQLite has one writer in all.
        Project.objects.select_for_update(no_key=True).get(pk=job.project.pk)
        if retention.standing(job.project) != job.source.standing:
            raise _Stale
        stored = writing.stored(job.project.pk, {entry.key for entry in kept})
        versions = writing.versions(stored, kept)
        added = [one for one in zip(kept, versions, costs, strict=True) if one[1]]
        new_asides = _new_asides(job, asides)
        if added or new_asides:
            _write(job, added, new_asides, known=len(kept) - len(added))
            # a new version may have another time: the hour of the one before changes with it
            before = [stored[entry.key].occurred_at for entry, _, _ in added if entry.key in stored]
            moments = [entry.record.occurred_at for entry, _, _ in added if entry.record.occurred_at]
            if added:
                rollups.mark(job.project.pk, _hours(moments + before))
    return versions, values.Imported(
        added=len(added),
        already_there=len(kept) - len(added),
        set_aside=len(asides),
        without_calls=sum(row.found == [] for row in read),
        batches=int(bool(added or new_asides)),
        reasons=tuple(row.found for row in asides if isinstance(row.found, values.RowAside))[:MAX_REASONS],
    )


def _hours(moments: Iterable[datetime]) -> set[datetime]:
    return {moment.replace(minute=0, second=0, microsecond=0) for moment in moments}


def _new_asides(job: _Import, asides: list[_Read]) -> list[_Read]:
    """Those that an earlier import of the same source did not set aside already."""
    if not asides:
        return []
    keyed = job.source.hasher.keyed
    known = set(
        SetAside.objects.filter(
            project=job.project, label=job.label, line__in=[row.line for row in asides]
        ).values_list("line", "raw_hash")
    )
    unique = {(row.line, keyed(row.raw)): row for row in asides}
    return [row for key, row in unique.items() if key not in known]


def _write(job: _Import, added: Sequence[tuple[Entry, int, int | None]], asides: list[_Read], *, known: int) -> None:
    """The next batch of the project, its manifest chained to the one before, with its records and bodies."""
    last = Batch.objects.filter(project=job.project).order_by("-number").first()
    pks = writing.next_pks(len(added))
    moments = [entry.record.occurred_at for entry, _, _ in added if entry.record.occurred_at]
    batch = Batch(
        project=job.project,
        number=last.number + 1 if last else 1,
        source=job.kind,
        format=job.format,
        label=job.label,
        added=len(added),
        already_there=known,
        set_aside=len(asides),
        first_at=min(moments, default=None),
        last_at=max(moments, default=None),
        first_pk=min(pks, default=None),
        last_pk=max(pks, default=None),
        previous_hash=last.manifest_hash if last else "",
        simulated=job.simulated,
    )
    (batch.pk,) = writing.next_pks(1, writing.BATCHES)  # its records are made before it: it holds their hashes
    batched = writing.Batched(job.project.pk, batch.pk, batch.number)
    traces = _traces(job, {entry.record.trace_key or "" for entry, _, _ in added})
    hasher = job.source.hasher
    rows = [
        writing.row(entry, writing.Place(pk, version, cost, traces[entry.record.trace_key or ""]), batched, hasher)
        for pk, (entry, version, cost) in zip(pks, added, strict=True)
    ]
    batch.manifest_hash = hasher.manifest_hash(batch, [row[writing.ROW_HASH] for row in rows])
    batch.save(force_insert=True)
    writing.write(rows, ((pk, entry) for pk, (entry, _, _) in zip(pks, added, strict=True)))
    SetAside.objects.bulk_create([_aside_row(job, batch, row) for row in asides])


def _traces(job: _Import, keys: set[str]) -> Mapping[str, int]:
    """Primary keys of the traces; those of the chunks before are remembered, since calls of one stand together."""
    missing = keys - job.known_traces.keys()
    if len(job.known_traces) + len(missing) > KNOWN_TRACES:
        job.known_traces.clear()
        missing = keys
    if missing:
        job.known_traces |= writing.traces(job.project.pk, missing)
    return job.known_traces


def _aside_row(job: _Import, batch: Batch, row: _Read) -> SetAside:
    aside = row.found
    assert isinstance(aside, values.RowAside)  # noqa: S101 - only rows that were set aside come here
    return SetAside(
        project=job.project,
        batch=batch,
        label=job.label,
        line=row.line,
        code=aside.code,
        reason=aside.reason[:300],
        raw=privacy.aside_text(row.raw, mode=job.project.privacy, own=job.source.rules),
        raw_hash=job.source.hasher.keyed(row.raw),
    )


def _tell(
    outcomes: Callable[[values.PushedRow], None], read: list[_Read], kept: list[Entry], versions: list[int]
) -> None:
    """Say of each row what became of it; one whose calls are several is added if any of them was."""
    at = 0
    for row in read:
        if isinstance(row.found, values.RowAside):
            outcomes(values.PushedRow(row.line, "set_aside", code=row.found.code, reason=row.found.reason))
            continue
        end = at + len(row.found)
        status = "added" if any(versions[at:end]) else "already_there"
        outcomes(values.PushedRow(row.line, status, kept[at].record.source_id if end > at else None))
        at = end
