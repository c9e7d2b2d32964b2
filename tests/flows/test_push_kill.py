"""Kill -9 of the site after it acknowledged: what was acknowledged is there."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.conf import settings
from django.db import connection

from projects import tokens
from projects.models import User
from projects.services import create_project
from tests.ingestion.conftest import portkey_row
from tests.ingestion.formats import spans

ROOT = Path(__file__).resolve().parents[2]
KILLS = 3


@pytest.mark.worker
def test_what_was_acknowledged_survives_the_end_of_every_process(
    transactional_db: None, owner: User, tmp_path: Path
) -> None:
    project = create_project("Kept", owner=owner)
    token = tokens.issue("shipper", project=project, scopes=["ingest"], by=owner).plain
    sent: list[str] = []
    for n in range(1, KILLS + 1):
        with site(tmp_path) as (address, kill):
            rows = [portkey_row(100 * n + i) for i in range(50)]
            pushed = post(f"{address}/api/v1/logs/{project.slug}", token, {"records": rows})
            span = spans.span({"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}, spanId=f"{n:016x}")
            exported = post(f"{address}/otlp/v1/traces", token, spans.request(span))
            kill()
        assert (pushed["added"], exported) == (50, {})
        sent += [row["id"] for row in rows] + [f"{spans.TRACE}-{n:016x}"]

    assert sorted(project.logs.values_list("source_id", flat=True)) == sorted(sent)


def post(address: str, token: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = httpx.post(address, json=body, headers={"Authorization": f"Bearer {token}"}, timeout=30)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


@contextmanager
def site(folder: Path) -> Iterator[tuple[str, Any]]:
    """The site as operations run it, on the test's database; `kill` ends all its processes at once."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{free.getsockname()[1]}"
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.worker_settings",
        "TEST_DATABASE_NAME": str(connection.settings_dict["NAME"]),
        "TEST_STATUS_FOLDER": str(folder),
        "AGENTOPT_ENCRYPTION_KEYS": ",".join(settings.AGENTOPT_ENCRYPTION_KEYS),
    }
    options = ["-b", host, "-k", "gthread", "-w", "2", "--no-control-socket", "--log-level", "error"]
    server = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "agentopt.wsgi", *options], cwd=ROOT, env=environment, start_new_session=True
    )

    def kill() -> None:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGKILL)  # a group of its own: the master and its workers, nobody else
            server.wait(30)

    try:
        wait_for(host)
        yield f"http://{host}", kill
    finally:
        kill()


def wait_for(host: str) -> None:
    for _ in range(300):
        try:
            if httpx.get(f"http://{host}/healthz", timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    pytest.fail("The site did not come up.")
