"""Questions about logs: a closed vocabulary of six kinds; what is not in it is refused by name, with what is allowed.

The types here are the only source of the vocabulary: `schema()` makes of them the JSON schema that API, command, page
form and OpenAPI go by.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta

from agentopt.lib.errors import Invalid
from ingestion.analytics.metrics import METRICS, Aggregate, Measure, MetricName

Status = Literal["ok", "failed", "refused"]
GROUPS = ("model", "provider", "prompt_version", "status", "use_case", "day", "hour")
"""Fixed keys to group by; besides them `metadata.<key>`."""
METADATA = "metadata."
# SQLite's JSON paths know no escapes in 3.40, and compare a key with the escaped text of the document
_KEY = r"[ !#-\[\]-~]{1,100}"
_GROUP = f"^({'|'.join(GROUPS)}|metadata\\.{_KEY})$(?!\n)"
EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)

Moment = Annotated[datetime, Meta(tz=True, description="ISO-8601 with a zone, from 1970 to 2199.")]
Name = Annotated[str, Meta(max_length=200, pattern="^[^\\x00]*$")]
Names = Annotated[tuple[Name, ...], Meta(max_length=50)]
Key = Annotated[str, Meta(pattern=f"^{_KEY}$(?!\n)", description="A metadata key: printable ASCII without quotes.")]
Group = Annotated[str, Meta(pattern=_GROUP, description=f"One of {', '.join(GROUPS)}, or metadata.<key>.")]
Groups = Annotated[tuple[Group, ...], Meta(max_length=2)]
Quantiles = Annotated[
    tuple[Annotated[float, Meta(gt=0, lt=1)], ...],
    Meta(min_length=1, max_length=9, description="At most three decimals."),
]
Limit = Annotated[int, Meta(ge=1, le=1000)]


class Filters(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Only calls whose field is one of the given values; an empty list leaves a field free.

    An empty use case stands for calls without one; `metadata` takes values by key.
    """

    model: Names = ()
    provider: Names = ()
    prompt_version: Names = ()
    use_case: Names = ()
    status: Annotated[tuple[Status, ...], Meta(max_length=3)] = ()
    metadata: Annotated[dict[Key, Names], Meta(max_length=5)] = {}


class Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind"):
    """One question about the newest versions of a project's calls in the window [since, until).

    `exact`: no estimates; percentiles and histograms then come from the rows.
    """

    since: Moment | None = None
    until: Moment | None = None
    filters: Filters = Filters()
    exact: bool = False

    @property
    def kind(self) -> str:
        """Its name in the vocabulary."""
        return str(self.__struct_config__.tag)

    @property
    def groups(self) -> tuple[str, ...]:
        """What its figures are split by."""
        return ()

    @property
    def measures(self) -> tuple[str, ...]:
        """The metrics it needs the values of."""
        return ()


class _Grouped(Question, frozen=True, kw_only=True):
    group_by: Groups = ()
    limit: Limit = 100

    @property
    def groups(self) -> tuple[str, ...]:
        return self.group_by


class Aggregation(_Grouped, frozen=True, kw_only=True, tag="aggregation"):
    """Counts, sums, means, ends or rates of a metric; `aggregate` null: the metric's first."""

    metric: MetricName
    aggregate: Aggregate | None = None
    order: Annotated[Literal["group", "value"], Meta(description="value: the largest first")] = "group"

    @property
    def measures(self) -> tuple[str, ...]:
        return (self.metric,)


class Percentiles(_Grouped, frozen=True, kw_only=True, tag="percentiles"):
    """Values that a share of the calls does not exceed, each with an interval."""

    metric: Measure
    quantiles: Quantiles = (0.5, 0.95, 0.99)

    @property
    def measures(self) -> tuple[str, ...]:
        return (self.metric,)


class Distribution(Question, frozen=True, kw_only=True, tag="distribution"):
    """A histogram; `bins` null: as many as the data bear. `scale` auto: log where the tail is heavy."""

    metric: Measure
    bins: Annotated[int, Meta(ge=1, le=200)] | None = None
    scale: Literal["auto", "linear", "log"] = "auto"

    @property
    def measures(self) -> tuple[str, ...]:
        return (self.metric,)


class Correlation(_Grouped, frozen=True, kw_only=True, tag="correlation"):
    """How each two of the metrics go together, over calls where both are known."""

    metrics: Annotated[tuple[Measure, ...], Meta(min_length=2, max_length=6)] = (
        "cost",
        "latency",
        "input_tokens",
        "output_tokens",
    )
    method: Literal["pearson", "spearman"] = "pearson"

    @property
    def measures(self) -> tuple[str, ...]:
        return tuple(self.metrics)


class Clustering(Question, frozen=True, kw_only=True, tag="clustering"):
    """The table of use cases: size, cost, models, and percentiles of one metric."""

    metric: Measure = "latency"
    quantiles: Quantiles = (0.5, 0.95)
    limit: Limit = 100

    @property
    def groups(self) -> tuple[str, ...]:
        return ("use_case", "model")

    @property
    def measures(self) -> tuple[str, ...]:
        return (self.metric, "cost")


class Sampling(Question, frozen=True, kw_only=True, tag="sampling"):
    """A repeatable draw of calls, spread over strata; another seed, another draw."""

    size: Annotated[int, Meta(ge=1, le=2000)] = 100
    seed: Annotated[int, Meta(ge=0, le=2**32 - 1)] = 0
    strata: Groups = ()
    allocation: Annotated[
        Literal["proportional", "equal"], Meta(description="how many of each stratum: by its size, or the same of each")
    ] = "proportional"

    @property
    def groups(self) -> tuple[str, ...]:
        return self.strata


AnalyticsRequest = Aggregation | Percentiles | Distribution | Correlation | Clustering | Sampling
KINDS: dict[str, type[Question]] = {str(kind.__struct_config__.tag): kind for kind in get_args(AnalyticsRequest)}
STATUSES: tuple[str, ...] = get_args(Status)
_KEYS = (*GROUPS, "metadata.<key>")
ALLOWED: Mapping[str, Sequence[str]] = {
    "kind": tuple(KINDS),
    "metric": tuple(METRICS),
    "metrics": get_args(Measure),
    "aggregate": get_args(Aggregate),
    "group_by": _KEYS,
    "strata": _KEYS,
    "order": ("group", "value"),
    "scale": ("auto", "linear", "log"),
    "method": ("pearson", "spearman"),
    "allocation": ("proportional", "equal"),
    "filters": Filters.__struct_fields__,
    "filters.status": STATUSES,
}


# ------------------------------------------------------------------------------------------------ reading
def read(given: Any) -> AnalyticsRequest:
    """Read a request given as JSON values, in its canonical form: moments in UTC, values of a filter once, in order.

    Raises:
        Invalid: `fields` names the field and what is allowed there.
    """
    try:
        request: AnalyticsRequest = msgspec.convert(given, AnalyticsRequest)
    except msgspec.ValidationError as error:
        raise _refusal(str(error), given) from error
    except UnicodeEncodeError as error:  # half of a surrogate pair, which JSON may escape
        raise _unstorable("request") from error
    return checked(request)


def checked(request: AnalyticsRequest) -> AnalyticsRequest:
    """Check what no single field tells, and give the request its canonical form.

    Raises:
        Invalid: `fields` names the field.
    """
    wrong = dict(_wrong(request))
    if wrong:
        raise Invalid("The question cannot be answered: " + " ".join(wrong.values()), fields=wrong)
    since, until = (None if at is None else at.astimezone(UTC) for at in (request.since, request.until))
    request = msgspec.structs.replace(request, since=since, until=until, filters=_canonical(request.filters))
    try:
        encoded(request)
    except UnicodeEncodeError as error:
        raise _unstorable("filters") from error
    return request


def _canonical(filters: Filters) -> Filters:
    fixed = {name: tuple(sorted(set(getattr(filters, name)))) for name in Filters.__struct_fields__[:-1]}
    named = {key: tuple(sorted(set(values))) for key, values in sorted(filters.metadata.items()) if values}
    return Filters(**fixed, metadata=named)


def _wrong(request: AnalyticsRequest) -> Iterator[tuple[str, str]]:
    if isinstance(request, Aggregation) and request.aggregate is not None:
        takes = METRICS[request.metric].aggregates
        if request.aggregate not in takes:
            yield "aggregate", f"{request.metric} takes one of {', '.join(takes)}."
    if isinstance(request, Percentiles | Clustering):
        if any(abs(q * 1000 - round(q * 1000)) > 1e-9 for q in request.quantiles) or min(request.quantiles) < 0.0005:
            yield "quantiles", "Expected at most three decimals."
        elif len(set(request.quantiles)) < len(request.quantiles):
            yield "quantiles", "Expected each quantile once."
    if isinstance(request, Correlation) and len(set(request.metrics)) < len(request.metrics):
        yield "metrics", "Expected each metric once."
    if len(set(request.groups)) < len(request.groups):
        yield "strata" if isinstance(request, Sampling) else "group_by", "Expected each key once."
    yield from _wrong_window(request)


def _wrong_window(request: Question) -> Iterator[tuple[str, str]]:
    for name in ("since", "until"):
        at = getattr(request, name)
        # compared as moments: turning one near the ends of the calendar to UTC would overflow
        if at is not None and not EARLIEST <= at <= LATEST:
            yield name, "Expected a moment from 1970 to 2199."
    if request.since and request.until and request.since >= request.until:
        yield "until", "Expected a moment after since: the window is [since, until)."


def _unstorable(field: str) -> Invalid:
    return Invalid(f"{field}: it holds text that is not Unicode.", fields={field: "Expected text that UTF-8 can hold."})


def _refusal(said: str, given: Any) -> Invalid:
    """msgspec's sentence to the field it concerns; what the asker sent is not repeated but for names of fields."""
    unknown = re.search(r"unknown field `(.*?)`(?: - at|$)", said, re.DOTALL)
    missing = re.search(r"missing required field `(\w+)`", said)
    place = re.search(r"`\$\.?([\w.]*)[^`]*`$", said)
    path = (place.group(1) if place else "").rstrip(".")
    named = unknown or missing
    field = ".".join(part for part in (path, named.group(1)[:100] if named else "") if part) or "request"
    allowed = _allowed(field, path if unknown else None, given)
    sentence = f"Expected one of {', '.join(allowed)}." if allowed else f"{_plain(said)}."
    return Invalid(f"{field}: {sentence}", fields={field: sentence})


def _allowed(field: str, unknown_in: str | None, given: Any) -> Sequence[str]:
    kind = KINDS.get(given.get("kind", "")) if isinstance(given, dict) and isinstance(given.get("kind"), str) else None
    if unknown_in == "":
        common = Question.__struct_fields__
        own = [name for name in (kind or Question).__struct_fields__ if name not in common]
        return ("kind", *own, *common)
    if field == "metric" and kind not in (None, Aggregation):
        return get_args(Measure)
    return ALLOWED.get(field if unknown_in is None else unknown_in, ())


def _plain(said: str) -> str:
    """Without the place, and without what was sent."""
    return re.sub(r"(Invalid \w+(?: value)?) .*", r"\1", said.split(" - at ", maxsplit=1)[0], flags=re.DOTALL)


# ------------------------------------------------------------------------------------------------ naming and describing
def encoded(request: AnalyticsRequest) -> bytes:
    """The canonical JSON of a request: what `read` takes back, the same bytes for the same question."""
    return msgspec.json.encode(request, order="deterministic")


def cache_key(request: AnalyticsRequest) -> str:
    """The same for two requests that ask the same in the same order."""
    return hashlib.sha256(encoded(request)).hexdigest()


def changed(request: AnalyticsRequest, **fields: Any) -> dict[str, Any]:
    """The request with other values of some fields, as JSON values."""
    found: dict[str, Any] = msgspec.to_builtins(msgspec.structs.replace(request, **fields))
    return found


def schema() -> dict[str, Any]:
    """The JSON schema of a request (2020-12)."""
    return msgspec.json.schema(AnalyticsRequest)


def inline_schema(**fields: Mapping[str, Any]) -> dict[str, Any]:
    """The same without references, each kind with further required fields: the body of an HTTP request."""
    whole = schema()
    kinds = []
    for name in (kind.__name__ for kind in KINDS.values()):
        kind = whole["$defs"][name]
        own = {**fields, **kind["properties"], "filters": whole["$defs"]["Filters"]}
        kinds.append({**kind, "properties": own, "required": [*fields, *kind["required"]]})
    return {"oneOf": kinds}


def vocabulary() -> dict[str, Any]:
    """All there is to ask: the schema, and each metric with its unit, its direction and what it takes."""
    metrics = [
        {
            "name": metric.name,
            "title": metric.title,
            "unit": metric.unit,
            "better": metric.better,
            "aggregates": metric.aggregates,
            "kinds": tuple(KINDS)[:5] if metric.column else ("aggregation",),
        }
        for metric in METRICS.values()
    ]
    return {"schema": schema(), "metrics": metrics, "groups": _KEYS}
