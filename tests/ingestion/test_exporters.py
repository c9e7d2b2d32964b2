"""Real exporters: an instrumented agent in a process of its own, its spans on their way to a live server."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pytest_django.live_server_helper import LiveServer

from agentopt.sandbox import server
from ingestion.models import LogRecord
from projects import tokens
from projects.models import Project, User

ROOT = Path(__file__).resolve().parents[2]
Agent = Callable[..., str]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[server.Sandbox]:
    with server.running(retry_after_s=0) as running:
        yield running


@pytest.fixture
def agent_program(live_server: LiveServer, project: Project, owner: User, sandbox: server.Sandbox) -> Agent:
    """Runs the agent with a token of the project, and returns what it had to say on its error stream."""
    token = tokens.issue("agent", project=project, scopes=["ingest"], by=owner).plain

    def run(**settings: str) -> str:
        environment = {
            "PATH": os.environ["PATH"],
            "OTEL_SERVICE_NAME": "support-desk",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"{live_server.url}/otlp",
            "OTEL_EXPORTER_OTLP_HEADERS": f"Authorization=Bearer%20{token}",
            **settings,
        }
        ran = subprocess.run(
            [sys.executable, "-m", "tests.ingestion.exporting_agent", sandbox.url],
            cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stderr
        return ran.stderr

    return run


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_calls_with_their_content_are_stored_to_be_replayed(
    agent_program: Agent, project: Project, compression: str
) -> None:
    said = agent_program(
        OTEL_EXPORTER_OTLP_COMPRESSION=compression,
        OTEL_SEMCONV_STABILITY_OPT_IN="gen_ai_latest_experimental",
        OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT="span_only",
    )

    assert "export" not in said.lower()
    plain, streamed, tool, failed = calls(project)
    assert json.loads(plain.body.request) == {
        "model": "aurora-large",
        "messages": [{"role": "user", "content": "Thanks, that is all."}],
        "temperature": 0.2,
        "max_tokens": 64,
    }
    assert json.loads(plain.body.response)["choices"][0]["message"]["content"]
    assert (plain.provider, plain.status, plain.obstacle) == ("openai", "ok", "")
    assert plain.input_tokens
    assert plain.output_tokens
    assert plain.latency_us
    assert (streamed.model, streamed.status, streamed.obstacle) == ("lumen-flash", "ok", "")
    assert json.loads(streamed.body.response)["choices"][0]["message"]["content"]
    assert streamed.output_tokens
    (call,) = json.loads(tool.body.response)["choices"][0]["message"]["tool_calls"]
    assert (call["function"]["name"], tool.finish_reason, tool.uses_tools) == ("get_order", "tool_calls", True)
    assert tool.obstacle == "truncated"  # this instrumentation does not tell which tools were offered
    assert (failed.model, failed.status, failed.status_code) == ("no-such-model", "failed", 404)
    assert {record.trace_id for record in (plain, streamed, tool, failed)} == {plain.trace_id}
    assert plain.metadata["service.name"] == "support-desk"


def test_calls_without_their_content_are_counted(agent_program: Agent, project: Project) -> None:
    agent_program()

    records = calls(project)

    assert [record.status for record in records] == ["ok", "ok", "ok", "failed"]
    assert [record.obstacle for record in records] == ["no_body"] * 4
    assert all(record.input_tokens for record in records[:3])


def test_an_exporter_with_a_wrong_token_is_told_and_gives_up(agent_program: Agent, project: Project) -> None:
    said = agent_program(OTEL_EXPORTER_OTLP_HEADERS="Authorization=Bearer%20aop_x_y")

    assert "401" in said
    assert not project.logs.exists()


def calls(project: Project) -> list[LogRecord]:
    """The agent's four calls in order; its own span is no call."""
    found = list(project.logs.select_related("body").order_by("occurred_at"))
    assert len(found) == 4
    return found
