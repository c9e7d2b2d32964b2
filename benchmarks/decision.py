"""How often the engine and its rivals are right, find what is there, and how many answers they pay: truth is known.

    python -m benchmarks.decision [--runs N] [--seed S] [--json]

Simulated worlds of forty families (benchmarks/worlds.py) with 1, 3 and 8 candidates in turn; every method decides on
the same samples. 600 runs take a few minutes of one core. docs/algorithms/decision.md shows a larger run.
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy is loaded: what is timed is one core

import dataclasses
import importlib.metadata

import numpy as np

from benchmarks import anchors, worlds
from benchmarks.anchors import Verdict
from evaluation.statistics import intervals
from evaluation.statistics.decision import Policy, Samples, decide
from evaluation.statistics.policy import level_of

LIMIT, SMALL = 300, 100
BANDS = ((0.7, 0.8), (0.8, 0.9), (0.9, 0.95), (0.95, 1.0))
_PEEKS = (20, 30, 50, 75, 100)
POLICY = Policy()
Method = Callable[[Samples, worlds.World], Verdict]


def _engine(samples: Samples, *, limit: int) -> Verdict:
    found = decide(samples, POLICY, total=limit)
    return Verdict(found.recommended, found.confidence, found.candidate_answers, len(found.looks))


def _engine_with(*means: str) -> Method:
    """The engine where these means of the baseline over the whole log are known."""

    def method(samples: Samples, world: worlds.World) -> Verdict:
        return _engine(dataclasses.replace(samples, baseline=world.baseline_means(*means)), limit=LIMIT)

    return method


METHODS: dict[str, Method] = {
    "compare averages, n = 100": lambda s, _: anchors.averages(s, POLICY, n=SMALL),
    "paired t-test 5 %, n = 100": lambda s, _: anchors.t_tests(s, POLICY, n=SMALL),
    "paired bootstrap 0.7, peeking": lambda s, _: anchors.peeking_bootstrap(s, POLICY, looks=_PEEKS),
    "textbook (clustered t, 10 % / k), n = 200": lambda s, _: anchors.t_tests(
        s, POLICY, n=200, alpha=0.1, clustered=True
    ),
    "textbook (clustered t, 10 % / k), n = 300": lambda s, _: anchors.t_tests(
        s, POLICY, n=LIMIT, alpha=0.1, clustered=True
    ),
    "agentopt, at most 100": lambda s, _: _engine(s, limit=SMALL),
    "agentopt, at most 300": lambda s, _: _engine(s, limit=LIMIT),
    "agentopt, at most 300, logs known": _engine_with("cost", "answered"),
    "agentopt, at most 300, logs judged": _engine_with("cost", "answered", "quality"),
}


@dataclass(frozen=True)
class Run:
    """One world, one method."""

    method: str
    setting: str
    mix: str
    candidates: int
    there_is_one: bool  # an acceptable candidate
    issued: bool
    right: bool
    stated: float
    answers: float  # per candidate

    @property
    def family(self) -> str:
        """Name of the family."""
        return f"{self.setting}: {self.mix}"


def simulate(runs: int, *, seed: int, methods: dict[str, Method]) -> list[Run]:
    """Decide so many worlds by every method; the same seed makes the same worlds."""
    families = worlds.families()
    found = []
    for i in range(runs):
        rng = np.random.default_rng([seed, i])
        family, k = families[i % len(families)], worlds.CANDIDATES[i // len(families) % len(worlds.CANDIDATES)]
        world = worlds.make(family, rng, k)
        samples = world.sample(LIMIT, rng)
        ok = world.acceptable(POLICY)
        for name, method in methods.items():
            said = method(samples, world)
            right = said.recommended is not None and bool(ok[said.recommended - 1])
            found.append(
                Run(
                    name, family.setting.name, family.mix, k, bool(ok.any()), said.recommended is not None, right,
                    said.confidence, said.answers / k,
                )
            )  # fmt: skip
    return found


# ------------------------------------------------------------------------------------------------ the tables
def row(runs: Sequence[Run]) -> dict[str, Any]:
    """Return the columns of the table; shares of nothing are None."""
    issued = [run for run in runs if run.issued]
    right, possible = sum(run.right for run in issued), sum(run.there_is_one for run in runs)
    return {
        "runs": len(runs),
        "wrong": _share(len(issued) - right, len(runs)),
        "issued": len(issued),
        "right": _share(right, len(issued)),
        "right_interval": _interval(right, len(issued)),
        "stated": _mean(run.stated for run in issued),
        "possible": possible,
        "power": _share(right, possible),
        "power_interval": _interval(right, possible),
        "answers": _mean(run.answers for run in runs),
    }


def reliability(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Return what was right among the recommendations of each band of stated confidence."""
    found = []
    for low, high in BANDS:
        issued = [run for run in runs if run.issued and (low <= run.stated < high or run.stated == high == 1.0)]
        right = sum(run.right for run in issued)
        found.append({
            "from": low,
            "to": high,
            "issued": len(issued),
            "stated": _mean(run.stated for run in issued),
            "right": _share(right, len(issued)),
            "right_interval": _interval(right, len(issued)),
        })  # fmt: skip
    return found


def just_past(runs: Sequence[Run]) -> dict[str, Any]:
    """Return how often a model just past a bar was recommended, against the error level."""
    past = [run for run in runs if run.mix == "just past"]
    wrong = sum(run.issued for run in past)
    return {
        "runs": len(past),
        "wrong": _share(wrong, len(past)),
        "wrong_interval": _interval(wrong, len(past)),
        "alpha": round(level_of(POLICY.threshold, 0.2), 4),
    }


def _share(count: int, of: int) -> float | None:
    return round(count / of, 4) if of else None


def _interval(count: int, of: int) -> list[float] | None:
    if not of:
        return None
    found = intervals.wilson(count, of)
    return [round(found.low, 4), round(found.high, 4)]


def _mean(values: Iterable[float]) -> float | None:
    known = list(values)
    return round(float(np.mean(known)), 4) if known else None


def report(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Return the tables of every method."""
    found = []
    for method in dict.fromkeys(run.method for run in runs):
        own = [run for run in runs if run.method == method]
        found.append({
            "method": method,
            "total": row(own),
            "reliability": reliability(own),
            "just_past": just_past(own),
            "by_candidates": _split(own, lambda run: str(run.candidates)),
            "by_mix": _split(own, lambda run: run.mix),
            "by_setting": _split(own, lambda run: run.setting),
            "by_family": _split(own, lambda run: run.family),
        })  # fmt: skip
    return found


def _split(runs: Sequence[Run], key: Callable[[Run], str]) -> dict[str, dict[str, Any]]:
    return {name: row([run for run in runs if key(run) == name]) for name in dict.fromkeys(key(run) for run in runs)}


# ------------------------------------------------------------------------------------------------ the command
def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decision", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--runs", type=int, default=600, metavar="N", help="worlds; a multiple of 120 has all alike")
    parser.add_argument("--seed", type=int, default=11, metavar="S")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    if options.runs < 1:
        parser.error("--runs: must be at least 1")
    began = time.monotonic()
    methods = report(simulate(options.runs, seed=options.seed, methods=METHODS))
    found = {
        "runs": options.runs,
        "seed": options.seed,
        "limit": LIMIT,
        "policy": POLICY.to_json(),
        "methods": methods,
        "seconds": round(time.monotonic() - began, 1),
        "machine": platform.machine(),
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in ("numpy", "scipy")},
    }
    print(json.dumps(found, ensure_ascii=False) if options.json else text(found))


def text(found: dict[str, Any]) -> str:
    """Return the tables of section 8 of docs/algorithms/decision.md: totals, families, reliability."""
    head = f"{'':44} {'runs':>6} {'wrong':>7} {'right':>6} {'stated':>6} {'power':>6} {'answers':>7}"
    lines = [f"{found['runs']} simulated worlds, seed {found['seed']}, {found['seconds']} s", "", head]
    lines += [_line(method["method"], method["total"]) for method in found["methods"]]
    for method in found["methods"]:
        past = method["just_past"]
        rate, level = _percent(past["wrong"]), _percent(past["alpha"])
        lines += ["", f"{method['method']}: just past a bar {rate} of {past['runs']} recommended, error level {level}"]
        for band in method["reliability"]:
            low, high = band["right_interval"] or (None, None)
            lines.append(
                f"  stated {band['from']:.2f} to {band['to']:.2f}: {band['issued']} issued, stated"
                f" {_number(band['stated'])}, right {_number(band['right'])} [{_number(low)}, {_number(high)}]"
            )
        for group in ("by_candidates", "by_mix", "by_setting", "by_family"):
            lines += [_line(f"  {name}", columns) for name, columns in method[group].items()]
    return "\n".join(lines)


def _line(name: str, columns: dict[str, Any]) -> str:
    return (
        f"{name:44} {columns['runs']:6} {_percent(columns['wrong']):>7} {_number(columns['right']):>6}"
        f" {_number(columns['stated']):>6} {_number(columns['power']):>6} {columns['answers']:7.1f}"
    )


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    main()
