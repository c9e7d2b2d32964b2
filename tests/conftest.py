"""People, projects, clients and a sandbox server for every test that asks for them."""

import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.cache import cache
from django.db import connection, transaction
from django.test import Client, TransactionTestCase
from hypothesis import HealthCheck, settings
from pytest_django import DjangoDbBlocker

from agentopt.lib.immutable import DOOR
from projects.models import Project, User
from tests import team

TABLES = os.environ.get("TEST_TABLES", "")
SLOW = re.compile(r"/(browser|flows)/|test_supervisor")

# how long an example takes on a loaded machine is no property of the code
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


def _refuse_the_raw_database(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and "test.sqlite3" in str(arguments[0]):
        raise AssertionError("Read it by tests.raw_files.raw_bytes: open() would drop SQLite's locks on it.")


sys.addaudithook(_refuse_the_raw_database)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--only-database", action="store_true", help="leave out what says the same on any database")


@pytest.hookimpl(trylast=True)  # the marker of browser tests comes from their own conftest
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what says the same on any database where that is asked for; then slow files come first.

    What touches no database says the same on each, and so does what a browser makes of a page: the run on a second
    one need not ask them again.
    A slow file that came last would keep one process busy while the others have nothing left.
    """
    if config.getoption("--only-database"):
        config.hook.pytest_deselected(items=[item for item in items if not _depends_on_the_database(item)])
        items[:] = filter(_depends_on_the_database, items)
    items.sort(key=lambda item: not SLOW.search(item.nodeid))


def _depends_on_the_database(item: pytest.Item) -> bool:
    if item.get_closest_marker("browser") is not None:
        return False
    # without one of these, pytest-django refuses every query
    fixtures = {"db", "transactional_db", "live_server", "django_db_setup"}
    return item.get_closest_marker("django_db") is not None or not fixtures.isdisjoint(
        getattr(item, "fixturenames", ())
    )


def pytest_unconfigure() -> None:
    """Leave no data folder behind: a process of xdist ends without what is registered for its exit."""
    shutil.rmtree(django_settings.DATA_DIR, ignore_errors=True)


@pytest.fixture(scope="session")
def django_db_keepdb(
    django_db_modify_db_settings: None, django_db_keepdb: bool, tmp_path_factory: pytest.TempPathFactory
) -> bool:
    """Begin with a copy of the tables that tests.run made once for all processes, where it did."""
    if not TABLES:
        return django_db_keepdb
    copy = shutil.copy(TABLES, tmp_path_factory.mktemp("tables") / "copy")
    shutil.move(copy, str(connection.settings_dict["TEST"]["NAME"]))
    return True


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """PostgreSQL drops no database that a thread or process of a test still looks at."""
    yield
    with django_db_blocker.unblock():
        if connection.vendor == "postgresql":
            _end_other_sessions()


def _end_other_sessions() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


@pytest.fixture(scope="session")
def recordings() -> Path:
    """The folder of recorded models and judges, where one is given."""
    folder = os.environ.get("AGENTOPT_RECORDINGS", "")
    if not folder:
        pytest.skip("AGENTOPT_RECORDINGS is not set")
    return Path(folder)


@pytest.fixture(scope="module")
def kept_rows(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """A transaction around all tests of a module, each of which undoes only what it changed itself.

    For fixtures that make in seconds what many tests of a module look at, none of them in a transaction of its own.
    """
    with django_db_blocker.unblock(), transaction.atomic():
        yield
        transaction.set_rollback(True)


@pytest.fixture
def owner(db: None) -> User:
    return team.person("owner@example.com")


@pytest.fixture
def member(db: None) -> User:
    return team.person("member@example.com")


@pytest.fixture
def reader(db: None) -> User:
    return team.person("reader@example.com")


@pytest.fixture
def stranger(db: None) -> User:
    return team.person("stranger@example.com")


@pytest.fixture
def project(owner: User, member: User, reader: User) -> Project:
    """The owner's project with a member and a reader; connected to nothing."""
    return team.project()


@pytest.fixture
def client_of() -> Callable[[User], Client]:
    """A browser without JavaScript, signed in as a person."""

    def make(user: User) -> Client:
        client = Client()
        client.force_login(user)
        return client

    return make


@pytest.fixture(scope="session", autouse=True)
def _the_flush_goes_through_the_door() -> Iterator[None]:
    """After a transactional test the flush empties the guarded tables too, which only the open door allows."""
    with pytest.MonkeyPatch.context() as patch:
        flush = TransactionTestCase._fixture_teardown  # type: ignore[attr-defined]  # private to Django

        def flush_through_the_door(case: Any, *arguments: Any) -> None:
            _set_door(1)
            try:
                flush(case, *arguments)
                cache.clear()  # its table is no model's, so the flush leaves it
            finally:
                _set_door(0)

        patch.setattr(TransactionTestCase, "_fixture_teardown", flush_through_the_door)
        yield


def _set_door(state: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {DOOR} SET open = {state}")
