"""Analytics: exact figures, the same as pandas finds on the same rows; nothing outside the vocabulary."""

import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd  # type: ignore[import-untyped]
import pytest

from ingestion import analytics, store
from ingestion.models import LogRecord
from projects.models import Project
from tests.ingestion.conftest import encoded, portkey_row

START = datetime(2026, 1, 1, tzinfo=UTC)


def keep(project: Project, *rows: Any) -> None:
    given: dict[str, Any] = {
        "format": "portkey",
        "source": "file",
        "label": "",
        "simulated": False,
        "now": START + timedelta(days=99),
    }
    store.append(project, encoded(*rows), **given)


def fill(project: Project, n: int = 200, *, seed: int = 1) -> None:
    """Random calls over five days: some fail, some refuse, some lack tokens, cost or latency."""
    rng = random.Random(seed)  # noqa: S311
    rows = []
    for number in range(n):
        failed = rng.random() < 0.1
        said = "I'm sorry, but I can't help with that." if rng.random() < 0.1 else "On its way."
        rows.append(
            portkey_row(
                number,
                trace_id=f"trace-{number // 2}",
                created_at=(START + timedelta(minutes=rng.randrange(5 * 24 * 60))).isoformat(),
                ai_model=rng.choice(["alpha", "beta", "gamma"]),
                ai_org="simulated",
                response=None if failed else {"choices": [{"message": {"role": "assistant", "content": said}}]},
                is_success=not failed,
                response_status_code=500 if failed else 200,
                req_units=None if rng.random() < 0.1 else float(rng.randrange(1, 5000)),
                res_units=float(rng.randrange(1, 900)),
                cost=None if rng.random() < 0.2 else rng.randrange(1, 10_000) / 1000,
                response_time=None if rng.random() < 0.15 else float(rng.randrange(50, 20_000)),
            )
        )
    store.append(
        project,
        encoded(*rows),
        format="portkey",
        source="file",
        label="",
        simulated=False,
        now=START + timedelta(days=9),
    )


def frame(project: Project) -> pd.DataFrame:
    columns = ("model", "status", "refused", "occurred_at", "cost_nanousd", "latency_us", "input_tokens")
    return pd.DataFrame(list(project.logs.values(*columns)))


def ask(project: Project, **request: Any) -> dict[str, Any]:
    return analytics.answer(project, analytics.read(request))


def test_sums_by_model_are_those_of_pandas(agent: Project) -> None:
    fill(agent)

    found = ask(agent, kind="aggregation", metric="cost", group_by=["model"])

    expected = frame(agent).groupby("model")["cost_nanousd"].agg(["sum", "count", "size"])
    assert [(row["group"]["model"], row["value"], row["n"], row["unknown"]) for row in found["rows"]] == [
        (model, int(row["sum"]) / 10**9, row["count"], row["size"] - row["count"]) for model, row in expected.iterrows()
    ]


def test_means_by_model_and_day_are_those_of_pandas(agent: Project) -> None:
    fill(agent)

    found = ask(agent, kind="aggregation", metric="latency", aggregate="mean", group_by=["model", "day"], limit=1000)

    rows = frame(agent)
    rows["day"] = pd.to_datetime(rows["occurred_at"]).dt.strftime("%Y-%m-%d")
    expected = rows.groupby(["model", "day"])["latency_us"].mean() / 10**6
    assert {(r["group"]["model"], r["group"]["day"]): r["value"] for r in found["rows"]} == pytest.approx(
        expected.to_dict(), nan_ok=True
    )


def test_questions_together_have_the_answers_that_each_has_alone_kept_or_not(agent: Project) -> None:
    fill(agent)
    questions = [
        analytics.read({"kind": "aggregation", "metric": metric, "group_by": ["model"]}) for metric in ("cost", "calls")
    ]
    alone = [analytics.canonical(analytics.answer(agent, questions[0]))]  # kept from now on
    together = analytics.answer_each(agent, questions)
    again = analytics.answer_each(agent, questions)
    keep(agent, portkey_row(9999))
    later = analytics.answer_each(agent, questions)

    alone.append(analytics.canonical(analytics.answer(agent, questions[1])))
    assert [found["run"]["cached"] for found in (*together, *again, *later)] == [True, False, True, True, False, False]
    assert analytics.canonical(together[0]) == alone[0] == analytics.canonical(again[0])
    assert analytics.canonical(together[1]) == analytics.canonical(again[1])
    assert analytics.canonical(later[1]) == alone[1] != analytics.canonical(again[1])


def test_hours_are_in_utc(agent: Project) -> None:
    keep(agent, portkey_row(1, created_at="2026-01-02T00:30:00+02:00"))

    found = ask(agent, kind="aggregation", metric="calls", group_by=["hour", "day"])

    assert found["rows"][0]["group"] == {"hour": "2026-01-01T22:00Z", "day": "2026-01-01"}


def test_rates_leave_out_what_is_not_known(agent: Project) -> None:
    fill(agent)

    (row,) = ask(agent, kind="aggregation", metric="refused")["rows"]

    refused = frame(agent)["refused"]
    assert row["n"] == refused.notna().sum()
    assert row["value"] == pytest.approx(refused.dropna().astype(float).mean())


@pytest.mark.parametrize("group", [[], ["model"], ["status"], ["model", "day"]])
def test_percentiles_are_exact_by_nearest_rank(agent: Project, group: list[str]) -> None:
    fill(agent)

    found = ask(agent, kind="percentiles", metric="latency", group_by=group, quantiles=[0.5, 0.999], exact=True)

    rows = frame(agent)
    rows["day"] = pd.to_datetime(rows["occurred_at"]).dt.strftime("%Y-%m-%d")
    rows["status"] = rows["status"].where(rows["refused"] != True, "refused")  # noqa: E712
    for row in found["rows"]:
        same = rows
        for name, value in row["group"].items():
            same = same[same[name] == value]
        known = same["latency_us"].dropna()
        assert (row["n"], row["unknown"]) == (len(known), len(same) - len(known))
        for name, value in row["values"].items():
            assert value == _inverted(known, float(name))


def _inverted(known: "pd.Series[float]", q: float) -> float | None:
    import numpy as np

    return float(np.quantile(known, q, method="inverted_cdf")) / 10**6 if len(known) else None


def test_a_distribution_counts_every_known_value_once(agent: Project) -> None:
    fill(agent)

    found = ask(agent, kind="distribution", metric="input_tokens", bins=7, exact=True)

    known = frame(agent)["input_tokens"].dropna()
    assert len(found["rows"]) <= 7
    assert found["rows"][0]["from"] == known.min()
    for row in found["rows"]:
        assert row["n"] == ((known >= row["from"]) & (known < row["to"])).sum()
    assert found["n"] == len(known)


def test_the_window_is_half_open(agent: Project) -> None:
    rows = [portkey_row(n, created_at=f"2026-01-0{n}T00:00:00Z") for n in (1, 2, 3)]
    keep(agent, *rows)

    found = ask(agent, kind="aggregation", metric="calls", since="2026-01-01T00:00:00Z", until="2026-01-03T00:00:00Z")

    assert found["rows"] == [{"group": {}, "n": 2, "unknown": 0, "value": 2}]


def test_only_the_newest_version_and_only_the_project_s_calls_count(agent: Project, make_project: Any) -> None:
    fill(agent, 20)
    fill(make_project("other"), 30, seed=2)
    changed = portkey_row(0, ai_model="delta", created_at="2026-01-02T00:00:00Z")
    keep(agent, changed)

    found = ask(agent, kind="aggregation", metric="calls")

    assert LogRecord.objects.count() == 51
    assert found["n"] == 20


def test_an_answer_does_not_depend_on_the_order_of_rows(make_project: Any) -> None:
    one, other = make_project("one"), make_project("other")
    rows = [portkey_row(n, ai_model=f"model-{n % 3}", response_time=float(n * 7 % 50)) for n in range(40)]
    for project, given in ((one, rows), (other, rows[::-1])):
        keep(project, *given)
    request = {"kind": "percentiles", "metric": "latency", "group_by": ["model"]}

    assert analytics.canonical(ask(one, **request)) == analytics.canonical(ask(other, **request))


def test_without_calls_figures_are_unknown_not_zero(agent: Project) -> None:
    assert ask(agent, kind="aggregation", metric="cost")["rows"] == [{"group": {}, "n": 0, "unknown": 0, "value": None}]
    assert ask(agent, kind="distribution", metric="cost")["rows"] == []


def test_the_summary_adds_up_and_says_what_is_missing(agent: Project) -> None:
    fill(agent)

    found = analytics.summary(agent)

    rows = frame(agent)
    assert found.total.calls == 200
    assert found.source == "rollup"
    assert found.total.cost_nanousd == rows["cost_nanousd"].sum()
    assert found.total.failed == (rows["status"] == "failed").sum()
    assert found.total.refused == (rows["refused"] == True).sum()  # noqa: E712
    assert sum(one.calls for one in found.by_model) == sum(one.calls for one in found.by_day) == 200
    assert [one.key for one in found.by_day] == sorted(one.key for one in found.by_day)
    assert found.coverage["without_latency"] == rows["latency_us"].isna().sum()
    assert "no price" in found.total.missing["cost"]
    assert json.dumps(found.to_json())


def test_the_summary_of_nothing_knows_nothing(agent: Project) -> None:
    found = analytics.summary(agent)

    assert (found.total.calls, found.total.cost_nanousd, found.total.latency_p95_us, found.first_at) == (
        0,
        None,
        None,
        None,
    )
    assert found.by_model == found.by_day == ()
