"""Kill -9 at random moments: nothing is lost, only calls in flight are paid twice, the evidence is the same bytes."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection

from agentopt.sandbox.server import Sandbox, running
from evaluation.models import Claim, Evaluation, Replay, Verdict
from ingestion.gateway import open_gateway
from projects.models import Project, User
from projects.services import create_project
from tests.evaluation import studies
from tests.flows.evidence_bytes import bytes_of

ROOT = Path(__file__).resolve().parents[2]
KILLS = 5
IN_FLIGHT = 8


@pytest.mark.worker
def test_a_run_that_is_killed_five_times_ends_in_the_bytes_of_an_undisturbed_one(
    transactional_db: None, owner: User, tmp_path: Path
) -> None:
    moments = random.Random(20261101)  # noqa: S311  # when to kill is no secret
    with running(latency_ms=80) as sandbox:
        studied = [study_of(create_project(f"Copy {i}", owner=owner), sandbox, tmp_path) for i in range(2)]
        undisturbed, killed = studied
        studies.run_to_end(undisturbed, open_gateway(undisturbed.project.connection))
        sent = sandbox.chat_calls + sandbox.judge_calls

        deaths = sum(die(killed, after_s=moments.uniform(0.05, 0.5), folder=tmp_path) for _ in range(KILLS))
        assert die(killed, after_s=60, folder=tmp_path) is False
        sent = sandbox.chat_calls + sandbox.judge_calls - sent

    killed.refresh_from_db()
    assert deaths == KILLS
    assert killed.state == Evaluation.State.DONE
    assert studies.said(killed) == studies.said(undisturbed)  # looks and outcome, as pages show them
    assert bytes_of(killed) == bytes_of(undisturbed)
    # in flight, or back and not yet stored: at 80 ms a call, three rounds come back in the 250 ms of a batch
    assert sent - sum(calls_stored(killed)) <= KILLS * (1 + 4) * IN_FLIGHT


@pytest.mark.worker
def test_two_workers_at_once_end_in_the_bytes_of_one_alone(transactional_db: None, owner: User, tmp_path: Path) -> None:
    with running(latency_ms=60) as sandbox:
        studied = [study_of(create_project(f"Copy {i}", owner=owner), sandbox, tmp_path) for i in range(2)]
        alone, shared = studied
        studies.run_to_end(alone, open_gateway(alone.project.connection))

        sent = sandbox.chat_calls + sandbox.judge_calls
        with work(shared, tmp_path) as first, work(shared, tmp_path) as second:
            ends = [first.wait(90), second.wait(90)]
        sent = sandbox.chat_calls + sandbox.judge_calls - sent

    shared.refresh_from_db()
    assert ends == [0, 0]
    assert studies.said(shared) == studies.said(alone)
    assert bytes_of(shared) == bytes_of(alone)
    assert sent == sum(calls_stored(shared))  # no case was asked twice
    assert not Claim.objects.exists()


def calls_stored(evaluation: Evaluation) -> list[int]:
    """Requests that the stored answers and verdicts took."""
    return [
        *Replay.objects.filter(sample__evaluation=evaluation).values_list("calls", flat=True),
        *Verdict.objects.filter(replay__sample__evaluation=evaluation).values_list("calls", flat=True),
    ]


def study_of(project: Project, sandbox: Sandbox, folder: Path) -> Evaluation:
    """Three candidates before one judge."""
    project.hash_key = "the same for all copies"  # by it use cases are drawn, and by those the sample
    project.save()
    gateway = studies.connect(project, sandbox.url)
    studies.take_in(project, studies.support_log(70), folder)
    candidates = ("corvus-medium", "lumen-flash", "tern-70b")
    return studies.open_study(project, gateway, candidates=candidates, limit=60)


def die(evaluation: Evaluation, *, after_s: float, folder: Path) -> bool:
    """Let a process run the evaluation and kill it some time after it began to work; False: it came to its end."""
    with work(evaluation, folder) as victim:
        assert victim.stdout is not None
        assert victim.stdout.readline() == "going\n"
        until = time.monotonic() + after_s
        while victim.poll() is None and time.monotonic() < until:
            time.sleep(0.01)
        victim.kill()
        return victim.wait() != 0


def work(evaluation: Evaluation, folder: Path) -> "subprocess.Popen[str]":
    """Start a process that runs the evaluation on the test's database."""
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.worker_settings",
        "TEST_DATABASE_NAME": str(connection.settings_dict["NAME"]),
        "TEST_STATUS_FOLDER": str(folder),
        "AGENTOPT_ENCRYPTION_KEYS": ",".join(settings.AGENTOPT_ENCRYPTION_KEYS),
        "MAX_CONCURRENT_CALLS": str(IN_FLIGHT),
    }
    command = [sys.executable, "-m", "tests.flows.victim", str(evaluation.pk)]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
