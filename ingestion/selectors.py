"""Log lists, one log, and how a model is used. Lists never count all rows and never skip over rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from django.db import connection
from django.db.models import Count, Max, Q, QuerySet, Sum, Value

from agentopt.lib import judge_form
from agentopt.lib.errors import Invalid, NotFound
from ingestion import retention, usecases
from ingestion.analytics.rows import ends, ranked, window
from ingestion.formats import bodies, fields
from ingestion.formats.fields import Unreadable
from ingestion.models import LogBody, LogRecord, LogRecordQuerySet, Removal, SetAside, UseCaseAssignment
from ingestion.values import Counted, LogFilter, LogPage, LogRow, UsageProfile
from projects.models import Job, Project

MAX_PAGE = 200
COUNT_LIMIT = 10_000
MAX_WORDS = 8
STATUSES = ("ok", "failed", "refused")
FEW = 5_000  # calls of a use case that are looked up one by one
MONTH = timedelta(days=30)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_COLUMNS = (
    "pk", "source_id", "version", "occurred_at", "provider", "model", "status", "refused", "status_code",
    "input_tokens", "output_tokens", "cost_nanousd", "latency_us", "obstacle", "trace__key", "body__preview",
)  # fmt: skip


def read_filter(given: Mapping[str, str]) -> LogFilter:
    """Read the fields of a LogFilter, and `q` for its words, from texts; what is absent is free, and unknown ignored.

    Raises:
        Invalid: `fields` names a status that does not exist, or a time that cannot be read.
    """
    # PostgreSQL takes no NUL in a text
    given = {name: text.replace("\x00", "") for name, text in given.items()}
    status = given.get("status", "")
    if status and status not in STATUSES:
        raise Invalid("There is no such status.", fields={"status": f"Expected one of {', '.join(STATUSES)}."})
    return LogFilter(
        model=given.get("model", "")[:120],
        use_case=given.get("use_case", "")[:200],
        prompt_version=given.get("prompt_version", "")[:120],
        status=status,
        words=tuple(given.get("q", "").split()[:MAX_WORDS]),
        trace=given.get("trace", "")[:200],
        since=_moment(given, "since"),
        until=_moment(given, "until"),
    )


def _moment(given: Mapping[str, str], name: str) -> datetime | None:
    try:
        return fields.moment(given.get(name, ""), name)
    except Unreadable as error:
        raise Invalid(error.reason, fields={name: "Expected a date or time such as 2026-01-31T12:00Z."}) from error


def logs(project: Project, wanted: LogFilter, *, after: str | None = None, limit: int = 50) -> LogPage:
    """One page of calls, newest first, from `after` (a row's cursor) on; at most 200 rows.

    Raises:
        Invalid: `after` is no cursor.
    """
    limit = min(max(limit, 1), MAX_PAGE)
    found = _matching(project, wanted)
    if after:
        at, pk = _place(after)
        found = found.filter(Q(occurred_at__lt=at) | Q(occurred_at=at, pk__lt=pk), occurred_at__lte=at)
    rows = [_row(row) for row in found.order_by("-occurred_at", "-pk").values(*_COLUMNS)[: limit + 1]]
    return LogPage(tuple(rows[:limit]), rows[limit - 1].cursor if len(rows) > limit else None)


def count(project: Project, wanted: LogFilter, *, limit: int = COUNT_LIMIT) -> Counted:
    """How many calls match; stops counting at the limit."""
    # a sum over a limited subquery: the database stops reading there
    found = _matching(project, wanted).order_by().values("pk")[: limit + 1].aggregate(n=Sum(Value(1)))["n"] or 0
    return Counted(min(found, limit), more=found > limit)


def _matching(project: Project, wanted: LogFilter) -> LogRecordQuerySet:
    found = window(project, wanted.since, wanted.until)
    if wanted.model:
        found = found.filter(model=wanted.model)
    if wanted.use_case:
        found = found.filter(_of_use_case(project, wanted.use_case))
    if wanted.prompt_version:
        found = found.filter(prompt_version=wanted.prompt_version)
    if wanted.trace:
        found = found.filter(trace__project=project, trace__key=wanted.trace)
    if wanted.status == "failed":
        found = found.filter(status=LogRecord.Status.FAILED)
    elif wanted.status == "refused":
        found = found.filter(status=LogRecord.Status.OK, refused=True)
    elif wanted.status == "ok":
        found = found.filter(Q(refused=False) | Q(refused=None), status=LogRecord.Status.OK)
    for word in wanted.words:
        found = found.filter(body__preview__icontains=word)
    return found


def _of_use_case(project: Project, name: str) -> Q:
    """Calls of a use case; those of a small one by id, since down the list of all calls they may lie far apart."""
    known = [pk for pk, shown in usecases.names(project).items() if shown == name]
    assigned = UseCaseAssignment.objects.filter(use_case__in=known).values_list("record_id", flat=True)
    ids = list(assigned[: FEW + 1])
    return Q(pk__in=ids) if len(ids) <= FEW else Q(assignment__use_case__in=known)


def _row(row: Mapping[str, Any]) -> LogRow:
    kept = {name: row[name] for name in _COLUMNS if name not in ("refused", "trace__key", "body__preview", "status")}
    return LogRow(
        **kept,
        status="refused" if row["status"] == "ok" and row["refused"] else row["status"],
        trace_key=row["trace__key"],
        preview=row["body__preview"] or "",
        cursor=f"{(row['occurred_at'] - _EPOCH) // timedelta(microseconds=1)}-{row['pk']}",
    )


def _place(cursor: str) -> tuple[datetime, int]:
    try:
        moment, pk = cursor.split("-")
        return _EPOCH + timedelta(microseconds=int(moment)), int(pk)
    except (ValueError, OverflowError):
        raise Invalid("This is no place in the list.", fields={"after": "Expected a cursor of this list."}) from None


def models_seen(project: Project) -> list[str]:
    """The models in a project's logs, sorted; one step through the index each, however many calls there are."""
    query = """
        WITH RECURSIVE seen(model) AS (
            SELECT MIN(model) FROM ingestion_logrecord WHERE project_id = %s
            UNION ALL
            SELECT (SELECT MIN(model) FROM ingestion_logrecord WHERE project_id = %s AND model > seen.model)
            FROM seen WHERE seen.model IS NOT NULL
        ) SELECT model FROM seen WHERE model IS NOT NULL LIMIT 200
    """
    with connection.cursor() as cursor:
        cursor.execute(query, [project.pk, project.pk])
        return sorted(model for (model,) in cursor.fetchall())


def production_model(project: Project, *, since: datetime | None = None, until: datetime | None = None) -> str | None:
    """The model with most calls in [since, until); None without calls."""
    counts = dict(window(project, since, until).values_list("model").annotate(n=Count("pk")))
    return min(counts, key=lambda model: (-counts[model], model), default=None)


@dataclass(frozen=True)
class Spoken:
    """A message of the request as text."""

    role: str
    text: str


@dataclass(frozen=True)
class LogDetail:
    """One call with what was said. In hashed mode bodies are hashes and `messages` is empty.

    `request` and `response` are JSON texts as stored; `parameters` is the request without its messages.
    """

    record: LogRecord
    is_newest: bool
    versions: tuple[LogRecord, ...]
    request: str
    response: str
    messages: tuple[Spoken, ...]
    parameters: Mapping[str, Any]
    answer: bodies.Answer
    conversation: tuple[LogRow, ...]
    removal: Removal | None


def log_detail(project: Project, pk: int) -> LogDetail:
    """One call with its bodies, all its versions (newest first) and up to 50 calls of its conversation, in order.

    Raises:
        NotFound: the project has no such call.
    """
    record = project.logs.select_related("batch", "trace").filter(pk=pk).first()
    if record is None:
        raise NotFound("There is no such call in this project.")
    body = LogBody.objects.filter(record=record).first()
    request, response = (body.request, body.response) if body else ("", "")
    versions = tuple(project.logs.filter(key=record.key).order_by("-version"))
    asked = _asked(request)
    said = asked.pop("messages", None)
    return LogDetail(
        record=record,
        is_newest=versions[0].pk == record.pk,
        versions=versions,
        request=request,
        response=response,
        messages=_messages(said),
        parameters=asked,
        answer=bodies.NOTHING if record.obstacle == LogRecord.Obstacle.HASHED else bodies.answer_of(response),
        conversation=_conversation(project, record),
        removal=None if body else retention.removal_of(project, record.pk),
    )


def _asked(request: str) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(request.encode()) if request.startswith("{") else {}
    except (msgspec.DecodeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _messages(said: Any) -> tuple[Spoken, ...]:
    if not isinstance(said, list):
        return ()
    return tuple(
        Spoken(str(one.get("role", "")), judge_form.render_message(one)) for one in said if isinstance(one, dict)
    )


def _conversation(project: Project, record: LogRecord) -> tuple[LogRow, ...]:
    found = LogRecord.objects.filter(project=project, trace=record.trace_id).newest()
    return tuple(_row(row) for row in found.order_by("occurred_at", "pk").values(*_COLUMNS)[:50])


@dataclass(frozen=True)
class Stats:
    """What the store of a project holds. `records` counts versions; moments are None without records."""

    records: int
    batches: int
    set_aside: int
    first_at: datetime | None
    last_at: datetime | None
    received_at: datetime | None
    models: tuple[str, ...]
    simulated: bool


def stats(project: Project) -> Stats:
    """Sums over batches and the ends of the index, however many records there are."""
    held = project.batches.aggregate(records=Sum("added"), aside=Sum("set_aside"), n=Count("pk"), at=Max("created_at"))
    first_at, last_at = ends(project, LogRecord.objects.filter(project=project))
    return Stats(
        records=held["records"] or 0,
        batches=held["n"],
        set_aside=held["aside"] or 0,
        first_at=first_at,
        last_at=last_at,
        received_at=held["at"],
        models=tuple(models_seen(project)),
        simulated=project.batches.filter(simulated=True).exists(),
    )


def newest_sync(project: Project) -> Job | None:
    """The newest pull of logs, waiting, running or ended."""
    return project.jobs.filter(kind="sync").order_by("-pk").first()


def rows_set_aside(project: Project) -> QuerySet[SetAside]:
    """Rows that could not be read, newest first."""
    return project.set_aside.order_by("-pk")


def removals(project: Project) -> QuerySet[Removal]:
    """What was taken out of the store, newest first."""
    return project.removals.select_related("by").order_by("-pk")


def usage_profile(
    project: Project,
    *,
    model: str,
    since: datetime | None = None,
    until: datetime | None = None,
    prompt_version: str = "",
) -> UsageProfile:
    """How a project uses a model, under one version of its prompt or under all, in [since, until).

    Lengths, features, calls a month (30 days).

    Days are those from the first to the last of its calls; calls of less than a day say nothing of a month. Percentiles
    are exact.
    """
    found = window(project, since, until).filter(model=model)
    if prompt_version:
        found = found.filter(prompt_version=prompt_version)
    figures = found.aggregate(
        calls=Count("pk"),
        failed=Count("pk", filter=Q(status=LogRecord.Status.FAILED)),
        tools=Count("pk", filter=Q(uses_tools=True)),
        json=Count("pk", filter=Q(uses_json=True)),
        images=Count("pk", filter=Q(has_images=True)),
        streamed=Count("pk", filter=Q(streamed=True)),
        input=Sum("input_tokens"), n_input=Count("input_tokens"),
        output=Sum("output_tokens"), n_output=Count("output_tokens"),
        cached=Sum("cached_tokens"),
        of_cached=Sum("input_tokens", filter=Q(cached_tokens__isnull=False)),
        cost=Sum("cost_nanousd"), n_cost=Count("cost_nanousd"),
    )  # fmt: skip
    calls = figures["calls"]
    first, last = ends(project, found)
    days = 0.0 if first is None or last is None else (last - first) / timedelta(days=1)
    of_input = ranked(found, "input_tokens", quantiles=(0.5, 0.99)).get((), (0, {}))[1]
    of_output = ranked(found, "output_tokens", quantiles=(0.99,)).get((), (0, {}))[1]
    return UsageProfile(
        n_calls=calls,
        n_failed=figures["failed"],
        days=days,
        monthly_calls=calls * MONTH.days / days if days >= 1 else None,
        p50_input_tokens=of_input.get(0.5),
        p99_input_tokens=of_input.get(0.99),
        p99_output_tokens=of_output.get(0.99),
        mean_input_tokens=_share(figures["input"], figures["n_input"]),
        mean_output_tokens=_share(figures["output"], figures["n_output"]),
        share_cached=_share(figures["cached"], figures["of_cached"]),
        share_tools=_share(figures["tools"], calls),
        share_json=_share(figures["json"], calls),
        share_images=_share(figures["images"], calls),
        share_streamed=_share(figures["streamed"], calls),
        mean_cost_nanousd=_share(figures["cost"], figures["n_cost"]),
    )


def _share(part: Any, whole: Any) -> float | None:
    """Both as whole numbers first: PostgreSQL sums to decimals."""
    return int(part) / int(whole) if whole and part is not None else None
