"""A gateway on loopback that answers exactly what a test says, well-formed or not, and keeps what it was asked."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ingestion.gateway.base import Endpoint

Answer = Callable[["Handler"], None]
DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True)
class Asked:
    """One request as it came in; header names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Fake:
    """`answer` decides, given the handler; `asked` grows with each request."""

    answer: Answer
    asked: list[Asked] = field(default_factory=list)
    port: int = 0
    closing: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def endpoint(self, *, auth_header: str = "x-portkey-api-key", key: str = "pk-secret-key") -> Endpoint:
        return Endpoint(self.url, self.url, auth_header, key)

    def paths(self) -> list[str]:
        return [f"{one.method} {one.path}" for one in self.asked]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    fake: Fake
    asked: Asked

    def _handle(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.asked = Asked(self.command, self.path, headers, self.rfile.read(length))
        self.fake.asked.append(self.asked)
        self.fake.answer(self)

    do_GET = do_POST = do_PUT = _handle  # noqa: N815

    def log_message(self, *_args: Any) -> None:
        pass

    def send(self, body: Any = b"", *, status: int = 200, kind: str = "application/json", **headers: str) -> None:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        if kind:
            self.send_header("content-type", kind)
        self.send_header("content-length", str(len(raw)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(raw)

    def stream(self, *pieces: bytes) -> None:
        """An event stream in pieces, ended by closing the connection."""
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        for piece in pieces:
            self.wfile.write(piece)
            self.wfile.flush()
        self.close_connection = True

    def hang(self) -> None:
        """Say nothing until the test is over."""
        self.fake.closing.wait(20)
        self.close_connection = True

    def disconnect(self) -> None:
        """Promise a body and close in the middle of it."""
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", "1000")
        self.end_headers()
        self.wfile.write(b'{"choices": [')
        self.close_connection = True


def completion(text: str | None = "hello", **message: Any) -> dict[str, Any]:
    """A chat completion as a provider writes it."""
    return {
        "id": "c1",
        "object": "chat.completion",
        "model": "gpt-4o-2024-08-06",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": text, **message}, "finish_reason": "stop"}
        ],
        "usage": {"prompt_tokens": 11, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 5}},
    }


def event(**chunk: Any) -> bytes:
    """A chunk of a stream as it goes over the wire."""
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def in_turn(*answers: Answer) -> Answer:
    """One answer after another; the last one stays."""
    waiting = list(answers)

    def answer(handler: Handler) -> None:
        (waiting.pop(0) if len(waiting) > 1 else waiting[0])(handler)

    return answer


def by_path(routes: dict[str, Answer]) -> Answer:
    """An answer for each "METHOD /path" below /v1; anything else is 404."""

    def answer(handler: Handler) -> None:
        key = f"{handler.asked.method} {handler.asked.path.removeprefix('/v1').split('?')[0]}"
        found = routes.get(key)
        if found:
            found(handler)
        else:
            handler.send({"error": {"message": "no such route", "code": "AB02"}}, status=404)

    return answer


@contextmanager
def serving(answer: Answer) -> Iterator[Fake]:
    fake = Fake(answer)
    handler = type("FakeHandler", (Handler,), {"fake": fake})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    fake.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        fake.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()
