"""Kill -9 in the middle of an import: what was told to be stored is there, and importing again gives the same rows."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection

from ingestion import imports, verification
from ingestion.models import Batch
from projects.models import Project
from tests.ingestion.conftest import encoded, portkey_row

ROOT = Path(__file__).resolve().parents[2]
ROWS, CHUNK, KILLS = 3000, 20, 4
# rows with an id, rows known by their content, and one that cannot be read
LINES = [portkey_row(n, id=None if n % 7 == 0 else f"log-{n}", trace_id=f"t-{n % 40}") for n in range(ROWS)]


def rows_of(project: Project) -> set[tuple[object, ...]]:
    return set(project.logs.values_list("key", "version", "content_hash", "trace__key", "body__preview"))


def make(slug: str) -> Project:
    return Project.objects.create(slug=slug, name=slug.title(), hash_key="the same")


@pytest.mark.worker
def test_an_import_that_is_killed_and_done_again_ends_as_an_undisturbed_one(
    transactional_db: None, tmp_path: Path
) -> None:
    file = tmp_path / "logs.jsonl"
    file.write_bytes(b"".join(line + b"\n" for _, line in encoded(*LINES)) + b"{broken\n")
    undisturbed, killed = make("undisturbed"), make("killed")
    imports.import_file(undisturbed, file)
    moments = random.Random(20261102)  # noqa: S311  # when to kill is no secret

    for _ in range(KILLS):
        told = die(killed, file, after_s=moments.uniform(0.01, 0.2), folder=tmp_path)
        # what a beat told is committed; one more chunk may be
        assert CHUNK * told <= killed.logs.count() + killed.set_aside.count() or told == 0
        assert verification.verify(killed).findings == []
    assert 0 < killed.logs.count() < ROWS
    again = imports.import_file(killed, file)

    assert rows_of(killed) == rows_of(undisturbed)
    assert again.added + again.already_there == ROWS
    assert killed.set_aside.count() == 1
    assert verification.verify(killed).findings == []
    numbers = list(Batch.objects.filter(project=killed).order_by("number").values_list("number", flat=True))
    assert numbers == list(range(1, len(numbers) + 1))


def die(project: Project, file: Path, *, after_s: float, folder: Path) -> int:
    """Let a process import and kill it some time after its first chunk; how many chunks of new rows it told of."""
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.worker_settings",
        "TEST_DATABASE_NAME": str(connection.settings_dict["NAME"]),
        "TEST_STATUS_FOLDER": str(folder),
        "AGENTOPT_ENCRYPTION_KEYS": ",".join(settings.AGENTOPT_ENCRYPTION_KEYS),
    }
    command = [sys.executable, "-m", "tests.flows.importer", project.slug, str(file)]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as victim:
        assert victim.stdout is not None
        assert victim.stdout.readline() == "going\n"
        time.sleep(after_s)
        victim.kill()
        rest = victim.stdout.read()
        assert "done" not in rest
        return 1 + rest.count("going\n")
