"""Privacy: what a mode promises, down to the bytes of the database."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from agentopt.lib.errors import Invalid
from ingestion import privacy, store
from ingestion.models import LogBody, LogRecord, SetAside
from projects.models import Privacy, Project
from tests.ingestion.conftest import encoded, portkey_row

NOW = datetime(2026, 2, 1, tzinfo=UTC)
SECRETS = {
    "e-mail": "jane.doe+tag@mail.example.co.uk",
    "phone": "+1 (415) 555-0132",
    "card": "4111 1111 1111 1111",
    "key": "sk-proj-Zx81kQ0pLm77TtRv",
    "own": "EMP-004217",
}
NONE = privacy.Rules()


def keep(project: Project, *rows: Any) -> None:
    store.append(project, encoded(*rows), format="portkey", source="file", label="logs", simulated=False, now=NOW)


def planted(secret: str) -> list[Any]:
    """Rows with a secret in every place that may hold one."""
    escaped = "".join(f"\\u{ord(letter):04x}" for letter in secret).encode()
    said = {"model": "m", "messages": [{"role": "user", "content": f"I am {secret}, help"}]}
    tool = {"id": "1", "type": "function", "function": {"name": "f", "arguments": json.dumps({"who": secret})}}
    answer = {"choices": [{"message": {"role": "assistant", "content": f"Noted: {secret}.", "tool_calls": [tool]}}]}
    row = portkey_row(1, request=said, response=answer, metadata={"who": secret}, trace_id=f"of {secret}")
    hidden = json.dumps(portkey_row(2, request={"model": "m", "messages": [{"role": "user", "content": "HERE"}]}))
    return [
        row,
        hidden.encode().replace(b"HERE", escaped),
        portkey_row(3, request={"model": "m", "messages": [{"role": "user", "content": "x " * 70 + secret}]}),
        json.dumps(portkey_row(4, created_at="no time", metadata={"who": secret})).encode(),
        f'{{"broken": "{secret}"'.encode(),
    ]


def database_text() -> str:
    """Every text of every table of the database."""
    out = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT * FROM "{table}"')
            out += [str(cell) for row in cursor.fetchall() for cell in row]
    return "\n".join(out)


@pytest.mark.parametrize("kind", SECRETS)
@pytest.mark.parametrize("mode", [Privacy.REDACTED, Privacy.HASHED])
def test_planted_secrets_are_nowhere_in_the_database(
    make_project: Callable[..., Project], mode: str, kind: str
) -> None:
    own = [{"name": "employee", "pattern": r"EMP-\d{6}"}] if kind == "own" and mode == Privacy.REDACTED else []
    project = make_project(privacy=mode, privacy_patterns=own)
    secret = SECRETS[kind]

    keep(project, *planted(secret))

    assert LogRecord.objects.count() == 3
    assert SetAside.objects.count() == 2
    held = database_text()
    held = held if mode == Privacy.REDACTED or kind != "own" else held.replace(f"of {secret}", "")
    for part in (secret, secret[:12], secret.replace(" ", "")):
        assert part not in held


def test_full_mode_keeps_everything(make_project: Callable[..., Project]) -> None:
    keep(make_project(privacy=Privacy.FULL), *planted(SECRETS["e-mail"]))

    assert SECRETS["e-mail"] in LogBody.objects.get(record__source_id="log-1").request


def test_injected_headers_are_kept_in_no_mode(make_project: Callable[..., Project]) -> None:
    for mode in Privacy.values:
        keep(make_project(mode, privacy=mode), portkey_row(1), portkey_row(2, request=None, ai_model=None))

    held = re.sub(r"\{.*", "", database_text())  # a row set aside in full mode is kept as it came
    assert "planted-header-secret" not in held


def test_redacted_bodies_are_still_json_of_the_same_shape(make_project: Callable[..., Project]) -> None:
    keep(make_project(privacy=Privacy.REDACTED), planted(SECRETS["e-mail"])[0])

    body = LogBody.objects.get()
    assert json.loads(body.request)["messages"][0]["content"] == "I am [e-mail removed], help"
    assert body.preview == "I am [e-mail removed], help"
    arguments = json.loads(body.response)["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"]
    assert json.loads(arguments) == {"who": "[e-mail removed]"}


def test_hashed_mode_keeps_figures_and_hashes_and_says_that_nothing_can_be_replayed(
    make_project: Callable[..., Project],
) -> None:
    keep(make_project(privacy=Privacy.HASHED), portkey_row(1), b"{broken")

    record = LogRecord.objects.select_related("body").get()
    assert (record.input_tokens, record.obstacle, record.body.preview) == (1000, "hashed", "")
    assert re.fullmatch("[0-9a-f]{64}", record.body.request)
    assert re.fullmatch("[0-9a-f]{64}", record.metadata["team"])
    aside = SetAside.objects.get()
    assert (aside.raw, aside.code, aside.line) == ("", "bad_json", 2)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("write to a.b@c.org or d@e.io.", "write to [e-mail removed] or [e-mail removed]."),
        ("call 415-555-0132 or 020 7946 0958", "call [phone number removed] or [phone number removed]"),
        ("card 5500-0000-0000-0004!", "card [card number removed]!"),
        ("Bearer abc123def456ghi", "Bearer [key removed]"),
        ("AKIAIOSFODNN7EXAMPLE", "[key removed]"),
        ("my password is hunter2hunter2", "my password is [key removed]"),
    ],
)
def test_what_identifies_or_opens_is_replaced(text: str, expected: str) -> None:
    assert privacy.redact(text, NONE) == expected


@pytest.mark.parametrize(
    "text",
    [
        "on 2026-01-15 at 12:30:44",
        "order 1234567890 of 1700000000",
        "4111 1111 1111 1112",  # no check sum
        "3.14159265358979",
        "user @ home",
        "version 1.2.3.4",
        "task-skiing-holidays-in-winter",
    ],
)
def test_what_only_looks_alike_stays(text: str) -> None:
    assert privacy.redact(text, NONE) == text


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_redaction_leaves_json_json(value: Any) -> None:
    text = json.dumps(value)

    found = json.loads(privacy.redact_json(text, NONE))

    assert type(found) is type(value) or isinstance(value, int | float)


@pytest.mark.parametrize(
    "pattern",
    ["(", "", "x" * 201, ".*", "a*", r"(a+)+$", r"(a|aa)+", r"(\w+\s?)*x", r"\w*\w*\w*!", r"(x)\1", r"(?:a{1,60}){2}"],
)
def test_a_pattern_that_is_broken_or_could_run_for_ever_is_refused_by_name(pattern: str) -> None:
    with pytest.raises(Invalid, match="badge"):
        privacy.rules([{"name": "badge", "pattern": pattern}])


def test_a_pattern_sees_a_long_text_in_pieces_cut_between_words() -> None:
    # what bounds the cost of backtracking must split no match in two
    own = privacy.rules([{"name": "employee", "pattern": r"EMP-\d{6}"}])
    text = "EMP-004217 " * 200

    assert privacy.redact(text, own) == "[employee removed] " * 200


def test_a_bad_pattern_of_the_project_stops_an_import_before_anything_is_written(
    make_project: Callable[..., Project],
) -> None:
    project = make_project(privacy=Privacy.REDACTED, privacy_patterns=[{"name": "bad", "pattern": "("}])

    with pytest.raises(Invalid, match="bad"):
        keep(project, portkey_row(1))

    assert LogRecord.objects.count() == 0


@pytest.mark.parametrize("before", range(470, 520, 3))
def test_a_match_that_lies_across_the_end_of_a_piece_is_seen(before: int) -> None:
    own = privacy.rules([{"name": "person", "pattern": "Jane Doe"}])

    found = privacy.redact("x" * before + " Jane Doe " + "y" * 600, own)

    assert found == "x" * before + " [person removed] " + "y" * 600


@given(st.lists(st.sampled_from(["Jane Doe", "Jane", " ", "x" * 90, "Doe", "\n"]), max_size=40))
def test_pieces_replace_what_one_pass_would(parts: list[str]) -> None:
    own = privacy.rules([{"name": "person", "pattern": "Jane Doe"}])
    text = "".join(parts)

    assert privacy.redact(text, own) == re.sub("Jane Doe", "[person removed]", text)


def test_a_redacted_value_keeps_two_people_apart(make_project: Callable[..., Project]) -> None:
    project = make_project(privacy=Privacy.REDACTED)
    keep(project, *[portkey_row(n, metadata={"user": f"{name}@example.org"}) for n, name in enumerate(("a", "b", "a"))])

    found = [record.metadata["user"] for record in LogRecord.objects.order_by("pk")]

    assert found[0] == found[2] != found[1]
    assert all(re.fullmatch(r"\[e-mail removed\] ~[0-9a-f]{16}", one) for one in found)


def test_ids_that_could_be_names_are_hashed_in_hashed_mode_only(make_project: Callable[..., Project]) -> None:
    machine = "3f2b8c1e-9f2d-4a51-8f3e-1f2a3b4c5d6e"
    for mode in Privacy.values:
        keep(make_project(mode, privacy=mode), portkey_row(1, id=machine, trace_id="jane-doe-1975"))

    kept = {record.project.slug: (record.source_id, record.trace.key) for record in LogRecord.objects.all()}

    assert kept["full"] == kept["redacted"] == (machine, "jane-doe-1975")
    assert kept["hashed"][0] == machine
    assert re.fullmatch("[0-9a-f]{64}", kept["hashed"][1])


@pytest.mark.parametrize("mode", ["full", "redacted"])
@pytest.mark.parametrize("end", [', "cost": -1}', ""], ids=["a whole row", "a row cut off"])
def test_headers_that_an_export_injects_are_not_set_aside(mode: str, end: str) -> None:
    sent = {"x-portkey-api-key": "planted-}-secret", "x-portkey-trace-id": 'a " quote'}
    row = f'{{"id": "log-1", "portkeyHeaders": {json.dumps(sent)}{end}'.encode()

    kept = [privacy.aside_text(row[:cut], mode=mode, own=privacy.Rules()) for cut in (len(row), len(row) - 20, 60)]

    assert not any("secret" in text or "planted" in text for text in kept)
    assert kept[0].startswith('{"id": "log-1", "portkeyHeaders":{}')
    assert kept[0].endswith(end)
