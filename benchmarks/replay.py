"""What a replay costs, the whole path: samples out of the database, calls, checks, answers stored.

    python -m benchmarks.replay [--json] [--calls 2048] [--rounds 3] [--in-flight 64,256] [--latency-ms 200,1000]
        [--databases postgresql,sqlite] [--peers httpx,sdk]

The upstream of `benchmarks.wire` answers after a fixed time, in a process of its own; each database has a process of
its own, too, which runs `evaluation.replay.run_waiting` on logs of 2 to 6 KB. Raw httpx and the bare SDK send one short
prompt again and again and store nothing: they take turns with ours, so that what else the machine does meets all.

Efficiency is ideal time / actual time, the ideal being calls / in flight × latency, rounded up to whole rounds of
calls. CPU is of the process that calls; beside it stands that of PostgreSQL's process. Memory is the peak of ours above
its start, with Django and the engine loaded, so what it loads on the way counts; beside it the part that is the file of
SQLite, mapped (mmap_size), which the system takes back when it needs it. Medians of the rounds, after a short one to
warm up. At 256 in flight raw httpx takes so much of the processor that a round lasts minutes: --peers '' leaves it out.
"""

import argparse
import contextlib
import json
import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import rows, wire

PEERS: dict[str, wire.Run] = {"httpx": wire.over_httpx, "sdk": wire.over_sdk}
DATABASES = ("postgresql", "sqlite")
MODEL = "benchmark-model"
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Round:
    """One round of one way; None: not measured."""

    seconds: float
    cpu_s: float
    database_cpu_s: float | None = None
    peak_mb: float | None = None
    mapped_mb: float | None = None  # of it the file of the database


# ------------------------------------------------------------------------------------------------ one database
def _set_up() -> None:
    import django

    django.setup()


def prepare(calls: int) -> None:
    """Fill an empty database: a project with so many logged calls, drawn into an evaluation with one candidate."""
    _set_up()
    from django.core.management import call_command
    from django.utils import timezone

    from evaluation.models import Candidate, Evaluation, Sample
    from ingestion import imports
    from ingestion.models import ModelOffer, Price
    from projects import services
    from projects.models import User

    call_command("migrate", verbosity=0)
    project = services.create_project("Benchmark", owner=User.objects.create_user("owner@example.com"))
    with tempfile.NamedTemporaryFile(suffix=".jsonl") as file:
        rows.write(Path(file.name), calls)
        imports.import_file(project, file.name, format="portkey")
    offer = ModelOffer.objects.create(project=project, provider="benchmark", model=MODEL, name=MODEL)
    day = datetime(2026, 1, 1, tzinfo=UTC).date()
    Price.objects.create(offer=offer, valid_from=day, input_nanousd=10**9, output_nanousd=10**9, source="invented")
    evaluation = Evaluation.objects.create(
        project=project, number=1, goal=project.goals.get(), state="running", seed=7, limit=calls, policy={},
        window_until=timezone.now(), population={}, selection={}, forecast={}, cap_nanousd=10**15,
    )  # fmt: skip
    Candidate.objects.create(evaluation=evaluation, offer=offer, position=1)
    pks = project.logs.order_by("key").values_list("pk", flat=True)
    Sample.objects.bulk_create(
        [Sample(evaluation=evaluation, position=n, record_id=pk) for n, pk in enumerate(pks)], batch_size=500
    )


def work() -> None:
    """Answer lines on standard input, each an address and the calls in flight, by what that round took."""
    _set_up()
    from evaluation import replay  # noqa: F401

    start_mb = _memory("VmRSS")
    print("ready", flush=True)
    is_warm = False
    for line in sys.stdin:
        url, in_flight = line.split()
        if not is_warm:
            _one_round(url, in_flight=int(in_flight), rows=int(in_flight), start_mb=start_mb)
            is_warm = True
        print(json.dumps(asdict(_one_round(url, in_flight=int(in_flight), start_mb=start_mb))), flush=True)


def _one_round(url: str, *, in_flight: int, start_mb: float, rows: int | None = None) -> Round:
    """Answer all samples, or the first rows, from nothing."""
    from django.utils import timezone

    from evaluation import calls, replay
    from evaluation.models import Evaluation, Replay
    from evaluation.purse import Purse
    from ingestion.gateway.base import Endpoint
    from ingestion.gateway.chat import ChatSession

    evaluation = Evaluation.objects.select_related("project").get()
    Replay.objects.all().delete()  # else the cache would answer
    limits = calls.Limits(
        cap_nanousd=evaluation.cap_nanousd, spent_nanousd=0, deadline=time.monotonic() + 3600,
        beat=lambda: Evaluation.objects.filter(pk=evaluation.pk, state="running").exists(), concurrency=in_flight,
    )  # fmt: skip
    rows = rows or evaluation.limit
    _forget_peak()
    backend = _backend()
    cpu, database, began = time.process_time(), _cpu_of(backend), time.perf_counter()
    with (
        Purse(evaluation.project, evaluation, timezone.now, block=4 * in_flight) as limits.purse,
        ChatSession(Endpoint(url, url, "x-portkey-api-key", "benchmark"), in_flight=in_flight) as session,
    ):
        ended = replay.run_waiting(
            evaluation, list(evaluation.candidates.select_related("offer")), rows=rows, session=session,
            limits=limits, now=timezone.now,
        )  # fmt: skip
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    stored = Replay.objects.filter(status=Replay.Status.ANSWERED, output_tokens=210).count()
    assert (ended.end, stored) == (calls.End.DONE, rows)  # noqa: S101
    spent = None if database is None else (_cpu_of(backend) or 0) - database
    return Round(seconds, cpu, spent, _memory("VmHWM") - start_mb, _mapped("benchmark.sqlite3"))


def _backend() -> int | None:
    """Number of PostgreSQL's process that serves us."""
    from django.db import connection

    if connection.vendor != "postgresql":
        return None
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


def _cpu_of(pid: int | None) -> float | None:
    with contextlib.suppress(OSError):
        if pid is not None:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / TICKS
    return None


def _memory(name: str) -> float:
    """VmRSS or VmHWM of this process in MB; where there is no /proc the peak since its start."""
    with contextlib.suppress(OSError):
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _mapped(name: str) -> float | None:
    """MB of a file that are mapped into this process and in memory; None where there is no /proc, or none are."""
    found, is_it = 0, False
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/smaps").read_text().splitlines():
            first = line.split(maxsplit=1)[0]
            if not first.endswith(":"):
                is_it = line.endswith(name)
            elif is_it and first == "Rss:":
                found += int(line.split()[1])
    return found / 1024 or None


def _forget_peak() -> None:
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


# ------------------------------------------------------------------------------------------------ all ways in turns
@contextlib.contextmanager
def ours(database: str, calls: int) -> Iterator[Callable[[str, int], Round]]:
    """Rounds of our own path on a database of its own; SystemExit where PostgreSQL is not installed."""
    from tests import postgres

    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="agentopt-replay-")))
        url: str | None = f"sqlite:///{folder}/benchmark.sqlite3"
        if database == "postgresql":
            url = stack.enter_context(postgres.cluster())
        if url is None:
            sys.exit("PostgreSQL is not installed: --databases sqlite")
        environment = {
            **os.environ, "DJANGO_SETTINGS_MODULE": "agentopt.settings", "AGENTOPT_ENV_FILE": os.devnull,
            "DATA_DIR": str(folder), "DATABASE_URL": url, "ALLOW_PRIVATE_ADDRESSES": "true", "LOG_LEVEL": "ERROR",
        }  # fmt: skip
        own = [sys.executable, "-m", "benchmarks.replay", "--calls", str(calls)]
        subprocess.run([*own, "--prepare"], env=environment, check=True)
        worker = stack.enter_context(
            subprocess.Popen([*own, "--work"], env=environment, stdin=-1, stdout=-1, text=True)  # -1: a pipe
        )
        stack.callback(worker.terminate)
        assert worker.stdin is not None  # noqa: S101
        assert worker.stdout is not None  # noqa: S101
        worker.stdout.readline()
        told, answers = worker.stdin, worker.stdout

        def run(address: str, in_flight: int) -> Round:
            print(address, in_flight, file=told, flush=True)
            return Round(**json.loads(answers.readline()))

        yield run


def _peer(run: wire.Run, calls: int) -> Callable[[str, int], Round]:
    def once(url: str, in_flight: int) -> Round:
        cpu = time.process_time()
        seconds = run(url, calls, in_flight)
        return Round(seconds, time.process_time() - cpu)

    return once


def _figures(found: list[Round], *, calls: int, ideal_s: float) -> dict[str, float | None]:
    def median(values: list[float | None], digits: int) -> float | None:
        known = [value for value in values if value is not None]
        return round(statistics.median(known), digits) if known else None

    return {
        "efficiency": median([ideal_s / one.seconds for one in found], 3),
        "cpu_ms_per_call": median([one.cpu_s / calls * 1000 for one in found], 3),
        "database_cpu_ms_per_call": median(
            [None if one.database_cpu_s is None else one.database_cpu_s / calls * 1000 for one in found], 3
        ),
        "peak_mb_above_start": median([one.peak_mb for one in found], 1),
        "of_it_mapped_mb": median([one.mapped_mb for one in found], 1),
    }


def report(given: argparse.Namespace) -> dict[str, Any]:
    """All shapes, all ways in turns."""
    # for the SDK's client only, ours have their own; a line of log a call would count against the peers
    os.environ |= {"DJANGO_SETTINGS_MODULE": "tests.settings", "LOG_LEVEL": "ERROR"}
    _set_up()
    shapes = []
    with contextlib.ExitStack() as stack:
        ways = {name: stack.enter_context(ours(name, given.calls)) for name in given.databases}
        ways |= {name: _peer(PEERS[name], given.calls) for name in given.peers}
        for latency_ms in given.latency_ms:
            for in_flight in given.in_flight:
                found: dict[str, list[Round]] = {name: [] for name in ways}
                with wire.upstream(latency_ms) as url:
                    for _ in range(given.rounds):
                        for name, run in ways.items():
                            found[name].append(run(url, in_flight))
                ideal_s = math.ceil(given.calls / in_flight) * latency_ms / 1000
                figures = {name: _figures(rounds, calls=given.calls, ideal_s=ideal_s) for name, rounds in found.items()}
                shapes.append({"latency_ms": latency_ms, "in_flight": in_flight, "ways": figures})
    return {"machine": wire.machine(), "calls": given.calls, "rounds": given.rounds, "shapes": shapes}


def _printed(found: dict[str, Any]) -> Iterator[str]:
    yield ", ".join(f"{name} {value}" for name, value in found["machine"].items())
    for shape in found["shapes"]:
        yield f"{found['calls']} calls of {shape['latency_ms']:.0f} ms, {shape['in_flight']} in flight"
        for name, told in shape["ways"].items():
            line = f"  {name:11} efficiency {told['efficiency']:.3f}   CPU {told['cpu_ms_per_call']:.3f} ms per call"
            if told["database_cpu_ms_per_call"] is not None:
                line += f" + {told['database_cpu_ms_per_call']:.3f} of the database"
            if told["peak_mb_above_start"] is not None:
                line += f"   peak {told['peak_mb_above_start']:.0f} MB above start"
            if told["of_it_mapped_mb"] is not None:
                line += f", {told['of_it_mapped_mb']:.0f} of them the database's file"
            yield line


def _listed(kind: Callable[[str], Any], known: tuple[str, ...] = ()) -> Callable[[str], list[Any]]:
    def read(text: str) -> list[Any]:
        found = [kind(part) for part in text.split(",") if part]
        if known and not set(found) <= set(known):
            raise argparse.ArgumentTypeError(f"expected {', '.join(known)}")
        return found

    return read


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--calls", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--in-flight", type=_listed(int), default=[64, 256])
    parser.add_argument("--latency-ms", type=_listed(float), default=[200.0, 1000.0])
    parser.add_argument("--databases", type=_listed(str, DATABASES), default=list(DATABASES))
    parser.add_argument("--peers", type=_listed(str, tuple(PEERS)), default=list(PEERS))
    parser.add_argument("--prepare", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.prepare:
        prepare(given.calls)
    elif given.work:
        work()
    else:
        found = report(given)
        print(json.dumps(found) if given.json else "\n".join(_printed(found)))


if __name__ == "__main__":
    main()
