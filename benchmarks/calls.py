"""Invented calls straight into the narrow table, bodies apart left out: for figures over millions of rows.

Thirty days in order of time, eight models of three providers, three prompt versions; heavy-tailed latencies, tokens
and costs; two of a hundred fail and tell no tokens, some tell no time to the first token.
"""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from django.db import connection, transaction

from ingestion.models import Batch, LogRecord, Trace
from projects.models import Project

FIRST = datetime(2026, 10, 1, tzinfo=UTC)
DAYS = 30
MODELS = [
    ("openai", "gpt-a"), ("openai", "gpt-b"), ("openai", "gpt-c"), ("anthropic", "claude-a"),
    ("anthropic", "claude-b"), ("google", "gemini-a"), ("google", "gemini-b"), ("google", "gemini-c"),
]  # fmt: skip
_CHUNK = 50_000


def fill(project: Project, n_rows: int, *, seed: int = 1, calls_a_trace: int | None = None) -> None:
    """Give a project `n_rows` calls, in one batch a chunk; a chunk shares 100 traces, unless each has so many calls."""
    rng = np.random.default_rng(seed)
    made = 0
    while made < n_rows:
        size = min(_CHUNK, n_rows - made)
        with transaction.atomic():
            batch = Batch.objects.create(
                project=project, number=project.batches.count() + 1, source="file", format="openai", added=size,
                manifest_hash="0" * 64,
            )  # fmt: skip
            n_traces = -(-size // calls_a_trace) if calls_a_trace else 100
            traces = Trace.objects.bulk_create(Trace(project=project, key=f"{batch.pk}-{n}") for n in range(n_traces))
            pks = [trace.pk for trace in traces for _ in range(calls_a_trace or 1)]
            _write(_rows(batch, pks, start=made, size=size, of=n_rows, rng=rng))
        made += size
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def _rows(
    batch: Batch, traces: list[int], *, start: int, size: int, of: int, rng: np.random.Generator
) -> Iterator[dict[str, Any]]:
    step = timedelta(days=DAYS) / of
    models = rng.choice(len(MODELS), size, p=[0.3, 0.2, 0.15, 0.1, 0.1, 0.05, 0.05, 0.05]).tolist()
    versions = rng.integers(1, 4, size).tolist()
    latency = (rng.lognormal(14, 0.8, size)).astype(int).tolist()
    given, said = rng.lognormal(6, 1, size).astype(int), rng.lognormal(5, 1, size).astype(int)
    cost = ((given * 3 + said * 15) * 1000 // 4).tolist()
    chance = rng.random((3, size)).tolist()
    inputs, outputs = given.tolist(), said.tolist()
    for n in range(size):
        provider, model = MODELS[models[n]]
        failed = chance[0][n] < 0.02
        yield {
            "project_id": batch.project_id, "batch_id": batch.pk, "trace_id": traces[n % len(traces)],
            "source_id": f"call-{start + n}", "key": uuid.UUID(bytes=rng.bytes(16)), "version": 1,
            "occurred_at": FIRST + step * (start + n), "provider": provider, "model": model,
            "prompt_version": f"v{versions[n]}", "status": "failed" if failed else "ok",
            "refused": None if failed else chance[1][n] < 0.01,
            "input_tokens": None if failed else inputs[n], "output_tokens": None if failed else outputs[n],
            "cached_tokens": None if failed else inputs[n] // 3, "cost_nanousd": None if failed else cost[n],
            "cost_is_ours": True, "latency_us": latency[n],
            "first_token_us": latency[n] // 4 if chance[2][n] < 0.7 and not failed else None,
            "content_hash": "0" * 64, "body_hash": "", "row_hash": "0" * 64,
        }  # fmt: skip


def _write(rows: Iterator[dict[str, Any]]) -> None:
    """By COPY on PostgreSQL, by executemany on SQLite."""
    fields = [field for field in LogRecord._meta.concrete_fields if not field.primary_key]  # noqa: SLF001
    names = ", ".join(f'"{field.column}"' for field in fields)
    usual = {
        field.attname: field.get_db_prep_save(None if field.null else field.get_default(), connection)
        for field in fields
    }
    told = [field.attname for field in fields]
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            with cursor.copy(f"COPY ingestion_logrecord ({names}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row([usual[name] if row.get(name) is None else row[name] for name in told])
            return
        places = ", ".join(["?"] * len(fields))
        cursor.connection.executemany(
            f"INSERT INTO ingestion_logrecord ({names}) VALUES ({places})",  # noqa: S608
            ([_plain(row.get(name, usual[name])) for name in told] for row in rows),
        )


def _plain(value: Any) -> Any:
    """As Django hands it to SQLite."""
    if isinstance(value, datetime):
        return str(value.replace(tzinfo=None))
    return value.hex if isinstance(value, uuid.UUID) else value
