"""Chat calls: an event loop in a thread, fixed workers over a queue, aiohttp (docs/decisions/0005-wire.md).

Libraries are imported where they are used: pages reach this module too, and send nothing.
"""

import asyncio
import gc
import json
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import msgspec

from agentopt import __version__
from ingestion.gateway import errors, patience, replies
from ingestion.gateway.base import ChatReply, ChatRequest, Endpoint
from ingestion.gateway.lanes import Lane, Road

if TYPE_CHECKING:
    import aiohttp

MAX_REPLY_BYTES = 20 * 1024 * 1024
METADATA_LENGTH = 128
SANDBOX_HEADER = "x-agentopt-sandbox"
_Entry = tuple[ChatRequest, "Future[ChatReply]"]


class ChatSession:
    """Sends calls from any thread, at most `in_flight` at once; use as a context manager.

    Each provider has a queue and workers of its own, so one that is busy holds nobody else up; `by_provider` says how
    many calls one may get at once, where that is fewer.

    Leaving it cancels what is queued or in flight. A failed call concerns its own future only.
    """

    def __init__(
        self, endpoint: Endpoint, *, in_flight: int, by_provider: Mapping[str, int] | None = None
    ) -> None:  # fmt: skip
        self._url = f"{endpoint.base_url}/chat/completions"
        self._headers = _headers(endpoint)
        self._in_flight = in_flight
        self._ready = threading.Event()
        self._broken: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._by_provider = by_provider or {}
        self._open: set[Future[ChatReply]] = set()
        self._sent: set[Future[ChatReply]] = set()
        self._road = Road(in_flight)
        self._lanes: dict[str, Lane] = {}
        self._lines: dict[str, asyncio.Queue[_Entry]] = {}
        self._workers: list[asyncio.Task[None]] = []
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="gateway-chat", daemon=True)

    def __enter__(self) -> Self:
        # All that is there by now is left out when cycles are collected: to walk through it takes a quarter of a
        # second, in which no reply is read, so that each call in flight would seem that much slower.
        gc.freeze()
        self._thread.start()
        self._ready.wait()
        if self._broken is not None:
            gc.unfreeze()
            raise self._broken
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._lock:
            loop, self._loop = self._loop, None
        if loop is not None:
            loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join()
        gc.unfreeze()

    def submit(self, request: ChatRequest) -> "Future[ChatReply]":
        """Queue a call. Its future gives the reply or raises a child of errors.CallFailed.

        Cancelling a queued call means that it is never sent; one in flight runs to its end unread.

        Raises:
            RuntimeError: the session is closed.
        """
        future: Future[ChatReply] = Future()
        with self._lock:
            if self._loop is None:
                raise RuntimeError("the chat session is closed")
            self._open.add(future)
            self._loop.call_soon_threadsafe(self._enqueue, (request, future))
        future.add_done_callback(self._open.discard)
        return future

    def withdraw(self, future: "Future[ChatReply]") -> bool:
        """Cancel a call unless it was sent already; tell whether it will never be."""
        with self._lock:
            return future not in self._sent and future.cancel()

    def limited(self) -> frozenset[str]:
        """Providers that limit the rate at present, from any thread."""
        return frozenset(provider for provider, lane in list(self._lanes.items()) if lane.is_limited)

    # ------------------------------------------------------------------------------------ inside the thread
    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=_loop_factory()) as runner:
                runner.run(self._serve())
        except BaseException as error:  # noqa: BLE001 — a thread's failure belongs to whoever waits for it
            self._broken = error
        finally:
            with self._lock:
                self._loop = None
            for future in list(self._open):
                future.cancel()
            self._ready.set()

    async def _serve(self) -> None:
        import aiohttp

        from agentopt.lib import http

        self._stopped = asyncio.Event()
        async with aiohttp.ClientSession(
            connector=http.connector(self._in_flight),
            headers=self._headers,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=http.CONNECT_TIMEOUT_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        ) as session:
            self._session = session
            self._loop = asyncio.get_running_loop()
            self._ready.set()
            await self._stopped.wait()
            for worker in self._workers:
                worker.cancel()
            await asyncio.gather(*self._workers, return_exceptions=True)

    def _enqueue(self, entry: _Entry) -> None:
        provider = entry[0].provider
        if provider not in self._lines:
            most = min(self._in_flight, self._by_provider.get(provider, self._in_flight))
            lane = self._lanes[provider] = Lane(asyncio.get_running_loop().time, most, self._road)
            line = self._lines[provider] = asyncio.Queue()
            self._workers += [asyncio.create_task(self._work(line, lane)) for _ in range(most)]
        self._lines[provider].put_nowait(entry)

    async def _work(self, line: "asyncio.Queue[_Entry]", lane: Lane) -> None:
        while True:
            request, future = await line.get()
            # not part of the call's time: how long others keep the provider busy says nothing about this one
            await lane.enter()
            if not self._begin(future):
                lane.leave()
                continue
            # the caller may cancel between any two lines
            with suppress(InvalidStateError):
                try:
                    future.set_result(await _ask(self._session, request, url=self._url, lane=lane))
                except Exception as error:  # noqa: BLE001 — whatever it is, it is this call's, and the worker goes on
                    future.set_exception(error)
            self._sent.discard(future)

    def _begin(self, future: "Future[ChatReply]") -> bool:
        with self._lock:
            if future.cancelled():
                return False
            self._sent.add(future)
            return True


async def _ask(session: "aiohttp.ClientSession", request: ChatRequest, *, url: str, lane: Lane) -> ChatReply:
    """One call with its repeats, within its time; it comes with room in its lane and gives that back."""
    import stamina

    now = asyncio.get_running_loop().time
    rule = patience.Patience(now, now() + request.timeout_s)
    body, headers = _body(request), _call_headers(request)
    calls, last, inside, began = 0, None, True, now()
    try:
        async with asyncio.timeout_at(rule.deadline):
            async for attempt in stamina.retry_context(
                on=rule,
                attempts=patience.ATTEMPTS_WHEN_LIMITED,
                timeout=None,
                wait_initial=patience.WAIT_INITIAL_S,
                wait_max=patience.WAIT_MAX_S,
                wait_jitter=patience.WAIT_JITTER_S,
            ):
                with attempt:
                    if not inside:
                        await lane.enter()
                        inside = True
                    calls += 1
                    began = now()
                    try:
                        reply = await _attempt(session, url, body=body, headers=headers, calls=calls)
                    except errors.CallFailed as error:
                        error.calls, last = calls, error
                        if isinstance(error, errors.RateLimited):
                            lane.limited(began=began, retry_after_s=error.retry_after_s)
                        lane.leave()
                        inside = False
                        raise
                    lane.answered()
                    return reply
    except TimeoutError:
        had_its_turn = inside and now() - began >= request.timeout_s / 2
        if isinstance(last, errors.RateLimited) and not had_its_turn:
            last.calls = calls
            raise last from None  # most of the time went by with waiting, which is not the model's fault
        # a failure that was about to be repeated says more than the time-out of the wait for the repeat
        told = f" (before: {last.code})" if last else ""
        raise errors.TimedOut(f"No answer within {request.timeout_s:g} s{told}.", calls=calls) from None
    finally:
        if inside:
            lane.leave()
    raise AssertionError("unreachable")


async def _attempt(
    session: "aiohttp.ClientSession", url: str, *, body: bytes, headers: Mapping[str, str], calls: int
) -> ChatReply:
    """Send once and read the answer. Causes are cut off: aiohttp's texts may quote bytes of a reply."""
    import aiohttp

    began = time.perf_counter_ns()
    try:
        async with session.post(url, data=body, headers=headers, allow_redirects=False) as response:
            simulated = SANDBOX_HEADER in response.headers
            try:
                answer, first_ns = await _answer(response)
            except errors.CallFailed as error:
                error.simulated = simulated
                raise
            return ChatReply(
                text=answer.text,
                tool_calls=answer.tool_calls,
                finish_reason=answer.finish_reason,
                model=answer.model,
                refusal=answer.refusal,
                usage=answer.usage,
                latency_us=(time.perf_counter_ns() - began) // 1000,
                first_token_us=None if first_ns is None else (first_ns - began) // 1000,
                calls=calls,
                simulated=simulated,
            )
    except aiohttp.ClientConnectorError as error:
        raise _unreached(error.os_error) from None
    except aiohttp.ClientError:
        raise errors.GatewayDown("The connection to the gateway broke before the answer was complete.") from None


async def _answer(response: "aiohttp.ClientResponse") -> tuple[replies.Answer, int | None]:
    """Read a reply; with the moment of its first token in nanoseconds where it came as a stream."""
    if response.status >= 300:
        raise errors.from_reply(response.status, response.headers, await _read_error(response))
    if response.content_type != "text/event-stream":
        return replies.read(await _read(response)), None
    return await _read_stream(response)


async def _read_error(response: "aiohttp.ClientResponse") -> bytes:
    """The body of an error, as far as it can be read: its status says more than that it broke off."""
    import aiohttp

    try:
        return await _read(response)
    except aiohttp.ClientPayloadError:
        return b""


async def _read(response: "aiohttp.ClientResponse") -> bytes:
    parts, size = [], 0
    async for chunk in response.content.iter_any():
        size += len(chunk)
        if size > MAX_REPLY_BYTES:
            raise _too_large()
        parts.append(chunk)
    return b"".join(parts)


async def _read_stream(response: "aiohttp.ClientResponse") -> tuple[replies.Answer, int | None]:
    import aiohttp

    stream, size, first_ns = replies.Stream(), 0, None
    try:
        async for chunk in response.content.iter_any():
            size += len(chunk)
            if size > MAX_REPLY_BYTES:
                raise _too_large()
            stream.feed(chunk)
            if first_ns is None and stream.started:
                first_ns = time.perf_counter_ns()
            if stream.done:
                break
    except aiohttp.ClientError:
        raise errors.BadAnswer("The stream broke off before the answer did.", upstream_status=200) from None
    return stream.answer(), first_ns


def _too_large() -> errors.BadAnswer:
    error = errors.BadAnswer(f"The reply is larger than {MAX_REPLY_BYTES // 1024**2} MB.", upstream_status=200)
    error.retryable = False  # it would be as large again
    return error


def _unreached(cause: BaseException | None) -> errors.GatewayDown:
    from agentopt.lib import http

    if isinstance(cause, http.PrivateAddress):
        return errors.AddressRefused(
            "The gateway's address is private; if that is meant, set ALLOW_PRIVATE_ADDRESSES=true.", calls=0
        )
    return errors.GatewayDown("The gateway cannot be reached; is its address right and the service up?")


def _body(request: ChatRequest) -> bytes:
    body: dict[str, Any] = {**request.body, "model": request.model}
    if body.get("stream"):
        # without it a stream carries no usage at all
        body["stream_options"] = {**(body.get("stream_options") or {}), "include_usage": True}
    try:
        return msgspec.json.encode(body)
    except UnicodeEncodeError:  # half a surrogate pair, which a logged prompt cut in the middle of an emoji has
        return json.dumps(body).encode()


def _headers(endpoint: Endpoint) -> dict[str, str]:
    """Headers of every call, by the SDK's own builder."""
    from portkey_ai import createHeaders

    name, key = endpoint.auth_header.lower(), endpoint.api_key
    if name == "authorization":
        auth = createHeaders(Authorization=key)
    elif name == "x-portkey-api-key":
        auth = createHeaders(api_key=key)
    else:
        auth = {endpoint.auth_header: key}
    return {
        **auth,
        **createHeaders(strict_open_ai_compliance=False),
        **({"x-portkey-config": endpoint.config} if endpoint.config else {}),
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
        "user-agent": f"agentopt/{__version__}",
    }


def _call_headers(request: ChatRequest) -> dict[str, str]:
    """Trace id and metadata, as the SDK's header builder spells them: JSON in ASCII."""
    if not request.trace_id:
        raise ValueError("a call needs a trace id, or the gateway's repeats and the SDK's multiply")
    headers = {"x-portkey-trace-id": request.trace_id}
    if request.metadata:
        cut = {key: value[:METADATA_LENGTH] for key, value in request.metadata.items()}
        headers["x-portkey-metadata"] = json.dumps(cut)
    return headers


def _loop_factory() -> Any:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
