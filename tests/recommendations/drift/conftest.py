"""A project whose answers became slower, checked."""

import pytest

from projects.models import Project
from recommendations.drift.models import Alert
from tests.recommendations.drift import traffic


@pytest.fixture
def drifted(project: Project) -> Alert:
    """The alert about it."""
    return traffic.drift(project)
