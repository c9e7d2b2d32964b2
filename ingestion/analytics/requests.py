"""AnalyticsRequest: a closed vocabulary; what is not in it is refused by name, with what is allowed."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from agentopt.lib.errors import Invalid

KINDS = ("aggregation", "percentiles", "distribution")
METRICS = ("calls", "cost", "source_cost", "latency", "first_token", "input_tokens", "output_tokens", "cached_tokens",
           "failed", "refused")  # fmt: skip
AGGREGATES = ("count", "sum", "mean", "min", "max", "rate")
GROUPS = ("model", "provider", "prompt_version", "status", "day", "hour")
STATUSES = ("ok", "failed", "refused")
NOT_MEASURED = {"calls": ("count",), "failed": ("rate", "count"), "refused": ("rate", "count")}
"""What can be asked of metrics that are no figure of a call; all others take MEASURES."""
MEASURES = ("sum", "mean", "min", "max", "count")

Moment = Annotated[datetime, Meta(tz=True)]
Names = Annotated[tuple[Annotated[str, Meta(max_length=120, pattern="^[^\\x00]*$")], ...], Meta(max_length=50)]


class Filters(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Only calls whose field is one of the given values; an empty list leaves a field free."""

    model: Names = ()
    provider: Names = ()
    prompt_version: Names = ()
    status: Annotated[tuple[Literal["ok", "failed", "refused"], ...], Meta(max_length=3)] = ()


class AnalyticsRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One question about the newest versions of a project's calls in the window [since, until).

    `aggregate` is of aggregations, `quantiles` (three decimals) of percentiles, `bins` of distributions.
    """

    kind: Literal["aggregation", "percentiles", "distribution"]
    metric: Literal[
        "calls", "cost", "source_cost", "latency", "first_token", "input_tokens", "output_tokens", "cached_tokens",
        "failed", "refused",
    ]  # fmt: skip
    aggregate: Literal["count", "sum", "mean", "min", "max", "rate"] | None = None
    group_by: Annotated[
        tuple[Literal["model", "provider", "prompt_version", "status", "day", "hour"], ...], Meta(max_length=2)
    ] = ()
    filters: Filters = Filters()
    since: Moment | None = None
    until: Moment | None = None
    quantiles: Annotated[tuple[Annotated[float, Meta(gt=0, lt=1)], ...], Meta(min_length=1, max_length=9)] = (
        0.5,
        0.95,
        0.99,
    )
    bins: Annotated[int, Meta(ge=1, le=200)] = 20
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100


ALLOWED: Mapping[str, Sequence[str]] = {
    "kind": KINDS,
    "metric": METRICS,
    "aggregate": AGGREGATES,
    "group_by": GROUPS,
    "filters": ("model", "provider", "prompt_version", "status"),
    "filters.status": STATUSES,
}


def read(given: Any) -> AnalyticsRequest:
    """Read a request given as JSON values.

    Raises:
        Invalid: `fields` names the field and what is allowed there.
    """
    try:
        request = msgspec.convert(given, AnalyticsRequest)
    except msgspec.ValidationError as error:
        raise _refusal(str(error)) from error
    return checked(request)


def checked(request: AnalyticsRequest) -> AnalyticsRequest:
    """Check what no single field tells.

    Raises:
        Invalid: `fields` names the field.
    """
    wrong = {}
    if request.kind != "aggregation" and request.metric in NOT_MEASURED:
        wrong["metric"] = f"{request.kind} needs one of {', '.join(x for x in METRICS if x not in NOT_MEASURED)}."
    if request.kind != "aggregation" and request.aggregate is not None:
        wrong["aggregate"] = f"Only an aggregation has an aggregate; this is a {request.kind}."
    takes = NOT_MEASURED.get(request.metric, MEASURES)
    if request.kind == "aggregation" and request.aggregate is not None and request.aggregate not in takes:
        wrong["aggregate"] = f"{request.metric} takes one of {', '.join(takes)}."
    if request.kind == "distribution" and request.group_by:
        wrong["group_by"] = "A distribution has no groups; filter instead."
    if any(abs(q * 1000 - round(q * 1000)) > 1e-9 for q in request.quantiles):
        wrong["quantiles"] = "Expected at most three decimals."
    if request.since and request.until and request.since >= request.until:
        wrong["until"] = "Expected a moment after since: the window is [since, until)."
    if len(set(request.group_by)) < len(request.group_by):
        wrong["group_by"] = "Expected each key once."
    if wrong:
        raise Invalid("The question cannot be answered: " + " ".join(wrong.values()), fields=wrong)
    return request


def _refusal(said: str) -> Invalid:
    """msgspec's sentence to the field it concerns."""
    unknown = re.search(r"unknown field `(\w+)`", said)
    missing = re.search(r"missing required field `(\w+)`", said)
    place = re.search(r"at `\$\.?([\w.]*)", said)
    path = (place.group(1) if place else "").rstrip(".")
    field = ".".join(part for part in (path, (unknown or missing or re.match("()", "")).group(1)) if part)  # type: ignore[union-attr]
    if unknown and not path:
        allowed: Sequence[str] = AnalyticsRequest.__struct_fields__
    else:
        allowed = ALLOWED.get(path if unknown else field, ())
    sentence = f"Expected one of {', '.join(allowed)}." if allowed else f"{said.split(' - at ', maxsplit=1)[0]}."
    return Invalid(f"{field or 'request'}: {sentence}", fields={field or "request": sentence})


def cache_key(request: AnalyticsRequest) -> str:
    """The same for two requests that ask the same in the same order."""
    return hashlib.sha256(msgspec.json.encode(request, order="deterministic")).hexdigest()
