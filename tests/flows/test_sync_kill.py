"""Kill -9 in the middle of a pull, again and again: the rows are those of an undisturbed one."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection

from agentopt.sandbox.server import running
from ingestion.gateway import open_gateway
from ingestion.models import LogBody, SyncRun
from ingestion.sync import pull
from projects.models import Privacy, Project, User
from projects.services import create_project

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
SINCE = NOW - timedelta(days=4)
SEEDS = range(20261101, 20261101 + 14)
COLUMNS = (
    "source_id", "version", "occurred_at", "model", "status", "input_tokens", "output_tokens", "cost_nanousd",
    "latency_us", "trace__key",
)  # fmt: skip


@pytest.mark.worker
@pytest.mark.parametrize("privacy", [Privacy.FULL, Privacy.REDACTED])
def test_a_pull_that_is_killed_many_times_stores_what_an_undisturbed_one_does(
    transactional_db: None, owner: User, tmp_path: Path, privacy: str
) -> None:
    with running(now=NOW) as sandbox:
        undisturbed, killed = (connected(name, owner, sandbox.url, privacy) for name in ("Undisturbed", "Killed"))
        pull(
            undisturbed, since=SINCE, until=None, gateway=open_gateway(undisturbed.connection), now=NOW,
            beat=lambda **_: None,
        )  # fmt: skip
        victim = pull_under_fire(killed, tmp_path)

    assert victim.returncode == 0
    assert int(victim.stdout) >= len(SEEDS) // 2  # the last ones may find nothing left to do
    assert stored(killed) == stored(undisturbed)
    assert len(stored(killed)) > 100
    assert set(killed.sync_runs.values_list("state", flat=True)) == {SyncRun.State.DONE}
    assert killed.sync_runs.count() > 1
    assert list((tmp_path / "exports").glob("*")) == []


def connected(name: str, owner: User, url: str, privacy: str) -> Project:
    project = create_project(name, owner=owner, privacy=privacy)
    project.connection.base_url, project.connection.api_key = url, "sandbox-returns"
    project.connection.save()
    return project


def pull_under_fire(project: Project, folder: Path) -> "subprocess.CompletedProcess[str]":
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.worker_settings",
        "TEST_DATABASE_NAME": str(connection.settings_dict["NAME"]),
        "TEST_STATUS_FOLDER": str(folder),
        "TEST_DATA_DIR": str(folder),
        "AGENTOPT_ENCRYPTION_KEYS": ",".join(settings.AGENTOPT_ENCRYPTION_KEYS),
    }
    command = [sys.executable, "-m", "tests.flows.sync_victim", str(project.pk), SINCE.isoformat(), NOW.isoformat()]
    return subprocess.run(
        [*command, *map(str, SEEDS)], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=False
    )


def stored(project: Project) -> list[Any]:
    rows = {row[0]: row for row in project.logs.values_list("pk", *COLUMNS)}
    bodies = LogBody.objects.filter(record__project=project).values_list("pk", "request", "response")
    return sorted((*rows[pk][1:], request, response) for pk, request, response in bodies)
