"""A sandbox server to talk to, and a client that has the right key."""

import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from agentopt.lib import judge_form
from agentopt.sandbox import server
from tests.sandbox.invented import FOLDER

KEY = "sandbox-support"
QUESTION = {"role": "user", "content": "Where is my order K-12345?"}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[server.Sandbox]:
    with server.running(retry_after_s=0) as running:
        yield running


@pytest.fixture(scope="module")
def recorded_sandbox() -> Iterator[server.Sandbox]:
    with server.running(recordings=FOLDER) as running:
        yield running


@pytest.fixture(scope="session", autouse=True)
def _no_connection_stays_open() -> Iterator[None]:
    yield
    _http().close()


def client(sandbox: server.Sandbox, *, key: str = KEY, trace: str = "") -> httpx.Client:
    headers = {"x-portkey-api-key": key} | ({"x-portkey-trace-id": trace} if trace else {})
    return httpx.Client(base_url=sandbox.url, headers=headers, timeout=10)


@functools.cache
def _http() -> httpx.Client:
    """One client for all questions: to make one takes longer than to ask."""
    return httpx.Client(timeout=10)


def ask(sandbox: server.Sandbox, model: str, *messages: dict[str, Any], **more: Any) -> httpx.Response:
    trace = more.pop("trace", "")
    headers = {"x-portkey-api-key": KEY} | ({"x-portkey-trace-id": trace} if trace else {})
    body = {"model": model, "messages": list(messages or [QUESTION]), **more}
    return _http().post(f"{sandbox.url}/chat/completions", json=body, headers=headers)


def said(response: httpx.Response) -> str:
    content: str = response.json()["choices"][0]["message"]["content"]
    return content


def judged(sandbox: server.Sandbox, model: str, asked: judge_form.Asked) -> dict[str, Any]:
    reply: dict[str, Any] = json.loads(said(ask(sandbox, model, *judge_form.compose(asked, instructions="Judge."))))
    return reply


def rows(folder: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / name).read_text(encoding="utf-8").splitlines()]
