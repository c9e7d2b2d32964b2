"""Drift: false alarms a year on stationary traffic, days to detection, and file against file.

    python -m benchmarks.drift [--years Y] [--runs N] [--calls-a-day C] [--seed S] [--json]
    python -m benchmarks.drift --snapshots FILE [--halves D] [--error E] [--json]

The first plants shifts into simulated traffic with daily and weekly cycles (conversations of one to six calls, eight
series, a reference of 28 days) and runs the product's detector over it, beside a Kolmogorov-Smirnov test of each day
against the reference, at 5 % and with Bonferroni's correction over series. The second reads a file like
`shared/data/drift` (JSON lines, gzip or not) and compares each task's and family's later snapshot with its earlier one
by the product's own snapshot check. One error, 0.05 by default, holds over all series of the file: all of them go into
one check together. `halves` splits the earlier snapshots at random, D times, and counts the splits with any alarm.
"""

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from benchmarks import drift_files
from benchmarks.drift_files import METRICS
from recommendations.drift import detectors, references, snapshots
from recommendations.drift.scales import Array, Policy, View

AMOUNTS = {"latency_s", "cost_usd", "completion_tokens"}
REFERENCE_DAYS, WATCHED_DAYS = 28, 90
SERIES: tuple[tuple[str, View], ...] = (
    ("quality", "share"), ("failed", "share"), ("refused", "share"), ("mix", "share"),
    ("latency", "rank"), ("latency", "size"), ("cost", "rank"), ("cost", "size"),
)  # fmt: skip
SHIFTS: dict[str, dict[str, float]] = {
    "quality -0.03": {"quality": -0.03}, "quality -0.06": {"quality": -0.06},
    "latency +10 %": {"latency": 1.1}, "latency +30 %": {"latency": 1.3},
    "errors 1 to 2 %": {"failed": 0.02}, "refusals 5 to 8 %": {"refused": 0.08}, "mix +10 points": {"mix": 0.4},
}  # fmt: skip


# ------------------------------------------------------------------------------------------------ file against file
def _earlier(rows: list[dict[str, Any]]) -> dict[tuple[str, str], tuple[str, str]]:
    """The earlier and the later snapshot of each task and family, by their names: dated names sort by date."""
    found: dict[tuple[str, str], set[str]] = {}
    for row in rows:
        found.setdefault((row["task"], row["family"]), set()).add(row["snapshot"])
    return {group: (min(names), max(names)) for group, names in sorted(found.items()) if len(names) > 1}


def _table(rows: list[dict[str, Any]], groups: list[tuple[str, str]], picked: list[str]) -> Array:
    """A row for each query, four columns for each group; a query of another task has none."""
    keys = sorted({(row["task"], row["query_id"]) for row in rows})
    places, columns = {key: n for n, key in enumerate(keys)}, {group: n for n, group in enumerate(groups)}
    sums, counts = np.zeros((len(keys), 4 * len(groups))), np.zeros((len(keys), 4 * len(groups)))
    for row in rows:
        group = (row["task"], row["family"])
        if group not in columns or row["snapshot"] != picked[columns[group]]:
            continue
        for k, metric in enumerate(METRICS):
            value = row.get(metric)
            if value is not None:
                place = places[row["task"], row["query_id"]], 4 * columns[group] + k
                sums[place] += float(value)
                counts[place] += 1
    with np.errstate(invalid="ignore"):
        table = np.asarray(sums / counts)
    return table[np.isfinite(table).any(1)]


def compare_file(path: Path, *, halves: int, error: float, seed: int) -> dict[str, Any]:
    """The issue's object: each series of the file, and how often halves of the earlier snapshots raise an alarm."""
    try:
        rows = drift_files.read(path)
    except (OSError, ValueError) as wrong:
        raise SystemExit(f"{path}: {getattr(wrong, 'strerror', None) or wrong}") from wrong
    pairs = _earlier(rows)
    if not pairs:
        raise SystemExit(f"{path}: no task and family with two snapshots")
    groups = list(pairs)
    before = _table(rows, groups, [pairs[group][0] for group in groups])
    after = _table(rows, groups, [pairs[group][1] for group in groups])
    if min(len(before), len(after)) < 2:
        raise SystemExit(f"{path}: each snapshot needs two queries at least; there are {len(before)} and {len(after)}")
    amount = [metric in AMOUNTS for _ in groups for metric in METRICS]
    policy = Policy(series=len(amount))
    found = snapshots.compare(before, after, amount, policy, error=error, seed=seed)
    checks = [
        {
            "task": group[0],
            "family": group[1],
            "metric": metric,
            "before": _mean(before[:, 4 * g + k]),
            "after": _mean(after[:, 4 * g + k]),
            "direction": _direction(found[4 * g + k]),
            "alarm": found[4 * g + k].alarm,
            "view": found[4 * g + k].view,
            "shift": found[4 * g + k].shift,
            "p": found[4 * g + k].p,
        }
        for g, group in enumerate(groups)
        for k, metric in enumerate(METRICS)
    ]
    alarms = sum(_any_alarm(before, amount, policy, error=error, seed=seed + 1 + n) for n in range(halves))
    return {
        "checks": checks,
        "halves": {"splits": halves, "any_alarm": alarms},
        "error": {"stated": error, "over": "all series of the file together", "series": len(amount)},
        "snapshots": [{"task": t, "family": f, "before": a, "after": b} for (t, f), (a, b) in pairs.items()],
        "method": "rows change places, step-down over the largest difference beyond tolerance (Westfall & Young 1993)",
    }


def _mean(column: Array) -> float | None:
    known = column[np.isfinite(column)]
    return float(known.mean()) if known.size else None


def _said(level: float | None) -> str:
    return "not known" if level is None else f"{level:.6g}"


def _direction(found: snapshots.Difference) -> str:
    if not found.alarm:
        return "none"
    return "up" if found.shift > 0 else "down"


def _any_alarm(before: Array, amount: list[bool], policy: Policy, *, error: float, seed: int) -> bool:
    """Whether a random half of the earlier rows differs from the other."""
    order = np.random.default_rng(seed).permutation(len(before))
    half = len(before) // 2
    found = snapshots.compare(before[order[:half]], before[order[half:]], amount, policy, error=error, seed=seed)
    return any(one.alarm for one in found)


# ------------------------------------------------------------------------------------------------ simulated traffic
def traffic(days: int, *, conversations: float, rng: np.random.Generator, shift: dict[str, float], since: float) -> Any:
    """Conversations with daily and weekly cycles: (hours, values by metric); `shift` holds from hour `since` on.

    Calls of a conversation hang together; its value is the mean over its calls.
    """
    hours = np.arange(24 * days)
    rate = (1 + 0.6 * np.sin(2 * np.pi * (hours - 9) / 24)) * np.where(hours // 24 % 7 >= 5, 0.4, 1.24)
    at = np.repeat(hours, rng.poisson(conversations / 24 * rate)).astype(float)
    at += rng.random(at.size)
    at.sort()
    calls = rng.integers(1, 7, at.size)
    moved = at >= since
    day = np.sin(2 * np.pi * (at - 15) / 24)

    def now(name: str, usual: float, *, factor: bool = False) -> Array:
        if name not in shift:
            return np.full(at.size, usual)
        return np.where(moved, usual * shift[name] if factor else usual + shift[name], usual)

    def rate_of(name: str, usual: float, swing: float) -> Array:
        level = np.where(moved, shift.get(name, usual), usual) * (1 + swing * day)
        # half the variance between conversations, so the calls of one hang together
        own = rng.beta(np.maximum(4 * level, 1e-3), np.maximum(4 * (1 - level), 1e-3))
        return np.asarray(rng.binomial(calls, own) / calls)

    latency = now("latency", 2.0, factor=True) * np.exp(0.15 * day + rng.normal(0, 0.35, at.size))
    latency *= np.exp(rng.normal(0, 0.45, at.size) / np.sqrt(calls))
    cost = 0.004 * np.exp(0.1 * day + rng.normal(0, 0.7, at.size))
    quality = np.clip(now("quality", 0.8) + 0.02 * day + rng.normal(0, 0.2, at.size), 0, 1)
    return at, {
        "quality": quality, "latency": latency, "cost": cost, "failed": rate_of("failed", 0.01, 0.3),
        "refused": rate_of("refused", 0.05, 0.2), "mix": (rng.random(at.size) < rate_of("mix", 0.3, 0.2)).astype(float),
    }  # fmt: skip


def ours(at: Array, values: dict[str, Array], policy: Policy) -> list[float]:
    """Hours of alarms of the product's detector after the reference; it begins anew after each."""
    first, found = np.searchsorted(at, 24 * REFERENCE_DAYS), []
    for metric, view in SERIES:
        reference = references.learn(values[metric][:first], at[:first], view=view, policy=policy)
        threshold = references.log_threshold(reference, policy)
        x, when, state = references.scale(values[metric][first:], reference), at[first:], detectors.begin()
        while x.size:
            state, hit = detectors.advance(state, reference, x, when, threshold=threshold)
            if hit is None:
                break
            found.append(float(when[hit]))
            x, when, state = x[hit + 1 :], when[hit + 1 :], detectors.begin()
    return sorted(found)


def by_ks(level: float) -> Callable[[Array, dict[str, Array], Policy], list[float]]:
    """The plain way: each day against the reference, a test for each metric."""

    def run(at: Array, values: dict[str, Array], policy: Policy) -> list[float]:  # noqa: ARG001 — a detector as the others are
        first, found = np.searchsorted(at, 24 * REFERENCE_DAYS), []
        for day in range(REFERENCE_DAYS, int(at[-1] // 24)):
            start, end = np.searchsorted(at, [24 * day, 24 * (day + 1)])
            if end - start >= 8 and any(
                stats.ks_2samp(x[:first], x[start:end], method="asymp").pvalue <= level for x in values.values()
            ):
                found.append(24.0 * (day + 1))
        return found

    return run


METHODS: dict[str, Callable[[Array, dict[str, Array], Policy], list[float]]] = {
    "ours": ours, "ks 5 %": by_ks(0.05), "ks Bonferroni": by_ks(0.05 / 6),
}  # fmt: skip


def stationary(years: float, *, conversations: float, seed: int) -> dict[str, Any]:
    """Alarms where nothing moved, with the 95 % upper bound of a Poisson rate."""
    lives = max(1, round(years * 365 / 365))
    counts = dict.fromkeys(METHODS, 0)
    for life in range(lives):
        rng = np.random.default_rng([seed, life])
        at, values = traffic(REFERENCE_DAYS + 365, conversations=conversations, rng=rng, shift={}, since=np.inf)
        for name, method in METHODS.items():
            # the plain tests fire so often that one year in ten tells
            if name == "ours" or life % 10 == 0:
                counts[name] += len(method(at, values, Policy(series=len(SERIES))))
    out = {}
    for name, n in counts.items():
        seen = lives if name == "ours" else (lives + 9) // 10
        out[name] = {
            "years": seen,
            "alarms": n,
            "a_year": n / seen,
            "bound_95": float(stats.chi2.ppf(0.95, 2 * n + 2) / 2 / seen),
        }
    return out


def planted(runs: int, *, conversations: float, seed: int) -> dict[str, Any]:
    """Median days from a shift to the first alarm after it; None: most runs saw none within 90 days."""
    start = 24.0 * (REFERENCE_DAYS + 3)
    out: dict[str, Any] = {}
    for name, shift in SHIFTS.items():
        delays: dict[str, list[float]] = {method: [] for method in METHODS}
        for run in range(runs):
            rng = np.random.default_rng([seed, 1000 + run])
            days = REFERENCE_DAYS + 3 + WATCHED_DAYS
            at, values = traffic(days, conversations=conversations, rng=rng, shift=shift, since=start)
            for method, detect in METHODS.items():
                after = [hour for hour in detect(at, values, Policy(series=len(SERIES))) if hour > start]
                delays[method].append((after[0] - start) / 24 if after else np.inf)
        medians = {method: float(np.median(found)) for method, found in delays.items()}
        out[name] = {method: value if np.isfinite(value) else None for method, value in medians.items()}
    return out


def simulate(options: argparse.Namespace) -> dict[str, Any]:
    """Both tables."""
    conversations = options.calls_a_day / 3.5
    began = time.process_time()
    return {
        "calls_a_day": options.calls_a_day,
        "stated_false_alarms_a_year": 1.0,
        "stationary": stationary(options.years, conversations=conversations, seed=options.seed),
        "runs": options.runs,
        "days_to_alarm": planted(options.runs, conversations=conversations, seed=options.seed),
        "cpu_s": round(time.process_time() - began, 1),
        "machine": {"python": platform.python_version(), "numpy": np.__version__, "processor": platform.machine()},
    }


# ------------------------------------------------------------------------------------------------ what is printed
def _lines(found: dict[str, Any]) -> Iterator[str]:
    if "checks" in found:
        for one in found["checks"]:
            mark = "ALARM" if one["alarm"] else "     "
            levels = f"{_said(one['before'])} -> {_said(one['after'])}"
            yield (
                f"{mark} {one['task']:<10} {one['family']:<16} {one['metric']:<18} "
                f"{levels} {one['direction']:<5} p {one['p']:.4f} ({one['view']})"
            )
        error, halves = found["error"], found["halves"]
        yield f"error {error['stated']} over {error['over']}; halves: {halves['any_alarm']} of {halves['splits']}"
        return
    for name, one in found["stationary"].items():
        yield f"{name:<16} {one['a_year']:.2f} alarms a year (at most {one['bound_95']:.2f}), {one['years']} years"
    for name, medians in found["days_to_alarm"].items():
        cells = (f"{method} {'-' if days is None else f'{days:.1f}'}" for method, days in medians.items())
        yield f"{name:<20} days: {', '.join(cells)}"


def main() -> None:
    """Print one object, or lines for people."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--snapshots", type=Path, help="file of dated snapshots to compare")
    parser.add_argument("--halves", type=int, default=0, help="random splits of the earlier snapshots")
    parser.add_argument("--error", type=float, default=snapshots.ERROR, help="chance of any false alarm in the file")
    parser.add_argument("--years", type=float, default=10)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--calls-a-day", type=float, default=200)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.halves < 0 or not 0 < options.error < 1:
        parser.error("--halves from 0 on, --error between 0 and 1")
    if options.snapshots:
        found = compare_file(options.snapshots, halves=options.halves, error=options.error, seed=options.seed)
    else:
        found = simulate(options)
    if options.json:
        json.dump(found, sys.stdout)
        print()
        return
    for line in _lines(found):
        print(line)


if __name__ == "__main__":
    main()
