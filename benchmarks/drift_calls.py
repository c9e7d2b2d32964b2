"""Drift checks over millions of calls: what the first check, an hourly one, a preview and a page of an alert cost.

    python -m benchmarks.drift_calls [--rows 1000000] [--database URL] [--json]

Thirty days of calls in conversations of four, straight into the narrow table of a database of its own (SQLite, removed
afterwards, unless an empty one is given); references of fourteen days, so that sixteen days are tested. CPU is this
process's, which is also the database's on SQLite.
"""

import argparse
import json
import os
import platform
import resource
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any


def spent(work: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """What came out, with wall and CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    found = work()
    return found, {"wall_s": round(time.perf_counter() - wall, 2), "cpu_s": round(time.process_time() - cpu, 2)}


def measure(n_rows: int) -> dict[str, Any]:
    """Fill, check, check an hour, try a rule."""
    from django.db.models import Sum
    from django.db.models.functions import Length

    from benchmarks import calls
    from projects.models import Project
    from recommendations.drift import monitor, preview, rules
    from recommendations.drift.models import DriftObservations, DriftRule, DriftWatch

    project = Project.objects.create(slug="bench", name="Bench", hash_key="key")
    calls.fill(project, n_rows, calls_a_trace=4)
    rules.ensure(project)
    DriftRule.objects.filter(project=project).update(reference_days=14)
    end = calls.FIRST + timedelta(days=calls.DAYS)
    start_mb = _peak_mb()
    # all but the last hour first, as a schedule would leave it
    first, whole = spent(lambda: monitor.check(project, now=end - timedelta(hours=2)))
    last, hour = spent(lambda: monitor.check(project, now=end))
    tried, trial = spent(lambda: preview.of_project(project, {"metric": "latency"}))
    kept = DriftObservations.objects.filter(project=project).aggregate(n=Sum("n"), size=Sum(Length("payload")))
    return {
        "rows": n_rows,
        "calls_read": DriftWatch.objects.get(project=project).calls,
        "conversations": kept["n"],
        "first_check": {**whole, "us_cpu_per_call": round(1e6 * whole["cpu_s"] / n_rows, 2), "windows": first.windows},
        "hourly_check": {**hour, "windows": last.windows, "calls_read": last.calls},
        "preview": {**trial, "conversations": tried.n},
        "alerts": len(first.alerts) + len(last.alerts),
        "bytes_per_conversation": round(kept["size"] / kept["n"], 1),
        "peak_mb": {"before": start_mb, "after": _peak_mb()},
    }


def _peak_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def run(n_rows: int, *, database: str) -> dict[str, Any]:
    """Set Django up on a database of its own and measure."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"DATA_DIR": folder, "AGENTOPT_ENV_FILE": os.devnull, "SECRET_KEY": "benchmarks-only"}
        os.environ |= {"DATABASE_URL": database, "DJANGO_SETTINGS_MODULE": "agentopt.settings"}
        import django
        import numpy as np

        django.setup()
        from django.core.management import call_command
        from django.db import connection

        call_command("migrate", verbosity=0)
        machine = {"machine": platform.machine(), "cores": os.cpu_count(), "load": os.getloadavg()[0]}
        versions = {"python": platform.python_version(), "numpy": np.__version__, "database": connection.vendor}
        return {**machine, **versions, **measure(n_rows)}


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drift_calls", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--database", default="", help="address of an empty database; else a SQLite file")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    print(json.dumps(run(given.rows, database=given.database), indent=None if given.json else 2))


if __name__ == "__main__":
    main()
