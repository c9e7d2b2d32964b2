"""The engine: equal bytes for equal questions, samples, what is kept, what questions may cost, how one is stopped."""

import hashlib
import json
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zlib import crc32

import pandas as pd  # type: ignore[import-untyped]
import pytest

from agentopt.lib.errors import Conflict
from ingestion import analytics, erasure, retention, rollups, store
from ingestion.analytics import answers
from ingestion.analytics.requests import Filters
from ingestion.analytics.rows import Rows
from ingestion.models import AnalyticsEntry, LogRecord, UseCaseAssignment
from projects.models import Privacy, Project
from tests.ingestion.conftest import encoded, portkey_row

START = datetime(2026, 1, 1, tzinfo=UTC)
NOW = START + timedelta(days=99)


def calls(n: int = 240, *, seed: int = 7) -> list[dict[str, Any]]:
    """Random calls over three days with heavy-tailed latency; some fail, some do not tell everything."""
    rng = random.Random(seed)  # noqa: S311
    rows = []
    for number in range(n):
        failed = rng.random() < 0.1
        latency = min(rng.lognormvariate(6.5, 1.5), 10**7)
        rows.append(
            portkey_row(
                number,
                created_at=(START + timedelta(minutes=rng.randrange(3 * 24 * 60))).isoformat(),
                ai_model=rng.choice(["alpha", "Beta", "gamma", "δ"]),
                ai_org=rng.choice(["one", "two"]),
                is_success=not failed,
                response=None if failed else {"choices": [{"message": {"role": "assistant", "content": "Yes."}}]},
                response_status_code=500 if failed else 200,
                req_units=None if rng.random() < 0.1 else float(rng.randrange(1, 5000)),
                res_units=float(rng.randrange(1, 900)),
                cost=None if rng.random() < 0.2 else rng.randrange(1, 10_000) / 1000,
                response_time=None if rng.random() < 0.15 else round(latency, 3),
                metadata=rng.choice([{"team": "a"}, {"team": "b", "0": "x"}, {}, {"a b": "o'brien"}]),
            )
        )
    return rows


def keep(project: Project, rows: list[dict[str, Any]], *, chunk: int = 1000) -> None:
    for start in range(0, len(rows), chunk):
        store.append(
            project, encoded(*rows[start : start + chunk]), format="portkey", source="file", label="",
            simulated=False, now=NOW,
        )  # fmt: skip


def ask(project: Project, **question: Any) -> dict[str, Any]:
    return analytics.answer(project, analytics.read(question), now=NOW)


def name_some(project: Project) -> list[LogRecord]:
    """Three use cases, one of them merged into another; most calls are assigned."""
    first, second, third = (
        project.use_cases.create(number=number, name=name, origin="found")
        for number, name in enumerate(("refund", "order", "again a refund"))
    )
    third.merged_into = first
    third.save()
    records = list(project.logs.order_by("pk"))
    for place, record in enumerate(records[:200]):
        UseCaseAssignment.objects.create(record=record, use_case=(first, second, third)[place % 3])
    rollups.mark(project.pk, {record.occurred_at for record in records})
    return records


def frame(project: Project) -> pd.DataFrame:
    columns = ("model", "status", "refused", "occurred_at", "cost_nanousd", "latency_us", "input_tokens", "metadata")
    return pd.DataFrame(list(project.logs.values(*columns)))


QUESTIONS: list[dict[str, Any]] = [
    {"kind": "aggregation", "metric": "cost", "group_by": ["model", "day"], "exact": True},
    {"kind": "aggregation", "metric": "failed", "group_by": ["metadata.team"], "order": "value"},
    {"kind": "percentiles", "metric": "latency", "group_by": ["model"], "quantiles": [0.1, 0.5, 0.999], "exact": True},
    {"kind": "percentiles", "metric": "cost", "group_by": ["hour", "status"], "exact": True},
    {"kind": "distribution", "metric": "latency", "exact": True},
    {"kind": "distribution", "metric": "input_tokens", "scale": "linear", "bins": 7, "exact": True},
    {"kind": "percentiles", "metric": "latency", "group_by": ["day", "model"]},
    {"kind": "distribution", "metric": "cost"},
    {"kind": "correlation", "method": "spearman"},
    {"kind": "correlation", "group_by": ["provider"], "metrics": ["latency", "output_tokens"]},
    {"kind": "sampling", "size": 20, "seed": 3},
    {"kind": "sampling", "size": 25, "strata": ["model", "metadata.team"], "allocation": "equal"},
    {"kind": "sampling", "size": 25, "strata": ["day"], "filters": {"metadata": {"team": ["a", "b"]}}},
]
GOLDEN = "0a0f2f99ee631d43578847eae42a1796aac43cb8d65102fb3fca9e05f24b91e3"


def canonical(project: Project) -> bytes:
    return b"\n".join(analytics.canonical(ask(project, **question)) for question in QUESTIONS)


def test_equal_logs_give_equal_bytes_in_any_order_and_chunks_and_on_either_database(db: None) -> None:
    rows = calls()
    found = []
    for number, chunk in enumerate((1000, 7, 50)):
        project = Project.objects.create(slug=f"p{number}", name="P", privacy=Privacy.FULL, hash_key="the same key")
        keep(
            project,
            rows if chunk == 1000 else sorted(rows, key=lambda row: crc32(f"{row['id']} {chunk}".encode())),
            chunk=chunk,
        )
        found.append(canonical(project))

    assert found[0] == found[1] == found[2]
    # one figure for SQLite and PostgreSQL: whoever changes an answer's form changes it here
    assert hashlib.sha256(found[0]).hexdigest() == GOLDEN


def test_metadata_groups_and_filters_are_those_of_pandas(agent: Project) -> None:
    keep(agent, calls())
    rows = frame(agent)
    for key in ("team", "0", "a b", "absent"):
        found = ask(agent, kind="aggregation", metric="calls", group_by=[f"metadata.{key}"])["rows"]

        expected = rows["metadata"].map(lambda held, key=key: held.get(key)).value_counts(dropna=False)
        assert {row["group"][f"metadata.{key}"]: row["value"] for row in found} == {
            None if pd.isna(name) else name: n for name, n in expected.items()
        }
    found = ask(agent, kind="aggregation", metric="calls", filters={"metadata": {"a b": ["o'brien"], "team": []}})

    assert found["n"] == rows["metadata"].map(lambda held: held.get("a b") == "o'brien").sum()


def test_correlations_over_calls_are_those_of_pandas(agent: Project) -> None:
    keep(agent, calls())
    pair = frame(agent)[["latency_us", "cost_nanousd"]].dropna().astype(float)

    for method in ("pearson", "spearman"):
        (row,) = ask(agent, kind="correlation", metrics=["latency", "cost"], method=method)["rows"]

        assert row["n"] == len(pair)
        assert row["value"] == pytest.approx(pair["latency_us"].corr(pair["cost_nanousd"], method=method), abs=1e-9)
        assert row["interval"][0] < row["value"] < row["interval"][1]


def test_the_largest_values_come_first_where_asked(agent: Project) -> None:
    keep(agent, calls())

    found = ask(agent, kind="aggregation", metric="cost", group_by=["model"], order="value", limit=2)

    values = frame(agent).groupby("model")["cost_nanousd"].sum().sort_values(ascending=False) / 10**9
    assert [row["value"] for row in found["rows"]] == pytest.approx(values[:2].tolist())
    assert found["more"]


def test_sums_beyond_64_bits_are_whole_on_either_database(agent: Project) -> None:
    keep(agent, [portkey_row(1)])
    record = agent.logs.get()
    for number, amount in enumerate((2**63 - 1, 2**63 - 5, 2**40), start=1):
        record.pk, record.key, record.source_cost_nanousd = None, UUID(int=number), amount
        record.save(force_insert=True)

    found = ask(agent, kind="aggregation", metric="source_cost", aggregate="max", exact=True)
    total = Rows(agent, None, None, filters=Filters()).totals((), "source_cost")[()]

    assert total.total == 2**64 - 6 + 2**40 + 180_000
    assert found["rows"][0]["value"] == (2**63 - 1) / 10**9


HOURLY: list[dict[str, Any]] = [
    {"kind": "aggregation", "metric": metric, "aggregate": aggregate}
    for metric, aggregates in {
        "cost": ("sum", "mean", "min", "max", "count"), "failed": ("rate", "count"), "refused": ("rate",),
        "calls": ("count",), "source_cost": ("mean",),
    }.items()
    for aggregate in aggregates
] + [{"kind": "correlation", "metrics": ["cost", "latency", "input_tokens"]}]  # fmt: skip


@pytest.mark.parametrize("narrow", [
    {},
    {"since": "2026-01-01T05:00:00Z", "until": "2026-01-03T07:00:00Z"},
    {"filters": {"model": ["alpha", "δ"], "status": ["ok"]}},
    {"filters": {"use_case": ["refund", ""]}},
    {"filters": {"use_case": ["no such"]}},
    {"filters": {"model": ["no such"]}},
], ids=str)  # fmt: skip
def test_roll_ups_and_calls_tell_the_same(agent: Project, narrow: dict[str, Any]) -> None:
    keep(agent, calls(300))
    name_some(agent)
    for question in HOURLY:
        for groups in ([], ["model"], ["day", "status"], ["hour"], ["use_case", "provider"]):
            request = {**question, **narrow, "group_by": groups, "limit": 1000}
            from_hours = ask(agent, **request)
            read = analytics.read(request)
            exact = answers.answer(read, Rows(agent, read.since, read.until, filters=read.filters))

            assert from_hours["source"] == "rollup"
            assert {name: from_hours[name] for name in exact} == exact


def test_estimates_are_within_their_error(agent: Project) -> None:
    keep(agent, calls(300))
    for groups in ([], ["model"], ["model", "day"]):
        question = {
            "kind": "percentiles",
            "metric": "latency",
            "group_by": groups,
            "quantiles": [0.01, 0.5, 0.95, 0.999],
        }

        rough, exact = ask(agent, **question), ask(agent, **question, exact=True)

        assert (rough["source"], rough["error"], exact["source"], exact["error"]) == ("rollup", 0.02, "rows", None)
        for one, other in zip(rough["rows"], exact["rows"], strict=True):
            assert (one["group"], one["n"], one["unknown"]) == (other["group"], other["n"], other["unknown"])
            for q, value in other["values"].items():
                assert one["values"][q] == pytest.approx(value, rel=0.0201)
                assert one["intervals"][q] == (
                    other["intervals"][q] and pytest.approx(other["intervals"][q], rel=0.0201)
                )


@pytest.mark.parametrize("narrow", [
    {"since": "2026-01-01T05:30:00Z"}, {"filters": {"metadata": {"team": ["a"]}}}, {"group_by": ["metadata.team"]},
    {"metric": "reasoning_tokens"},
], ids=str)  # fmt: skip
def test_what_roll_ups_do_not_hold_comes_from_the_calls(agent: Project, narrow: dict[str, Any]) -> None:
    keep(agent, calls(20))

    assert ask(agent, **{"kind": "aggregation", "metric": "cost", **narrow})["source"] == "rows"


# ------------------------------------------------------------------------------------------------ samples
def test_a_sample_is_repeatable_and_says_its_strata(agent: Project) -> None:
    keep(agent, calls())

    one = ask(agent, kind="sampling", size=40, seed=1, strata=["model"])
    again = ask(agent, kind="sampling", size=40, seed=1, strata=["model"])
    other = ask(agent, kind="sampling", size=40, seed=2, strata=["model"])

    assert one["rows"] == again["rows"] != other["rows"]
    sizes = frame(agent)["model"].value_counts()
    assert {row["group"]["model"]: row["n"] for row in one["strata"]} == sizes.to_dict()
    assert sum(row["drawn"] for row in one["strata"]) == len(one["rows"]) == len({row["key"] for row in one["rows"]})
    held = dict(agent.logs.values_list("pk", "key"))
    assert [held[pk].hex for pk in one["run"]["ids"]] == [row["key"] for row in one["rows"]]
    for name in ("request", "response", "preview"):
        assert name not in json.dumps(one)


def test_a_sample_goes_round_the_end_and_never_takes_a_call_twice(agent: Project) -> None:
    keep(agent, calls(30))

    for seed in range(20):
        found = ask(agent, kind="sampling", size=29, seed=seed)

        assert len({row["key"] for row in found["rows"]}) == 29
    assert len(ask(agent, kind="sampling", size=2000)["rows"]) == 30


# ------------------------------------------------------------------------------------------------ use cases
def test_clustering_says_why_there_is_none(agent: Project, make_project: Callable[..., Project]) -> None:
    with pytest.raises(Conflict, match="hashes only"):
        ask(make_project("hashed", Privacy.HASHED), kind="clustering")
    with pytest.raises(Conflict, match="No use cases"):
        ask(agent, kind="clustering")


def test_clustering_is_a_table_of_use_cases_with_merged_ones_together(agent: Project) -> None:
    keep(agent, calls())
    records = name_some(agent)

    found = ask(agent, kind="clustering", exact=True)

    assert [(row["use_case"], row["n"]) for row in found["rows"]] == [("refund", 133), ("order", 67), (None, 40)]
    assert sum(row["share_of_cost"] for row in found["rows"]) == pytest.approx(1)
    refunds = [record for place, record in enumerate(records[:200]) if place % 3 != 1]
    assert found["rows"][0]["cost"] == sum(record.cost_nanousd or 0 for record in refunds) / 10**9
    assert sum(one["n"] for one in found["rows"][0]["models"]) == 133
    narrow = {"kind": "aggregation", "metric": "calls", "filters": {"use_case": ["refund", ""]}}
    assert ask(agent, **narrow)["n"] == 173


def test_a_new_name_of_a_use_case_is_in_the_next_answer(agent: Project) -> None:
    keep(agent, calls(10))
    use_case = agent.use_cases.create(number=1, name="refund", origin="found")
    UseCaseAssignment.objects.create(record=agent.logs.earliest("pk"), use_case=use_case)
    question = {"kind": "aggregation", "metric": "calls", "group_by": ["use_case"]}
    ask(agent, **question)

    use_case.name = "money back"
    use_case.save()

    assert [row["group"]["use_case"] for row in ask(agent, **question)["rows"]] == [None, "money back"]


# ------------------------------------------------------------------------------------------------ what is kept
def test_an_answer_is_kept_until_a_batch_touches_its_window(agent: Project) -> None:
    keep(agent, calls())
    old = {"kind": "aggregation", "metric": "cost", "group_by": ["metadata.team"], "until": "2026-01-04T00:00:00Z"}
    open_ended = {**old, "until": None}
    first = ask(agent, **old)
    ask(agent, **open_ended)

    keep(agent, [portkey_row(9001, created_at="2026-02-01T00:00:00Z")])

    again = ask(agent, **old)
    assert (first["run"]["cached"], again["run"]["cached"]) == (False, True)
    assert analytics.canonical(first) == analytics.canonical(again)
    assert ask(agent, **open_ended)["run"]["cached"] is False

    keep(agent, [portkey_row(9002, created_at="2026-01-03T00:00:00Z")])

    assert ask(agent, **old)["run"]["cached"] is False


def test_a_new_version_that_leaves_the_window_is_seen(agent: Project) -> None:
    keep(agent, [portkey_row(n, created_at="2026-01-02T00:00:00Z") for n in range(3)])
    question = {"kind": "aggregation", "metric": "calls", "until": "2026-01-03T00:30:00Z"}
    assert ask(agent, **question)["n"] == 3

    keep(agent, [portkey_row(1, created_at="2026-03-02T00:00:00Z")])

    assert ask(agent, **question)["n"] == 2


def test_an_erasure_takes_the_answers_that_may_name_a_person(agent: Project) -> None:
    keep(agent, calls(20))
    ask(agent, kind="aggregation", metric="calls", group_by=["metadata.team"])

    removal = retention.open_erasure(agent, erasure.Asked("team", "a"), by=None)
    retention.work(removal)

    assert not AnalyticsEntry.objects.exists()


def test_old_answers_go(agent: Project, settings: Any) -> None:
    settings.ANALYTICS_CACHE_ENTRIES = 3
    keep(agent, calls(5))

    for limit in range(1, 8):
        ask(agent, kind="aggregation", metric="calls", limit=limit)

    assert AnalyticsEntry.objects.count() == 3


def test_nobody_gets_the_answer_of_another_project(agent: Project, make_project: Callable[..., Project]) -> None:
    keep(agent, calls(20))

    assert ask(agent, kind="aggregation", metric="calls")["n"] == 20
    assert ask(make_project("other"), kind="aggregation", metric="calls")["n"] == 0
