"""Answers kept by question: a new batch puts out of force only those whose window it touches."""

import hashlib
from collections.abc import Collection
from datetime import datetime
from typing import Any

import msgspec
from django.conf import settings
from django.db import DatabaseError, transaction
from django.db.models import Max, Q, Subquery

from ingestion import usecases
from ingestion.analytics.requests import METADATA, Clustering, Question, encoded
from ingestion.models import AnalyticsEntry, Batch, LogRecord
from projects.models import Project

FORM = 1
"""Of the answers; another form answers anew."""
MAX_BYTES = 1_000_000
_SWEPT_AT_ONCE = 100


def watermark(project: Project) -> int:
    """The number of the newest batch; 0 without any."""
    return Batch.objects.filter(project=project).aggregate(newest=Max("number"))["newest"] or 0


def key_of(project: Project, request: Question) -> str:
    """Stands for the question and for what changes its answer without a batch: names, fits and erasures."""
    parts: list[Any] = [FORM]
    keys = request.groups
    if "use_case" in keys or request.filters.use_case or isinstance(request, Clustering):
        fit = project.use_case_fits.order_by("-number").values_list("number", "reached").first()
        parts += [project.privacy, fit, sorted(usecases.names(project).items())]
    if request.filters.metadata or any(key.startswith(METADATA) for key in keys):
        parts.append(list(project.removals.order_by("pk").values_list("pk", "reached", "lifted_at")))
    seen = encoded(request) + msgspec.json.encode(parts)  # type: ignore[arg-type]
    return hashlib.sha256(seen).hexdigest()


def find(project: Project, keys: Collection[str]) -> dict[str, dict[str, Any]]:
    """The answers kept under some keys, without those that a batch since then touches."""
    newest = Batch.objects.filter(project=project).order_by("-number").values("number")[:1]
    kept = AnalyticsEntry.objects.filter(project=project, request_hash__in=keys).annotate(newest=Subquery(newest))
    return {
        entry.request_hash: msgspec.json.decode(entry.body)
        for entry in kept
        if entry.watermark == entry.newest or not _is_touched(project, entry)
    }


def _is_touched(project: Project, entry: AnalyticsEntry) -> bool:
    later = Batch.objects.filter(project=project, number__gt=entry.watermark)
    within = Q(last_at__isnull=False)
    if entry.since is not None:
        within &= Q(last_at__gte=entry.since)
    if entry.until is not None:
        within &= Q(first_at__lt=entry.until)
    # a new version may take its call out of a window that the batch does not touch
    changed = LogRecord.objects.filter(project=project, version__gt=1, batch__number__gt=entry.watermark)
    return later.filter(within).exists() or changed.exists()


def keep(
    project: Project, key: str, answer: dict[str, Any], *, request: Question, watermark: int, now: datetime
) -> None:
    """Keep an answer, and let go of the oldest beyond ANALYTICS_CACHE_ENTRIES. Nothing hangs on it: it may fail."""
    body = msgspec.json.encode(answer)
    if len(body) > MAX_BYTES or not settings.ANALYTICS_CACHE_ENTRIES:
        return
    entry = AnalyticsEntry(
        project=project, request_hash=key, watermark=watermark, since=request.since, until=request.until, body=body,
        made_at=now,
    )  # fmt: skip
    try:
        with transaction.atomic():
            AnalyticsEntry.objects.bulk_create(
                [entry],
                update_conflicts=True,
                unique_fields=["project", "request_hash"],
                update_fields=["watermark", "since", "until", "body", "made_at"],
            )
            _sweep(project)
    except DatabaseError:
        return


def _sweep(project: Project) -> None:
    mine = AnalyticsEntry.objects.filter(project=project)
    most = settings.ANALYTICS_CACHE_ENTRIES
    old = list(mine.order_by("-made_at", "-pk").values_list("pk", flat=True)[most : most + _SWEPT_AT_ONCE])
    if old:
        mine.filter(pk__in=old).delete()


def forget(project: Project) -> None:
    """Let go of every answer: for who removes what answers may repeat, such as the values of a person's metadata."""
    AnalyticsEntry.objects.filter(project=project).delete()
