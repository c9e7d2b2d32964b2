"""What carries chat calls: our session over aiohttp, against the SDK's own client, on one upstream of fixed latency.

    python -m benchmarks.wire [--json] [--latency-ms 200] [--in-flight 64] [--calls 2048] [--rounds 3]

The upstream is a bare protocol in a process of its own on loopback. Efficiency is ideal time / actual time, the ideal
being calls / in_flight × latency; CPU is that of this process, which is the client alone. Every way keeps the same
rules: a time limit and a trace id on each call, no repeats by the SDK, an answer checked for its choices and usage.
`httpx-aiohttp`, where it is installed, adds the SDK over aiohttp's pool.
"""

import argparse
import asyncio
import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any

PROMPT = [
    {"role": "system", "content": "You answer customers. " * 60},
    {"role": "user", "content": "Where is it? " * 60},
]
USAGE = {"prompt_tokens": 640, "completion_tokens": 210, "total_tokens": 850}
Run = Callable[[str, int, int], float]


# ------------------------------------------------------------------------------------------------ the upstream
def _answer() -> bytes:
    message = {"role": "assistant", "content": "It is on its way to you. " * 60}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    body = json.dumps(
        {"id": "c", "object": "chat.completion", "model": "m", "choices": [choice], "usage": USAGE}
    ).encode()
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


class _Upstream(asyncio.Protocol):
    """Answers each request after a fixed time; one request at a time on a connection, as HTTP clients do."""

    reply = _answer()
    latency_s = 0.2

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101
        self._transport, self._bytes = transport, b""

    def data_received(self, data: bytes) -> None:
        self._bytes += data
        head, mark, body = self._bytes.partition(b"\r\n\r\n")
        if not mark:
            return
        length = next(
            int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
        )
        if len(body) >= length:
            self._bytes = b""
            asyncio.get_running_loop().call_later(self.latency_s, self._send)

    def _send(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(self.reply)


async def _serve(latency_s: float) -> None:
    _Upstream.latency_s = latency_s
    server = await asyncio.get_running_loop().create_server(_Upstream, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextlib.contextmanager
def upstream(latency_ms: float) -> Iterator[str]:
    """The address of an upstream in a process of its own, which answers every chat call after that time."""
    serve = [sys.executable, "-m", "benchmarks.wire", "--serve", "--latency-ms", str(latency_ms)]
    with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None  # noqa: S101
            yield f"http://127.0.0.1:{server.stdout.readline().strip()}/v1"
        finally:
            server.terminate()


# ------------------------------------------------------------------------------------------------ the ways
def over_session(url: str, calls: int, in_flight: int) -> float:
    """Our session as the product uses it: futures, retries, checks."""
    from ingestion.gateway.base import ChatRequest, Endpoint
    from ingestion.gateway.chat import ChatSession

    endpoint = Endpoint(url, url, "x-portkey-api-key", "benchmark")
    with ChatSession(endpoint, in_flight=in_flight) as session:
        requests = [
            ChatRequest("m", {"messages": PROMPT, "temperature": 0}, f"bench-{n}", {"run": "7"}, 30)
            for n in range(calls)
        ]
        began = time.perf_counter()
        futures = [session.submit(request) for request in requests]
        for future in futures:
            assert future.result().usage.output_tokens == 210  # noqa: S101
        return time.perf_counter() - began


def over_httpx(url: str, calls: int, in_flight: int) -> float:
    """Raw httpx: bytes made once, answers read as JSON."""
    import httpx

    pool = httpx.Limits(max_connections=in_flight, max_keepalive_connections=in_flight)
    body = json.dumps({"model": "m", "messages": PROMPT, "temperature": 0}).encode()

    async def main() -> float:
        async with httpx.AsyncClient(limits=pool, timeout=30, trust_env=False) as client:

            async def call(_: int) -> None:
                reply = await client.post(
                    f"{url}/chat/completions", content=body, headers={"content-type": "application/json"}
                )
                assert reply.json()["usage"]["completion_tokens"] == 210  # noqa: S101

            began = time.perf_counter()
            await _workers(call, calls, in_flight=in_flight)
            return time.perf_counter() - began

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(main())


def over_sdk(url: str, calls: int, in_flight: int) -> float:
    """AsyncPortkey as it comes, over httpcore's pool."""
    import httpx

    pool = httpx.Limits(max_connections=in_flight, max_keepalive_connections=in_flight)
    return _sdk(url, calls, in_flight=in_flight, transport=lambda: httpx.AsyncHTTPTransport(limits=pool))


def over_sdk_on_aiohttp(url: str, calls: int, in_flight: int) -> float:
    """AsyncPortkey over aiohttp's pool."""
    import aiohttp
    from httpx_aiohttp import AiohttpTransport  # type: ignore[import-not-found]

    from agentopt.lib import http

    return _sdk(
        url, calls, in_flight=in_flight,
        transport=lambda: AiohttpTransport(client=lambda: aiohttp.ClientSession(connector=http.connector(in_flight))),
    )  # fmt: skip


def _sdk(url: str, calls: int, *, in_flight: int, transport: Any) -> float:
    import httpx
    from portkey_ai import AsyncPortkey

    async def main() -> float:
        async with httpx.AsyncClient(base_url=url, transport=transport(), trust_env=False) as client:
            portkey = AsyncPortkey(api_key="benchmark", base_url=url, http_client=client)
            portkey.openai_client.max_retries = 0

            async def call(n: int) -> None:
                headers = {"x-portkey-trace-id": f"bench-{n}", "x-portkey-metadata": json.dumps({"run": "7"})}
                reply = await portkey.chat.completions.create(
                    model="m", messages=PROMPT, temperature=0, timeout=30, extra_headers=headers
                )
                assert reply.choices[0].message.content  # noqa: S101
                assert reply.usage.completion_tokens == 210  # noqa: S101

            began = time.perf_counter()
            await _workers(call, calls, in_flight=in_flight)
            return time.perf_counter() - began

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(main())


async def _workers(call: Callable[[int], Awaitable[None]], calls: int, *, in_flight: int) -> None:
    numbers = iter(range(calls))

    async def work() -> None:
        for number in numbers:
            await call(number)

    await asyncio.gather(*(work() for _ in range(in_flight)))


def _loop_factory() -> Any:
    with contextlib.suppress(ImportError):
        import uvloop

        return uvloop.new_event_loop
    return None


# ------------------------------------------------------------------------------------------------ measuring
def measure(
    ways: dict[str, Run], url: str, *, calls: int, in_flight: int, latency_s: float, rounds: int
) -> dict[str, dict[str, float]]:
    """Median efficiency and CPU milliseconds per call of each way.

    The ways take turns, so that what else the machine does meets all of them; one short round before warms up.
    """
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for run in ways.values():
        run(url, in_flight, in_flight)
    for _ in range(rounds):
        for name, run in ways.items():
            before = time.process_time()
            took = run(url, calls, in_flight)
            cpu_ms = (time.process_time() - before) / calls * 1000
            found[name].append((calls / in_flight * latency_s / took, cpu_ms))
    return {name: _medians(figures) for name, figures in found.items()}


def _medians(figures: list[tuple[float, float]]) -> dict[str, float]:
    efficiency, cpu_ms = (statistics.median(column) for column in zip(*figures, strict=True))
    return {"efficiency": round(efficiency, 3), "cpu_ms_per_call": round(cpu_ms, 3)}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def machine() -> dict[str, Any]:
    """What the figures hold for."""
    names = ("portkey-ai", "aiohttp", "uvloop", "httpx", "httpx-aiohttp", "stamina")
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
        **{name: _version(name) for name in names},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--latency-ms", type=float, default=200)
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--calls", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        asyncio.run(_serve(given.latency_ms / 1000))
        return
    report = _report(given)
    if given.json:
        print(json.dumps(report))
        return
    print(", ".join(f"{name} {value}" for name, value in report["machine"].items()))
    for name, figures in report["ways"].items():
        print(f"{name:18} efficiency {figures['efficiency']:.3f}   CPU {figures['cpu_ms_per_call']:.3f} ms per call")


def _report(given: argparse.Namespace) -> dict[str, Any]:
    import django

    # a scratch folder, loopback allowed; a line of log a call would count against httpx and the SDK
    os.environ |= {"DJANGO_SETTINGS_MODULE": "tests.settings", "LOG_LEVEL": "ERROR"}
    django.setup()
    ways: dict[str, Run] = {"session": over_session, "httpx": over_httpx, "sdk": over_sdk}
    if _version("httpx-aiohttp"):
        ways["sdk_on_aiohttp"] = over_sdk_on_aiohttp
    shape = {"calls": given.calls, "in_flight": given.in_flight, "rounds": given.rounds}
    with upstream(given.latency_ms) as url:
        found = measure(ways, url, latency_s=given.latency_ms / 1000, **shape)
    return {"machine": machine(), "latency_ms": given.latency_ms, **shape, "ways": found}


if __name__ == "__main__":
    main()
