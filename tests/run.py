"""Run the suite on SQLite, then what depends on a database on PostgreSQL: `python -m tests.run [pytest arguments]`."""

import os
import subprocess
import sys

from tests import postgres


def run(name: str, *, url: str, arguments: list[str]) -> int:
    """Run pytest on one database; its own closing line comes last."""
    print(f"== {name}", flush=True)  # noqa: T201
    processes = str((os.cpu_count() or 1) + 2)  # a third of the time a test waits: for a worker, a browser, a server
    command = [sys.executable, "-m", "pytest", "-n", processes, "--dist", "loadfile", "--no-loadscope-reorder"]
    return subprocess.run([*command, *arguments], env={**_environment(), "DATABASE_URL": url}, check=False).returncode


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
