"""A finished evaluation on a sandbox, from logs to outcome."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from agentopt.sandbox.server import Sandbox, running
from evaluation.models import Evaluation
from projects.models import Project
from tests import team
from tests.evaluation import studies


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with running(seed=7) as server:
        yield server


@pytest.fixture
def finished(project: Project, sandbox: Sandbox, tmp_path: Path) -> Evaluation:
    """One candidate that serves the support agent as well for less."""
    return _finish(project, sandbox, tmp_path)


@pytest.fixture(scope="module")
def finished_once(kept_rows: None, sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> int:
    """The same, made once for all tests of a module; a module takes it by a fixture `finished` of its own."""
    return _finish(team.project(), sandbox, tmp_path_factory.mktemp("log")).pk


def _finish(project: Project, sandbox: Sandbox, folder: Path) -> Evaluation:
    gateway = studies.connect(project, sandbox.url)
    studies.take_in(project, studies.support_log(140), folder)
    evaluation = studies.open_study(project, gateway, rubrics=None, limit=100)
    return studies.run_to_end(evaluation, gateway)
