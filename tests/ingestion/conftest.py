"""Projects to take logs into, rows as sources write them, and files of them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ingestion import sync
from ingestion.gateway import patience
from projects.models import Privacy, Project


@pytest.fixture
def make_project(db: None) -> Callable[..., Project]:
    """A project of nobody, in a privacy mode."""

    def make(slug: str = "agent", privacy: str = Privacy.FULL, **fields: Any) -> Project:
        return Project.objects.create(
            slug=slug, name=slug.title(), privacy=privacy, hash_key=f"key of {slug}", **fields
        )

    return make


@pytest.fixture
def agent(make_project: Callable[..., Project]) -> Project:
    return make_project()


def portkey_row(number: int = 1, **changes: Any) -> dict[str, Any]:
    """A row of a Portkey export; a change to None removes the field."""
    row: dict[str, Any] = {
        "id": f"log-{number}",
        "trace_id": f"trace-{number}",
        "created_at": "Sat Jan 17 2026 06:20:43 GMT+0000 (Coordinated Universal Time)",
        "request": {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": f"Where is order {number}?"}]},
        "response": {
            "object": "chat.completion",
            "model": "gpt-4o-mini",
            "choices": [
                {"index": 0, "message": {"role": "assistant", "content": "On its way."}, "finish_reason": "stop"}
            ],
            "usage": {"prompt_tokens": 1000, "completion_tokens": 50, "total_tokens": 1050},
        },
        "is_success": True,
        "ai_org": "openai",
        "ai_model": "gpt-4o-mini",
        "req_units": 1000.0,
        "res_units": 50.0,
        "total_units": 1050.0,
        "request_url": "https://api.openai.com/v1/chat/completions",
        "cost": 0.018,
        "cost_currency": "USD",
        "response_time": 812.0,
        "response_status_code": 200,
        "metadata": {"team": "support"},
        "portkeyHeaders": {"x-portkey-api-key": "planted-header-secret"},
    }
    row.update(changes)
    return {key: value for key, value in row.items() if value is not None}


def encoded(*rows: Any) -> list[tuple[int, bytes]]:
    """Rows as the store takes them."""
    return [(n, row if isinstance(row, bytes) else json.dumps(row).encode()) for n, row in enumerate(rows, start=1)]


@pytest.fixture
def write_lines(tmp_path: Path) -> Callable[..., Path]:
    """A file of JSON lines; bytes stand as they are."""

    def write(*rows: Any, name: str = "logs.jsonl") -> Path:
        path = tmp_path / name
        path.write_bytes(b"".join(line + b"\n" for _, line in encoded(*rows)))
        return path

    return write


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits of a sync and of the retry policy take no time."""
    for name in ("WAIT_INITIAL_S", "WAIT_MAX_S", "WAIT_JITTER_S"):
        monkeypatch.setattr(patience, name, 0.01)
    monkeypatch.setattr(sync, "POLL_FIRST_S", 0.01)
    monkeypatch.setattr(sync, "POLL_MAX_S", 0.02)
