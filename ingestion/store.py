"""The only writer of logs: records and bodies in bulk, versions, batch manifests.

Rows come as a stream and are written chunk by chunk, one transaction each, so memory stays flat and pages can write in
between. What `append` has counted is committed.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from django.db import connection, transaction
from msgspec.structs import replace

from ingestion import hashing, privacy, retention, values
from ingestion.catalog import pricing
from ingestion.catalog.offers import PriceBook
from ingestion.formats import detection
from ingestion.formats.fields import Unreadable
from ingestion.models import Batch, LogBody, LogRecord, SetAside, Trace
from projects.models import Project

CHUNK_ROWS = {"sqlite": 500, "postgresql": 2000}
CHUNK_BYTES = 16 * 1024 * 1024
MAX_REASONS = 100
CLOCK_SKEW = timedelta(days=1)
GENERATED_ID = "content-"
RECORDS = "ingestion_logrecord"

Row = tuple[int, bytes]


@dataclass(frozen=True)
class _Parsed:
    """A row as read: its record with the hash of its content, or why it was set aside."""

    line: int
    raw: bytes
    key: UUID | None = None
    record: values.RawRecord | None = None
    content_hash: str = ""
    aside: values.RowAside | None = None


@dataclass
class _Import:
    """What stays the same from chunk to chunk."""

    project: Project
    read: detection.Reader
    rules: privacy.Rules
    format: str
    source: str
    label: str
    simulated: bool
    now: datetime
    prices: PriceBook
    outcomes: Callable[[values.PushedRow], None] | None
    hasher: hashing.Hasher = field(init=False)
    standing: Mapping[str, Mapping[str, Sequence[str]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.hasher = hashing.Hasher(self.project.hash_key)


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

    Args:
        rows: line number and bytes of one JSON object each; blank lines are skipped.
        format: a name of `formats.detection.READERS`.
        now: taken where the source tells no time; nothing may lie more than a day after it.
        beat: called after each committed chunk with `done=`, the rows read so far; may raise to stop the import.
        outcomes: called with what became of each row, in order, after its chunk is committed.

    Raises:
        Invalid: unknown format, or a bad privacy pattern of the project. Nothing is written then.
    """
    rules = privacy.rules(project.privacy_patterns)
    job = _Import(
        project=project,
        read=detection.reader(format),
        rules=rules,
        format=format,
        source=source,
        label=privacy.label_text(label, mode=project.privacy, own=rules)[:200],
        simulated=simulated,
        now=now,
        prices=PriceBook(project),
        outcomes=outcomes,
    )
    total, done = values.Imported(), 0
    for chunk in _chunks(rows):
        filled = [(line, raw) for line, raw in chunk if raw.strip()]
        total = _sum(total, _take(job, filled))
        done += len(chunk)
        if beat is not None:
            beat(done=done)
    return total


def _chunks(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Cut a stream by rows and by bytes: a few long lines must not fill the memory."""
    chunk: list[Row] = []
    size = 0
    for line, raw in rows:
        chunk.append((line, raw))
        size += len(raw)
        if len(chunk) == CHUNK_ROWS[connection.vendor] or size >= CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _sum(one: values.Imported, other: values.Imported) -> values.Imported:
    return values.Imported(
        added=one.added + other.added,
        already_there=one.already_there + other.already_there,
        set_aside=one.set_aside + other.set_aside,
        batches=one.batches + other.batches,
        reasons=(one.reasons + other.reasons)[:MAX_REASONS],
    )


def _take(job: _Import, rows: list[Row]) -> values.Imported:
    """Read and store a chunk; once more where an erasure came in between."""
    while True:
        job.standing = retention.standing(job.project)
        try:
            return _store(job, [_parse(job, line, raw) for line, raw in rows])
        except _Stale:
            continue


def _parse(job: _Import, line: int, raw: bytes) -> _Parsed:
    """Read one row and hash its content as it came, before privacy takes from it and before our clock adds to it."""
    try:
        (record,) = job.read(raw)
    except Unreadable as error:
        return _Parsed(line, raw, aside=values.RowAside(line, error.code, error.reason))
    if record.occurred_at is not None and record.occurred_at > job.now + CLOCK_SKEW:
        return _Parsed(line, raw, aside=values.RowAside(line, "absurd_time", "The time lies in the future."))
    content_hash = job.hasher.keyed(_canonical(record))
    if record.source_id is None:
        # the hash is keyed, so an id made of it gives nothing away
        record = replace(record, source_id=GENERATED_ID + content_hash[:40])
    if record.occurred_at is None:
        flag = {values.TIME_FLAG: "the source tells no time; this is the time of import"}
        record = replace(record, occurred_at=job.now, metadata={**record.metadata, **flag})
    record = replace(record, trace_key=record.trace_key or record.source_id)
    key = job.hasher.record_key(record.source_id or "")  # of the id as it came, whatever the mode leaves of it
    kept = privacy.protect(record, mode=job.project.privacy, own=job.rules, keyed=job.hasher.keyed)
    kept = privacy.withhold(
        kept,
        record.metadata,
        mode=job.project.privacy,
        own=job.rules,
        standing=job.standing,
        hasher=job.hasher,
    )
    return _Parsed(line, raw, key, record=kept, content_hash=content_hash)


def _canonical(record: values.RawRecord) -> bytes:
    """All that the source tells, and nothing that we read out of it: a better rule of ours changes no record."""
    names = (
        "source_id trace_key occurred_at provider model prompt_version status status_code input_tokens output_tokens "
        "cached_tokens source_cost_nanousd latency_us first_token_us metadata request response"
    )
    told = [getattr(record, name) for name in names.split()]
    return msgspec.json.encode(told, order="deterministic")


def _store(job: _Import, parsed: list[_Parsed]) -> values.Imported:
    """Write a chunk in one transaction."""
    asides = [row for row in parsed if row.aside is not None]
    read = [row for row in parsed if row.record is not None]
    costs = [_cost(job.prices, row.record) for row in read if row.record is not None]  # before the write lock is taken
    with transaction.atomic():
        # one writer a project: batch numbers and versions are counted up. SQLite has one writer in all.
        Project.objects.select_for_update(no_key=True).get(pk=job.project.pk)
        if retention.standing(job.project) != job.standing:
            raise _Stale
        versions = _versions(job.project, read)
        added = [(row, version, cost) for row, version, cost in zip(read, versions, costs, strict=True) if version]
        new_asides = _new_asides(job, asides)
        if added or new_asides:
            _write(job, added, new_asides, known=len(read) - len(added))
    if job.outcomes is not None:
        _tell(job.outcomes, parsed, dict(zip((row.line for row in read), versions, strict=True)))
    return values.Imported(
        added=len(added),
        already_there=len(read) - len(added),
        set_aside=len(asides),
        batches=int(bool(added or new_asides)),
        reasons=tuple(row.aside for row in asides if row.aside is not None)[:MAX_REASONS],
    )


def _cost(prices: PriceBook, record: values.RawRecord | None) -> int | None:
    """The cost at the price of the call's day; None where tokens or price are unknown."""
    if record is None or record.occurred_at is None:
        return None
    price = prices.price(record.provider, record.model, record.occurred_at.date())
    usage = values.Usage(record.input_tokens, record.output_tokens, record.cached_tokens)
    return None if price is None else pricing.cost_nanousd(usage, price)


def _versions(project: Project, read: list[_Parsed]) -> list[int]:
    """The version that each row becomes, in order; 0 where its newest version says the same."""
    stored = LogRecord.objects.filter(project=project, key__in={row.key for row in read}).order_by("version")
    newest: dict[UUID | None, tuple[int, str]] = {
        key: (version, found) for key, version, found in stored.values_list("key", "version", "content_hash")
    }
    out = []
    for row in read:
        version, known = newest.get(row.key, (0, ""))
        if known == row.content_hash:
            out.append(0)
        else:
            newest[row.key] = (version + 1, row.content_hash)
            out.append(version + 1)
    return out


def _new_asides(job: _Import, asides: list[_Parsed]) -> list[_Parsed]:
    """Those that an earlier import of the same source did not set aside already."""
    if not asides:
        return []
    known = set(
        SetAside.objects.filter(
            project=job.project, label=job.label, line__in=[row.line for row in asides]
        ).values_list("line", "raw_hash")
    )
    unique = {(row.line, job.hasher.keyed(row.raw)): row for row in asides}
    return [row for key, row in unique.items() if key not in known]


def _write(job: _Import, added: list[tuple[_Parsed, int, int | None]], asides: list[_Parsed], *, known: int) -> None:
    """The next batch of the project, its manifest chained to the one before, with its records and bodies."""
    last = Batch.objects.filter(project=job.project).order_by("-number").first()
    number = last.number + 1 if last else 1
    traces = _traces(job.project, {row.record.trace_key or "" for row, _, _ in added if row.record})
    rows = [_record_row(job, row, version=version, cost=cost, traces=traces) for row, version, cost in added]
    for record, (parsed, _, _) in zip(rows, added, strict=True):
        key = parsed.record.trace_key if parsed.record else None
        record.row_hash = job.hasher.row_hash(record, batch=number, trace_key=key or "")
    moments = [record.occurred_at for record in rows]
    pks = _next_pks(len(rows))
    batch = Batch(
        project=job.project,
        number=number,
        source=job.source,
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
    batch.manifest_hash = job.hasher.manifest_hash(
        batch, [record.row_hash for record in rows], [job.hasher.keyed(row.raw) for row in asides]
    )
    batch.save(force_insert=True)
    for pk, record in zip(pks, rows, strict=True):
        record.pk, record.batch = pk, batch
    LogRecord.objects.bulk_create(rows)
    LogBody.objects.bulk_create(
        LogBody(record=record, request=row.record.request, response=row.record.response, preview=row.record.preview)
        for record, (row, _, _) in zip(rows, added, strict=True)
        if row.record and record.body_hash
    )
    SetAside.objects.bulk_create([_aside_row(job, batch, row) for row in asides])


def _next_pks(n: int) -> list[int]:
    """Primary keys for `n` records, in rising order, that nobody else takes."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":  # we hold the write lock, and the database keeps the highest key ever used
            cursor.execute("SELECT seq FROM sqlite_sequence WHERE name = %s", [RECORDS])
            first = (cursor.fetchone() or (0,))[0] + 1
            return list(range(first, first + n))
        cursor.execute(
            "SELECT nextval(pg_get_serial_sequence(%s, 'id')) FROM generate_series(1, %s)",
            [RECORDS, n],
        )
        return sorted(pk for (pk,) in cursor.fetchall())


def _traces(project: Project, keys: set[str]) -> Mapping[str, int]:
    """Primary keys of the traces, made where they are missing."""
    Trace.objects.bulk_create([Trace(project=project, key=key) for key in sorted(keys)], ignore_conflicts=True)
    return dict(Trace.objects.filter(project=project, key__in=keys).values_list("key", "pk"))


def _record_row(job: _Import, row: _Parsed, *, version: int, cost: int | None, traces: Mapping[str, int]) -> LogRecord:
    record = row.record
    assert record is not None and row.key and record.source_id and record.occurred_at  # noqa: S101, PT018 - `_parse` saw to it
    return LogRecord(
        project=job.project,
        source_id=record.source_id,
        key=row.key,
        version=version,
        trace_id=traces[record.trace_key or ""],
        occurred_at=record.occurred_at,
        provider=record.provider,
        model=record.model,
        prompt_version=record.prompt_version,
        status=record.status,
        status_code=record.status_code,
        finish_reason=record.finish_reason,
        refused=record.refused,
        input_tokens=record.input_tokens,
        output_tokens=record.output_tokens,
        cached_tokens=record.cached_tokens,
        cache_write_tokens=record.cache_write_tokens,
        reasoning_tokens=record.reasoning_tokens,
        # 0 from the source may mean "no price", so only our own figure or a real amount stands
        cost_nanousd=cost if cost is not None else record.source_cost_nanousd or None,
        cost_is_ours=cost is not None,
        source_cost_nanousd=record.source_cost_nanousd,
        latency_us=record.latency_us,
        first_token_us=record.first_token_us,
        uses_tools=record.uses_tools,
        uses_json=record.uses_json,
        has_images=record.has_images,
        streamed=record.streamed,
        obstacle=record.obstacle,
        metadata=dict(record.metadata),
        content_hash=row.content_hash,
        body_hash=job.hasher.body_hash(record.request, record.response, record.preview),
    )


def _aside_row(job: _Import, batch: Batch, row: _Parsed) -> SetAside:
    assert row.aside is not None  # noqa: S101 - only rows that were set aside come here
    return SetAside(
        project=job.project,
        batch=batch,
        label=job.label,
        line=row.line,
        code=row.aside.code,
        reason=row.aside.reason[:300],
        raw=privacy.aside_text(row.raw, mode=job.project.privacy, own=job.rules),
        raw_hash=job.hasher.keyed(row.raw),
    )


def _tell(outcomes: Callable[[values.PushedRow], None], parsed: Iterable[_Parsed], versions: Mapping[int, int]) -> None:
    for row in parsed:
        if row.record is None:
            aside = row.aside or values.RowAside(row.line, "", "")
            outcomes(values.PushedRow(row.line, "set_aside", code=aside.code, reason=aside.reason))
        else:
            status = "added" if versions[row.line] else "already_there"
            outcomes(values.PushedRow(row.line, status, row.record.source_id))
