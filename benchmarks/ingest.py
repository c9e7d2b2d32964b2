"""Taking logs in, against what the database can take at most, in one run.

    python -m benchmarks.ingest [--rows 200000] [--database both] [--rounds 3] [--json]
    python -m benchmarks.ingest --file-gb 5 --database sqlite [--json]

Rows of 2 to 6 KB in a file become records: parsed, protected, hashed, known ones found, written, committed, rolled up.
The limit is the same bytes into a bare table: one binary COPY of ready bytes with lz4, or one transaction of
`executemany`. Every measurement is a process of its own, so peak memory is that of the import. PostgreSQL runs without
fsync, for both. With `--file-gb` one large file is taken in while another process writes to the same database like the
site does; its longest wait is told.
"""

import argparse
import json
import os
import platform
import resource
import select
import sqlite3
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks import rows
from tests import postgres

SQLITE_PRAGMAS = ("journal_mode=WAL", "synchronous=NORMAL", "temp_store=MEMORY", "cache_size=-20000")
GB = 1024**3


# ------------------------------------------------------------------------------------------------ in a process each
def raw_sqlite(file: Path, database: Path) -> dict[str, Any]:
    """The limit on SQLite; texts are read and decoded before the clock starts."""
    texts = [(number, line.decode()) for number, line in enumerate(file.read_bytes().splitlines())]
    connection = sqlite3.connect(database, isolation_level=None)
    for pragma in SQLITE_PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("CREATE TABLE bare (n INTEGER PRIMARY KEY, body TEXT)")
    started = time.perf_counter()
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany("INSERT INTO bare VALUES (?, ?)", texts)
    connection.execute("COMMIT")
    seconds = time.perf_counter() - started
    connection.close()
    return {"seconds": seconds, "rows": len(texts), "bytes": database.stat().st_size}


def raw_postgresql(file: Path, url: str) -> dict[str, Any]:
    """The limit on PostgreSQL; the bytes of COPY are ready before the clock starts."""
    import psycopg

    lines = file.read_bytes().splitlines()
    ready = [struct.pack(">hiqi", 2, 8, number, len(line)) + line for number, line in enumerate(lines)]
    blocks = [b"".join(ready[start : start + 500]) for start in range(0, len(ready), 500)]
    with psycopg.connect(url, autocommit=True, options="-c default_toast_compression=lz4") as connection:
        connection.execute("DROP TABLE IF EXISTS bare")
        connection.execute("CREATE TABLE bare (n bigint, body text)")
        started = time.perf_counter()
        with connection.cursor() as cursor, cursor.copy("COPY bare FROM STDIN (FORMAT BINARY)") as copy:
            copy.write(b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0))
            for block in blocks:
                copy.write(block)
            copy.write(struct.pack(">h", -1))
        seconds = time.perf_counter() - started
        (size,) = connection.execute("SELECT pg_total_relation_size('bare')").fetchone() or (0,)
        connection.execute("DROP TABLE bare")
    return {"seconds": seconds, "rows": len(lines), "bytes": size}


def migrate() -> dict[str, Any]:
    """Make the tables in the database of DATABASE_URL."""
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    return {}


def ours(file: Path) -> dict[str, Any]:
    """The product's way from the file to rolled up rows, in the database of DATABASE_URL; use cases come afterwards."""
    import django

    django.setup()
    from django.db import connection
    from django.utils import timezone

    from ingestion import files, rollups, store
    from projects.models import Project

    before = _size(connection)
    project = Project.objects.create(slug=f"bench-{time.time_ns()}", name="Bench", hash_key="k" * 43)
    base_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    cpu, started = time.process_time(), time.perf_counter()
    with files.opened(file) as stream:
        imported = store.append(
            project,
            files.rows(stream),
            format="portkey",
            source="file",
            label=file.name,
            simulated=False,
            now=timezone.now(),
        )
    stored, cpu_stored = time.perf_counter() - started, time.process_time() - cpu
    rollups.refresh(project)
    return {
        "seconds": time.perf_counter() - started,
        "seconds_stored": stored,
        "rows": imported.added,
        "set_aside": imported.set_aside,
        "cpu_s": time.process_time() - cpu,
        "cpu_s_stored": cpu_stored,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "start_mb": base_kb / 1024,
        "bytes": _size(connection) - before,
    }


def _size(connection: Any) -> int:
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            return Path(connection.settings_dict["NAME"]).stat().st_size
        cursor.execute(
            "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relkind = 'r' AND relname LIKE 'ingestion_%'"
        )
        return int(cursor.fetchone()[0] or 0)


def writer(database: Path) -> dict[str, Any]:
    """Write as the site does, 20 times a second, until standard input ends; how long a write waits."""
    waits = []
    connection = sqlite3.connect(database, isolation_level=None, timeout=60)
    connection.execute("CREATE TABLE IF NOT EXISTS visits (n INTEGER PRIMARY KEY, at REAL)")
    while not select.select([sys.stdin], [], [], 0.05)[0]:
        started = time.perf_counter()
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO visits (at) VALUES (?)", [started])
        connection.execute("COMMIT")
        waits.append(time.perf_counter() - started)
    waits.sort()
    return {"writes": len(waits), "longest_ms": 1000 * waits[-1], "p99_ms": 1000 * waits[int(0.99 * len(waits))]}


# ------------------------------------------------------------------------------------------------ the run
def _in_a_process(step: str, *arguments: str, url: str = "") -> dict[str, Any]:
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings", "DATABASE_URL": url}
    command = [sys.executable, "-m", "benchmarks.ingest", "--step", step, *arguments]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _cpu_of_server(url: str) -> float:
    """CPU seconds of a PostgreSQL server and all its processes, those that ended included."""
    import psycopg

    with psycopg.connect(url) as connection:
        (folder,) = connection.execute("SHOW data_directory").fetchone() or ("",)
    pid = (Path(folder) / "postmaster.pid").read_text().split()[0]
    children = (Path("/proc") / pid / "task" / pid / "children").read_text().split()
    ticks = 0
    for one in (pid, *children):
        times = (Path("/proc") / one / "stat").read_text().rpartition(")")[2].split()
        ticks += sum(map(int, times[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def on_postgresql(file: Path, rounds: int) -> dict[str, Any]:
    """Limit and product in turns."""
    with postgres.cluster() as url:
        if url is None:
            return {"skipped": "no PostgreSQL can be started here"}
        limits, found = [], []
        _in_a_process("migrate", url=url)
        for _ in range(rounds):
            limits.append(_in_a_process("raw-postgresql", str(file), url, url=url))
            before = _cpu_of_server(url)
            one = _in_a_process("ours", str(file), url=url)
            time.sleep(0.5)  # until the server has taken leave of its process
            found.append({**one, "server_cpu_s": _cpu_of_server(url) - before})
    return _summed(limits, found, file)


def on_sqlite(file: Path, rounds: int, folder: Path) -> dict[str, Any]:
    """The same on SQLite, each in a new database."""
    limits, found = [], []
    for turn in range(rounds):
        limits.append(_in_a_process("raw-sqlite", str(file), str(folder / f"raw-{turn}.sqlite3")))
        database = folder / f"ours-{turn}.sqlite3"
        _in_a_process("migrate", url=f"sqlite:///{database}")
        found.append(_in_a_process("ours", str(file), url=f"sqlite:///{database}"))
        for left in folder.glob("*.sqlite3*"):
            left.unlink()
    return _summed(limits, found, file)


def _summed(limits: list[dict[str, Any]], found: list[dict[str, Any]], file: Path) -> dict[str, Any]:
    n = found[0]["rows"]
    ratios = [
        (one["rows"] / one["seconds"]) / (limit["rows"] / limit["seconds"])
        for one, limit in zip(found, limits, strict=True)
    ]
    cpu = [100_000 / n * (one["cpu_s"] + one.get("server_cpu_s", 0)) for one in found]
    return {
        "rows": n,
        "limit_rows_s": round(statistics.median(one["rows"] / one["seconds"] for one in limits)),
        "rows_s": round(statistics.median(n / one["seconds"] for one in found)),
        "rows_s_without_rollups": round(statistics.median(n / one["seconds_stored"] for one in found)),
        "share_of_limit": round(statistics.median(ratios), 3),
        "cpu_s_per_100k": round(statistics.median(cpu), 2),
        "of_it_server": round(statistics.median(100_000 / n * one.get("server_cpu_s", 0) for one in found), 2),
        "peak_mb": round(max(one["peak_mb"] for one in found)),
        "json_bytes_per_row": round(file.stat().st_size / n),
        "bytes_per_row": round(found[0]["bytes"] / n),
        "bytes_per_row_of_limit": round(limits[0]["bytes"] / n),
        "bytes_share_of_json": round(found[0]["bytes"] / file.stat().st_size, 3),
        "rounds": [round(ratio, 3) for ratio in ratios],
    }


@contextmanager
def _visited(database: Path) -> Iterator[dict[str, Any]]:
    """Somebody writes to the database meanwhile; filled in at the end."""
    command = [sys.executable, "-m", "benchmarks.ingest", "--step", "writer", str(database)]
    told: dict[str, Any] = {}
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        yield told
    finally:
        out, _ = process.communicate()
        told |= json.loads(out)


def one_large_file(gigabytes: float, kind: str, folder: Path) -> dict[str, Any]:
    """Peak memory of a large file, and on SQLite how long others wait for their turn to write."""
    file = folder / "large.jsonl"
    size = rows.write(folder / "sample.jsonl", 2000)
    rows.write(file, int(gigabytes * GB / (size / 2000)))
    found: dict[str, Any] = {"file_gb": round(file.stat().st_size / GB, 2)}
    if kind == "postgresql":
        with postgres.cluster() as url:
            _in_a_process("migrate", url=url or "")
            found |= _in_a_process("ours", str(file), url=url or "")
    else:
        database = folder / "ours.sqlite3"
        _in_a_process("migrate", url=f"sqlite:///{database}")
        with _visited(database) as told:
            found |= _in_a_process("ours", str(file), url=f"sqlite:///{database}")
        found["site"] = told
    file.unlink()
    return {name: round(value, 2) if isinstance(value, float) else value for name, value in found.items()}


def main() -> None:
    """Measure, or do one step of it in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--database", choices=["sqlite", "postgresql", "both"], default="both")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--file-gb", type=float, default=0)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--step", help=argparse.SUPPRESS)
    parser.add_argument("rest", nargs="*", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        steps: dict[str, Any] = {
            "ours": lambda: ours(Path(options.rest[0])),
            "raw-sqlite": lambda: raw_sqlite(Path(options.rest[0]), Path(options.rest[1])),
            "raw-postgresql": lambda: raw_postgresql(Path(options.rest[0]), options.rest[1]),
            "migrate": migrate,
            "writer": lambda: writer(Path(options.rest[0])),
        }
        print(json.dumps(steps[options.step]()))
        return
    found = _measure(options)
    print(json.dumps(found, indent=None if options.json else 2))


def _measure(options: argparse.Namespace) -> dict[str, Any]:
    kinds = ["sqlite", "postgresql"] if options.database == "both" else [options.database]
    found: dict[str, Any] = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
        "versions": {name: version(name) for name in ("Django", "msgspec", "psycopg", "zstandard")}
        | {"python": platform.python_version(), "sqlite": sqlite3.sqlite_version},
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.file_gb:
            return found | {kind: one_large_file(options.file_gb, kind, folder) for kind in kinds}
        file = folder / "rows.jsonl"
        rows.write(file, options.rows)
        for kind in kinds:
            found[kind] = (
                on_sqlite(file, options.rounds, folder) if kind == "sqlite" else on_postgresql(file, options.rounds)
            )
    return found


if __name__ == "__main__":
    main()
