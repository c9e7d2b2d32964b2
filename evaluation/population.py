"""The calls that an evaluation draws from: rows of the log to plain values."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Exists, OuterRef

from agentopt.lib.errors import Conflict, Invalid
from evaluation.judges import rules
from evaluation.values import LeftOut, Population, Prompt
from ingestion import usecases
from ingestion.models import LogRecord, LogRecordQuerySet, RemovedBody
from projects.models import Project

WINDOW = timedelta(days=30)
MOST_CALLS = 50_000  # of a window are read: time and memory stay bounded however long the log is
EXAMPLES = 3  # ids of calls that are left out, for each reason
_AT_ONCE = 10_000
_COLUMNS = ("pk", "source_id", "trace_id", "metadata", "status", "refused", "cost_nanousd", "obstacle", "provider",
            "latency_us", "assignment__use_case_id")  # fmt: skip


def read(
    project: Project,
    *,
    model: str | None,
    records: Sequence[int] | None,
    wanted: int,
    now: datetime,
    use_case: str | None = None,
    prompt_version: str | None = None,
) -> Population:
    """Return the newest versions of the baseline's calls.

    The window is the last 30 days that the log covers, or the whole log where those hold fewer prompts than wanted. Of
    a window with more than MOST_CALLS calls a repeatable sample of so many is read, by the order of their keys.

    Args:
        model: baseline as the logs call it; None: the one with most calls within those 30 days.
        records: ids that the population is narrowed to; the window is then the whole log.
        use_case: name of the only one to draw from.
        prompt_version: the only version of the prompt to draw from; the baseline is then that of its calls.

    Raises:
        Conflict: there are no logs. Invalid: none of this model, use case or version.
    """
    logs = LogRecord.objects.filter(project=project, occurred_at__lt=now).newest()
    newest = logs.order_by("-occurred_at").values_list("occurred_at", flat=True).first()
    if newest is None:
        raise Conflict(
            "There are no logs to evaluate. Import a file (import_logs), push records to /api/v1/logs, or connect the "
            "gateway and sync."
        )
    if prompt_version is not None:
        logs = _of_version(logs, prompt_version)
        newest = logs.latest("occurred_at").occurred_at
    recent = newest - WINDOW
    name = model or _busiest(logs.filter(occurred_at__gte=recent))
    of_model = logs.filter(model=name)
    if not of_model.exists():
        known = ", ".join(logs.order_by("model").values_list("model", flat=True).distinct()[:20])
        raise Invalid(f"No call of {name} is logged.", fields={"baseline": f"Expected one of: {known}."})
    if records is not None:
        return _population(
            project, of_model, name=name, since=None, until=now, only=frozenset(records), use_case=use_case
        )
    of_window = of_model.filter(occurred_at__gte=recent)
    found = _population(project, of_window, name=name, since=recent, until=now, use_case=use_case)
    if len(found.prompts) < wanted and of_model.filter(occurred_at__lt=recent).exists():
        found = _population(project, of_model, name=name, since=None, until=now, use_case=use_case)
    if use_case is not None and not found.calls:
        known = ", ".join(sorted(set(usecases.names(project).values()))[:20]) or "none: group the calls first"
        raise Invalid(f"{name} has no call of {use_case}.", fields={"use_case": f"Use cases: {known}."})
    return found


def _of_version(logs: LogRecordQuerySet, wanted: str) -> LogRecordQuerySet:
    found = logs.filter(prompt_version=wanted)
    if found.exists():
        return found
    told = logs.exclude(prompt_version="").order_by("prompt_version").values_list("prompt_version", flat=True)
    known = ", ".join(told.distinct()[:20])
    said = f"Expected one of: {known}." if known else "The logs tell no versions of the prompt."
    raise Invalid(f"No call of prompt version {wanted} is logged.", fields={"prompt_version": said})


def _busiest(logs: LogRecordQuerySet) -> str:
    counts: dict[str, int] = dict(logs.values_list("model").annotate(n=Count("pk")).order_by())
    return min(counts, key=lambda name: (-counts[name], name))


def _labels(project: Project) -> Callable[[int | None, Mapping[str, object]], str]:
    """How a call's use case is told: as assigned, else as the log itself names it, else not at all ("")."""
    names = usecases.names(project)
    given = usecases.given_names(project, names)

    def label(assigned: int | None, metadata: Mapping[str, object]) -> str:
        own = str(metadata.get("use_case", "") or "").strip()
        return names.get(assigned or 0) or given.get(own[:128]) or own[:80]

    return label


def _rows(logs: LogRecordQuerySet, only: frozenset[int] | None) -> Iterator[Any]:
    """Rows in the order of their keys, one more than is used, so that it can be told whether there were more."""
    columns = (*_COLUMNS, "gone")
    if only is None:
        yield from logs.order_by("key").values_list(*columns, named=True)[: MOST_CALLS + 1].iterator()
        return
    # in parts: SQLite takes 32,766 parameters at most
    wanted = sorted(only)[: MOST_CALLS + 1]
    for start in range(0, len(wanted), _AT_ONCE):
        part = wanted[start : start + _AT_ONCE]
        yield from logs.filter(pk__in=part).values_list(*columns, named=True).iterator()


def _population(
    project: Project,
    logs: LogRecordQuerySet,
    *,
    name: str,
    since: datetime | None,
    until: datetime,
    only: frozenset[int] | None = None,
    use_case: str | None = None,
) -> Population:
    logs = logs.annotate(gone=Exists(RemovedBody.objects.filter(record=OuterRef("pk"))))
    rows = [
        row._replace(obstacle=row.obstacle or (LogRecord.Obstacle.NO_BODY if row.gone else ""))
        for row in _rows(logs, only)
    ]
    is_sampled = len(rows) > MOST_CALLS
    label = _labels(project)
    rows = [
        row for row in rows[:MOST_CALLS]
        if use_case is None or label(row.assignment__use_case_id, row.metadata) == use_case
    ]  # fmt: skip
    prompts = [
        Prompt(
            pk=row.pk,
            source_id=row.source_id,
            conversation=row.trace_id,
            use_case=label(row.assignment__use_case_id, row.metadata),
            answered=rules.answered(failed=row.status == LogRecord.Status.FAILED, was_refused=row.refused),
            cost_nanousd=row.cost_nanousd,
        )
        for row in rows
        if not row.obstacle
    ]
    latencies = [row.latency_us for row in rows if row.latency_us is not None]
    providers = Counter(row.provider for row in rows)
    return Population(
        model=name,
        provider=min(providers, key=lambda provider: (-providers[provider], provider)) if providers else "",
        since=since,
        until=until,
        calls=len(rows),
        conversations=len({prompt.conversation for prompt in prompts}),
        prompts=tuple(sorted(prompts, key=lambda prompt: prompt.source_id)),
        left_out=_left_out(rows),
        mean_latency_s=sum(latencies) / len(latencies) / 1e6 if latencies else None,
        simulated=logs.filter(batch__simulated=True).exists(),
        sampled=is_sampled,
    )


def _left_out(rows: Sequence[Any]) -> tuple[LeftOut, ...]:
    """Calls that cannot be replayed, by reason."""
    spend = sum(row.cost_nanousd or 0 for row in rows)
    calls = Counter(row.obstacle for row in rows if row.obstacle)
    costs: Counter[str] = Counter()
    for row in rows:
        costs[row.obstacle] += row.cost_nanousd or 0
    return tuple(
        LeftOut(
            code,
            LogRecord.Obstacle(code).label,
            count,
            costs[code] / spend if spend else None,
            tuple(sorted(row.pk for row in rows if row.obstacle == code)[:EXAMPLES]),
        )
        for code, count in sorted(calls.items())
    )
