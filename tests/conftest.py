"""People, projects, clients and a sandbox server for every test that asks for them."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.test import Client

from projects.models import Membership, Privacy, Project, Role, User

PASSWORD = "correct horse battery"


@pytest.fixture(scope="session")
def recordings() -> Path:
    """The folder of recorded models and judges, where one is given."""
    folder = os.environ.get("AGENTOPT_RECORDINGS", "")
    if not folder:
        pytest.skip("AGENTOPT_RECORDINGS is not set")
    return Path(folder)


def _person(email: str) -> User:
    return User.objects.create_user(email, PASSWORD)


@pytest.fixture
def owner(db: None) -> User:
    return _person("owner@example.com")


@pytest.fixture
def member(db: None) -> User:
    return _person("member@example.com")


@pytest.fixture
def reader(db: None) -> User:
    return _person("reader@example.com")


@pytest.fixture
def stranger(db: None) -> User:
    return _person("stranger@example.com")


@pytest.fixture
def project(owner: User, member: User, reader: User) -> Project:
    """The owner's project with a member and a reader; connected to nothing."""
    from projects import services

    project = services.create_project("Support agent", owner=owner, privacy=Privacy.FULL)
    Membership.objects.create(project=project, user=member, role=Role.MEMBER)
    Membership.objects.create(project=project, user=reader, role=Role.READER)
    return project


@pytest.fixture
def client_of() -> Callable[[User], Client]:
    """A browser without JavaScript, signed in as a person."""

    def make(user: User) -> Client:
        client = Client()
        client.force_login(user)
        return client

    return make


@pytest.fixture(autouse=True)
def _guarded_rows_can_be_flushed(request: pytest.FixtureRequest) -> Iterator[None]:
    """After a transactional test the flush empties the guarded tables, which only the open door allows."""
    if "transactional_db" not in request.fixturenames and "live_server" not in request.fixturenames:
        yield
        return
    from django.db import connection

    from agentopt.lib.immutable import DOOR

    request.getfixturevalue("transactional_db")
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {DOOR} SET open = 0")
    yield
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {DOOR} SET open = 1")
