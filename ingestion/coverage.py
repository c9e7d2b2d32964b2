"""What the logs of a window lack, and how our cost stands to the source's own. Reads only."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, F, Q, Sum

from ingestion.analytics import rows
from ingestion.models import LogRecord
from projects.models import Project

LACKS = {
    "tokens": "no tokens told",
    "price": "tokens, but no price of that day",
    "cost": "no cost, neither ours nor the source's",
    "body": "no request kept to replay",
    "trace": "no conversation told: each stands for itself",
    "time": "no time told: that of the import",
}


@dataclass(frozen=True)
class Coverage:
    """Calls of one model, or all (""), and how many lack what; money in nano-dollars over calls where both figures are.

    `n_compared` calls have a cost of ours and one of the source above 0.
    """

    model: str
    calls: int
    lacking: Mapping[str, int]
    n_compared: int
    ours_nanousd: int
    source_nanousd: int

    @property
    def deviation(self) -> float | None:
        """Ours against the source's, as a share of the source's; None without a call that has both."""
        return None if not self.source_nanousd else (self.ours_nanousd - self.source_nanousd) / self.source_nanousd


def coverage(project: Project, since: datetime | None = None, until: datetime | None = None) -> list[Coverage]:
    """All calls of [since, until) first, then each model by calls; one pass over the narrow rows."""
    logs = rows.window(project, since, until)
    both = Q(cost_is_ours=True, source_cost_nanousd__gt=0)
    figures = {
        "calls": Count("pk"),
        "tokens": Count("pk", filter=Q(input_tokens=None) | Q(output_tokens=None)),
        "price": Count("pk", filter=Q(input_tokens__isnull=False, output_tokens__isnull=False, cost_is_ours=False)),
        "cost": Count("pk", filter=Q(cost_nanousd=None)),
        "body": Count("pk", filter=Q(obstacle__in=(LogRecord.Obstacle.NO_BODY, LogRecord.Obstacle.HASHED))),
        "trace": Count("pk", filter=Q(trace__key=F("source_id"))),
        "time": Count("pk", filter=Q(metadata__has_key="time_unknown")),
        "n_compared": Count("pk", filter=both),
        "ours": Sum("cost_nanousd", filter=both),
        "source": Sum("source_cost_nanousd", filter=both),
    }
    found: Any = logs.values("model").annotate(**figures).order_by()
    by_model = [
        Coverage(
            model=row["model"],
            calls=row["calls"],
            lacking={name: row[name] for name in LACKS},
            n_compared=row["n_compared"],
            ours_nanousd=int(row["ours"] or 0),
            source_nanousd=int(row["source"] or 0),
        )
        for row in found
    ]
    return [_all(by_model), *sorted(by_model, key=lambda one: (-one.calls, one.model))] if by_model else []


def _all(parts: list[Coverage]) -> Coverage:
    return Coverage(
        model="",
        calls=sum(one.calls for one in parts),
        lacking={name: sum(one.lacking[name] for one in parts) for name in LACKS},
        n_compared=sum(one.n_compared for one in parts),
        ours_nanousd=sum(one.ours_nanousd for one in parts),
        source_nanousd=sum(one.source_nanousd for one in parts),
    )
