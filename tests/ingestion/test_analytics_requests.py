"""The vocabulary: what is in it is read to one canonical form, all else is refused by name; a schema says the same."""

import json
from typing import Any, get_args

import jsonschema
import pytest
from django.test import Client
from hypothesis import given

from agentopt.lib.errors import Invalid
from ingestion.analytics import requests
from ingestion.analytics.metrics import METRICS, MetricName
from tests.ingestion import questions

SCHEMA = jsonschema.Draft202012Validator(requests.schema())

REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "an unknown kind": ({"kind": "sql"}, "kind", "aggregation, percentiles, distribution"),
    "an unknown metric": ({"metric": "cost; DROP TABLE"}, "metric", "calls, cost"),
    "an unknown field": ({"where": "1=1"}, "where", "kind, group_by, limit, metric"),
    "an unknown filter": ({"filters": {"project": ["2"]}}, "filters.project", "model, provider"),
    "an unknown group": ({"group_by": ["body__request"]}, "group_by", "model, provider"),
    "an unknown status": ({"filters": {"status": ["odd"]}}, "filters.status", "ok, failed, refused"),
    "a time without a zone": ({"since": "2026-01-01T00:00:00"}, "since", "timezone"),
    "a limit too high": ({"limit": 10**9}, "limit", "1000"),
    "a percentile of a count": ({"kind": "percentiles", "metric": "calls"}, "metric", "cost"),
    "an aggregate the metric lacks": ({"metric": "calls", "aggregate": "mean"}, "aggregate", "count"),
    "a window that ends before it begins": (
        {"since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"}, "until", "after",
    ),
    "a moment before all logs": ({"since": "0001-01-01T00:00:00+14:00"}, "since", "1970"),
    "a group with an end of line": ({"group_by": ["model\n"]}, "group_by", "metadata.<key>"),
    "a metadata key with a quote": ({"filters": {"metadata": {'a"b': ["x"]}}}, "filters.metadata", "matching"),
    "a NUL": ({"filters": {"model": ["\x00"]}}, "filters.model", "matching"),
    "half a pair": ({"filters": {"model": ["\ud800"]}}, "filters", "UTF-8"),
    "half a pair in a name": ({"\ud800": 1}, "request", "UTF-8"),
    "a field of another kind": ({"seed": 1}, "seed", "kind, group_by"),
    "a metric twice": ({"kind": "correlation", "metrics": ["cost", "cost"]}, "metrics", "once"),
    "a key twice": ({"group_by": ["day", "day"]}, "group_by", "once"),
    "a sample too large": ({"kind": "sampling", "size": 10**30}, "size", "2000"),
    "a fine quantile": ({"kind": "percentiles", "quantiles": [0.12345]}, "quantiles", "three decimals"),
}  # fmt: skip


def _whole(changes: dict[str, Any]) -> dict[str, Any]:
    kind = {"kind": "aggregation", **changes}
    return {"metric": "cost", **kind} if kind["kind"] not in ("correlation", "sampling") else kind


@pytest.mark.parametrize(("changes", "field", "allowed"), REFUSED.values(), ids=REFUSED.keys())
def test_anything_else_is_refused_by_name(changes: dict[str, Any], field: str, allowed: str) -> None:
    with pytest.raises(Invalid) as caught:
        requests.read(_whole(changes))

    assert allowed in caught.value.fields[field]


def test_the_same_question_has_one_form_and_one_key() -> None:
    written = {
        "kind": "aggregation",
        "metric": "cost",
        "since": "2026-01-01T02:00:00+02:00",
        "filters": {"model": ["b", "a", "b"], "metadata": {"z": ["1"], "a": ["2", "1"], "free": []}},
    }
    plain = {
        "filters": {"metadata": {"a": ["1", "2"], "z": ["1"]}, "model": ["a", "b"]},
        "since": "2026-01-01T00:00:00Z",
        "metric": "cost",
        "kind": "aggregation",
    }

    one, other = requests.read(written), requests.read(plain)

    assert requests.encoded(one) == requests.encoded(other)
    assert requests.cache_key(one) == requests.cache_key(other)
    assert requests.cache_key(one) != requests.cache_key(requests.read({**plain, "limit": 7}))


def test_the_catalogue_holds_every_metric_once() -> None:
    assert tuple(METRICS) == get_args(MetricName)
    assert {metric.name for metric in METRICS.values() if metric.column} == set(requests.ALLOWED["metrics"])
    assert {metric.better for metric in METRICS.values()} == {None, "lower"}


@given(questions.allowed())
def test_what_is_read_goes_by_the_schema_and_reads_the_same_again(question: dict[str, Any]) -> None:
    SCHEMA.validate(question)
    try:
        request = requests.read(question)
    except Invalid as refusal:
        assert refusal.fields  # noqa: PT017 - a question may contradict itself
        return

    again = json.loads(requests.encoded(request))

    SCHEMA.validate(again)
    assert requests.read(again) == request


@given(questions.hostile() | questions.JUNK)
def test_what_the_schema_refuses_is_refused_by_a_field(question: Any) -> None:
    try:
        requests.read(question)
    except Invalid as refusal:
        fields = refusal.fields
    else:
        fields = {"none": "It is in the vocabulary after all."}
        SCHEMA.validate(question)

    assert fields
    assert all(fields.values())


def test_the_vocabulary_tells_the_schema_and_the_metrics(client: Client, reader: Any) -> None:
    client.force_login(reader)

    found = client.get("/api/v1/analytics/vocabulary").json()

    assert found["schema"] == json.loads(json.dumps(requests.schema()))
    assert found["metrics"][1]["name"] == "cost"
    assert (found["metrics"][1]["unit"], found["metrics"][1]["better"]) == ("usd", "lower")
