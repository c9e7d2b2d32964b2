"""Four questions over thirty days of calls: from roll-ups, by plain SQL on the narrow table, by pandas over the ORM.

    python -m benchmarks.analytics [--rows 1000000 --rows 5000000] [--database URL] [--rounds 3] [--pandas ROWS]
        [--json]

Without `--database` it works on a SQLite file of its own that it removes; the database given must be one to fill. The
questions: p50, p95 and p99 of latency by model and day, cost by model and day, the correlations of all pairs of five
metrics, and how latency is spread. Also: the overview page, the list of calls at its start, middle and end, what
keeping roll-ups costs a call, and a repeatable sample of 2,000 calls. CPU is that of this process; of the database's
too where it is a process of its own (PostgreSQL on this machine).
"""

import argparse
import itertools
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from projects.models import Project

PAIRED = ("cost", "latency", "first_token", "input_tokens", "output_tokens")
COLUMNS = ("cost_nanousd", "latency_us", "first_token_us", "input_tokens", "output_tokens")


def _server_cpu() -> float:
    """CPU seconds of the connection's own process in the database; 0 for SQLite, which has none."""
    from django.db import connection

    if connection.vendor != "postgresql":
        return 0.0
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        stat = Path(f"/proc/{cursor.fetchone()[0]}/stat")
    if not stat.exists():
        return 0.0
    fields = stat.read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def timed(work: Callable[[], object], rounds: int) -> dict[str, float]:
    """Median milliseconds of the wall, of our CPU and of the database's, over warm rounds."""
    work()
    walls, cpus, servers = [], [], []
    for _ in range(rounds):
        server, wall, cpu = _server_cpu(), time.perf_counter(), time.process_time()
        work()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
        servers.append(_server_cpu() - server)
    figures = {"wall_ms": walls, "cpu_ms": cpus, "database_cpu_ms": servers}
    return {name: round(statistics.median(found) * 1000, 2) for name, found in figures.items()}


def queries(work: Callable[[], object]) -> int:
    """How many statements it sends."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as caught:
        work()
    return len(caught)


# ------------------------------------------------------------------------------------------------ the ways
def by_rollups(project: "Project") -> dict[str, Callable[[], object]]:
    """Each question from roll-ups, to plain values."""
    from benchmarks.calls import DAYS, FIRST
    from ingestion import rollups

    window = (FIRST, FIRST + timedelta(days=DAYS))
    by_day = ("model", "day")

    def percentiles() -> object:
        found = rollups.read(project, *window, groups=by_day, sketches=["latency"])
        return found.quantiles("latency", [0.5, 0.95, 0.99])

    def cost() -> object:
        found = rollups.read(project, *window, groups=by_day)
        return found.known("cost"), found.total("cost")

    def correlations() -> object:
        found = rollups.read(project, *window, products=True)
        return [found.moments(one, other)[0].pearson for one, other in itertools.combinations(PAIRED, 2)]

    def histogram() -> object:
        (sketch,) = rollups.read(project, *window, sketches=["latency"]).sketch("latency")
        return [sketch.at_most(1000 * 2**step) for step in range(20)]

    return {"percentiles": percentiles, "cost": cost, "correlations": correlations, "histogram": histogram}


def by_sql(project: "Project") -> dict[str, Callable[[], object]]:
    """Each question by one statement over the narrow table, as an expert would put it."""
    from django.db import connection

    day = "substr(occurred_at, 1, 10)" if connection.vendor == "sqlite" else "occurred_at::date"
    source = f"FROM ingestion_logrecord WHERE project_id = {project.pk}"
    percentiles = (
        f"SELECT model, {day}, percentile_disc(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY latency_us) "
        f"{source} GROUP BY 1, 2"
        if connection.vendor == "postgresql"
        else "SELECT model, d, max(CASE WHEN at = (n + 1) / 2 THEN v END), "  # noqa: S608
        "max(CASE WHEN at = (n * 19 + 19) / 20 THEN v END), "
        f"max(CASE WHEN at = (n * 99 + 99) / 100 THEN v END) FROM (SELECT model, {day} d, latency_us v, "
        f"row_number() OVER w at, count(*) OVER (PARTITION BY model, {day}) n {source} "
        f"WINDOW w AS (PARTITION BY model, {day} ORDER BY latency_us)) GROUP BY 1, 2"
    )
    pairs = itertools.combinations_with_replacement(COLUMNS, 2)
    sums = ", ".join(
        f"count({one} + {other}), sum({one} * 1.0 * {other}), sum(CASE WHEN {other} IS NOT NULL THEN {one} END)"
        for one, other in pairs
    )
    asked = {
        "percentiles": percentiles,
        "cost": f"SELECT model, {day}, count(cost_nanousd), sum(cost_nanousd) {source} GROUP BY 1, 2",
        "correlations": f"SELECT {sums} {source}",
        "histogram": f"SELECT latency_us / 500000, count(*) {source} GROUP BY 1",
    }

    def run(statement: str) -> Callable[[], object]:
        def ask() -> object:
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall()

        return ask

    return {name: run(statement) for name, statement in asked.items()}


def by_pandas(project: "Project") -> dict[str, Callable[[], object]]:
    """All four questions after reading the columns by the ORM; reading is most of it."""
    import pandas as pd  # type: ignore[import-untyped]

    def all_four() -> object:
        names = ["model", "occurred_at", *COLUMNS]
        found = pd.DataFrame.from_records(project.logs.values_list(*names), columns=names)
        found["day"] = found.occurred_at.dt.date
        grouped = found.groupby(["model", "day"])
        bins = pd.cut(found.latency_us, 20).value_counts()
        return (
            grouped.latency_us.quantile([0.5, 0.95, 0.99]),
            grouped.cost_nanousd.sum(),
            found[list(COLUMNS)].corr(),
            bins,
        )

    return {"all_four": all_four}


def sample(project: "Project") -> Callable[[], object]:
    """The same 2,000 calls each time: the first by their random but settled key."""
    return lambda: list(project.logs.order_by("project_id", "key", "version").values_list("pk", flat=True)[:2000])


def by_pages(project: "Project") -> dict[str, Callable[[], object]]:
    """The overview of all calls, and fifty calls of the list from its start, its middle and its end."""
    from django.test import Client
    from django.urls import reverse

    from benchmarks.calls import DAYS, FIRST

    client = Client()
    client.force_login(project.memberships.get(role="owner").user)
    logs = reverse("ingestion:logs", args=[project.slug])

    def page(address: str, **query: str) -> Callable[[], object]:
        def ask() -> object:
            answer = client.get(address, query)
            assert answer.status_code == 200, answer.status_code  # noqa: S101 - a page that fails is no figure
            return answer

        return ask

    def deep(part: float) -> Callable[[], object]:
        at = FIRST + timedelta(days=DAYS) * (1 - part)
        return page(logs, after=f"{round(at.timestamp() * 10**6)}-{2**62}")

    return {
        "overview": page(f"/p/{project.slug}/", range="all"),
        "list": page(logs),
        "list_at_half": deep(0.5),
        "list_at_end": deep(0.999),
    }


# ------------------------------------------------------------------------------------------------ the run
def measure(n_rows: int, *, rounds: int, pandas_rows: int) -> dict[str, Any]:
    """Fill a project, build its roll-ups, and ask."""
    from benchmarks import calls
    from ingestion import rollups
    from ingestion.models import Rollup
    from projects import services
    from projects.models import Privacy, User

    owner, _ = User.objects.get_or_create(email="benchmark@example.com")
    project = services.create_project(f"{n_rows} calls", owner=owner, privacy=Privacy.FULL)
    calls.fill(project, n_rows)
    server, cpu = _server_cpu(), time.process_time()
    rollups.refresh(project)
    upkeep = (time.process_time() - cpu, _server_cpu() - server)

    def micro(seconds: float) -> float:
        return round(seconds / n_rows * 1e6, 2)

    once = 1 if n_rows > 1_000_000 else rounds
    from_rollups = {name: timed(ask, rounds) for name, ask in by_rollups(project).items()}
    sql = {name: timed(ask, once) for name, ask in by_sql(project).items()}
    return {
        "rows": n_rows,
        "rollups": from_rollups,
        "rollups_four_cpu_ms": round(sum(one["cpu_ms"] + one["database_cpu_ms"] for one in from_rollups.values()), 2),
        "rollup_bytes": sum(map(len, Rollup.objects.filter(project=project).values_list("payload", flat=True))),
        "upkeep_us_a_call": {"ours": micro(upkeep[0]), "database": micro(upkeep[1])},
        "sql": sql,
        "pandas": {name: timed(ask, 1) for name, ask in by_pandas(project).items()} if n_rows <= pandas_rows else None,
        "pages": {name: {**timed(ask, rounds), "queries": queries(ask)} for name, ask in by_pages(project).items()},
        "sample_2000": timed(sample(project), rounds),
        "times_faster_than_sql": round(sql["percentiles"]["wall_ms"] / from_rollups["percentiles"]["wall_ms"], 1),
    }  # fmt: skip


def run(rows: list[int], *, database: str, rounds: int, pandas_rows: int) -> dict[str, Any]:
    """Set Django up on a database of its own and measure each size."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"DATA_DIR": folder, "AGENTOPT_ENV_FILE": os.devnull, "SECRET_KEY": "benchmarks-only"}
        os.environ |= {"DATABASE_URL": database, "DJANGO_SETTINGS_MODULE": "agentopt.settings"}
        os.environ["ALLOWED_HOSTS"] = "testserver"
        import django
        import numpy as np

        django.setup()
        from django.core.management import call_command
        from django.db import connection

        call_command("migrate", verbosity=0)
        with connection.cursor() as cursor:
            cursor.execute("SELECT sqlite_version()" if connection.vendor == "sqlite" else "SHOW server_version")
            version = cursor.fetchone()[0]
        found = []
        for n_rows in rows:
            found.append(measure(n_rows, rounds=rounds, pandas_rows=pandas_rows))
            print(json.dumps(found[-1]), file=sys.stderr, flush=True)  # a large size takes long
        growth = found[-1]["rollups_four_cpu_ms"] / found[0]["rollups_four_cpu_ms"]
        machine = {"machine": platform.machine(), "cores": os.cpu_count(), "load": os.getloadavg()[0]}
        versions = {"python": platform.python_version(), "numpy": np.__version__, connection.vendor: version}
        return {**machine, **versions, "sizes": found, "growth": round(growth, 2)}


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.analytics", description=__doc__)
    parser.add_argument("--rows", type=int, action="append", help="calls; may be given several times")
    parser.add_argument("--database", default="", help="address of an empty database; else a SQLite file")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pandas", type=int, default=1_000_000, help="largest size that is read by pandas too")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    found = run(given.rows or [1_000_000], database=given.database, rounds=given.rounds, pandas_rows=given.pandas)
    print(json.dumps(found, indent=None if given.json else 2))


if __name__ == "__main__":
    main()
