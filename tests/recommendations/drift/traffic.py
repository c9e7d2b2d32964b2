"""Invented traffic with known shifts: as values, and as calls in the database."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from ingestion.models import Batch, LogRecord, Trace
from projects.models import Project
from recommendations.drift import monitor
from recommendations.drift.models import Alert

START = datetime(2026, 9, 7, tzinfo=UTC)  # a Monday
Change = Callable[[LogRecord, float], None]


def take_in(
    project: Project,
    days: float,
    *,
    a_day: int = 60,
    seed: int = 1,
    start: datetime = START,
    change: Change | None = None,
) -> int:
    """Store conversations of two calls each with a daily cycle; `change(record, days since start)` plants a shift."""
    rng = np.random.default_rng(seed)
    number = (project.batches.order_by("-number").values_list("number", flat=True).first() or 0) + 1
    n = round(a_day * days)
    at = np.sort(rng.random(n) * days)
    at += 0.1 * np.sin(2 * np.pi * at) / (2 * np.pi)
    traces = Trace.objects.bulk_create(Trace(project=project, key=f"t{number}-{k}") for k in range(n))
    rows = [
        _record(project, trace, start + timedelta(days=float(day), seconds=60 * turn), rng=rng)
        for trace, day in zip(traces, at, strict=True)
        for turn in (0, 1)
    ]
    if change is not None:
        for row in rows:
            change(row, (row.occurred_at - start) / timedelta(days=1))
    batch = Batch.objects.create(
        project=project, number=number, source="file", format="test", added=len(rows), manifest_hash="",
        first_at=rows[0].occurred_at, last_at=rows[-1].occurred_at,
    )  # fmt: skip
    for row in rows:
        row.batch = batch
    LogRecord.objects.bulk_create(rows, batch_size=500)
    return len(rows)


def _record(project: Project, trace: Trace, at: datetime, *, rng: Any) -> LogRecord:
    key = uuid.UUID(int=int(rng.integers(2**62)) << 64 | int(rng.integers(2**62)))
    hour = 2 * np.pi * (at.hour + at.minute / 60) / 24
    return LogRecord(
        project=project, key=key, source_id=str(key), trace=trace, occurred_at=at, provider="openai",
        model="gpt-4o-mini", prompt_version="v1", status="ok", refused=bool(rng.random() < 0.05), input_tokens=800,
        output_tokens=int(100 + rng.integers(100)), cost_nanousd=int(2_000_000 * np.exp(rng.normal(0, 0.4))),
        latency_us=int(2_000_000 * np.exp(rng.normal(0, 0.35) + 0.2 * np.sin(hour))),
    )  # fmt: skip


def slower(record: LogRecord, day: float) -> None:
    """From day 33 on answers take half as long again, on a new prompt version."""
    if day >= 33:
        record.latency_us = int((record.latency_us or 0) * 1.5)
        record.prompt_version = "v2"


def drift(project: Project) -> Alert:
    """A project whose answers became slower, checked: the alert about it."""
    take_in(project, 38, a_day=40, change=slower)
    monitor.check(project, now=START + timedelta(days=39))
    return Alert.objects.get(project=project, metric="latency")
