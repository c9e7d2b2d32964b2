"""How far recorded judges agree with people: `python -m benchmarks.judges --recordings DIR [--draws N] --json`.

DIR holds files of the schema of the recorded data, gzip or not: `pairs_human` (two answers, people's votes, judges in
both orders), `agent_verdicts` (a judge's pass or fail beside the true reward) and `two_judges_scores` (the same answers
scored by two judges). Prints one accuracy card for each judge, its consistency over both orders, people's agreement
with each other, what a change of the judge does to the scores, and how much nearer the labeling queue comes to the
judges' mean error than labels in random order, by `--draws` drawn queues.
"""

import argparse
import gzip
import json
import math
import platform
import random
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.statistics import agreement, fitness, judge_shift, labeling
from evaluation.statistics.agreement import Coefficient

Rows = list[dict[str, Any]]
# The judge was asked for pass or fail and did not always obey; anything that is none of these stays unscored.
PASS, FAIL = {"pass", "satisfied", "satisfactory", "compliant"}, {"fail"}
SCALE = 9  # scores from 1 to 10
LABELS = (15, 30, 60)
_VOTES = {"a": -0.5, "tie": 0.0, "b": 0.5}  # a difference of two scores in [0, 1]


def read(directory: Path, name: str) -> Rows:
    """The rows of a recorded file; none where it is not there."""
    for path in (directory / f"{name}.jsonl", directory / f"{name}.jsonl.gz"):
        if path.exists():
            raw = path.read_bytes()
            text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode()
            return [json.loads(line) for line in text.splitlines() if line.strip()]
    return []


# ------------------------------------------------------------------------------------------------ figures as JSON
def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, Mapping):
        return {name: _rounded(one) for name, one in value.items()}
    return [_rounded(one) for one in value] if isinstance(value, list | tuple) else value


def _coefficient(found: Coefficient | None) -> Any:
    return None if found is None else _rounded(asdict(found))


def card_json(card: fitness.Card) -> dict[str, Any]:
    """A card as one object."""
    return {
        "n": card.n,
        "categories": list(card.table.categories),
        "confusion": [list(row) for row in card.table.counts],
        "raw": _rounded(card.table.raw),
        "base_rate": _rounded(card.table.base_rate),
        "kappa": _coefficient(card.kappa),
        "fitness": card.fitness,
        "why": card.text,
        "labels_to_settle": card.to_settle,
    }


# ------------------------------------------------------------------------------------------------ pairs
def winners(pairs: Rows, *, judge: str, strategy: str, swapped: bool) -> list[str | None]:
    """Whom a judge preferred in one order, pair by pair."""
    found: list[str | None] = []
    for pair in pairs:
        said = [
            v["winner"]
            for v in pair["verdicts"]
            if (v["judge"], v["strategy"], v["swapped"]) == (judge, strategy, swapped)
        ]
        found.append(said[0] if said else None)
    return found


def of_pairs(pairs: Rows) -> dict[str, Any]:
    """Judges against the majority of people, and both orders against each other."""
    cards = {}
    keys = sorted({(pair["source"], v["judge"], v["strategy"]) for pair in pairs for v in pair["verdicts"]})
    for source, judge, strategy in keys:
        own = [pair for pair in pairs if pair["source"] == source]
        forth = winners(own, judge=judge, strategy=strategy, swapped=False)
        back = winners(own, judge=judge, strategy=strategy, swapped=True)
        card = fitness.card(forth, [pair["human_majority"] for pair in own], categories=("a", "b"))
        orders = agreement.order_consistency(forth, back) if any(back) else None
        cards[f"{source}: {judge}, {strategy}"] = {
            **card_json(card),
            "orders": None if orders is None else _rounded(asdict(orders)),
        }
    votes = [pair["human"] for pair in pairs if pair["human"]]
    table = agreement.confusion([v[0] for v in votes], [v[1] for v in votes])
    return {
        "cards": cards,
        "people": {
            "alpha": _coefficient(agreement.alpha(votes, scale="nominal")),
            "kappa_of_two": _coefficient(agreement.kappa(table)),
        },
    }


# ------------------------------------------------------------------------------------------------ the queue
def residuals(pairs: Rows, judge: str) -> dict[str, tuple[float, float]]:
    """By pair: what a judge said of it in all orders and strategies, and how far people were from that."""
    found = {}
    for pair in pairs:
        said = [_VOTES[v["winner"]] for v in pair["verdicts"] if v["judge"] == judge and v["winner"]]
        if said and pair["human_majority"]:
            judged = sum(said) / len(said)
            found[str(pair["pair_id"])] = (judged, _VOTES[pair["human_majority"]] - judged)
    return found


def queue_gain(found: Mapping[str, tuple[float, float]], labels: int, *, draws: int) -> dict[str, float]:
    """Mean squared error of the mean residual from so many labels: by the queue, over that in random order."""
    truth = sum(rest for _, rest in found.values()) / len(found)
    errors: dict[str, list[float]] = defaultdict(list)
    for seed in range(draws):
        keys = sorted(found)
        random.Random(seed).shuffle(keys)  # noqa: S311  # a benchmark's draw
        queue = labeling.order({key: judged for key, (judged, _) in found.items()}, seed=seed)
        for name, order in (("random", keys), ("queue", queue)):
            errors[name].append(sum(found[key][1] for key in order[:labels]) / labels - truth)
    mean = {name: math.fsum(e * e for e in each) / draws for name, each in errors.items()}
    return {"labels": labels, "of": len(found), "ratio": round(mean["queue"] / mean["random"], 3)}


def of_queue(pairs: Rows, *, draws: int) -> Iterator[dict[str, Any]]:
    """The queue against random order, judge by judge."""
    for source, judge in sorted({(pair["source"], v["judge"]) for pair in pairs for v in pair["verdicts"]}):
        found = residuals([pair for pair in pairs if pair["source"] == source], judge)
        for labels in LABELS:
            if labels <= len(found) / 2:
                yield {"judge": f"{source}: {judge}", **queue_gain(found, labels, draws=draws)}


# ------------------------------------------------------------------------------------------------ runs and scores
def of_runs(rows: Rows) -> dict[str, Any]:
    """A judge of whole runs against their true reward, by its instruction."""
    cards = {}
    for instruction in sorted({row["instruction"] for row in rows}):
        own = [row for row in rows if row["instruction"] == instruction]
        said = ["pass" if v in PASS else "fail" if v in FAIL else None for v in (row["verdict"] for row in own)]
        truth = ["pass" if row["reward"] else "fail" for row in own]
        cards[instruction] = card_json(fitness.card(said, truth, categories=("pass", "fail")))
    return cards


def of_scores(rows: Rows) -> dict[str, Any]:
    """Each scoring of the same answers against each other one, as a change of the judge."""
    scores: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    for row in rows:
        scores[row["model"], row["item"]][f"{row['judge']} ({row['run']})"] = (row["score"] - 1) / SCALE
    judges = sorted({judge for own in scores.values() for judge in own})
    return {
        f"{before} → {after}": shift_json(
            [own for own in scores.values() if before in own and after in own], before, after
        )
        for i, before in enumerate(judges)
        for after in judges[i + 1 :]
    }


def shift_json(anchors: Sequence[Mapping[str, float]], before: str, after: str) -> dict[str, Any]:
    """What the change from one judge to another does on the answers that both scored."""
    found = judge_shift.compare([own[before] for own in anchors], [own[after] for own in anchors])
    return dict(_rounded(asdict(found)))


def main() -> int:
    """Print the cards; exit 1 where there is no recorded file at all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recordings", type=Path, required=True)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--json", action="store_true", help="one JSON object on one line")
    asked = parser.parse_args()
    pairs, runs, scores = (read(asked.recordings, n) for n in ("pairs_human", "agent_verdicts", "two_judges_scores"))
    if not (pairs or runs or scores):
        print(f"{asked.recordings} holds none of the files this reads", file=sys.stderr)
        return 1
    report = {
        "machine": {"platform": platform.platform(), "python": platform.python_version(), "numpy": np.__version__},
        "rule": fitness.RULE,
        "pairs": of_pairs(pairs),
        "queue": list(of_queue(pairs, draws=asked.draws)),
        "runs": of_runs(runs),
        "changes_of_judge": of_scores(scores),
    }
    print(json.dumps(report, indent=None if asked.json else 2, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
