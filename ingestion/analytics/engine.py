"""Question to answer: kept, from roll-ups, or from the calls; equal questions over equal calls give equal bytes.

What may differ between two answers to one question (seconds, kept or not, watermark, numbers of rows in the database)
stands apart under `run`; `canonical` is all the rest.
"""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from django.utils import timezone

from agentopt.lib.errors import Conflict
from ingestion.analytics import answers, budget, cache, hourly, sampling
from ingestion.analytics.requests import AnalyticsRequest, Clustering, Sampling, checked
from ingestion.analytics.rows import Rows
from ingestion.analytics.sources import Source
from projects.models import Privacy, Project


def answer(
    project: Project, request: AnalyticsRequest, *, token: str = "", now: datetime | None = None
) -> dict[str, Any]:
    """Answer one question; only the project's rows are ever read. Figures that no call tells are None.

    Args:
        token: a name by which `budget.cancel` stops it.

    Raises:
        Conflict: there are no use cases to tell of.
        TooManyRows, DayUsedUp, TookTooLong, Stopped: see `budget`.
    """
    return answer_each(project, [request], token=token, now=now)[0]


def answer_each(
    project: Project, requests: Sequence[AnalyticsRequest], *, token: str = "", now: datetime | None = None
) -> list[dict[str, Any]]:
    """As `answer`, for several questions; those whose answers are kept are looked up together."""
    started, now = time.monotonic(), now or timezone.now()
    asked = [checked(request) for request in requests]
    if any(isinstance(request, Clustering) for request in asked):
        _check_use_cases(project)
    keys = [cache.key_of(project, request) for request in asked]
    kept, out = cache.find(project, keys), []
    for key, request in zip(keys, asked, strict=True):
        found = kept.get(key) or _answer_anew(project, request, key=key, token=token, now=now)
        found["run"] |= {"seconds": round(time.monotonic() - started, 6), "cached": key in kept}
        out.append(found)
    return out


def _answer_anew(project: Project, request: AnalyticsRequest, *, key: str, token: str, now: datetime) -> dict[str, Any]:
    # read first: a batch that comes meanwhile then counts as later than the answer
    newest = cache.watermark(project)
    found = _computed(project, request, token=token, now=now)
    found["run"] |= {"watermark": newest}
    cache.keep(project, key, found, request=request, watermark=newest, now=now)
    return found


def canonical(found: dict[str, Any]) -> bytes:
    """The bytes of an answer that are the same whenever question and calls are."""
    return msgspec.json.encode({name: value for name, value in found.items() if name != "run"})


def iso(moment: datetime | None) -> str | None:
    """A moment in UTC as ISO-8601."""
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _check_use_cases(project: Project) -> None:
    if project.privacy == Privacy.HASHED:
        raise Conflict("This project keeps prompts as hashes only: nothing tells which of them ask for the same.")
    if not project.use_cases.exists():
        raise Conflict("No use cases were looked for yet: start that on the use-case page, then ask again.")


def _computed(project: Project, request: AnalyticsRequest, *, token: str, now: datetime) -> dict[str, Any]:
    is_current = hourly.are_current(project, request.since, request.until)
    in_hours: hourly.Rollups | None = None
    if is_current and hourly.serves(request):
        in_hours = hourly.Rollups(project, request.since, request.until, filters=request.filters)
        if not isinstance(request, Sampling):
            return _answered(request, in_hours)
    if isinstance(request, Sampling) and in_hours is not None and not request.strata:
        n = request.size
    else:
        n = budget.check_rows(project, request, known=hourly.calls(project, request) if is_current else None)
    with budget.running(project, request, n=n, token=token, now=now) as check:
        source = Rows(project, request.since, request.until, filters=request.filters, check=check)
        return _sampled(request, source, in_hours) if isinstance(request, Sampling) else _answered(request, source)


def _answered(request: AnalyticsRequest, source: Source) -> dict[str, Any]:
    found = answers.answer(request, source)
    return {**_head(request, source=source.name, error=source.error), **found, "run": {}}


def _head(request: AnalyticsRequest, *, source: str, error: float | None) -> dict[str, Any]:
    return {
        "kind": request.kind,
        "window": {"since": iso(request.since), "until": iso(request.until)},
        "source": source,
        "error": error,
    }


def _sampled(request: Sampling, source: Rows, in_hours: Source | None) -> dict[str, Any]:
    found = sampling.draw(request, source, totals=(in_hours or source).totals(request.strata, "calls"))
    return {
        **_head(request, source=source.name, error=None),
        "seed": request.seed,
        "allocation": request.allocation,
        "n": found.n,
        "strata": found.strata,
        "rows": found.rows,
        "more": False,
        "run": {"ids": found.ids},
    }
