"""Real receivers on the loopback: an SMTP server, and an HTTP server that answers as it is told."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller


@dataclass
class Posted:
    """One request, as it came."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """What an HTTP receiver got; it answers with `answers` in turn, then with 200."""

    url: str = ""
    posts: list[Posted] = field(default_factory=list)
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)


@contextmanager
def http_receiver() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.posts.append(Posted(self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            status, headers = receiver.answers.pop(0) if receiver.answers else (200, {})
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}/hook"
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class Post:
    """What an SMTP server took; `refuse` is what it says to recipients instead, in turn."""

    port: int = 0
    letters: list[Message] = field(default_factory=list)
    refuse: list[str] = field(default_factory=list)


@contextmanager
def smtp_server() -> Iterator[Post]:
    post = Post()

    class Handler:
        async def handle_RCPT(  # noqa: N802 — aiosmtpd's name
            self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any
        ) -> str:
            if post.refuse:
                return post.refuse.pop(0)
            envelope.rcpt_tos.append(address)
            return "250 OK"

        async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 — its name
            post.letters.append(message_from_bytes(envelope.content))
            return "250 OK"

    with socket.socket() as free:  # the controller calls its own port to see that it is up, so it must know it
        free.bind(("127.0.0.1", 0))
        post.port = free.getsockname()[1]
    controller = Controller(Handler(), hostname="127.0.0.1", port=post.port)
    controller.start()
    try:
        yield post
    finally:
        controller.stop()
