"""What it costs to take logs in over HTTP: pushed rows, packed or not, and OTLP in both encodings.

    python -m benchmarks.push [--json] [--rows 20000] [--workers 2]

The site runs under gunicorn on a database of its own (SQLite in a temporary folder, or DATABASE_URL, which must be
empty). Rows are Portkey's of 2 to 6 KB, 900 a request; spans carry the same texts, 500 a request. CPU is that of the
workers between the first request and the last answer, so on SQLite the database is in it and on PostgreSQL it is not.
"""

import argparse
import contextlib
import gzip
import json
import os
import platform
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from benchmarks.rows import Rows

ROWS_A_REQUEST, SPANS_A_REQUEST = 900, 500
TICKS = os.sysconf("SC_CLK_TCK")
WAYS = ("push", "push gzip", "otlp protobuf", "otlp json")
PREPARE = """
import django; django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
from projects import tokens
from projects.models import Project
for slug in {slugs!r}:
    project = Project.objects.create(slug=slug, name=slug, privacy="full", hash_key=slug * 8)
    print(tokens.issue("benchmark", project=project, scopes=["ingest"], by=None).plain)
"""


@dataclass(frozen=True)
class Way:
    """Requests that carry the rows in one way."""

    name: str
    address: str
    headers: dict[str, str]
    bodies: list[bytes]


def ways(rows: list[dict[str, Any]]) -> list[Way]:
    """The same rows in every way."""
    pushed = [
        json.dumps({"records": rows[n : n + ROWS_A_REQUEST]}, separators=(",", ":")).encode()
        for n in range(0, len(rows), ROWS_A_REQUEST)
    ]
    traces = [spans(rows[n : n + SPANS_A_REQUEST]) for n in range(0, len(rows), SPANS_A_REQUEST)]
    plain = {"Content-Type": "application/json"}
    names = [f"w{n}" for n in range(len(WAYS))]
    return [
        Way(WAYS[0], f"/api/v1/logs/{names[0]}", plain, pushed),
        Way(
            WAYS[1],
            f"/api/v1/logs/{names[1]}",
            {**plain, "Content-Encoding": "gzip"},
            [gzip.compress(body, 6) for body in pushed],
        ),
        Way(WAYS[2], "/otlp/v1/traces", {"Content-Type": "application/x-protobuf"}, [protobuf(one) for one in traces]),
        Way(WAYS[3], "/otlp/v1/traces", plain, [json.dumps(one, separators=(",", ":")).encode() for one in traces]),
    ]


def spans(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The rows as spans of the current GenAI conventions, in OTLP's JSON."""
    sender = {"attributes": [_pair("service.name", "benchmark")]}
    return {"resourceSpans": [{"resource": sender, "scopeSpans": [{"spans": [_span(row) for row in rows]}]}]}


def _span(row: dict[str, Any]) -> dict[str, Any]:
    asked = [{"role": one["role"], "parts": [_part(one)]} for one in row["request"]["messages"]]
    choice = row["response"]["choices"][0]
    said = [{"role": "assistant", "parts": [_part(choice["message"])], "finish_reason": "stop"}]
    started = 1_768_630_843_000_000_000 + int(row["id"][:12], 16) % 10**15
    told = {
        "gen_ai.operation.name": "chat", "gen_ai.provider.name": row["ai_org"], "gen_ai.request.model": row["ai_model"],
        "gen_ai.request.temperature": 0.2, "gen_ai.request.max_tokens": 800,
        "gen_ai.response.id": row["response"]["id"],
        "gen_ai.response.model": row["ai_model"], "gen_ai.usage.input_tokens": int(row["req_units"]),
        "gen_ai.usage.output_tokens": int(row["res_units"]), "gen_ai.conversation.id": row["trace_id"],
        "user.id": row["metadata"]["user"], "gen_ai.input.messages": json.dumps(asked),
        "gen_ai.output.messages": json.dumps(said),
    }  # fmt: skip
    return {
        "traceId": row["id"], "spanId": row["id"][:16], "name": "chat", "startTimeUnixNano": str(started),
        "endTimeUnixNano": str(started + 10**9), "attributes": [_pair(name, found) for name, found in told.items()],
    }  # fmt: skip


def _part(message: dict[str, Any]) -> dict[str, Any]:
    return {"type": "text", "content": message["content"]}


def _pair(name: str, found: str | float) -> dict[str, Any]:
    if isinstance(found, str):
        return {"key": name, "value": {"stringValue": found}}
    return {"key": name, "value": {"intValue": str(found)} if isinstance(found, int) else {"doubleValue": found}}


def protobuf(request: dict[str, Any]) -> bytes:
    """The same request as exporters write it by default."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    out = ExportTraceServiceRequest()
    for given in request["resourceSpans"]:
        scope = out.resource_spans.add().scope_spans.add()
        for one in given["scopeSpans"][0]["spans"]:
            span = scope.spans.add(
                trace_id=bytes.fromhex(one["traceId"]), span_id=bytes.fromhex(one["spanId"]), name=one["name"],
                start_time_unix_nano=int(one["startTimeUnixNano"]), end_time_unix_nano=int(one["endTimeUnixNano"]),
            )  # fmt: skip
            for pair in one["attributes"]:
                value = span.attributes.add(key=pair["key"]).value
                for kind, found in pair["value"].items():
                    read: Callable[[Any], Any] = int if kind == "intValue" else lambda same: same
                    setattr(value, kind.replace("Value", "_value"), read(found))
    written: bytes = out.SerializeToString()
    return written


@contextlib.contextmanager
def site(folder: str, workers: int) -> Iterator[tuple[str, list[str], int]]:
    """The site with a project for each way; its address, their tokens and the process that owns the workers."""
    environment = {**os.environ, "DATA_DIR": folder, "DJANGO_SETTINGS_MODULE": "agentopt.settings"}
    code = PREPARE.format(slugs=[f"w{n}" for n in range(len(WAYS))])
    made = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{free.getsockname()[1]}"
    options = ["-b", host, "-k", "gthread", "-w", str(workers), "--no-control-socket", "--log-level", "error"]
    command = [sys.executable, "-m", "gunicorn", "agentopt.wsgi", *options]
    server = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    try:
        for _ in range(300):
            with contextlib.suppress(httpx.TransportError):
                httpx.get(f"http://{host}/healthz", timeout=5)
                break
            time.sleep(0.1)
        yield f"http://{host}", made.stdout.split(), server.pid
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)


def cpu_s(owner: int) -> float:
    """Seconds of CPU that a process and its children have used."""
    total = 0
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parts = entry.read_text().rpartition(")")[2].split()
            if int(parts[1]) == owner or entry.parent.name == str(owner):
                total += int(parts[11]) + int(parts[12])
    return total / TICKS


def measure(way: Way, *, base: str, token: str, owner: int, n_rows: int) -> dict[str, Any]:
    """Send all requests of a way, one after the other."""
    headers = {**way.headers, "Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=base, timeout=120, headers=headers) as client:
        client.post(way.address, content=way.bodies[0]).raise_for_status()  # a price looked up, modules imported
        before, began = cpu_s(owner), time.perf_counter()
        for body in way.bodies[1:]:
            client.post(way.address, content=body).raise_for_status()
        took, used = time.perf_counter() - began, cpu_s(owner) - before
    sent = n_rows * (len(way.bodies) - 1) / len(way.bodies)
    return {
        "way": way.name, "rows_per_s": round(sent / took), "cpu_s_per_100k": round(used / sent * 100_000, 1),
        "mb_per_request": round(sum(map(len, way.bodies)) / len(way.bodies) / 2**20, 2),
    }  # fmt: skip


def main() -> None:
    """Measure every way and print one line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rows", type=int, default=18_000)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    maker = Rows()
    rows = [json.loads(maker.line(number)) for number in range(given.rows)]
    with tempfile.TemporaryDirectory() as folder, site(folder, given.workers) as (base, tokens, owner):
        found = [
            measure(way, base=base, token=token, owner=owner, n_rows=len(rows))
            for way, token in zip(ways(rows), tokens, strict=True)
        ]
    about = {"python": platform.python_version(), "machine": platform.machine(), "load": os.getloadavg()[0]}
    about |= {"database": os.environ.get("DATABASE_URL", "sqlite").partition(":")[0], "rows": len(rows)}
    if given.json:
        print(json.dumps({"benchmark": "push", **about, "ways": found}))
        return
    print(about)
    for one in found:
        print(one)


if __name__ == "__main__":
    main()
