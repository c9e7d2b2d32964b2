"""Tables to which rows are only ever added."""

import pytest
from django.db import DatabaseError, connection, transaction

from agentopt.lib.immutable import DOOR, Immutable, door


@pytest.fixture
def guarded(db: None) -> str:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE note (id integer PRIMARY KEY, text text)")
        for statement in Immutable("note")._statements(connection.vendor):
            cursor.execute(statement)
        cursor.execute("INSERT INTO note VALUES (1, 'first')")
    return "note"


def run(statement: str) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.parametrize("statement", ["UPDATE note SET text = 'x'", "DELETE FROM note"])
def test_the_database_itself_refuses_a_change(guarded: str, statement: str) -> None:
    with pytest.raises(DatabaseError, match="note is immutable"):
        run(statement)


def test_a_replacing_insert_and_a_truncate_are_refused_too(guarded: str) -> None:
    statement = "INSERT OR REPLACE INTO note VALUES (1, 'x')" if connection.vendor == "sqlite" else "TRUNCATE note"

    with pytest.raises(DatabaseError, match="note is immutable"):
        run(statement)


def test_the_open_door_lets_a_change_through_and_shuts_again(guarded: str) -> None:
    with door():
        run("UPDATE note SET text = 'x'")

    with connection.cursor() as cursor:
        cursor.execute(f"SELECT open FROM {DOOR}")
        assert cursor.fetchone()[0] == 0
    with pytest.raises(DatabaseError):
        run("DELETE FROM note")


def test_the_door_shuts_when_what_went_through_fails(guarded: str) -> None:
    with pytest.raises(RuntimeError), door():  # noqa: PT012
        run("UPDATE note SET text = 'x'")
        raise RuntimeError

    with connection.cursor() as cursor:
        cursor.execute(f"SELECT (SELECT open FROM {DOOR}), text FROM note")
        assert cursor.fetchone() == (0, "first")
