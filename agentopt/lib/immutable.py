"""Tables to which rows are only ever added: the database itself refuses UPDATE and DELETE.

One row, `agentopt_door.open`, is the only way past the triggers; `door()` opens it inside a transaction of its own,
so no other connection ever sees it open. On SQLite a schema change remakes a table and drops its triggers without a
word, so a migration that alters such a table repeats `Immutable` for it; a test lists the triggers that exist.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, migrations, transaction

DOOR = "agentopt_door"


class MakeDoor(migrations.RunSQL):
    """Create the table that the triggers read. No model stands behind it, so a flush leaves it alone."""

    def __init__(self) -> None:
        super().__init__(
            sql=[f"CREATE TABLE {DOOR} (open integer NOT NULL)", f"INSERT INTO {DOOR} (open) VALUES (0)"],  # noqa: S608
            reverse_sql=[f"DROP TABLE {DOOR}"],
        )

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        return (self.__class__.__name__, [], {})


class Immutable(migrations.RunPython):
    """Refuse UPDATE and DELETE (and TRUNCATE) on a table unless the door is open."""

    def __init__(self, table: str, *, updates: bool = True) -> None:
        """Guard `table`; with `updates=False` only DELETE and TRUNCATE are refused."""
        self.table, self.updates = table, updates
        super().__init__(self._add, self._remove)

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        return (self.__class__.__name__, [self.table], {"updates": self.updates})

    def _events(self) -> list[str]:
        return ["DELETE", "UPDATE"] if self.updates else ["DELETE"]

    def _add(self, apps: Any, editor: Any) -> None:
        self._remove(apps, editor)  # PostgreSQL keeps triggers where SQLite drops them
        for statement in self._statements(editor.connection.vendor):
            editor.execute(statement, params=None)  # with parameters psycopg would read the % of RAISE

    def _remove(self, _apps: Any, editor: Any) -> None:
        names = [f"{self.table}_no_{event.lower()}" for event in self._events()]
        if editor.connection.vendor == "postgresql":
            for name in [*names, f"{self.table}_no_truncate"]:
                editor.execute(f"DROP TRIGGER IF EXISTS {name} ON {self.table}")
        else:
            for name in names:
                editor.execute(f"DROP TRIGGER IF EXISTS {name}")

    def _statements(self, vendor: str) -> Iterator[str]:
        shut = f"(SELECT open FROM {DOOR}) = 0"  # noqa: S608
        if vendor == "sqlite":
            for event in self._events():
                yield (
                    f"CREATE TRIGGER {self.table}_no_{event.lower()} BEFORE {event} ON {self.table} WHEN {shut} "
                    f"BEGIN SELECT RAISE(ABORT, '{self.table} is immutable: rows are only ever added'); END"
                )
            return
        yield (
            "CREATE OR REPLACE FUNCTION agentopt_refuse() RETURNS trigger AS $$ BEGIN "
            f"IF {shut} THEN RAISE EXCEPTION '% is immutable: rows are only ever added', TG_TABLE_NAME; END IF; "
            "IF TG_LEVEL = 'STATEMENT' THEN RETURN NULL; ELSIF TG_OP = 'DELETE' THEN RETURN OLD; END IF; RETURN NEW; "
            "END $$ LANGUAGE plpgsql"
        )
        for event in self._events():
            yield (
                f"CREATE TRIGGER {self.table}_no_{event.lower()} BEFORE {event} ON {self.table} "
                "FOR EACH ROW EXECUTE FUNCTION agentopt_refuse()"
            )
        yield (
            f"CREATE TRIGGER {self.table}_no_truncate BEFORE TRUNCATE ON {self.table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION agentopt_refuse()"
        )


@contextmanager
def door() -> Iterator[None]:
    """Let the current transaction change guarded rows. The caller writes the audit entry."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"UPDATE {DOOR} SET open = 1")  # noqa: S608
        yield
        cursor.execute(f"UPDATE {DOOR} SET open = 0")  # noqa: S608
