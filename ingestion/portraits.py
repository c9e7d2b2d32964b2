"""What use cases come to: size, share of cost, models, percentiles, examples. Merged ones count for their root."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import OuterRef, Subquery, Sum

from agentopt.lib.errors import AgentOptError
from ingestion import grouping, rollups, usecases
from ingestion.grouped import Grouped
from ingestion.models import Batch, UseCase, UseCaseAssignment
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
    later = Batch.objects.filter(project=project, number__gt=OuterRef("reached")).order_by().values("project")
    new = Subquery(later.annotate(calls=Sum("added")).values("calls"))
    row = project.use_case_fits.order_by("-number").values_list("n_texts", new).first()
    if row is None:
        row = (None, project.batches.aggregate(calls=Sum("added"))["calls"])
    job = project.jobs.filter(kind=usecases.KIND).order_by("-pk").first()
    return State(refused, job, int(row[1] or 0), row[0])


def portraits(project: Project, since: datetime | None = None, until: datetime | None = None) -> list[Portrait]:
    """Every use case that is shown, the largest spend first, and the calls that belong to none at the end.

    Out of the roll-ups: `since` and `until` are rounded down to the hour.
    """
    known = list(project.use_cases.order_by("number"))
    counts, sketched = _read(project, since, until, measures=_MAIN, known=known)
    return _portraits(counts, sketched, known, measures=_MAIN)


def portrait(
    project: Project,
    use_case: UseCase,
    since: datetime | None = None,
    until: datetime | None = None,
    *,
    known: Sequence[UseCase] | None = None,
) -> Portrait:
    """One use case with all its percentiles, within the whole of the project; `known`: all of them, if they are."""
    known = list(project.use_cases.order_by("number")) if known is None else known
    counts, sketched = _read(project, since, until, measures=tuple(MEASURES), known=known)
    for one in _portraits(counts, sketched, known, measures=tuple(MEASURES)):
        if one.use_case is not None and one.use_case.pk == use_case.pk:
            return one
    found = Portrait(use_case)  # a retired one is counted no more, but its calls still tell
    _add_quantiles({use_case.pk: found}, sketched, tuple(MEASURES))
    return found


def _read(
    project: Project, since: datetime | None, until: datetime | None, *, measures: Sequence[str],
    known: Sequence[UseCase],
) -> tuple[Grouped, Grouped]:  # fmt: skip
    """Counts by use case, model and status, and sketches by use case; the roll-ups are read once."""
    counts, sketched = rollups.read_each(
        project,
        _hour(since),
        _hour(until),
        groupings=[("use_case", "model", "status"), ("use_case",)],
        sketches=[MEASURES[one] for one in measures],
        merged={one.pk: one.merged_into_id for one in known if one.merged_into_id is not None},
    )
    return counts, sketched


def _portraits(
    counts: Grouped, sketched: Grouped, known: Sequence[UseCase], *, measures: Sequence[str]
) -> list[Portrait]:
    found = _counted(counts, usecases.standing(known))
    _add_quantiles(found, sketched, measures)
    calls, cost = sum(one.calls for one in found.values()), sum(one.cost for one in found.values())
    for one in found.values():
        one.share_calls = one.calls / calls if calls else None
        one.share_cost = one.cost / cost if cost and one.priced else None
    listed = [one for one in found.values() if one.use_case is not None or one.calls]
    return sorted(listed, key=lambda p: (p.use_case is None, -p.cost, -p.calls, p.use_case.number if p.use_case else 0))


def _hour(moment: datetime | None) -> datetime | None:
    return moment.replace(minute=0, second=0, microsecond=0) if moment else None


def _counted(read: Grouped, shown: Sequence[UseCase]) -> dict[int, Portrait]:
    """Figures by use case; those of calls that no shown use case has stand under 0."""
    found = {0: Portrait(None), **{use_case.pk: Portrait(use_case) for use_case in shown}}
    used: dict[int, dict[str, Used]] = defaultdict(dict)
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


def _add_quantiles(found: Mapping[int, Portrait], read: Grouped, measures: Sequence[str]) -> None:
    """Percentiles out of the sketches, within `sketches.ACCURACY`; none for calls of no use case."""
    for measure in measures:
        for (use_case,), sketch in zip(read.keys, read.sketch(MEASURES[measure]), strict=True):
            if use_case in found and sketch.n:
                values = zip(QUANTILES, sketch.quantiles(QUANTILES), strict=True)
                found[use_case].quantiles[measure] = {q: round(value) for q, value in values if value is not None}


def examples(project: Project, use_case: UseCase, merged: Iterable[UseCase] | None = None) -> list[Example]:
    """The newest calls of a use case and those merged into it, one of each conversation."""
    rows: list[tuple[int, int]] = []
    for one in [use_case, *(use_case.merged.all() if merged is None else merged)]:
        mine = UseCaseAssignment.objects.filter(use_case=one).order_by("-record_id")
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
