"""The HTTP side of the sandbox: chat completions, streaming, models, log exports, and the truth for tests.

It binds to loopback only. Every response carries `x-agentopt-sandbox: simulated|recorded`, so that whatever comes from
here can be labelled.
"""

import asyncio
import json
import threading
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import web

from agentopt.lib import judge_form
from agentopt.sandbox import faults as trouble
from agentopt.sandbox import probes, recorded, traffic, truths, worlds
from agentopt.sandbox.exports import Exports, Refused
from agentopt.sandbox.faults import Fault
from agentopt.sandbox.worlds import Reply

MAX_BODY_BYTES = 20 * 1024**2
KEYS = tuple(agent.key for agent in traffic.AGENTS)
_PROVIDER = web.RequestKey("provider", str)
_STAND_IN = "corvus-medium"  # answers for the fault-… models once their trouble is over


@dataclass
class Sandbox:
    """A running server's configuration and what it has seen so far."""

    seed: int = 7
    latency_ms: float = 0
    faults: tuple[Fault, ...] = ()
    recordings: recorded.Recordings | None = None
    retry_after_s: float = 1
    denied_fields: tuple[str, ...] = ()
    url_ttl_s: float = 6 * 3600
    page_rows: int = 50_000  # of one export at most, whatever was asked
    max_running: int = 170  # exports at work at once; more make new ones fail
    now: datetime | None = None  # the end of the production logs; None: the clock
    port: int = 0
    chat_calls: int = 0
    judge_calls: int = 0
    calls_of: Counter[str] = field(default_factory=Counter)  # model -> chat and judge calls
    requests: deque[dict[str, str]] = field(default_factory=lambda: deque(maxlen=2_000))  # headers, lower case
    attempts: OrderedDict[str, int] = field(default_factory=OrderedDict)
    exports: Exports | None = None  # once it is served

    @property
    def url(self) -> str:
        """The base address, ending in /v1."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def key(self) -> str:
        """A key that opens it: of the first workspace; a recorded sandbox takes any."""
        return KEYS[0]

    @property
    def kind(self) -> str:
        """What the sandbox header says."""
        return "recorded" if self.recordings else "simulated"

    def key_of(self, request: web.Request) -> str:
        """Return the workspace key of a request.

        Raises:
            Refused: 401 as Portkey answers it, for a key that no workspace has.
        """
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
        key = request.headers.get("x-portkey-api-key") or bearer
        if key and (self.recordings or traffic.agent_of(key)):
            return key
        raise Refused(401, "AB05", "Invalid API Key. Please check your key and try again.")

    def logs_of(self, key: str) -> list[traffic.Record]:
        """Return the production logs of a workspace; a recorded sandbox has none."""
        agent = None if self.recordings else traffic.agent_of(key)
        if agent is None:
            return []
        return traffic.records(agent, seed=self.seed, now=self.now or datetime.now(UTC))

    def attempt(self, key: str) -> int:
        """Count the attempts at one call, from 0; remembers the latest 50,000 calls."""
        count = self.attempts.pop(key, -1) + 1
        self.attempts[key] = count
        if len(self.attempts) > 50_000:
            self.attempts.popitem(last=False)
        return count


@dataclass(frozen=True)
class Call:
    """One chat request, taken apart."""

    body: dict[str, Any]
    model: str
    trace_id: str
    attempt: int
    asked: judge_form.Asked | None
    repetition: int = 0  # as the metadata tell it: which of a model's answers to this body is wanted

    @property
    def drawn(self) -> dict[str, Any]:
        """The body that an answer is drawn from: asked again a model says something else, in every run the same."""
        return self.body if not self.repetition else {**self.body, "seed": [self.body.get("seed"), self.repetition]}


def application(sandbox: Sandbox) -> web.Application:
    """Return the web application of a sandbox."""
    app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[_refusals])
    exports = Exports(
        sandbox.logs_of,
        sandbox.key_of,
        sandbox.faults,
        sandbox.seed,
        denied_fields=sandbox.denied_fields,
        url_ttl_s=sandbox.url_ttl_s,
        page_rows=sandbox.page_rows,
        max_running=sandbox.max_running,
        retry_after_s=sandbox.retry_after_s,
        now=sandbox.now,
    )
    sandbox.exports = exports
    routes = _Routes(sandbox)
    app.add_routes(exports.routes())
    app.add_routes(
        [
            web.post("/v1/chat/completions", routes.chat),
            web.get("/v1/models", routes.models),
            web.get("/sandbox/truth", routes.truth),
            web.get("/sandbox/catalog", routes.catalog),
            web.get("/sandbox/health", routes.health),
        ]
    )

    async def label(request: web.Request, response: web.StreamResponse) -> None:
        response.headers["x-agentopt-sandbox"] = sandbox.kind
        response.headers["x-portkey-trace-id"] = request.headers.get("x-portkey-trace-id", "")
        response.headers["x-portkey-retry-attempt-count"] = "0"
        response.headers["x-portkey-provider"] = request.get(_PROVIDER, "sandbox")

    app.on_response_prepare.append(label)
    return app


@web.middleware
async def _refusals(request: web.Request, handler: Any) -> web.StreamResponse:
    try:
        response: web.StreamResponse = await handler(request)
    except Refused as refused:
        return refused.response()
    return response


class _Routes:
    """The handlers outside the control plane."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox

    async def health(self, _request: web.Request) -> web.Response:
        return web.json_response({"ok": True, "mode": self.sandbox.kind, "seed": self.sandbox.seed})

    async def catalog(self, _request: web.Request) -> web.Response:
        if self.sandbox.recordings:
            return web.json_response({"source": "agentopt sandbox, recorded", "models": []})
        return web.json_response(worlds.catalog())

    async def truth(self, request: web.Request) -> web.Response:
        agent = traffic.agent_of(request.query.get("workspace", KEYS[0]))
        if self.sandbox.recordings or agent is None:
            return _error(404, "There is no known truth here.", code="no_truth")
        limit = request.query.get("limit", "500")
        if not limit.isdecimal() or not int(limit):
            return _error(400, "limit must be a whole number above 0.", code="invalid_request_error")
        known = truths.of(agent, self.sandbox.logs_of(agent.key), seed=self.sandbox.seed, limit=int(limit))
        return web.json_response(known)

    async def models(self, request: web.Request) -> web.Response:
        self.sandbox.key_of(request)
        if self.sandbox.recordings:
            entries = [(name, "recorded") for name in self.sandbox.recordings.names(request.query.get("set"))]
        else:
            entries = [(model.name, model.provider) for model in worlds.MODELS]
        listed = [
            {"id": name, "slug": name, "canonical_slug": f"{provider}/{name}", "object": "model"}
            for name, provider in entries
        ]
        return web.json_response({"object": "list", "data": listed})

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """Answer a chat request, or meet it with the trouble that it asked for or was dealt."""
        sandbox = self.sandbox
        sandbox.requests.append({name.lower(): value for name, value in request.headers.items()})
        sandbox.key_of(request)
        call = await self._take_apart(request)
        if isinstance(call, web.Response):
            return call
        model = worlds.model_named(call.model)
        request[_PROVIDER] = model.provider if model and not sandbox.recordings else "sandbox"
        kind = trouble.forced(call.model, attempt=call.attempt) or trouble.strike(
            sandbox.faults, f"{call.model} {worlds.key_of(call.body)}", attempt=call.attempt, seed=sandbox.seed
        )
        if kind == "form" and "response_format" in call.body:
            return _error(400, "response_format is not supported by this model.", code="unsupported_parameter")
        met = await self._meet(kind, request)
        if met is not None:
            return met
        answer = self._answer(call, prose=kind == "prose")
        if isinstance(answer, web.Response):
            return answer
        await asyncio.sleep(self._delay_s(call))
        if call.body.get("stream"):
            return await _stream(request, answer, call=call, pause_s=0.3 if kind == "slow-stream" else 0.0)
        return web.json_response(answer)

    async def _take_apart(self, request: web.Request) -> Call | web.Response:
        try:
            body = await request.json()
        except ValueError:
            body = None
        messages = body.get("messages") if isinstance(body, dict) else None
        if not isinstance(messages, list) or not messages or not all(isinstance(m, dict) for m in messages):
            return _error(400, "messages must be a list of at least one message.", code="invalid_request_error")
        model, trace_id = str(body.get("model", "")), request.headers.get("x-portkey-trace-id", "")
        asked = judge_form.read(messages)
        self.sandbox.calls_of[model] += 1
        if asked is None:
            self.sandbox.chat_calls += 1
        else:
            self.sandbox.judge_calls += 1
        attempt = self.sandbox.attempt(f"{trace_id} {model} {worlds.key_of(body)}")
        return Call(body, model, trace_id, attempt, asked, _repetition(request.headers.get("x-portkey-metadata", "")))

    async def _meet(self, kind: str | None, request: web.Request) -> web.Response | None:
        if kind == "429":
            headers = {"Retry-After": f"{self.sandbox.retry_after_s:g}"}
            return _error(429, "Rate limit reached.", code="rate_limit_exceeded", headers=headers)
        if kind == "500":
            return _error(500, "The server had an error.", code="server_error")
        if kind == "html":
            return web.Response(text="<html><body>Welcome to the proxy</body></html>", content_type="text/html")
        if kind == "empty":
            return web.json_response({"id": "chatcmpl-empty", "object": "chat.completion", "choices": None})
        if kind == "timeout":
            await asyncio.sleep(3_600)
        if kind in ("timeout", "disconnect") and request.transport is not None:
            request.transport.abort()
            return web.Response()
        return None

    def _answer(self, call: Call, *, prose: bool) -> dict[str, Any] | web.Response:
        """Return a completion, or the error of a provider that cannot give one."""
        if call.asked is not None and prose:
            return _completion(call, _said("I would give this a solid eight out of ten: friendly and clear.", call))
        if self.sandbox.recordings:
            return self._recorded(call, self.sandbox.recordings)
        if call.asked is not None and call.model in probes.NAMES:
            prompt = str(call.body["messages"][-1]["content"])
            return _completion(call, _said(probes.answer(call.model, call.asked, prompt, seed=self.sandbox.seed), call))
        name = _STAND_IN if call.model.startswith("fault-") else call.model
        model = worlds.model_named(name)
        if model is None:
            return _error(404, f"The model {call.model!r} does not exist.", code="model_not_found")
        if call.asked is not None:
            judge, own = worlds.judge_named(model.name), call.body.get("seed")
            said = worlds.judge(judge, call.asked, seed=self.sandbox.seed, repetition=own)
            return _completion(call, _said(said, call))
        return self._simulated(call, model)

    def _simulated(self, call: Call, model: worlds.Model) -> dict[str, Any] | web.Response:
        seed = self.sandbox.seed
        refusal = worlds.refusal_of(model, call.body, on=datetime.now(UTC).date().isoformat())
        if refusal is not None:
            return _error(400, refusal[1], code=refusal[0])
        if worlds.fails(model, call.drawn, seed=seed, attempt=call.attempt):
            return _error(500, "The server had an error.", code="server_error")
        return _completion(call, worlds.answer(model, call.drawn, seed=seed))

    def _recorded(self, call: Call, recordings: recorded.Recordings) -> dict[str, Any] | web.Response:
        if call.asked is not None:
            verdict = None if call.asked.second is not None else recordings.verdict(call.model, call.asked)
            text = None if verdict is None else recorded.reply(verdict, call.asked)
        else:
            text = recordings.answer(call.model, call.body["messages"])
        if text is None:
            return _error(404, "Nothing was recorded for this model and this conversation.", code="not_recorded")
        completion = _completion(call, Reply(text, (), "stop", input_tokens=0, output_tokens=0))
        completion["usage"] = None  # the recordings hold no token counts, so they are unknown
        return completion

    def _delay_s(self, call: Call) -> float:
        if not self.sandbox.latency_ms:
            return 0
        model = worlds.model_named(call.model)
        factor = worlds.latency_factor(model, call.drawn, seed=self.sandbox.seed) if model else 1.0
        return self.sandbox.latency_ms / 1000 * factor


def _repetition(metadata: str) -> int:
    """The number under `repetition` in the metadata of a call; 0 where there is none."""
    try:
        told = json.loads(metadata)
        return int(told.get("repetition", 0))
    except (ValueError, TypeError, AttributeError):
        return 0


def _said(text: str, call: Call) -> Reply:
    return Reply(text, (), "stop", input_tokens=worlds.prompt_tokens(call.body), output_tokens=worlds.tokens(text))


def _completion(call: Call, reply: Reply) -> dict[str, Any]:
    name = call.model.rsplit("/", 1)[-1] if call.model.startswith("@") else call.model
    return traffic.completion(name, reply, at=datetime.now(UTC), key=worlds.key_of(call.drawn))


def _error(status: int, message: str, *, code: str, headers: dict[str, str] | None = None) -> web.Response:
    kind = {429: "rate_limit_error", 500: "server_error"}.get(status, "invalid_request_error")
    body = {"error": {"message": message, "type": kind, "param": None, "code": code}, "provider": "sandbox"}
    return web.json_response(body, status=status, headers=headers)


async def _stream(request: web.Request, answer: dict[str, Any], *, call: Call, pause_s: float) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
    await response.prepare(request)
    async for chunk in _chunks(answer, call=call, pause_s=pause_s):
        await response.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
    await response.write(b"data: [DONE]\n\n")
    await response.write_eof()
    return response


async def _chunks(answer: dict[str, Any], *, call: Call, pause_s: float) -> AsyncIterator[dict[str, Any]]:
    """Cut a completion into the chunks of a stream; usage comes last, and only where it was asked for."""
    base = {name: answer[name] for name in ("id", "created", "model")} | {"object": "chat.completion.chunk"}
    choice = answer["choices"][0]
    message = choice["message"]
    pieces: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    words = (message["content"] or "").split(" ")
    pieces += [{"content": (" " if i else "") + " ".join(words[i : i + 6])} for i in range(0, len(words), 6)]
    for index, tool_call in enumerate(message.get("tool_calls", ())):
        pieces.append({"tool_calls": [{"index": index, **tool_call}]})
    for piece in pieces:
        yield base | {"choices": [{"index": 0, "delta": piece, "finish_reason": None}]}
        await asyncio.sleep(pause_s)
    yield base | {"choices": [{"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}]}
    if (call.body.get("stream_options") or {}).get("include_usage"):
        yield base | {"choices": [], "usage": answer["usage"]}


@contextmanager
def running(
    *,
    port: int = 0,
    recordings: Path | str | None = None,
    seed: int = 7,
    latency_ms: float = 0,
    faults: Sequence[Fault | str] = (),
    **more: Any,
) -> Iterator[Sandbox]:
    """Serve on loopback from a thread, until the block ends.

    Args:
        port: 0 takes a free one.
        recordings: folder of recorded answers; None simulates.
        faults: "KIND:RATE" or Fault.
        more: further fields of Sandbox: retry_after_s, denied_fields, url_ttl_s, page_rows, max_running, now.
    """
    sandbox = configure(recordings=recordings, seed=seed, latency_ms=latency_ms, faults=faults, **more)
    loop = asyncio.new_event_loop()
    runner = _runner(sandbox)
    thread = threading.Thread(target=loop.run_forever, name="sandbox", daemon=True)
    thread.start()
    try:
        # in its own thread from the first step on: the caller's thread may have a loop of its own
        asyncio.run_coroutine_threadsafe(_listen(runner, sandbox, port=port), loop).result(10)
        yield sandbox
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def configure(
    *, recordings: Path | str | None, seed: int, latency_ms: float, faults: Sequence[Fault | str], **more: Any
) -> Sandbox:
    """Return a sandbox that is not yet served.

    Raises:
        ValueError: a fault or the folder of recordings makes no sense.
    """
    loaded = recorded.load(Path(recordings)) if recordings is not None else None
    asked = tuple(fault if isinstance(fault, Fault) else trouble.parse(fault) for fault in faults)
    return Sandbox(seed=seed, latency_ms=latency_ms, faults=asked, recordings=loaded, **more)


async def serve(sandbox: Sandbox, *, port: int, ready: Callable[[Sandbox], None]) -> None:
    """Serve on loopback until the task is cancelled; `ready` is called once the port is open."""
    runner = _runner(sandbox)
    await _listen(runner, sandbox, port=port)
    try:
        ready(sandbox)
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


def _runner(sandbox: Sandbox) -> web.AppRunner:
    # a client that gave up must not keep its handler asleep
    return web.AppRunner(application(sandbox), access_log=None, handler_cancellation=True, shutdown_timeout=0.5)


async def _listen(runner: web.AppRunner, sandbox: Sandbox, *, port: int) -> None:
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=1024).start()
    sandbox.port = runner.addresses[0][1]
