"""From recorded answers of models to a recommendation: the benchmark as people run it, in a process of its own."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
INVENTED = ROOT / "tests/data/recordings"


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with tables and nothing in it: making them takes most of the time of a run."""
    if os.environ.get("TEST_TABLES"):
        return Path(os.environ["TEST_TABLES"])
    folder = tmp_path_factory.mktemp("migrated")
    database = folder / "empty.sqlite3"
    environment = {
        **os.environ, "DJANGO_SETTINGS_MODULE": "agentopt.settings", "AGENTOPT_ENV_FILE": os.devnull,
        "DATA_DIR": str(folder), "DATABASE_URL": f"sqlite:///{database}",
    }  # fmt: skip
    command = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, timeout=300)
    return database


@pytest.fixture
def own(migrated: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copy(migrated, tmp_path / "own.sqlite3"))


def _run(folder: Path, *arguments: str, db: Path | None = None) -> bytes:
    if db is not None:
        arguments = (*arguments, "--db", str(db))
    command = [sys.executable, "-m", "benchmarks.recorded", "--recordings", str(folder), *arguments, "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, timeout=900)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def _verdicts(found: dict[str, Any]) -> dict[str, str]:
    return {row["model"]: row["verdict"] for row in found["candidates"]}


def test_the_better_of_two_invented_models_is_recommended(own: Path) -> None:
    found = json.loads(_run(INVENTED, "--set", "qa", "--baseline", "dim-0", db=own))

    assert found["recommendation"] == "bright-2"
    assert found["confidence"] >= 0.7
    assert found["reasons"][0] == "all_conditions_shown"
    assert {"safety_not_measured", "cost_unknown", "latency_unknown"} <= set(found["reasons"])
    assert _verdicts(found)["bright-2"] == "recommended"
    assert found["model_calls"] > 0
    assert found["judge_calls"] > 0


def test_labels_of_the_first_prompts_count_in_a_second_evaluation_that_asks_no_model_again(own: Path) -> None:
    found = json.loads(_run(INVENTED, "--set", "qa", "--baseline", "dim-0", "--labels", "12", db=own))

    # the baseline and two candidates answered the prompts that rank, and no candidate more of the first 12
    assert found["labels"] == 3 * 12
    assert found["before_labels"]["model_calls"] > 0
    assert found["model_calls"] == 0
    assert found["recommendation"] == found["before_labels"]["recommendation"] == "bright-2"


def test_the_best_invented_model_stays(own: Path) -> None:
    found = json.loads(_run(INVENTED, "--set", "qa", "--baseline", "bright-2", db=own))

    assert found["recommendation"] is None
    assert "recommended" not in _verdicts(found).values()


def test_eight_prompts_are_too_few_and_nothing_is_paid(own: Path) -> None:
    found = json.loads(_run(INVENTED, "--set", "chat", "--baseline", "dim-0", db=own))

    assert (found["recommendation"], found["reasons"][0]) == (None, "too_few_prompts")
    assert (found["model_calls"], found["judge_calls"]) == (0, 0)


def test_the_same_seed_prints_the_same_bytes_and_a_kept_database_calls_no_model_again(own: Path) -> None:
    asked = ("--set", "qa", "--baseline", "plain-1", "--seed", "3")

    fresh, first, second = _run(INVENTED, *asked), _run(INVENTED, *asked, db=own), _run(INVENTED, *asked, db=own)

    assert fresh == first
    no_calls = {"model_calls": 0, "judge_calls": 0}
    assert json.loads(second) == {**json.loads(first), **no_calls}


def test_an_unknown_model_is_refused_with_those_there_are() -> None:
    command = [sys.executable, "-m", "benchmarks.recorded", "--recordings", str(INVENTED), "--set", "qa"]

    done = subprocess.run([*command, "--baseline", "nope"], cwd=ROOT, capture_output=True, check=False, text=True)

    assert done.returncode != 0
    assert "There are: bright-2, dim-0, plain-1" in done.stderr


@pytest.mark.parametrize(
    ("name", "baseline"),
    [("chat", "palm-2-chat-bison-001"), ("qa", "gpt-3.5-turbo-0125"), ("segment", "Mistral-7B-Instruct-v0.1")],
)
def test_a_weak_real_model_is_replaced_by_one_that_scores_more_over_the_whole_set(
    recordings: Path, own: Path, name: str, baseline: str
) -> None:
    from benchmarks.recorded import scores

    found = json.loads(_run(recordings, "--set", name, "--baseline", baseline, db=own))

    means = scores(recordings, name)
    assert means[found["recommendation"]] > means[baseline]


@pytest.mark.parametrize(
    ("name", "baseline"),
    [("chat", "gpt-4-0314"), ("qa", "Meta-Llama-3.1-405B-Instruct"), ("segment", "gemini-1.5-flash-002")],
)
def test_the_strongest_real_model_stays(recordings: Path, own: Path, name: str, baseline: str) -> None:
    found = json.loads(_run(recordings, "--set", name, "--baseline", baseline, db=own))

    assert found["recommendation"] is None
