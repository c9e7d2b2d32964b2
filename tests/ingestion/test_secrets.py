"""Planted secrets, taken in by every way there is: where they stand afterwards, down to the bytes of the files.

In redacted mode nothing that a pattern knows may stand anywhere; in hashed mode nothing of what was said at all. Each
run makes secrets of its own: the file of the tests holds freed pages of other tests.
"""

import csv
import io
import json
import logging
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client

from agentopt.lib.logs import JsonFormatter
from ingestion import services, sync
from ingestion.gateway import patience
from ingestion.models import LogRecord, SetAside
from projects import jobs, tokens
from projects.models import Job, Privacy, Project, User
from tests.ingestion.conftest import portkey_row
from tests.ingestion.formats import spans, test_helicone, test_langfuse, test_litellm
from tests.ingestion.gateway.fake import Handler, serving
from tests.raw_files import raw_bytes

pytestmark = pytest.mark.django_db(transaction=True)
PATTERNS = [{"name": "staff", "pattern": r"EMP-\d{6}"}, {"name": "person", "pattern": r"Jürgen Mü\w+"}]
LETTERS = "bcdfghjkmnpqrstvwxz"


@dataclass
class Secrets:
    """What is planted: texts that patterns know, and a word that none does."""

    chance: random.Random = field(default_factory=random.SystemRandom)

    def __post_init__(self) -> None:
        word = "".join(self.chance.choices(LETTERS, k=12))
        digits = "".join(self.chance.choices("0123456789", k=6))
        self.spoken = f"quokka{word}"
        self.known = {
            "e-mail": f"jane.{word}+x@mail.example.co.uk",
            "phone": f"+49 170 {digits[:3]}-4{digits[3:]}7",
            "card": _card("4929" + digits + "41250"),
            "key": f"sk-proj-{word}0pLm77TtRv",
            "GitHub key": f"ghp_{word * 3}",
            "named key": f"password={word}!9",
            "JWT": f"eyJ{word}.{word}ABCDEFG.{word}sig",
            "own": f"EMP-{digits}",
            "own name": f"Jürgen Mü{word}",
        }

    @property
    def text(self) -> str:
        return "; ".join([*self.known.values(), self.spoken])

    def needles(self, kinds: Sequence[str]) -> dict[str, bytes]:
        """Each secret in the ways it may be written."""
        out: dict[str, bytes] = {}
        for kind in kinds:
            secret = self.spoken if kind == "spoken" else self.known[kind]
            plain = secret.removeprefix("password=")
            escaped = json.dumps(plain)[1:-1]
            forms = {plain, escaped, json.dumps(escaped)[1:-1]}
            if kind in ("card", "phone"):
                forms.add(plain.replace(" ", "").replace("-", ""))
            out |= {f"{kind} as {form}": form.encode() for form in forms}
        return out


def _card(stem: str) -> str:
    for last in "0123456789":
        digits = [int(one) for one in stem + last]
        doubled = [d if i % 2 == 0 else (2 * d - 9 if d > 4 else 2 * d) for i, d in enumerate(reversed(digits))]
        if sum(doubled) % 10 == 0:
            return " ".join((stem + last)[i : i + 4] for i in range(0, 16, 4))
    raise AssertionError


@pytest.fixture
def secrets() -> Secrets:
    return Secrets()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WAIT_INITIAL_S", "WAIT_MAX_S", "WAIT_JITTER_S"):
        monkeypatch.setattr(patience, name, 0.01)
    monkeypatch.setattr(sync, "POLL_FIRST_S", 0.01)
    monkeypatch.setattr(sync, "POLL_MAX_S", 0.02)


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """Every log line as it would be written."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    root.setLevel(before)


# ------------------------------------------------------------------------------------------------ planted
def rows_with(secrets: Secrets) -> list[Any]:
    """Rows of an export with the secrets in every place that may hold one, some of them broken."""
    text = secrets.text
    tool = {"id": "1", "type": "function", "function": {"name": "look", "arguments": json.dumps({"who": text})}}
    deep = {
        "id": "2",
        "type": "function",
        "function": {"name": "look", "arguments": json.dumps({"a": json.dumps([text])})},
    }
    said = {
        "model": "m",
        "messages": [
            {"role": "system", "content": f"You help {text}."},
            {"role": "user", "content": [{"type": "text", "text": "long " * 130 + text}]},
            {"role": "assistant", "content": None, "tool_calls": [tool, deep]},
            {"role": "tool", "tool_call_id": "1", "content": json.dumps({"found": text})},
            {"role": "user", "content": text},
        ],
        "tools": [{"type": "function", "function": {"name": "look", "description": text}}],
        "user": text,
    }
    answer = {"choices": [{"message": {"role": "assistant", "content": text, "tool_calls": [tool]}}], "note": text}
    whole = {"request": said, "response": answer, "metadata": {"who": text, "note": f"of {secrets.spoken}"}}
    rows: list[Any] = [portkey_row(1, **whole)]
    for number, (kind, one) in enumerate({**secrets.known, "spoken": secrets.spoken}.items(), start=10):
        rows += [
            portkey_row(number, metadata={kind: one, "short": one[:100]}),
            portkey_row(0, id=f"call of {one}", trace_id=f"{one} asks"),
            portkey_row(0, id=one if "name" in kind else one.replace(" ", ""), trace_id=one),
            portkey_row(number + 100, ai_model=f"m {one}", ai_org=f"of {one}"[:60], prompt_version=f"{one} 2"),
            json.dumps(portkey_row(number + 200, created_at=f"on {one}", metadata={"who": one})).encode(),
            json.dumps(portkey_row(number + 300, cost=one)).encode(),
            f'{{"broken": "{one}"'.encode(),
            json.dumps(one).encode()[:-1],
        ]
    return rows


def foreign_rows(secrets: Secrets) -> dict[str, bytes]:
    """Rows of other systems with the secrets in the place of what was said, and of who said it."""
    samples = {"langfuse": test_langfuse.API, "helicone": test_helicone.ROW, "litellm": test_litellm.PAYLOAD}
    out = {}
    for name, sample in samples.items():
        text = json.dumps(sample)
        for said in ("Where is my order?", "On its way.", "Be kind.", "user-7", "session-1", "support"):
            text = text.replace(said, json.dumps(secrets.text)[1:-1])
        out[name] = text.encode()
    return out


def csv_with(secrets: Secrets) -> bytes:
    """A table with the secrets in cells, in the names of columns, and in rows that fit no column."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["created_at", "model", "input_tokens", "output_tokens", "user", secrets.known["e-mail"]])
    for one in [*secrets.known.values(), secrets.spoken, secrets.text]:
        writer.writerow(["2026-01-17T06:20:43Z", f"m {one}"[:100], 10, 5, one, one])
        writer.writerow([f"at {one}", "m", one, one, one])
        writer.writerow([one] * 9)
    return out.getvalue().encode()


def otlp_with(secrets: Secrets) -> bytes:
    """Spans with the secrets in what was said, in attributes, in names and in what cannot be read."""
    said = json.dumps([{"role": "user", "parts": [{"type": "text", "content": secrets.text}]}])
    chat = {
        "gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "gen_ai.input.messages": said,
        "gen_ai.output.messages": said.replace("user", "assistant"), "user.id": secrets.text,
        "gen_ai.conversation.id": secrets.known["own"], "error.type": secrets.known["e-mail"],
    }  # fmt: skip
    event = ("gen_ai.user.message", {"content": secrets.text})
    good = spans.span(chat, event, name=f"chat {secrets.text}", status={"code": 2, "message": secrets.text})
    bad = spans.span({**chat, "gen_ai.usage.input_tokens": secrets.text}, event, spanId="00000000000000ff")
    return spans.line(good, bad, secrets.text, resource={"service.name": secrets.text, "host.name": secrets.spoken})


def client_with_token(project: Project) -> Client:
    token = tokens.issue("exporter", project=project, scopes=["ingest"], by=None).plain
    return Client(headers={"authorization": f"Bearer {token}"})


def take_in(project: Project, client: Client, secrets: Secrets, folder: Path) -> None:
    """By file, by push, by the browser, and by a sync from a gateway."""
    rows = rows_with(secrets)
    lines = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
    path = folder / f"logs of {secrets.known['e-mail']} {secrets.known['own']}.jsonl"
    path.write_bytes(b"\n".join(lines))
    call_command("import_logs", project.slug, str(path), stdout=io.StringIO())
    for name, line in foreign_rows(secrets).items():
        path.with_name(f"{name} of {secrets.known['own name']}.jsonl").write_bytes(line + b"\n")
        source = path.with_name(f"{name} of {secrets.known['own name']}.jsonl")
        call_command("import_logs", project.slug, str(source), "--format", name, stdout=io.StringIO())
    table = path.with_name(f"table of {secrets.known['own name']}.csv")
    table.write_bytes(csv_with(secrets))
    call_command("import_logs", project.slug, str(table), stdout=io.StringIO())
    readable = [{**row, "id": f"pushed {row['id']}"} for row in rows if isinstance(row, dict)]
    broken = [json.loads(row) for row in rows if isinstance(row, bytes) and row.startswith(b'{"id"')]
    pushed = client.post(
        f"/api/v1/logs/{project.slug}", {"records": readable + broken, "format": "portkey"},
        content_type="application/json", headers={"Idempotency-Key": "planted"},
    )  # fmt: skip
    assert pushed.status_code == 200, pushed.content[:300]
    traced = client_with_token(project).post("/otlp/v1/traces", otlp_with(secrets), content_type="application/json")
    assert traced.status_code == 200, traced.content[:300]
    for look in ({"preview": "1"}, {}):
        sent = io.BytesIO(b"\n".join(line.replace(b'"id": "', b'"id": "sent ') for line in lines))
        sent.name = path.name
        uploaded = client.post(f"/p/{project.slug}/logs/import/", {"file": sent, "format": "portkey", **look})
        assert uploaded.status_code in (200, 303), uploaded.content[:300]
    with serving(exporting([line.replace(b'"id": "', b'"id": "pulled ') for line in lines])) as gateway:
        project.connection.base_url, project.connection.api_key = gateway.url, "key"
        project.connection.save()
        job = services.start_sync(project)
    job.refresh_from_db()
    assert job.state == Job.State.DONE, job.error


def exporting(rows: Sequence[bytes]) -> Callable[[Handler], None]:
    """A gateway with one finished export."""

    def answer(handler: Handler) -> None:
        path = handler.asked.path.removeprefix("/v1").split("?")[0]
        replies: dict[str, Any] = {
            "POST /logs/exports": {"id": "e1", "total": len(rows)},
            "GET /logs/exports": {"object": "list", "data": []},
            "POST /logs/exports/e1/start": {"message": "ok"},
            "GET /logs/exports/e1": {"id": "e1", "status": "success"},
            "GET /logs/exports/e1/download": {"signed_url": f"{handler.fake.url}/store"},
            "GET /store": b"\n".join(rows),
        }
        reply = replies.get(f"{handler.asked.method} {path}")
        handler.send(reply if reply is not None else b"", status=200 if reply is not None else 404)

    return answer


# ------------------------------------------------------------------------------------------------ found
def places(needles: dict[str, bytes], *, also: dict[str, str]) -> str:
    """Where a secret stands: in rows as Python sees them, in rows as the database does, in files, in what was said."""
    found = [
        f"{name} in {place}" for place, text in also.items() for name, one in needles.items() if one in text.encode()
    ]
    for model in apps.get_models():
        for row in model._default_manager.values():
            text = json.dumps(row, default=_shown, ensure_ascii=False).encode()
            found += [
                f"{name} in {model.__name__}: {_column(row, one)}" for name, one in needles.items() if one in text
            ]
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT * FROM "{table}"')
            held = b"\n".join(_bytes(cell) for row in cursor.fetchall() for cell in row)
            found += [f"{name} in table {table}" for name, one in needles.items() if one in held]
    for path in Path(settings.DATA_DIR).rglob("*"):
        if path.is_file():
            held = raw_bytes(path)
            found += [f"{name} in file {path.name}" for name, one in needles.items() if one in held]
    return "\n".join(sorted(found))


def _column(row: dict[str, Any], needle: bytes) -> str:
    return ", ".join(
        name for name, value in row.items() if needle in json.dumps(value, default=_shown, ensure_ascii=False).encode()
    )


def _shown(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _bytes(cell: Any) -> bytes:
    return bytes(cell) if isinstance(cell, bytes | memoryview) else str(cell).encode()


MUST_BE_GONE = {
    Privacy.REDACTED: ("e-mail", "phone", "card", "key", "GitHub key", "named key", "JWT", "own", "own name"),
    Privacy.HASHED: ("e-mail", "phone", "card", "key", "GitHub key", "named key", "JWT", "own", "own name", "spoken"),
}


@pytest.mark.parametrize("mode", MUST_BE_GONE)
def test_nothing_that_a_mode_leaves_out_stands_anywhere(
    project: Project, owner: User, client_of: Callable[[User], Client], secrets: Secrets, tmp_path: Path,
    logged: io.StringIO, capfd: pytest.CaptureFixture[str], mode: Privacy,
) -> None:  # fmt: skip
    Project.objects.update(privacy=mode, privacy_patterns=PATTERNS)
    project.refresh_from_db()
    client = client_of(owner)

    take_in(project, client, secrets, tmp_path)
    pages = {address: client.get(address).content.decode() for address in addresses(project)}

    assert LogRecord.objects.count() > 50
    assert SetAside.objects.count() > 30
    shown = capfd.readouterr()
    said = {"the log": logged.getvalue(), "output": shown.out + shown.err, **pages}
    assert places(secrets.needles(MUST_BE_GONE[mode]), also=said) == ""


def addresses(project: Project) -> list[str]:
    pk = LogRecord.objects.earliest("pk").pk
    page, api = f"/p/{project.slug}/logs/", f"/api/v1/logs/{project.slug}"
    return [page, f"{page}{pk}/", api, f"{api}/{pk}", f"{api}/stats", f"/api/v1/projects/{project.slug}"]


def test_the_search_finds_what_full_mode_keeps(
    project: Project, owner: User, client_of: Callable[[User], Client], secrets: Secrets, tmp_path: Path
) -> None:
    take_in(project, client_of(owner), secrets, tmp_path)

    found = places(secrets.needles(["e-mail", "spoken"]), also={})

    for place in ("LogBody: request", "LogRecord: metadata", "LogRecord: source_id", "SetAside: raw", "Trace: key"):
        assert place in found


@pytest.mark.parametrize("mode", MUST_BE_GONE)
def test_failures_tell_nothing_of_what_was_said(
    project: Project, owner: User, client_of: Callable[[User], Client], secrets: Secrets, tmp_path: Path,
    logged: io.StringIO, monkeypatch: pytest.MonkeyPatch, mode: Privacy,
) -> None:  # fmt: skip
    Project.objects.update(privacy=mode, privacy_patterns=PATTERNS)
    project.refresh_from_db()
    client = client_of(owner)
    client.raise_request_exception = False

    def broken(*_arguments: Any, **_more: Any) -> Any:
        raise RuntimeError(f"duplicate key: {secrets.text}")

    with monkeypatch.context() as patch:
        patch.setattr("ingestion.writing.write", broken)
        pushed = client.post(
            f"/api/v1/logs/{project.slug}", {"records": [portkey_row(1, metadata={"who": secrets.text})]},
            content_type="application/json",
        )  # fmt: skip
        with serving(exporting([json.dumps(portkey_row(2, trace_id=secrets.text)).encode()])) as gateway:
            project.connection.base_url, project.connection.api_key = gateway.url, "key"
            project.connection.save()
            job = jobs.start("sync", project)
    with monkeypatch.context() as patch:
        patch.setattr("ingestion.selectors.logs", broken)
        crashed = client.get(f"/p/{project.slug}/logs/")
        crashed_api = client.get(f"/api/v1/logs/{project.slug}")
    damaged = tmp_path / "damaged.jsonl.gz"
    damaged.write_bytes(b"\x1f\x8b" + secrets.text.encode())
    with pytest.raises(CommandError) as refused:
        call_command("import_logs", project.slug, str(damaged))

    assert (pushed.status_code, crashed.status_code, crashed_api.status_code) == (500, 500, 500)
    assert job.state == Job.State.FAILED
    said = {
        "the log": logged.getvalue(),
        "answers": "".join(one.content.decode() for one in (pushed, crashed, crashed_api)),
        "the command": str(refused.value),
    }
    assert places(secrets.needles([*MUST_BE_GONE[Privacy.HASHED]]), also=said) == ""
