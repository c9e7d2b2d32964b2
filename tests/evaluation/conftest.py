"""A sandbox, and a project that is ready to be evaluated on it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agentopt.sandbox.server import Sandbox, running
from evaluation import services
from projects.models import Project, User
from projects.services import create_project
from tests import team
from tests.evaluation import studies


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with running() as served:
        yield served


@pytest.fixture
def ready(project: Project, sandbox: Sandbox, tmp_path: Path) -> Project:
    """The project with 60 logged calls, connected, with a judge."""
    return _prepare(project, sandbox, tmp_path)


@pytest.fixture(scope="module")
def ready_once(kept_rows: None, sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The same, made once for all tests of a module."""
    return _prepare(team.project(), sandbox, tmp_path_factory.mktemp("log"))


def _prepare(project: Project, sandbox: Sandbox, folder: Path) -> Project:
    studies.connect(project, sandbox.url)
    studies.take_in(project, studies.support_log(60), folder)
    services.set_judges(project, [studies.JUDGE], rubrics=["correctness"])
    return project


@pytest.fixture
def make_project(owner: User) -> Callable[..., Project]:
    """Make one more project of the owner."""

    def make(name: str = "Support agent") -> Project:
        return create_project(name, owner=owner)

    return make
