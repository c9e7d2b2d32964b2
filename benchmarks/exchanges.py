"""Recorded replies of providers through our gateway client: `python -m benchmarks.exchanges --file FILE --json`.

FILE holds one exchange a line, gzip or not: `exchange_id`, `request` (the body sent), `status`, `stream`, `response`
(the JSON body) or `sse` (the raw event stream). A server on loopback gives each reply to the request that asks for it,
and what the client makes of it is held against what the recording says, read here by a plain reader of its own.
"""

import argparse
import gzip
import json
import os
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
    """The exchanges of a file."""
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode()
    return [json.loads(line) for line in text.splitlines() if line.strip()]


@contextmanager
def serve(exchanges: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A server that gives exchange n to the call whose trace id is n; yields its address."""

    class Replies(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            exchange = exchanges[int(self.headers[NUMBER_HEADER])]
            body = (exchange["sse"] if exchange["stream"] else json.dumps(exchange["response"])).encode()
            self.send_response(exchange["status"])
            streamed = exchange["stream"] and exchange["status"] == 200
            self.send_header("content-type", "text/event-stream" if streamed else "application/json")
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


def expected(exchange: Mapping[str, Any]) -> dict[str, Any]:
    """Text, tool calls (name and arguments) and tokens of the first choice, as the recording has them."""
    if not exchange["stream"]:
        body = exchange["response"]
        message = body["choices"][0].get("message") or {}  # none where a filter took it away
        calls = [call["function"] for call in message.get("tool_calls") or []]
        usage = body.get("usage") or {}
        return _told(message.get("content") or "", calls, usage)
    text, calls_at, usage = "", dict[int, dict[str, str]](), dict[str, Any]()
    for event in exchange["sse"].replace("\r\n", "\n").split("\n\n"):
        data = event.strip().removeprefix("data:").strip()
        if not data or data == "[DONE]":
            continue
        chunk = json.loads(data)
        usage = chunk.get("usage") or usage
        for choice in chunk.get("choices") or []:
            if choice.get("index", 0) != 0:
                continue
            delta = choice.get("delta") or {}
            text += delta.get("content") or ""
            for part in delta.get("tool_calls") or []:
                call = calls_at.setdefault(part["index"], {"name": "", "arguments": ""})
                for key in call:
                    call[key] += (part.get("function") or {}).get(key) or ""
    return _told(text, [calls_at[index] for index in sorted(calls_at)], usage)


def _told(text: str, calls: Sequence[Mapping[str, Any]], usage: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "text": text,
        "tool_calls": [(call["name"], call.get("arguments") or "") for call in calls],
        "usage": (usage.get("prompt_tokens"), usage.get("completion_tokens")),
    }


def held_against(exchange: Mapping[str, Any], future: "Future[Any]") -> dict[str, Any]:
    """What became of one exchange: flags for the counts, and `mismatch` with what differs."""
    from ingestion.gateway.errors import CallFailed

    status = exchange["status"]
    try:
        reply = future.result()
    except CallFailed as error:
        message = ((exchange["response"] or {}).get("error") or {}).get("message") or ""
        kept = error.upstream_status == status and error.detail == message[: len(error.detail)]
        failed = status >= 400 or "error" in (exchange["response"] or {})
        wrong = None if failed and kept else f"{status} became {error.code} of {error.upstream_status}"
        return {"error": True, "kept": kept, "mismatch": wrong}
    except Exception as error:  # noqa: BLE001 — a crash is what is looked for
        return {"crashed": True, "mismatch": f"crashed with {type(error).__name__}"}
    if status >= 400:
        return {"mismatch": f"{status} became an answer"}
    wanted = expected(exchange)
    calls = [(call["function"]["name"], call["function"].get("arguments") or "") for call in reply.tool_calls]
    found = {
        "text": reply.text,
        "tool_calls": calls,
        "usage": (reply.usage.input_tokens, reply.usage.output_tokens),
    }
    differs = [name for name in wanted if wanted[name] != found[name]]
    return {
        "ok": not differs,
        "stream": exchange["stream"],
        "text": bool(reply.text),
        "calls": bool(calls),
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
                        model=str(exchange["request"].get("model") or "recorded"),
                        body={key: value for key, value in exchange["request"].items() if key != "model"},
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
