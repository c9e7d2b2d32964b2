"""The detectors on recorded traffic and recorded models; nothing was tuned on a part that is kept apart."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import drift as benchmark
from recommendations.drift import detectors, references, snapshots
from recommendations.drift.scales import Array, Policy, View

WEEK_HOURS = 168.0


def rows_of(recordings: Path, name: str) -> list[dict[str, Any]]:
    with gzip.open(recordings / f"{name}.jsonl.gz", "rt") as lines:
        return [json.loads(line) for line in lines]


# ------------------------------------------------------------------------------------------------ drift
def test_two_snapshots_of_a_model_differ_with_direction_and_halves_of_one_do_not(recordings: Path) -> None:
    found = benchmark.compare_file(recordings / "drift.jsonl.gz", halves=20, error=0.05, seed=7)

    told = {(one["task"], one["family"], one["metric"]): one for one in found["checks"]}
    assert told["prime", "gpt-4", "ok"]["direction"] == "down"
    assert told["prime", "gpt-3.5-turbo", "ok"]["direction"] == "up"
    assert told["prime", "gpt-4", "completion_tokens"]["direction"] == "down"
    # all but 0 against 2 answered of 39, which nobody could tell from chance
    assert [key for key, one in told.items() if not one["alarm"]] == [("sensitive", "gpt-3.5-turbo", "ok")]
    assert found["halves"]["any_alarm"] <= 3  # 5 % of 20 and two beyond
    assert found["error"]["stated"] == 0.05


def _row(**other: Any) -> dict[str, Any]:
    return {
        "task": "prime", "family": "gpt-4", "snapshot": "gpt-4-0314", "query_id": "q1", "ok": True, "latency_s": 1.0,
        "cost_usd": 0.01, "completion_tokens": 5,
    } | other  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], "no task and family with two snapshots"),
        ([_row()], "no task and family with two snapshots"),
        ([_row(), _row(snapshot="gpt-4-0613")], "two queries at least; there are 1 and 1"),
        ([_row(), _row(latency_s="fast")], "line 2: latency_s: expected a number from 0 on"),
        ([_row(cost_usd=-1)], "line 1: cost_usd"),
        ([_row(latency_s=float("inf"))], "line 1: latency_s"),
        ([_row(ok=7)], "line 1: ok: expected true, false or a share"),
        ([_row(task=None)], "line 1: task: expected a text"),
        ([["prime"]], "line 1: expected an object"),
        ([{name: value for name, value in _row().items() if name != "cost_usd"}], "no row has cost_usd"),
        ([_row(ok=None, latency_s=None, cost_usd=float("nan"), completion_tokens=None)], "every value of every metric"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused_by_line(tmp_path: Path, rows: list[Any], said: str) -> None:
    path = tmp_path / "file.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))

    with pytest.raises(SystemExit) as refused:
        benchmark.compare_file(path, halves=0, error=0.05, seed=7)

    assert said in str(refused.value)


def test_files_that_are_all_equal_or_know_little_are_quiet(tmp_path: Path) -> None:
    path = tmp_path / "file.jsonl"
    sides = ("gpt-4-0314", "gpt-4-0613")
    rows = [
        _row(query_id=n, snapshot=side, latency_s=float("nan"), answer="a\u2028b", cost_usd=0)
        for n in range(40)
        for side in sides
    ]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))

    found = benchmark.compare_file(path, halves=3, error=0.05, seed=7)

    assert [one["direction"] for one in found["checks"]] == ["none"] * 4
    assert found["halves"] == {"splits": 3, "any_alarm": 0}
    json.dumps(found, allow_nan=False)


# ------------------------------------------------------------------------------------------------ usage_rates
def first_alarm(values: Array, at: Array, *, view: View, series: int) -> float | None:
    """Days into the second week of the first alarm against the first week."""
    policy = Policy(series=series)
    first = at < WEEK_HOURS
    usual = references.learn(values[first], at[first], view=view, policy=policy)
    threshold = references.log_threshold(usual, policy)
    x = references.scale(values[~first], usual)
    _, hit = detectors.advance(detectors.begin(), usual, x, at[~first], threshold=threshold)
    return None if hit is None else float(at[~first][hit] - WEEK_HOURS) / 24


def rates(recordings: Path, pool: str) -> tuple[Array, Array]:
    rows = [row for row in rows_of(recordings, "usage_rates") if row["pool"] == pool]
    return np.array([row["requests_per_s"] for row in rows]), np.array([row["t"] / 3600 for row in rows])


@pytest.mark.parametrize("pool", ["m-small", "m-mid"])
def test_the_daily_cycle_of_a_production_service_is_quiet(recordings: Path, pool: str) -> None:
    values, at = rates(recordings, pool)

    assert first_alarm(values, at, view="rank", series=4) is None
    assert first_alarm(values, at, view="size", series=4) is None


@pytest.mark.parametrize("pool", ["m-small", "m-mid"])
def test_a_service_that_doubles_is_told_within_the_week(recordings: Path, pool: str) -> None:
    values, at = rates(recordings, pool)
    doubled = np.where(at >= WEEK_HOURS, 2 * values, values)

    found = first_alarm(doubled, at, view="size", series=4)

    assert found is not None
    assert found < 7


# ------------------------------------------------------------------------------------------------ usage_lengths
def lengths(recordings: Path) -> dict[tuple[str, int, str], list[tuple[float, float, list[float]]]]:
    """By pool, client and side: hour, requests, quantiles of each window of six hours."""
    out: dict[tuple[str, int, str], list[tuple[float, float, list[float]]]] = {}
    for row in rows_of(recordings, "usage_lengths"):
        for side in ("input", "output"):
            key = (row["pool"], row["client"], side)
            out.setdefault(key, []).append((row["t"] / 3600, float(row["requests"]), row[side]))
    return out


def drawn(windows: list[tuple[float, float, list[float]]], *, rng: np.random.Generator) -> tuple[Array, Array]:
    """200 requests a day out of the recorded quantiles; between them lengths lie straight on a logarithmic scale."""
    values, at = [], []
    for hour, _, (_, p10, p50, p90, p99) in sorted(windows):
        u = rng.random(50)
        logs = np.log(np.maximum([p10, p50, p90, p99], 1.0))
        values.append(np.exp(np.interp(u, [0.1, 0.5, 0.9, 0.99], logs)))
        at.append(hour + 6 * np.sort(rng.random(50)))
    return np.concatenate(values), np.concatenate(at)


def test_lengths_of_real_clients_are_quiet_where_they_stay_and_told_where_they_move(recordings: Path) -> None:
    rng = np.random.default_rng(7)
    still, moved = [], []
    for windows in lengths(recordings).values():
        weeks = [[one for one in windows if (one[0] < WEEK_HOURS) == early] for early in (True, False)]
        if min(map(len, weeks)) < 24:
            continue
        medians = [np.average([one[2][1] for one in week], weights=[one[1] for one in week]) for week in weeks]
        change = abs(medians[1] / medians[0] - 1)
        values, at = drawn(windows, rng=rng)
        alarm = first_alarm(values, at, view="rank", series=8) is not None
        if change < 0.05:
            still.append(alarm)
        elif change > 0.25:
            moved.append(alarm)

    # medians of whole weeks say which moved; days of one week tell little of how weeks differ
    assert len(still) >= 10
    assert len(moved) >= 10
    assert np.mean(still) <= 0.15
    assert np.mean(moved) >= 0.25
    assert np.mean(moved) > 2 * np.mean(still)


# ------------------------------------------------------------------------------------------------ latency
def timed(recordings: Path, host: str) -> Array:
    """Rows: total seconds, and whether the call failed; a failed one is as slow as can be."""
    rows = [row for row in rows_of(recordings, "latency") if row["host"] == host]
    slow = [np.inf if row["error_code"] is not None else row["total_s"] for row in rows]
    failed = [float(row["error_code"] is not None) for row in rows]
    return np.column_stack([np.where(np.isfinite(slow), slow, 1e6), failed])


def hosts(recordings: Path) -> list[str]:
    return sorted({row["host"] for row in rows_of(recordings, "latency")})


def test_hosts_are_told_apart_and_halves_of_one_are_not(recordings: Path) -> None:
    names, policy = hosts(recordings), Policy(series=2)
    calls = {name: timed(recordings, name) for name in names}

    apart = [
        any(one.alarm for one in snapshots.compare(calls[a], calls[b], [True, False], policy, draws=500))
        for n, a in enumerate(names)
        for b in names[n + 1 :]
    ]
    halves = []
    for seed, name in enumerate(names * 3):
        mixed = np.random.default_rng(seed).permutation(calls[name])
        half = len(mixed) // 2
        found = snapshots.compare(mixed[:half], mixed[half:], [True, False], policy, draws=500, seed=seed)
        halves.append(any(one.alarm for one in found))

    assert np.mean(apart) >= 0.9
    assert np.mean(halves) <= 0.1


def test_failures_count_against_a_host(recordings: Path) -> None:
    # the same answers, but a fifth of the second file failed at once, which would look fast
    name = hosts(recordings)[0]
    calls = timed(recordings, name)
    calls = calls[calls[:, 1] == 0]
    failing = calls.copy()
    failing[::5] = (1e6, 1.0)

    found = snapshots.compare(calls, failing, [True, False], Policy(series=2), draws=500)

    assert all(one.alarm for one in found)
    assert all(one.shift > 0 for one in found)
