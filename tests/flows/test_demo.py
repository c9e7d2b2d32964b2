"""The demo from nothing: sandbox, workers, three projects, three outcomes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


def manage(*arguments: str, folder: Path, timeout: float) -> "subprocess.CompletedProcess[str]":
    """Run a command as a person would, on a data folder of its own and on SQLite."""
    kept = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "DJANGO_SETTINGS_MODULE")}
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env={**kept, "DATA_DIR": str(folder), "AGENTOPT_ENV_FILE": os.devnull, "ALLOW_PRIVATE_ADDRESSES": "false"},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


@pytest.mark.worker
def test_the_demo_comes_out_as_expected_and_a_second_run_only_tells_it_again(tmp_path: Path) -> None:
    first = manage("demo", "--no-serve", "--json", folder=tmp_path, timeout=900)

    assert first.returncode == 0, first.stderr[-2000:]
    told = json.loads(first.stdout.strip().splitlines()[-1])
    kinds = [(project["project"], project["kind"], project["expected"]) for project in told["projects"]]
    assert kinds == [
        ("Support agent", "switch", True),
        ("Returns desk", "none", True),
        ("Order desk", "drift", True),
    ]

    again = manage("demo", "--no-serve", "--json", folder=tmp_path, timeout=300)
    reproduced = manage("reproduce", "1", "--json", folder=tmp_path, timeout=300)

    assert json.loads(again.stdout.strip().splitlines()[-1]) == told
    assert json.loads(reproduced.stdout)["identical"] is True
