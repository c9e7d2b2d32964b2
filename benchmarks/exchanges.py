"""Recorded replies of providers through our gateway client: `python -m benchmarks.exchanges --file FILE --json`.

FILE holds one exchange a line, gzip or not: `exchange_id`, `request` (the body sent), `status`, `stream`, `response`
(the JSON body) or `sse` (the raw event stream). A server on loopback gives each reply to the request that asks for it,
and what the client makes of it is held against what the recording says, read here by a plain reader of its own.
"""

import argparse
import gzip
import json
import os
import re
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

NUMBER_HEADER = "x-portkey-trace-id"
IN_FLIGHT = 8
TIMEOUT_S = 30.0


def read(path: Path) -> list[dict[str, Any]]:
    """The exchanges of a file, packed or not."""
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if raw.startswith(b"\x1f\x8b") else raw).decode()
    # no splitlines: texts may hold other line ends of Unicode
    return [json.loads(line) for line in text.split("\n") if line.strip()]


def sent(exchange: Mapping[str, Any]) -> tuple[str, str]:
    """The reply as it was, and its type of content."""
    if exchange.get("sse") is not None:
        return exchange["sse"], "text/event-stream"
    response = exchange.get("response")
    return (response, "text/html") if isinstance(response, str) else (json.dumps(response), "application/json")


@contextmanager
def serve(exchanges: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A server that gives exchange n to the call whose trace id is n; yields its address."""

    class Replies(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            exchange = exchanges[int(self.headers[NUMBER_HEADER])]
            text, kind = sent(exchange)
            body = text.encode()
            self.send_response(exchange["status"])
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Replies)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def expected(exchange: Mapping[str, Any]) -> dict[str, Any] | None:
    """Text, tool calls (name and arguments) and tokens of the first choice; None where the recording has no answer."""
    if exchange["status"] >= 400:
        return None
    if exchange.get("sse") is None:
        body = exchange["response"] if isinstance(exchange.get("response"), dict) else {}
        choices = body.get("choices")
        if not choices:
            return None
        message = choices[0].get("message") or {}  # none where a filter took it away
        calls = [call["function"] for call in message.get("tool_calls") or []]
        functions = [message["function_call"]] if message.get("function_call") else []
        return _told(_plain(message.get("content")), calls or functions, body.get("usage"))
    return _streamed(exchange["sse"])


def _streamed(sse: str) -> dict[str, Any] | None:
    text, calls_at, usage = "", dict[int, dict[str, str]](), None
    for chunk in _chunks(sse):
        if "error" in chunk:
            return None
        usage = chunk.get("usage") or usage
        for choice in chunk.get("choices") or []:
            if choice.get("index"):
                continue
            delta = choice.get("delta") or {}
            text += _plain(delta.get("content"))
            for part in delta.get("tool_calls") or []:
                call = calls_at.setdefault(part.get("index") or 0, {"name": "", "arguments": ""})
                for key in call:
                    call[key] += (part.get("function") or {}).get(key) or ""
            for key, said in (delta.get("function_call") or {}).items():
                calls_at.setdefault(0, {"name": "", "arguments": ""})[key] += said or ""
    return _told(text, [calls_at[index] for index in sorted(calls_at)], usage)


def _chunks(sse: str) -> Iterator[Mapping[str, Any]]:
    for line in sse.replace("\r\n", "\n").split("\n"):
        piece = line.removeprefix("data:").strip()
        if line.startswith("data:") and piece not in ("", "[DONE]"):
            yield json.loads(piece)


def _plain(content: Any) -> str:
    if isinstance(content, list):
        return "".join(part["text"] for part in content if part.get("type") == "text")
    return content or ""


def _told(text: str, calls: Sequence[Mapping[str, Any]], usage: Any) -> dict[str, Any]:
    counts = usage if isinstance(usage, dict) else {}
    return {
        "text": text,
        "tool_calls": [(call["name"], call.get("arguments") or "") for call in calls],
        "usage": (counts.get("prompt_tokens"), counts.get("completion_tokens")),
    }


def _is_old(exchange: Mapping[str, Any]) -> bool:
    """Whether it calls a tool in the form that came before tool calls."""
    return not re.search(r'"tool_calls":\s*\[\s*\{', sent(exchange)[0])


def message_of(exchange: Mapping[str, Any]) -> str:
    """The words of a recorded error."""
    body = exchange.get("response")
    if exchange.get("sse") is not None:
        body = next((chunk for chunk in _chunks(exchange["sse"]) if "error" in chunk), None)
    if isinstance(body, list) and body:
        body = body[0]
    if not isinstance(body, dict):
        return body if isinstance(body, str) else ""
    error = body.get("error") or body
    return error if isinstance(error, str) else str(error.get("message") or "")


def held_against(exchange: Mapping[str, Any], future: "Future[Any]") -> dict[str, Any]:
    """What became of one exchange: flags for the counts, and `mismatch` with what differs."""
    from ingestion.gateway.errors import DETAIL_LENGTH, CallFailed

    status, wanted = exchange["status"], expected(exchange)
    try:
        reply = future.result()
    except CallFailed as error:
        kept = error.upstream_status == status and error.detail == message_of(exchange)[:DETAIL_LENGTH]
        wrong = None if wanted is None and kept else f"{status} became {error.code} of {error.upstream_status}"
        return {"error": True, "kept": kept, "mismatch": wrong}
    except Exception as error:  # noqa: BLE001 — a crash is what is looked for
        return {"crashed": True, "mismatch": f"crashed with {type(error).__name__}"}
    if wanted is None:
        return {"mismatch": f"an error of {status} became an answer"}
    calls = [(call["function"]["name"], call["function"].get("arguments") or "") for call in reply.tool_calls]
    found = {
        "text": reply.text,
        "tool_calls": calls,
        "usage": (reply.usage.input_tokens, reply.usage.output_tokens),
    }
    differs = [name for name in wanted if wanted[name] != found[name]]
    return {
        "ok": not differs,
        "stream": bool(exchange["stream"]),
        "text": bool(reply.text),
        "calls": bool(calls) and not _is_old(exchange),
        "functions": bool(calls) and _is_old(exchange),
        "usage": reply.usage.input_tokens is not None,
        "mismatch": f"differs in {', '.join(differs)}" if differs else None,
    }


def run(exchanges: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Serve all exchanges, ask for each once, and count."""
    from ingestion.gateway.base import ChatRequest, Endpoint
    from ingestion.gateway.chat import ChatSession

    with serve(exchanges) as url:
        endpoint = Endpoint(f"{url}/v1", f"{url}/v1", "x-portkey-api-key", "loopback")
        with ChatSession(endpoint, in_flight=IN_FLIGHT) as session:
            futures = [
                session.submit(
                    ChatRequest(
                        model=str((exchange["request"] or {}).get("model") or "recorded"),
                        body={key: value for key, value in (exchange["request"] or {}).items() if key != "model"},
                        trace_id=str(number),
                        metadata={},
                        timeout_s=TIMEOUT_S,
                    )
                )
                for number, exchange in enumerate(exchanges)
            ]
            found = [held_against(exchange, future) for exchange, future in zip(exchanges, futures, strict=True)]
    return {
        "rows": len(exchanges),
        "ok": sum(one.get("ok", False) for one in found),
        "streams": sum(one.get("stream", False) for one in found),
        "with_text": sum(one.get("text", False) for one in found),
        "with_tool_calls": sum(one.get("calls", False) for one in found),
        "with_function_calls": sum(one.get("functions", False) for one in found),  # as tool calls were called before
        "with_usage": sum(one.get("usage", False) for one in found),
        "errors": sum(one.get("error", False) for one in found),
        "error_status_kept": sum(one.get("kept", False) for one in found),
        "crashed": sum(one.get("crashed", False) for one in found),
        "mismatches": [
            {"exchange_id": exchange["exchange_id"], "why": one["mismatch"]}
            for exchange, one in zip(exchanges, found, strict=True)
            if one.get("mismatch")
        ],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--file", type=Path, required=True)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    os.environ["ALLOW_PRIVATE_ADDRESSES"] = "true"
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agentopt.settings")
    import django

    django.setup()
    found = run(read(arguments.file))
    sys.stdout.write(json.dumps(found, indent=None if arguments.json else 2) + "\n")
    return 0 if not found["crashed"] else 1


if __name__ == "__main__":
    sys.exit(main())
