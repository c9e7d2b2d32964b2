"""Figures from the calls themselves, exact: SQL over the narrow table, the same on both databases.

Every query starts from one project's calls. The database counts and adds whole numbers; what is finer is made of them
in Python, so its order of rows, its collation and its floats never reach an answer.
"""

import functools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import combinations
from typing import Any

from django.db.models import Case, Count, F, Func, Max, Min, Q, Subquery, Sum, TextField, Value, When, Window
from django.db.models.functions import Cast, RowNumber, Substr

from agentopt.lib.errors import Invalid
from ingestion import usecases
from ingestion.analytics.figures import Counted, doubled_ranks, products
from ingestion.analytics.metrics import METRICS
from ingestion.analytics.requests import METADATA, Filters
from ingestion.analytics.sources import Group, Spread, Together, Total, folded, text
from ingestion.models import LogRecord, LogRecordQuerySet
from projects.models import Project

MAX_GROUPS = 50_000
STATUS = Case(
    When(status="failed", then=Value("failed")), When(refused=True, then=Value("refused")), default=Value("ok")
)
# what a share counts, among which calls
_SHARES = {
    "failed": (Q(status="failed"), Q(pk__gt=0)),
    "refused": (Q(refused=True) & ~Q(status="failed"), Q(refused__isnull=False)),
}
_KEYS: dict[str, Any] = {
    "status": STATUS,
    # connections speak UTC on both databases; Trunc would call back into Python for every row on SQLite
    "day": Substr(Cast("occurred_at", TextField()), 1, 10),
    "hour": Substr(Cast("occurred_at", TextField()), 1, 13),
    "use_case": F("assignment__use_case"),
}
_HALF = 2**32


class _Metadata(Func):
    """The text under a metadata key; null without one. Django's own takes a key of digits for a place in a list."""

    output_field = TextField()

    def __init__(self, key: str) -> None:
        self.key = key
        super().__init__(F("metadata"), Value(key))

    def as_sqlite(self, compiler: Any, connection: Any, **options: Any) -> Any:
        # the vocabulary lets no quote and no backslash into a key
        path = Func(self.source_expressions[0], Value(f'$."{self.key}"'), function="JSON_EXTRACT")
        whole = Cast(path, TextField())
        whole.set_source_expressions([path])
        return whole.as_sqlite(compiler, connection, **options)

    def as_postgresql(self, compiler: Any, connection: Any, **options: Any) -> Any:
        return self.as_sql(compiler, connection, template="(%(expressions)s::text)", arg_joiner=" ->> ", **options)


def key_of(name: str) -> Any:
    """The expression of a key to group by."""
    return _Metadata(name.removeprefix(METADATA)) if name.startswith(METADATA) else _KEYS.get(name, F(name))


def window(project: Project, since: datetime | None, until: datetime | None) -> LogRecordQuerySet:
    """The newest versions of a project's calls in [since, until)."""
    return within(project, since, until).newest()


def within(project: Project, since: datetime | None, until: datetime | None) -> LogRecordQuerySet:
    """All versions of a project's calls in [since, until)."""
    logs = LogRecord.objects.filter(project=project)
    if since is not None:
        logs = logs.filter(occurred_at__gte=since)
    return logs if until is None else logs.filter(occurred_at__lt=until)


def ends(project: Project, calls: LogRecordQuerySet) -> tuple[datetime | None, datetime | None]:
    """The first and the last moment of calls of a project: both ends of an index in one query."""
    first, last = (Subquery(calls.order_by(at).values("occurred_at")[:1]) for at in ("occurred_at", "-occurred_at"))
    found: tuple[datetime | None, datetime | None] = Project.objects.values_list(first, last).get(pk=project.pk)
    return found


def keyed(logs: LogRecordQuerySet, groups: Sequence[str]) -> Any:
    """The rows with a column `g0`, `g1` for each group."""
    return logs.values(**{f"g{place}": key_of(name) for place, name in enumerate(groups)})


def ranked(
    logs: LogRecordQuerySet, column: str, groups: Sequence[str] = (), *, quantiles: Sequence[float]
) -> dict[tuple[Any, ...], tuple[int, dict[float, int]]]:
    """Exact quantiles of a whole-number column by group: {group: (n, {quantile: value})}. Nulls are left out.

    A group may also be an annotation of `logs`; its value comes as it is.
    """
    names = [f"g{place}" for place in range(len(groups))]
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
    out: dict[tuple[Any, ...], tuple[int, dict[float, int]]] = {}
    for row in rows.filter(wanted).values(*names, "figure", "rank", "of"):
        group = tuple(
            text(name, row[f"g{place}"]) if name in ("day", "hour") else row[f"g{place}"]
            for place, name in enumerate(groups)
        )
        n, found = out.setdefault(group, (row["of"], {}))
        found |= {q: row["figure"] for q in quantiles if row["rank"] == (n * round(q * 1000) + 999) // 1000}
    return out


class Rows:
    """Calls as the source of figures. `check` is called between steps and raises to stop."""

    name = "rows"
    error: float | None = None

    def __init__(
        self, project: Project, since: datetime | None, until: datetime | None, *, filters: Filters,
        check: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        self.project, self.check = project, check
        self.logs = self._filtered(window(project, since, until), filters)

    def totals(self, groups: Sequence[str], metric: str) -> Mapping[Group, Total]:
        figures: dict[str, Any] = {"calls": Count("pk")}
        column = METRICS[metric].column
        if column:
            # SQLite refuses a sum beyond 64 bits, so each half is summed for itself
            figures |= {"known": Count(column), "upper": Sum(F(column) / _HALF), "lower": Sum(F(column) % _HALF)}
            figures |= {"low": Min(column), "high": Max(column)}
        elif metric in _SHARES:
            hit, told = _SHARES[metric]
            figures |= {"known": Count("pk", filter=told), "lower": Count("pk", filter=hit)}
        rows = self._rows(keyed(self.logs, groups).annotate(**figures)) if groups else [self.logs.aggregate(**figures)]
        return folded(((self.group(row, groups), _total(row)) for row in rows), Total.__add__)

    def spreads(self, groups: Sequence[str], metric: str) -> Mapping[Group, Spread]:
        column = METRICS[metric].column
        names = [f"g{place}" for place in range(len(groups))]
        counts: dict[Group, Counter[int | None]] = {} if groups else {(): Counter()}
        shown = functools.cache(lambda *values: self.group(dict(zip(names, values, strict=True)), groups))
        rows = keyed(self.logs, groups).values(*names, figure=F(column)).annotate(n=Count("pk")).order_by()
        for *values, figure, n in self._rows(rows.values_list(*names, "figure", "n"), limit=None):
            counts.setdefault(shown(*values), Counter())[figure] += n
        out = {}
        for group, found in counts.items():
            self.check()
            unknown = found.pop(None, 0)
            out[group] = Spread(Counted.of({int(value): n for value, n in found.items() if value is not None}), unknown)
        return out

    def together(self, groups: Sequence[str], metrics: Sequence[str], *, ranked: bool) -> Mapping[Group, Together]:
        names = [f"g{place}" for place in range(len(groups))]
        calls: dict[Group, list[tuple[Any, ...]]] = {} if groups else {(): []}
        shown = functools.cache(lambda *values: self.group(dict(zip(names, values, strict=True)), groups))
        rows = keyed(self.logs, groups).order_by().values_list(*names, *(METRICS[metric].column for metric in metrics))
        for row in self._rows(rows, limit=None):
            calls.setdefault(shown(*row[: len(names)]), []).append(row[len(names) :])
        return {group: self._together(found, metrics, ranked=ranked) for group, found in calls.items()}

    def _together(self, calls: Sequence[tuple[Any, ...]], metrics: Sequence[str], *, ranked: bool) -> Together:
        pairs = {}
        for one, other in combinations(range(len(metrics)), 2):
            self.check()
            told = [(row[one], row[other]) for row in calls if row[one] is not None and row[other] is not None]
            x, y = ([int(pair[side]) for pair in told] for side in (0, 1))
            if ranked:
                x, y = doubled_ranks(x), doubled_ranks(y)
            pairs[metrics[one], metrics[other]] = products(x, y)
        return Together(len(calls), pairs)

    def _filtered(self, logs: LogRecordQuerySet, filters: Filters) -> LogRecordQuerySet:
        for name in ("model", "provider", "prompt_version"):
            wanted = getattr(filters, name)
            if wanted:
                logs = logs.filter(**{f"{name}__in": wanted})
        if filters.status:
            logs = logs.annotate(outcome=STATUS).filter(outcome__in=filters.status)
        if filters.use_case:
            ids = [pk for pk, name in self.use_cases.items() if name in filters.use_case]
            assigned = Q(assignment__use_case__in=ids)
            logs = logs.filter(assigned | Q(assignment__isnull=True) if "" in filters.use_case else assigned)
        for place, (key, values) in enumerate(filters.metadata.items()):
            logs = logs.annotate(**{f"m{place}": _Metadata(key)}).filter(**{f"m{place}__in": values})
        return logs

    @functools.cached_property
    def use_cases(self) -> dict[int, str]:
        """The name to show for each id that an assignment may hold."""
        return usecases.names(self.project)

    def group(self, row: Mapping[str, Any], groups: Sequence[str]) -> Group:
        """The group of a row with columns `g0`, `g1`."""
        return tuple(
            self.use_cases.get(row[f"g{place}"]) if name == "use_case" else text(name, row[f"g{place}"])
            for place, name in enumerate(groups)
        )

    def _rows(self, found: Any, *, limit: int | None = MAX_GROUPS) -> Iterable[Any]:
        rows = list(found if limit is None else found[: limit + 1])
        self.check()
        if limit is not None and len(rows) > limit:
            raise Invalid(
                f"There are more than {limit:,} groups.", fields={"group_by": "Expected keys with fewer values."}
            )
        return rows


def _total(row: Mapping[str, Any]) -> Total:
    calls = row["calls"]
    # PostgreSQL sums whole numbers to a decimal
    total = int(row.get("upper") or 0) * _HALF + int(row.get("lower") or 0)
    return Total(calls, row.get("known", calls), total, row.get("low"), row.get("high"))
