"""How the databases answer the queries of the pages: their plans over some thousand calls.

    python -m benchmarks.plans [--rows 30000] [--database both]

The queries are those that selectors and analytics really send, caught on their way. `docs/data-model.md` shows a run.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

from benchmarks import rows
from tests import postgres


def explain(file: Path) -> None:
    """Import the file into the database of DATABASE_URL and print the plan of each query."""
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection
    from django.test.utils import CaptureQueriesContext
    from django.utils import timezone

    from ingestion import imports, store, writing
    from projects.models import Project

    call_command("migrate", verbosity=0)
    project = Project.objects.create(slug="bench", name="Bench", hash_key="k" * 43)
    imports.import_file(project, file)
    with file.open("rb") as lines:  # some calls change, as everywhere
        changed = [(n, next(lines).replace(b'"team":"', b'"team":"x')) for n in range(20)]
    store.append(project, changed, format="portkey", source="file", label="", simulated=False, now=timezone.now())
    if connection.vendor == "postgresql":  # it does so by itself; nobody does on SQLite
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
    print(f"\n### {connection.vendor}")
    keys = [bytes(16), b"k" * 16]
    for name, ask in {**_asked(project), "known ids of an import": lambda: writing.stored(project.pk, keys)}.items():
        with CaptureQueriesContext(connection) as caught:
            ask()
        query = [one["sql"] for one in caught.captured_queries if "ingestion_logrecord" in one["sql"]][-1]
        with connection.cursor() as cursor:
            cursor.execute(
                f"EXPLAIN {'QUERY PLAN ' if connection.vendor == 'sqlite' else ''}{query}".replace("%", "%%")
            )
            print(f"\n{name}")
            for row in cursor.fetchall():
                print(f"    {row[-1]}")


def _asked(project: Any) -> dict[str, Any]:
    """What pages ask, by name."""
    from ingestion import selectors
    from ingestion.analytics import rows as analytics_rows
    from ingestion.models import LogRecord

    first = selectors.logs(project, selectors.read_filter({}))
    days = {"since": (rows.FIRST_AT + timedelta(hours=1)).isoformat()}
    until = rows.FIRST_AT + timedelta(hours=2)
    newest = LogRecord.objects.filter(project=project).newest()
    return {
        "log list, a page further on": lambda: selectors.logs(project, selectors.read_filter({}), after=first.after),
        "log list of a model": lambda: selectors.logs(project, selectors.read_filter({"model": "gpt-4o"})),
        "log list of a conversation": lambda: selectors.logs(
            project, selectors.read_filter({"trace": "conversation-0-7"})
        ),
        "capped count": lambda: selectors.count(project, selectors.read_filter(days)),
        "versions of a call": lambda: list(project.logs.filter(key=project.logs.all()[0].key).order_by("-version")),
        "a repeatable sample": lambda: list(newest.order_by("key").values_list("pk")[:2000]),
        "figures of a window": lambda: list(
            analytics_rows.window(project, rows.FIRST_AT, until).values_list("model", "latency_us")
        ),
    }


def main() -> None:
    """Print the plans of one database or both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=30_000)
    parser.add_argument("--database", choices=["sqlite", "postgresql", "both"], default="both")
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.file:
        explain(options.file)
        return
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "rows.jsonl"
        rows.write(file, options.rows)
        if options.database != "postgresql":
            _in_a_process(file, f"sqlite:///{name}/plans.sqlite3")
        if options.database != "sqlite":
            with postgres.cluster() as url:
                _in_a_process(file, url or "")


def _in_a_process(file: Path, url: str) -> None:
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings", "DATABASE_URL": url}
    subprocess.run([sys.executable, "-m", "benchmarks.plans", "--file", str(file)], env=environment, check=True)


if __name__ == "__main__":
    main()
