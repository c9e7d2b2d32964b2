"""What tests of a sync start from: a gateway of one export, a connection, a pull."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings

from ingestion import sync
from ingestion.gateway import open_gateway
from ingestion.sync import SyncResult
from projects.models import Project
from tests.ingestion.gateway.fake import Answer, Handler

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


class Killed(BaseException):
    """Death in the middle, without the cost of a process."""


def connect(project: Project, url: str, key: str = "sandbox-warranty") -> Project:
    project.connection.base_url, project.connection.api_key = url, key
    project.connection.save()
    return project


def pull(
    project: Project, *, now: datetime = NOW, beat: Callable[..., object] = lambda **_: None, **more: Any
) -> SyncResult:
    options: dict[str, Any] = {"since": None, "until": None, **more}
    return sync.pull(project, gateway=open_gateway(project.connection), now=now, beat=beat, **options)


def exporting(sandbox_rows: list[bytes], **states: Any) -> Answer:
    """A gateway of our own: `words` are the states that polls find, `total` what a draft says."""
    words = list(states.get("words", ["draft", "queued", "success"]))
    made: list[str] = []

    def create() -> dict[str, Any]:
        made.append(f"e{len(made) + 1}")
        return {"id": made[-1], "total": states.get("total", len(sandbox_rows))}

    def answer(handler: Handler) -> None:
        path = handler.asked.path.removeprefix("/v1").split("?")[0]
        asked = re.sub(r"/e\d+", "/E", f"{handler.asked.method} {path}")
        replies: dict[str, Callable[[], None]] = {
            "POST /logs/exports": lambda: handler.send(create()),
            "GET /logs/exports": lambda: handler.send({"object": "list", "data": []}),
            "POST /logs/exports/E/start": lambda: handler.send({"message": "ok"}),
            "GET /logs/exports/E": lambda: handler.send(
                {"id": path.rpartition("/")[2], "status": words.pop(0) if len(words) > 1 else words[0]}
            ),
            "GET /logs/exports/E/download": lambda: handler.send({"signed_url": f"{handler.fake.url}/store"}),
            "GET /store": lambda: handler.send(b"\n".join(sandbox_rows)),
        }
        replies.get(asked, lambda: handler.send(status=404))()

    return answer


def held_files() -> list[str]:
    return [path.name for path in (Path(settings.DATA_DIR) / "exports").glob("*")]


def row(number: int) -> bytes:
    return json.dumps(
        {
            "id": f"log-{number}",
            "trace_id": f"t-{number}",
            "created_at": "Sun Nov 15 2026 06:20:43 GMT+0000 (Coordinated Universal Time)",
            "request": {"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]},
            "response": {"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]},
            "is_success": True,
            "ai_org": "openai",
            "ai_model": "gpt-4o",
            "req_units": 10,
            "res_units": 5,
            "cost": 0.01,
            "response_time": 800,
            "response_status_code": 200,
        }
    ).encode()
