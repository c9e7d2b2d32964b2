"""What use cases come to: size, share of cost, models, percentiles, examples. Merged ones count for their root."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Count, F, Q, Sum
from django.db.models.functions import Coalesce

from agentopt.lib.errors import AgentOptError
from ingestion import assigning, grouping, usecases
from ingestion.analytics import engine
from ingestion.models import LogRecordQuerySet, UseCase, UseCaseAssignment
from projects.jobs import ACTIVE
from projects.models import Job, Project

QUANTILES = (0.5, 0.95, 0.99)
MEASURES = {"latency": "latency_us", "cost": "cost_nanousd", "input": "input_tokens", "output": "output_tokens"}
EXAMPLES = 8
_LOOKED_AT = 60
_MAIN = ("latency",)


@dataclass(frozen=True)
class Used:
    """One model within a use case."""

    model: str
    calls: int
    cost_nanousd: int | None


@dataclass
class Portrait:
    """One use case in figures; `use_case` None: the calls that belong to none. Unknown is None, never 0."""

    use_case: UseCase | None
    calls: int = 0
    failed: int = 0
    refused: int = 0
    priced: int = 0
    cost: int = 0
    share_calls: float | None = None
    share_cost: float | None = None
    models: list[Used] = field(default_factory=list)
    quantiles: dict[str, dict[float, int]] = field(default_factory=dict)

    @property
    def cost_nanousd(self) -> int | None:
        """Spend of the calls whose cost is known."""
        return self.cost if self.priced else None

    @property
    def per_1000_nanousd(self) -> int | None:
        """Mean spend of 1,000 calls."""
        return self.cost * 1000 // self.priced if self.priced else None

    @property
    def bar(self) -> str:
        """Its share of the spend as the width of a bar."""
        return f"{100 * (self.share_cost or 0.0):.0f}%"

    def at(self, measure: str, quantile: float) -> int | None:
        """A quantile: microseconds, nano-dollars or tokens."""
        return self.quantiles.get(measure, {}).get(quantile)

    @property
    def p50_latency_us(self) -> int | None:
        return self.at("latency", 0.5)

    @property
    def p95_latency_us(self) -> int | None:
        return self.at("latency", 0.95)

    @property
    def rows(self) -> list[tuple[str, list[int | None]]]:
        """Each measure with its p50, p95 and p99."""
        return [(measure, [self.at(measure, q) for q in QUANTILES]) for measure in MEASURES]


@dataclass(frozen=True)
class Example:
    """A call of a use case, as far as the privacy mode lets it be shown."""

    pk: int
    occurred_at: datetime
    model: str
    preview: str


@dataclass(frozen=True)
class State:
    """Where the work on use cases stands; `refused`: why there can be none."""

    refused: str
    job: Job | None
    behind: int
    n_texts: int | None

    @property
    def is_live(self) -> bool:
        return self.job is not None and self.job.state in ACTIVE


def state(project: Project) -> State:
    """Whether use cases can be found, are being found, and how many new calls wait to be assigned."""
    refused = ""
    try:
        grouping.check(project)
    except AgentOptError as error:
        refused = error.message
    fit = assigning.newest_fit(project)
    new = project.batches.filter(number__gt=fit.reached if fit else 0).aggregate(calls=Sum("added"))["calls"] or 0
    job = project.jobs.filter(kind=usecases.KIND).order_by("-pk").first()
    return State(refused, job, int(new), fit.n_texts if fit else None)


def portraits(project: Project, since: datetime | None = None, until: datetime | None = None) -> list[Portrait]:
    """Every use case that is shown, the largest spend first, and the calls that belong to none at the end."""
    logs = _rooted(engine.window(project, since, until))
    found = _counted(logs, usecases.shown(project))
    _add_quantiles(logs, found, _MAIN)
    calls, cost = sum(one.calls for one in found.values()), sum(one.cost for one in found.values())
    for one in found.values():
        one.share_calls = one.calls / calls if calls else None
        one.share_cost = one.cost / cost if cost and one.priced else None
    listed = [one for one in found.values() if one.use_case is not None or one.calls]
    return sorted(listed, key=lambda p: (p.use_case is None, -p.cost, -p.calls, p.use_case.number if p.use_case else 0))


def portrait(
    project: Project, use_case: UseCase, since: datetime | None = None, until: datetime | None = None
) -> Portrait:
    """One use case with all its percentiles, within the whole of the project."""
    whole = {one.use_case.pk: one for one in portraits(project, since, until) if one.use_case}
    found = whole.get(use_case.pk, Portrait(use_case))
    mine = _rooted(engine.window(project, since, until)).filter(root=use_case.pk)
    _add_quantiles(mine, {use_case.pk: found}, tuple(MEASURES))
    return found


def _rooted(logs: LogRecordQuerySet) -> Any:
    """Calls with the use case that stands for theirs, as `root`."""
    own = "assignment__use_case"
    return logs.annotate(root=Coalesce(F(f"{own}__merged_into_id"), F(f"{own}_id")))


def _counted(logs: Any, shown: Sequence[UseCase]) -> dict[int, Portrait]:
    """Figures by root; those of calls that no shown use case has stand under 0."""
    found = {0: Portrait(None), **{use_case.pk: Portrait(use_case) for use_case in shown}}
    models: dict[int, list[Used]] = defaultdict(list)
    rows = logs.values("root", "model").annotate(
        calls=Count("pk"), failed=Count("pk", filter=Q(status="failed")),
        refused=Count("pk", filter=Q(refused=True) & ~Q(status="failed")),
        cost=Sum("cost_nanousd"), priced=Count("cost_nanousd"),
    )  # fmt: skip
    for row in rows:
        key = row["root"] if row["root"] in found else 0
        one = found[key]
        cost = None if row["cost"] is None else int(row["cost"])
        one.calls += row["calls"]
        one.failed += row["failed"]
        one.refused += row["refused"]
        one.priced += row["priced"]
        one.cost += cost or 0
        models[key].append(Used(row["model"], row["calls"], cost))
    for key, used in models.items():
        found[key].models = sorted(used, key=lambda used: (-used.calls, used.model))
    return found


def _add_quantiles(logs: Any, found: Mapping[int, Portrait], measures: Sequence[str]) -> None:
    for measure in measures:
        for row, (_, values) in engine.ranked(logs, MEASURES[measure], ["root"], quantiles=QUANTILES).items():
            root: object = row[0]
            if isinstance(root, int) and root in found:
                found[root].quantiles[measure] = values


def examples(project: Project, use_case: UseCase) -> list[Example]:
    """The newest calls of a use case, one of each conversation."""
    rows: list[tuple[int, int]] = []
    for pk in [use_case.pk, *use_case.merged.values_list("pk", flat=True)]:
        mine = UseCaseAssignment.objects.filter(use_case=pk).order_by("-record_id")
        rows += mine.values_list("record_id", "record__trace_id")[:_LOOKED_AT]
    one_each: dict[int, int] = {}
    for record, trace in sorted(rows, reverse=True):
        one_each.setdefault(trace, record)
    wanted = list(one_each.values())[:EXAMPLES]
    calls = project.logs.filter(pk__in=wanted).order_by("-pk")
    return [
        Example(pk, occurred_at, model, preview or "")
        for pk, occurred_at, model, preview in calls.values_list("pk", "occurred_at", "model", "body__preview")
    ]
