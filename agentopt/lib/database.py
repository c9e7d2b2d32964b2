"""What keeps the database from doing its work, as one sentence with the way out."""

from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor

MIGRATE = "Run `python manage.py migrate`."
NO_TABLES = f"The database has no tables yet. {MIGRATE}"
# neither address nor name: a password with a slash in it is read as part of them
NO_ANSWER = (
    "The database does not answer, or refuses the user and password it is given. Start it, or correct DATABASE_URL."
)
NO_FILE = "The database file cannot be opened or written. Check DATA_DIR or DATABASE_URL, and who may write there."
_FILE_FAULTS = {"SQLITE_CANTOPEN", "SQLITE_NOTADB", "SQLITE_READONLY", "SQLITE_READONLY_DIRECTORY"}
_LOST = ("08", "28", "3D", "57P", "53300")  # connection, sign-in, no such database, shutdown, too many connections


def waiting() -> int:
    """How many migrations of this version are not applied.

    Raises:
        Error: the database does not answer.
    """
    return _waiting()[1]


def trouble(error: Error, *, migrating: bool = False) -> str | None:
    """Say why an error of the database came about, and the way out; None where it is no state of the instance.

    Args:
        error: what a query or the connection raised.
        migrating: tables are being made, so their absence explains nothing.
    """
    unreachable = _unreachable(error)
    if unreachable or migrating:
        return unreachable
    try:
        applied, n_waiting = _waiting()
    except Error:
        return None
    if not n_waiting:
        return None
    if not applied:
        return NO_TABLES
    which = "1 migration is" if n_waiting == 1 else f"{n_waiting} migrations are"
    return f"The tables are those of an earlier version: {which} not applied. {MIGRATE}"


def _waiting() -> tuple[int, int]:
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return len(executor.loader.applied_migrations), len(plan)


def _unreachable(error: Error) -> str | None:
    cause = error.__cause__ or error
    if connection.vendor == "sqlite":
        return NO_FILE if getattr(cause, "sqlite_errorname", "") in _FILE_FAULTS else None
    state = getattr(cause, "sqlstate", None)
    # libpq has no code for a connection that was not made or broke off
    lost = type(cause).__name__ in ("OperationalError", "InterfaceError", "PoolTimeout") and state is None
    return NO_ANSWER if lost or (state or "").startswith(_LOST) else None
