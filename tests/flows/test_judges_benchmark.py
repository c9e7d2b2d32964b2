"""`python -m benchmarks.judges`: cards of recorded judges, equal to what other packages make of the same rows."""

import gzip
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import cohens_kappa
from statsmodels.stats.proportion import proportion_confint

ROOT = Path(__file__).resolve().parent.parent.parent


def _run(folder: Path) -> Any:
    command = [sys.executable, "-m", "benchmarks.judges", "--recordings", str(folder), "--draws", "40", "--json"]
    return json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout)


def _pair(number: int, human: str, forth: str | None, back: str | None) -> dict[str, Any]:
    said = [{"judge": "owl", "strategy": "plain", "swapped": swapped, "winner": winner, "text": ""}
            for swapped, winner in ((False, forth), (True, back))]  # fmt: skip
    return {"pair_id": number, "source": "invented", "human": [human] * 3, "human_majority": human, "verdicts": said}


def test_a_card_counts_what_judge_and_people_said(tmp_path: Path) -> None:
    # 24 of 32 as people; with the order turned it always takes the other answer in the 8 that it gets wrong
    pairs = [_pair(i, "ab"[i % 2], "ab"[i % 2] if i < 24 else "ab"[(i + 1) % 2], "ab"[i % 2]) for i in range(32)]
    pairs.append(_pair(32, "a", None, "a"))
    (tmp_path / "pairs_human.jsonl").write_text("\n".join(json.dumps(pair) for pair in pairs), encoding="utf-8")

    found = _run(tmp_path)["pairs"]

    card = found["cards"]["invented: owl, plain"]
    assert card["confusion"] == [[12, 4], [4, 12]]
    assert card["kappa"]["value"] == 0.5
    assert card["orders"]["n"] == 32
    assert card["orders"]["unread"] == 1
    assert card["orders"]["consistent"][0] == 0.75
    assert found["people"]["alpha"]["value"] == 1.0


def test_a_folder_without_recordings_is_refused(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.judges", "--recordings", str(tmp_path)]

    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert ended.returncode == 1
    assert "none of the files" in ended.stderr


def test_kappa_and_order_consistency_of_real_judges_are_those_of_other_packages(recordings: Path) -> None:
    found = _run(recordings)["pairs"]["cards"]
    lines = gzip.decompress((recordings / "pairs_human.jsonl.gz").read_bytes()).decode().splitlines()
    rows = [json.loads(line) for line in lines]

    assert len(found) == 10
    for name, card in found.items():
        source, _, judge = name.partition(": ")
        own = [row for row in rows if row["source"] == source]
        said = {swapped: [_winner(row, judge, swapped=swapped) for row in own] for swapped in (False, True)}
        both = [(a, row["human_majority"]) for a, row in zip(said[False], own, strict=True) if a]
        theirs = cohens_kappa(np.array(card["confusion"]))
        half = 1.959963984540054 * math.sqrt(theirs.var_kappa)
        assert card["n"] == len(both)
        assert card["kappa"]["value"] == pytest.approx(cohen_kappa_score(*zip(*both, strict=True)), abs=5e-5)
        assert card["kappa"]["low"] == pytest.approx(theirs.kappa - half, abs=5e-5)
        assert card["kappa"]["high"] == pytest.approx(theirs.kappa + half, abs=5e-5)
        turned = [(a, b) for a, b in zip(said[False], said[True], strict=True) if a and b]
        if not turned:
            assert card["orders"] is None
            continue
        same = sum(a == b for a, b in turned)
        low, high = proportion_confint(same, len(turned), method="wilson")
        assert card["orders"]["consistent"] == pytest.approx([same / len(turned), low, high], abs=5e-5)


def _winner(row: dict[str, Any], judge: str, *, swapped: bool) -> str | None:
    said = [v for v in row["verdicts"] if f"{v['judge']}, {v['strategy']}" == judge and v["swapped"] is swapped]
    return said[0]["winner"] if said else None


def test_real_judges_near_chance_are_called_so_and_a_change_of_judge_is_seen(recordings: Path) -> None:
    found = _run(recordings)

    runs, changes = found["runs"], found["changes_of_judge"]

    assert sum(card["why"].startswith("near chance") for card in runs.values()) >= 2
    assert not any(card["fitness"] == "fit" for card in runs.values())
    same = {name: change["verdict"] for name, change in changes.items() if name.count("gpt-4o") == 2}
    other = {name: change["verdict"] for name, change in changes.items() if name.count("gpt-4o") == 1}
    assert set(same.values()) == {"same"}  # one judge, two runs
    assert set(other.values()) == {"moved"}
