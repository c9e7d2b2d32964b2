"""Request to query to answer: exact figures by SQL over the narrow table.

Sums and ranks are whole numbers made by the database; floats are formed last, so the same logs give the same bytes on
SQLite and PostgreSQL. A percentile is the smallest value that at least that share of the values does not exceed
(nearest rank; "inverted_cdf" in numpy).
"""

import itertools
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from django.db.models import Case, Count, F, Max, Min, Q, Sum, TextField, Value, When, Window
from django.db.models.functions import Cast, RowNumber, Substr

from agentopt.lib.errors import Invalid
from ingestion.analytics.metrics import METRICS, Metric
from ingestion.analytics.requests import Aggregation, AnalyticsRequest, Distribution, Filters, Percentiles
from ingestion.models import LogRecord, LogRecordQuerySet
from projects.models import Project

PERCENTILE_METHOD = "nearest rank"
MAX_GROUPS = 50_000
STATUS = Case(
    When(status="failed", then=Value("failed")), When(refused=True, then=Value("refused")), default=Value("ok")
)
# what a share counts, among which calls
_SHARES = {"failed": (Q(status="failed"), Q(pk__gt=0)), "refused": (Q(refused=True), Q(refused__isnull=False))}
_GROUPS: dict[str, Any] = {
    "status": STATUS,
    # connections speak UTC on both databases; Trunc would call back into Python for every row on SQLite
    "day": Substr(Cast("occurred_at", TextField()), 1, 10),
    "hour": Substr(Cast("occurred_at", TextField()), 1, 13),
}


def window(project: Project, since: datetime | None, until: datetime | None) -> LogRecordQuerySet:
    """The newest versions of a project's calls in [since, until)."""
    logs = LogRecord.objects.filter(project=project)
    if since is not None:
        logs = logs.filter(occurred_at__gte=since)
    if until is not None:
        logs = logs.filter(occurred_at__lt=until)
    return logs.newest()


def answer(project: Project, request: AnalyticsRequest) -> dict[str, Any]:
    """Answer one request; only the project's rows are ever read. Figures that no row tells are None."""
    if not isinstance(request, Aggregation | Percentiles | Distribution):
        raise Invalid(f"{request.kind} cannot be answered yet.", fields={"kind": "Not answered yet."})
    logs = _filtered(window(project, request.since, request.until), request.filters)
    metric = METRICS[request.metric]
    extra: dict[str, Any] = {}
    if isinstance(request, Aggregation):
        extra["aggregate"] = aggregate = request.aggregate or metric.aggregates[0]
        rows = _aggregation(logs, metric, aggregate, request.group_by)
    elif isinstance(request, Percentiles):
        extra["method"] = PERCENTILE_METHOD
        rows = _percentiles(logs, metric, request)
    else:
        rows = _distribution(logs, metric, request.bins or 20)
    limit = None if isinstance(request, Distribution) else request.limit
    return {
        "kind": request.kind,
        "metric": {"name": metric.name, "unit": metric.unit, "better": metric.better},
        **extra,
        "window": {"since": iso(request.since), "until": iso(request.until)},
        "source": "rows",
        "n": sum(row["n"] for row in rows),
        "rows": rows[:limit],
        "more": limit is not None and len(rows) > limit,
    }


def iso(moment: datetime | None) -> str | None:
    """A moment in UTC as ISO-8601."""
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _filtered(logs: LogRecordQuerySet, filters: Filters) -> LogRecordQuerySet:
    for name in ("model", "provider", "prompt_version"):
        wanted = getattr(filters, name)
        if wanted:
            logs = logs.filter(**{f"{name}__in": wanted})
    return logs.annotate(outcome=STATUS).filter(outcome__in=filters.status) if filters.status else logs


def keyed(logs: LogRecordQuerySet, groups: Sequence[str]) -> Any:
    """The rows with a column `g0`, `g1` for each group."""
    return logs.values(**{f"g{place}": _GROUPS.get(name, F(name)) for place, name in enumerate(groups)})


def _grouped(logs: LogRecordQuerySet, groups: Sequence[str], figures: dict[str, Any]) -> Iterable[dict[str, Any]]:
    """One row a group; without groups one row in all."""
    return keyed(logs, groups).annotate(**figures)[:MAX_GROUPS] if groups else [logs.aggregate(**figures)]


def _names(groups: Sequence[str]) -> list[str]:
    return [f"g{place}" for place in range(len(groups))]


def group_of(row: dict[str, Any], groups: Sequence[str]) -> dict[str, str]:
    """The group of a row as text; days and hours in UTC."""
    out = {}
    for place, name in enumerate(groups):
        value = row[f"g{place}"]
        out[name] = f"{value.replace(' ', 'T')}:00Z" if name == "hour" else value
    return out


def _sorted(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """In Python's order of code points, since each database sorts texts its own way."""
    return sorted(rows, key=lambda row: tuple(row["group"].values()))


def _aggregation(
    logs: LogRecordQuerySet, metric: Metric, aggregate: str, groups: Sequence[str]
) -> list[dict[str, Any]]:
    figures: dict[str, Any] = {"n_all": Count("pk")}
    if metric.column:
        figures |= {"n_known": Count(metric.column), "total": Sum(metric.column)}
        figures |= {"lowest": Min(metric.column), "highest": Max(metric.column)}
    elif metric.name in _SHARES:
        hit, told = _SHARES[metric.name]
        figures |= {"n_known": Count("pk", filter=told), "total": Count("pk", filter=hit)}
    rows = []
    for row in _grouped(logs, groups, figures):
        known = row.get("n_known", row["n_all"])
        value = _figure(row, metric, aggregate, known=known)
        rows.append({"group": group_of(row, groups), "n": known, "unknown": row["n_all"] - known, "value": value})
    return _sorted(rows)


def _figure(row: dict[str, Any], metric: Metric, aggregate: str, *, known: int) -> float | int | None:
    if aggregate == "count":
        return int(row["total"]) if metric.name in _SHARES else known
    if not known:
        return None
    if aggregate == "rate":
        return int(row["total"]) / known
    if aggregate == "mean":
        return scaled(int(row["total"]), metric.scale * known)
    return scaled(int(row[{"sum": "total", "min": "lowest", "max": "highest"}[aggregate]]), metric.scale)


def scaled(amount: int, scale: int) -> float | int:
    """A stored whole number in the metric's unit; formed once, at the end."""
    return amount if scale == 1 else amount / scale


def _percentiles(logs: LogRecordQuerySet, metric: Metric, request: Percentiles) -> list[dict[str, Any]]:
    counted = {
        tuple(group_of(row, request.group_by).values()): row["n_all"] - row["n_known"]
        for row in _grouped(logs, request.group_by, {"n_all": Count("pk"), "n_known": Count(metric.column)})
    }
    found = ranked(logs, metric.column, request.group_by, quantiles=request.quantiles)
    rows = []
    for key, unknown in counted.items():
        n, values = found.get(key, (0, {}))
        rows.append(
            {
                "group": dict(zip(request.group_by, key, strict=True)),
                "n": n,
                "unknown": unknown,
                "values": {
                    f"{q:g}": scaled(values[q], metric.scale) if q in values else None for q in request.quantiles
                },
            }
        )
    return _sorted(rows)


def ranked(
    logs: LogRecordQuerySet, column: str, groups: Sequence[str] = (), *, quantiles: Sequence[float]
) -> dict[tuple[str, ...], tuple[int, dict[float, int]]]:
    """Exact quantiles of a whole-number column by group: {group: (n, {quantile: value})}. Nulls are left out."""
    names = _names(groups)
    partition = [F(name) for name in names] or None
    rows = keyed(logs.filter(**{f"{column}__isnull": False}), groups).annotate(
        figure=F(column),
        rank=Window(RowNumber(), partition_by=partition, order_by=F(column).asc()),
        of=Window(Count("pk"), partition_by=partition),
    )
    wanted = Q()
    for q in quantiles:
        # the smallest rank that is at least n·q, in whole numbers
        wanted |= Q(rank=(F("of") * round(q * 1000) + 999) / 1000)
    out: dict[tuple[str, ...], tuple[int, dict[float, int]]] = {}
    for row in rows.filter(wanted).values(*names, "figure", "rank", "of"):
        n, found = out.setdefault(tuple(group_of(row, groups).values()), (row["of"], {}))
        found |= {q: row["figure"] for q in quantiles if row["rank"] == (n * round(q * 1000) + 999) // 1000}
    return out


def _distribution(logs: LogRecordQuerySet, metric: Metric, bins: int) -> list[dict[str, Any]]:
    """Equal bins of whole-number width from the lowest to the highest value; the last bin ends after the highest."""
    known = logs.filter(**{f"{metric.column}__isnull": False})
    ends = known.aggregate(low=Min(metric.column), high=Max(metric.column))
    if ends["low"] is None:
        return []
    low = int(ends["low"])
    width = max(1, -(-(int(ends["high"]) - low + 1) // bins))
    counts = dict(
        known.values(bin=(F(metric.column) - low) / width).annotate(n=Count("pk")).values_list("bin", "n")
    )  # fmt: skip
    ends_of = [scaled(low + place * width, metric.scale) for place in range(max(counts) + 2)]
    return [
        {"from": start, "to": end, "n": counts.get(place, 0)}
        for place, (start, end) in enumerate(itertools.pairwise(ends_of))
    ]
