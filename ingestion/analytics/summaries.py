"""The first page of numbers: calls, cost, latency, failures, refusals, by model and day; and what is not known."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, F, Q, Sum

from agentopt.lib import money
from ingestion import rollups, sketches
from ingestion.analytics import hourly, rows
from ingestion.analytics.engine import iso
from ingestion.analytics.sources import text
from ingestion.grouped import Grouped
from ingestion.models import LogRecord, LogRecordQuerySet
from ingestion.values import TIME_FLAG
from projects.models import Project


@dataclass(frozen=True)
class Slice:
    """The figures of one group of calls; each comes with the number of calls that tell it, and is None where none does.

    `cost_nanousd` is the sum over the `n_cost` calls whose cost is known; `refused` counts among `n_refused` answers
    whose text tells. Latencies are nearest-rank percentiles over `n_latency` calls.
    """

    key: str
    calls: int
    conversations: int | None  # None: roll-ups do not tell
    failed: int
    refused: int | None
    n_refused: int
    cost_nanousd: int | None
    n_cost: int
    input_tokens: int | None
    output_tokens: int | None
    n_tokens: int
    latency_p50_us: int | None
    latency_p95_us: int | None
    n_latency: int

    @property
    def failed_rate(self) -> float | None:
        """Share of calls that failed."""
        return self.failed / self.calls if self.calls else None

    @property
    def refused_rate(self) -> float | None:
        """Share of answers that refuse, among those that tell."""
        return None if self.refused is None else self.refused / self.n_refused

    @property
    def missing(self) -> dict[str, str]:
        """Why a figure is unknown or covers only some of the calls."""
        counts = {"cost": self.n_cost, "tokens": self.n_tokens, "latency": self.n_latency, "refused": self.n_refused}
        why = {
            "cost": "no price or no tokens, and no cost from the source",
            "tokens": "the source tells no tokens",
            "latency": "the source tells no latency",
            "refused": "no answer text to tell by",
        }
        return {
            name: f"unknown for {self.calls - n:,} of {self.calls:,} calls: {why[name]}"
            for name, n in counts.items()
            if n < self.calls
        }


@dataclass(frozen=True)
class Summary:
    """Calls of a project in [since, until); `first_at` and `last_at` are None without any.

    `coverage` counts calls that lack something; `obstacles` those that cannot be replayed, by reason.
    """

    since: datetime | None
    until: datetime | None
    first_at: datetime | None
    last_at: datetime | None
    total: Slice
    by_model: tuple[Slice, ...]
    by_day: tuple[Slice, ...]
    coverage: Mapping[str, int]
    obstacles: Mapping[str, int]
    source: str = "rows"
    error: float | None = None

    def to_json(self) -> dict[str, Any]:
        """The summary as JSON values: moments as ISO-8601, money in US dollars, latency in seconds."""
        return {
            "since": iso(self.since),
            "until": iso(self.until),
            "first_at": iso(self.first_at),
            "last_at": iso(self.last_at),
            "total": _as_json(self.total),
            "by_model": [_as_json(one) for one in self.by_model],
            "by_day": [_as_json(one) for one in self.by_day],
            "coverage": dict(self.coverage),
            "obstacles": dict(self.obstacles),
            "source": self.source,
            "error": self.error,
        }


def _as_json(one: Slice) -> dict[str, Any]:
    found = asdict(one)
    cost = money.usd(found.pop("cost_nanousd"))
    for name in ("latency_p50", "latency_p95"):
        amount = found.pop(f"{name}_us")
        found[f"{name}_s"] = None if amount is None else amount / 10**6
    shares = {"failed_rate": one.failed_rate, "refused_rate": one.refused_rate, "missing": one.missing}
    return {**found, "cost_usd": None if cost is None else float(cost), **shares}


def summary(project: Project, since: datetime | None = None, until: datetime | None = None) -> Summary:
    """Sum up a project's calls in [since, until); None: without that end. Models stand by cost, days in order.

    Whole hours come from the roll-ups, which tell neither conversations nor obstacles one by one.
    """
    if hourly.is_whole_hours(since, until) and hourly.are_current(project, since, until):
        return _from_hours(project, since, until)
    logs = rows.window(project, since, until)
    total = _slices(logs, ())
    by_model = sorted(_slices(logs, ("model",)), key=lambda one: (-(one.cost_nanousd or 0), -one.calls, one.key))
    first_at, last_at = rows.ends(project, logs)
    obstacles = logs.exclude(obstacle="").values_list("obstacle").annotate(n=Count("pk"))
    return Summary(
        since=since,
        until=until,
        first_at=first_at,
        last_at=last_at,
        total=total[0],
        by_model=tuple(by_model),
        by_day=tuple(_slices(logs, ("day",))),
        coverage=_coverage(logs),
        obstacles=dict(sorted(obstacles)),
    )


def _from_hours(project: Project, since: datetime | None, until: datetime | None) -> Summary:
    sides = ((), ("model",), ("day",))
    groupings = [*sides, *((*side, "status") for side in sides)]
    found = rollups.read_each(project, since, until, groupings=groupings, sketches=["latency"])
    total, by_model, by_day = (_hourly(found[place], found[place + len(sides)]) for place in range(len(sides)))
    first_at, last_at = rows.ends(project, rows.within(project, since, until))
    priced, able = sum(found[0].own_price), sum(found[0].replayable)
    one = total[0] if total else Slice("", 0, None, 0, None, 0, None, 0, None, None, 0, None, None, 0)
    return Summary(
        since=since,
        until=until,
        first_at=first_at,
        last_at=last_at,
        total=one,
        by_model=tuple(sorted(by_model, key=lambda one: (-(one.cost_nanousd or 0), -one.calls, one.key))),
        by_day=tuple(by_day),
        coverage={
            "calls": one.calls,
            "without_our_price": one.calls - priced,
            "without_cost": one.calls - one.n_cost,
            "without_tokens": one.calls - one.n_tokens,
            "without_latency": one.calls - one.n_latency,
            "not_replayable": one.calls - able,
        },
        obstacles={},
        source="rollup",
        error=sketches.ACCURACY,
    )


def _hourly(found: Grouped, with_status: Grouped) -> list[Slice]:
    by_status: dict[tuple[Any, ...], Counter[str]] = defaultdict(Counter)
    for key, n in zip(with_status.keys, with_status.calls, strict=True):
        by_status[key[:-1]][key[-1]] += n
    columns = zip(
        found.keys, found.calls, found.told_refusal, found.known("cost"), found.total("cost"),
        found.known("input_tokens"), found.total("input_tokens"), found.known("output_tokens"),
        found.total("output_tokens"), found.known("input_tokens", "output_tokens"), found.known("latency"),
        found.sketch("latency"), found.extremes("latency"), strict=True,
    )  # fmt: skip
    return sorted((_hourly_slice(*row, status=by_status[row[0]]) for row in columns), key=lambda one: one.key)


def _hourly_slice(*row: Any, status: Mapping[str, int]) -> Slice:
    key, calls, told, n_cost, cost, n_input, given, n_output, made, n_tokens, n_latency, sketch, ends = row
    latency = hourly.counted(sketch, ends)
    return Slice(
        key="".join(map(str, key)),
        calls=calls,
        conversations=None,
        failed=status.get("failed", 0),
        refused=status.get("refused", 0) if told else None,
        n_refused=told,
        cost_nanousd=cost if n_cost else None,
        n_cost=n_cost,
        input_tokens=given if n_input else None,
        output_tokens=made if n_output else None,
        n_tokens=n_tokens,
        latency_p50_us=latency.quantile(0.5) if n_latency else None,
        latency_p95_us=latency.quantile(0.95) if n_latency else None,
        n_latency=n_latency,
    )


def _slices(logs: LogRecordQuerySet, groups: Sequence[str]) -> list[Slice]:
    figures = {
        "calls": Count("pk"),
        "conversations": Count("trace", distinct=True),
        "n_failed": Count("pk", filter=Q(status=LogRecord.Status.FAILED)),
        "n_refusing": Count("pk", filter=Q(refused=True) & ~Q(status=LogRecord.Status.FAILED)),
        "n_refused": Count("refused"),
        "cost": Sum("cost_nanousd"),
        "n_cost": Count("cost_nanousd"),
        "input": Sum("input_tokens"),
        "output": Sum("output_tokens"),
        "n_tokens": Count("pk", filter=Q(input_tokens__isnull=False, output_tokens__isnull=False)),
    }
    found = rows.keyed(logs, groups).annotate(**figures) if groups else [logs.aggregate(**figures)]
    latencies = rows.ranked(logs, "latency_us", groups, quantiles=(0.5, 0.95))
    out = []
    for row in found:
        key = tuple(text(name, row[f"g{place}"]) for place, name in enumerate(groups))
        n_latency, ranked = latencies.get(key, (0, {}))
        out.append(_slice(row, key="".join(part or "" for part in key), n_latency=n_latency, latencies=ranked))
    return sorted(out, key=lambda one: one.key)


def _slice(row: Mapping[str, Any], *, key: str, n_latency: int, latencies: Mapping[float, int]) -> Slice:
    return Slice(
        key=key,
        calls=row["calls"],
        conversations=row["conversations"],
        failed=row["n_failed"],
        refused=row["n_refusing"] if row["n_refused"] else None,
        n_refused=row["n_refused"],
        cost_nanousd=_whole(row["cost"]),
        n_cost=row["n_cost"],
        input_tokens=_whole(row["input"]),
        output_tokens=_whole(row["output"]),
        n_tokens=row["n_tokens"],
        latency_p50_us=latencies.get(0.5),
        latency_p95_us=latencies.get(0.95),
        n_latency=n_latency,
    )


def _whole(found: Any) -> int | None:
    """PostgreSQL sums whole numbers to a decimal."""
    return None if found is None else int(found)


def _coverage(logs: LogRecordQuerySet) -> dict[str, int]:
    """How many calls lack something that later steps need."""
    return dict(
        logs.aggregate(
            calls=Count("pk"),
            without_our_price=Count("pk", filter=Q(cost_is_ours=False)),
            without_cost=Count("pk", filter=Q(cost_nanousd__isnull=True)),
            without_tokens=Count("pk", filter=Q(input_tokens__isnull=True) | Q(output_tokens__isnull=True)),
            without_latency=Count("pk", filter=Q(latency_us__isnull=True)),
            without_body=Count("pk", filter=Q(obstacle=LogRecord.Obstacle.NO_BODY)),
            without_trace=Count("pk", filter=Q(trace__key=F("source_id"))),
            without_time=Count("pk", filter=Q(**{f"metadata__{TIME_FLAG}__isnull": False})),
            not_replayable=Count("pk", filter=~Q(obstacle="")),
        )
    )
