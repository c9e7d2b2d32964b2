"""A finished evaluation on a sandbox, from logs to outcome."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from agentopt.sandbox.server import Sandbox, running
from evaluation.models import Evaluation
from projects.models import Project
from tests.evaluation import studies


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with running(seed=7) as server:
        yield server


@pytest.fixture
def finished(project: Project, sandbox: Sandbox, tmp_path: Path) -> Evaluation:
    """One candidate that serves the support agent as well for less."""
    gateway = studies.connect(project, sandbox.url)
    studies.take_in(project, studies.support_log(140), tmp_path)
    evaluation = studies.open_study(project, gateway, rubrics=None, limit=100)
    return studies.run_to_end(evaluation, gateway)
