"""The figures and tables of the decision's page."""

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks import decision, decision_figures

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def found() -> dict[str, object]:
    shown = {name: decision.METHODS[name] for name in decision_figures.SHOWN}
    return {"runs": 12, "seed": 2, "methods": decision.report(decision.simulate(12, seed=2, methods=shown))}


def test_the_command_draws_two_figures_and_prints_the_tables(tmp_path: Path, found: dict[str, object]) -> None:
    file = tmp_path / "runs.json"
    file.write_text(json.dumps(found), encoding="utf-8")

    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.decision_figures", str(file), "--into", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    for name in ("decision_reliability.svg", "decision_methods.svg"):
        assert ElementTree.fromstring((tmp_path / name).read_text(encoding="utf-8")).tag.endswith("svg")  # noqa: S314  # our own file
    for line in done.stdout.splitlines():
        assert not line or line.startswith("|")
    for name in decision_figures.SHOWN:
        assert f"| {name} | 12 |" in done.stdout


def test_a_band_without_recommendations_is_not_drawn() -> None:
    nothing = {"from": 0.7, "to": 0.8, "issued": 0, "stated": None, "right": None, "right_interval": None}
    method = {"method": decision_figures.OURS, "reliability": [nothing]}

    assert decision_figures.reliability([method]).count("<circle") == len(decision_figures.SHOWN)  # of the legend
