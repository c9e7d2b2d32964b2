"""`manage.py sandbox` serves until it is told to stop."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from django.core.management import CommandError, call_command

ROOT = Path(__file__).resolve().parent.parent.parent


def test_it_prints_its_address_and_keys_serves_and_stops_on_sigterm(tmp_path: Path) -> None:
    command = [sys.executable, "manage.py", "sandbox", "--port", "0", "--json"]
    environment = {**os.environ, "DATA_DIR": str(tmp_path)}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        health = httpx.get(said["url"].removesuffix("/v1") + "/sandbox/health").json()

        process.send_signal(signal.SIGTERM)

        assert process.wait(10) == 0
    assert said["keys"] == ["sandbox-support", "sandbox-returns", "sandbox-warranty", "sandbox-orders"]
    assert health == {"ok": True, "mode": "simulated", "seed": 7}


def test_an_unknown_fault_or_folder_is_refused_with_what_exists(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="slow-stream"):
        call_command("sandbox", "--fail", "nonsense:0.1")
    with pytest.raises(CommandError, match="holds no"):
        call_command("sandbox", "--recordings", str(tmp_path))
