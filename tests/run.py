"""Run the suite on SQLite, then what depends on a database on PostgreSQL: `python -m tests.run [pytest arguments]`."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests import postgres


def run(name: str, *, url: str, arguments: list[str]) -> int:
    """Run pytest on one database; its own closing line comes last."""
    print(f"== {name}", flush=True)  # noqa: T201
    processes = str((os.cpu_count() or 1) + 2)  # a third of the time a test waits: for a worker, a browser, a server
    command = [sys.executable, "-m", "pytest", "-n", processes, "--dist", "loadfile", "--no-loadscope-reorder"]
    with tempfile.TemporaryDirectory(prefix="agentopt-template-") as folder:
        tables = _migrate(url, Path(folder))
        environment = {**_environment(), "DATABASE_URL": url, "TEST_TABLES": tables}
        return subprocess.run([*command, *arguments], env=environment, check=False).returncode


def _migrate(url: str, folder: Path) -> str:
    """Run all migrations once for all processes; return the file they begin with, none on PostgreSQL.

    There every new database is a copy of `template1`, so the tables are made in that.
    """
    tables = "" if url else str(folder / "tables.sqlite3")
    environment = {
        **_environment(), "DJANGO_SETTINGS_MODULE": "agentopt.settings", "AGENTOPT_ENV_FILE": os.devnull,
        "DATA_DIR": str(folder), "DATABASE_URL": f"{url.rpartition('/')[0]}/template1" if url else f"sqlite:///{tables}",
    }  # fmt: skip
    subprocess.run([sys.executable, "manage.py", "migrate", "--verbosity", "0"], env=environment, check=True)
    return tables


def _environment() -> dict[str, str]:
    """That of the caller; but each process compiles what no other one has, whatever the caller's says.

    A run starts some hundred processes of Python, and compiling is most of what it takes to collect the tests.
    """
    return {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}


def main(arguments: list[str]) -> int:
    """The exit code of the first failing run, else 0."""
    code = run("SQLite", url="", arguments=arguments)
    if code:
        return code
    with postgres.cluster() as url:
        if url is None:
            print("== PostgreSQL: not installed, so the suite ran on SQLite only (Debian: apt-get install postgresql)")  # noqa: T201
            return 0
        return run("PostgreSQL", url=url, arguments=["--only-database", *arguments])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
