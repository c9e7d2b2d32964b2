"""A database that is empty, behind or away: one sentence from every command, page and operation."""

import html
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings
from django.db import Error, connection, transaction
from django.db.migrations.recorder import MigrationRecorder

from agentopt.lib import database

PASSWORD = "s3cret-of-the-url"
AWAY = f"postgresql://agentopt:{PASSWORD}@127.0.0.1:9/agentopt"


def manage(folder: Path, *command: str, url: str = "") -> "subprocess.CompletedProcess[str]":
    """A command as a person runs it: with a database of its own, which is a new file unless its address is given."""
    environment = {**os.environ, "DATA_DIR": str(folder), "DATABASE_URL": url}
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    return subprocess.run(
        [sys.executable, str(settings.BASE_DIR / "manage.py"), *command],
        env=environment, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def missing_table() -> Error:
    """What a query of a table that is not there raises."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM not_made_yet")
    except Error as error:
        return error
    raise AssertionError


def fall_behind(n: int = 1) -> None:
    """Take the newest migrations for not applied."""
    rows = MigrationRecorder.Migration.objects
    rows.filter(pk__in=list(rows.filter(app="evaluation").order_by("-name").values_list("pk", flat=True)[:n])).delete()


@pytest.mark.parametrize("command", [["verify_logs", "x"], ["create_project", "x"], ["install_schedules"]])
def test_a_command_on_an_empty_database_names_the_way_out(tmp_path: Path, command: list[str]) -> None:
    ended = manage(tmp_path, *command)

    assert ended.returncode == 1
    assert ended.stderr == f"CommandError: {database.NO_TABLES}\n"
    assert not ended.stdout


@pytest.mark.parametrize("command", [["verify_logs", "x"], ["migrate"], ["runserver", "127.0.0.1:9"]])
def test_a_command_without_a_database_says_so_and_never_the_password(tmp_path: Path, command: list[str]) -> None:
    ended = manage(tmp_path, *command, url=AWAY)

    assert ended.returncode == 1
    assert ended.stderr.endswith(f"CommandError: {database.NO_ANSWER}\n")
    assert "Traceback" not in ended.stderr
    assert PASSWORD not in ended.stdout + ended.stderr


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    ended = manage(tmp_path, "migrate", url=f"sqlite:///{tmp_path}/nowhere/agentopt.sqlite3")

    assert (ended.returncode, ended.stderr) == (1, f"CommandError: {database.NO_FILE}\n")


def test_who_asks_for_the_traceback_gets_it(tmp_path: Path) -> None:
    ended = manage(tmp_path, "verify_logs", "x", "--traceback")

    assert ended.returncode == 1
    assert "no such table: projects_project" in ended.stderr


def test_a_database_that_is_behind_says_by_how_much(db: None) -> None:
    error = missing_table()
    assert database.trouble(error) is None  # all is applied: the fault is ours, and stays to be seen

    fall_behind()
    assert str(database.trouble(error)).startswith("The tables are those of an earlier version: 1 migration is not")
    fall_behind(2)
    says = str(database.trouble(error))

    assert says.endswith("3 migrations are not applied. Run `python manage.py migrate`.")
    assert database.trouble(error, migrating=True) is None  # `migrate` would send people to itself


VISIT = """
from django.test import Client
client = Client(raise_request_exception=False, headers={"host": "localhost"})
client.cookies["sessionid"] = "of-an-old-database"
for path in ("/", "/p/x/logs/", "/admin/login/", "/api/v1/projects", "/api/v1/logs/x/stats"):
    answer = client.get(path)
    kind, body = answer["Content-Type"].partition(";")[0], " ".join(answer.content.decode().split())
    print(path, answer.status_code, kind, body)
"""


@pytest.mark.parametrize(("url", "says"), [("", database.NO_TABLES), (AWAY, database.NO_ANSWER)])
def test_a_visitor_and_a_program_read_what_to_do(tmp_path: Path, url: str, says: str) -> None:
    ended = manage(tmp_path, "shell", "--no-imports", "-c", VISIT, url=url)
    visits = [line.split(" ", 3) for line in ended.stdout.splitlines()]

    assert [status for _path, status, _kind, _body in visits] == ["503"] * 5, ended.stderr
    for path, _status, kind, body in visits:
        assert kind == ("application/json" if path.startswith("/api/") else "text/html")
        assert says in html.unescape(body)
        assert "Traceback" not in body
        assert PASSWORD not in body
    assert json.loads(visits[-1][3]) == {"error": {"code": "unavailable", "message": says, "fields": {}}}
