"""One line about a project, for the list of projects."""

from collections.abc import Callable

from django.test import Client
from django.utils import timezone

from evaluation.models import Evaluation
from projects.models import Project, User
from recommendations import services


def test_it_tells_the_newest_recommendation(
    finished: Evaluation, reader: User, client_of: Callable[[User], Client]
) -> None:
    services.recommend(finished, now=timezone.now())

    text = client_of(reader).get("/p/support-agent/glance/").content.decode()

    assert "Move Support agent from aurora-large to corvus-medium" in text
    assert "new" in text


def test_a_project_without_one_says_so(project: Project, reader: User, client_of: Callable[[User], Client]) -> None:
    text = client_of(reader).get("/p/support-agent/glance/").content.decode()

    assert "0 calls in 7 days" in text
    assert "no recommendation yet" in text


def test_the_list_of_projects_loads_it_by_address(
    project: Project, reader: User, client_of: Callable[[User], Client]
) -> None:
    assert 'hx-get="/p/support-agent/glance/"' in client_of(reader).get("/").content.decode()
