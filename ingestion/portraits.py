"""What use cases come to: size, share of cost, models, percentiles, examples. Merged ones count for their root."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import Sum

from agentopt.lib.errors import AgentOptError
from ingestion import assigning, grouping, rollups, usecases
from ingestion.models import UseCase, UseCaseAssignment
from projects.jobs import ACTIVE
from projects.models import Job, Project

QUANTILES = (0.5, 0.95, 0.99)
MEASURES = {"latency": "latency", "cost": "cost", "input": "input_tokens", "output": "output_tokens"}
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
    """Every use case that is shown, the largest spend first, and the calls that belong to none at the end.

    Out of the roll-ups: `since` and `until` are rounded down to the hour.
    """
    found = _counted(project, _hour(since), _hour(until))
    _add_quantiles(project, found, _MAIN, since=_hour(since), until=_hour(until))
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
    _add_quantiles(project, {use_case.pk: found}, tuple(MEASURES), since=_hour(since), until=_hour(until))
    return found


def _hour(moment: datetime | None) -> datetime | None:
    return moment.replace(minute=0, second=0, microsecond=0) if moment else None


def _counted(project: Project, since: datetime | None, until: datetime | None) -> dict[int, Portrait]:
    """Figures by use case; those of calls that no shown use case has stand under 0."""
    found = {0: Portrait(None), **{use_case.pk: Portrait(use_case) for use_case in usecases.shown(project)}}
    used: dict[int, dict[str, Used]] = defaultdict(dict)
    read = rollups.read(project, since, until, groups=("use_case", "model", "status"))
    figures = zip(read.keys, read.calls, read.known("cost"), read.total("cost"), strict=True)
    for (use_case, model, status), calls, priced, cost in figures:
        key = use_case if use_case in found else 0
        one = found[key]
        one.calls += calls
        one.failed += calls if status == "failed" else 0
        one.refused += calls if status == "refused" else 0
        one.priced += priced
        one.cost += cost
        before = used[key].get(model, Used(model, 0, None))
        spent = (before.cost_nanousd or 0) + cost if priced or before.cost_nanousd is not None else None
        used[key][model] = Used(model, before.calls + calls, spent)
    for key, models in used.items():
        found[key].models = sorted(models.values(), key=lambda used: (-used.calls, used.model))
    return found


def _add_quantiles(
    project: Project,
    found: Mapping[int, Portrait],
    measures: Sequence[str],
    *,
    since: datetime | None,
    until: datetime | None,
) -> None:
    """Percentiles out of the sketches, within `sketches.ACCURACY`; none for calls of no use case."""
    read = rollups.read(project, since, until, groups=("use_case",), sketches=[MEASURES[one] for one in measures])
    for measure in measures:
        for (use_case,), sketch in zip(read.keys, read.sketch(MEASURES[measure]), strict=True):
            if use_case in found and sketch.n:
                values = zip(QUANTILES, sketch.quantiles(QUANTILES), strict=True)
                found[use_case].quantiles[measure] = {q: round(value) for q, value in values if value is not None}


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
