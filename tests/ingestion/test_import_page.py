"""Files sent by the browser: a look before anything is stored, taking them in, and where they lie meanwhile."""

import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import InMemoryUploadedFile, TemporaryUploadedFile
from django.test import Client
from pytest_django import Settings

from ingestion import imports
from ingestion.forms import imports as forms
from ingestion.models import Batch, LogRecord, SetAside
from projects.models import Privacy, Project, User
from tests.ingestion.conftest import portkey_row

PAGE = "/p/support-agent/logs/import/"
ASIDE = "/p/support-agent/logs/set-aside/"


def sent(*rows: Any, name: str = "export.jsonl", packed: bool = False) -> io.BytesIO:
    """A file of rows as a browser sends it; a text stands as it is."""
    raw = "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows).encode()
    file = io.BytesIO(gzip.compress(raw) if packed else raw)
    file.name = name
    return file


@pytest.fixture
def sender(member: User, project: Project, client_of: Callable[[User], Client]) -> Client:
    return client_of(member)


def test_a_look_shows_the_first_ten_rows_as_understood_and_stores_nothing(sender: Client) -> None:
    rows = [portkey_row(number) for number in range(12)]

    text = sender.post(PAGE, {"file": sent(*rows, "{broken"), "preview": "1"}).content.decode()

    assert "Portkey export" in text
    assert "the first 10 rows, 10 calls" in text
    assert "Where is order 9?" in text
    assert "Where is order 10?" not in text
    assert "0.812" in text or "0.81" in text
    assert not LogRecord.objects.exists()
    assert not Batch.objects.exists()


def test_a_row_that_would_be_set_aside_is_shown_with_its_reason(sender: Client) -> None:
    text = sender.post(PAGE, {"file": sent(portkey_row(1), "{broken"), "preview": "1"}).content.decode()

    assert "set aside" in text
    assert "The line is not one JSON value." in text
    assert not SetAside.objects.exists()


def test_the_start_of_a_file_is_enough_for_a_look(sender: Client) -> None:
    whole = sent(*[portkey_row(number) for number in range(5)]).getvalue()
    half = io.BytesIO(whole[: len(whole) * 3 // 4])
    half.name = "export.jsonl"

    text = sender.post(PAGE, {"file": half, "preview": "1", "cut": "1"}).content.decode()

    assert "set aside" not in text
    assert "Where is order 1?" in text


def test_a_look_shows_what_the_privacy_mode_leaves(sender: Client, project: Project) -> None:
    project.privacy = Privacy.REDACTED
    project.save()
    row = portkey_row(1)
    row["request"]["messages"][0]["content"] = "I am ada@example.com"

    text = sender.post(PAGE, {"file": sent(row), "preview": "1"}).content.decode()

    assert "[e-mail removed]" in text
    assert "ada@example.com" not in text


def test_prompts_in_a_look_are_no_markup(sender: Client) -> None:
    row = portkey_row(1)
    row["request"]["messages"][0]["content"] = "<script>alert(1)</script>"

    assert "<script>alert(1)" not in sender.post(PAGE, {"file": sent(row), "preview": "1"}).content.decode()


def test_a_file_is_taken_in_once(sender: Client) -> None:
    rows = [portkey_row(number) for number in range(3)]

    answers = [sender.post(PAGE, {"file": sent(*rows, packed=True)}, follow=True) for _ in range(2)]

    assert LogRecord.objects.count() == 3
    assert "3 calls added, 0 there already, 0 rows set aside" in answers[0].content.decode()
    assert "0 calls added, 3 there already" in answers[1].content.decode()


def test_rows_that_cannot_be_read_are_shown_and_can_be_downloaded(sender: Client) -> None:
    answer = sender.post(PAGE, {"file": sent(portkey_row(1), "{broken one", "[1, 2]")})

    assert answer.headers["Location"] == ASIDE
    page = sender.get(ASIDE).content.decode()
    assert "{broken one" in page
    found = [json.loads(line) for line in sender.get(f"{ASIDE}?format=jsonl").getvalue().splitlines()]
    assert [(row["source"], row["line"], row["row"]) for row in found] == [
        ("export.jsonl", 2, "{broken one\n"),
        ("export.jsonl", 3, "[1, 2]"),
    ]
    assert found[0]["reason"] == "The line is not one JSON value."


@pytest.mark.parametrize(
    ("file", "said"),
    [
        (sent(), "is empty"),
        (sent("\x00\x01"), "UTF-16"),
        (sent('{"a": 1}'), "no log in a format we know"),
    ],
)
def test_a_file_that_is_none_is_refused_beside_the_field(sender: Client, file: io.BytesIO, said: str) -> None:
    answer = sender.post(PAGE, {"file": file})

    assert answer.status_code == 422
    assert said in answer.content.decode()


def test_without_a_file_the_form_says_so(sender: Client) -> None:
    answer = sender.post(PAGE, {})

    assert answer.status_code == 422
    assert 'aria-invalid="true"' in answer.content.decode()


def test_htmx_gets_the_look_alone(sender: Client) -> None:
    text = sender.post(PAGE, {"file": sent(portkey_row(1)), "preview": "1"}, headers={"HX-Request": "true"}).content

    assert b'id="preview"' in text
    assert b"<html" not in text


@pytest.fixture
def uploads(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The files that forms were given, in order."""
    found: list[Any] = []
    take = forms.ImportForm

    def spy(*arguments: Any, **options: Any) -> Any:
        form = take(*arguments, **options)
        found.extend(form.files.values())
        return form

    monkeypatch.setattr(forms, "ImportForm", spy)
    return found


@pytest.mark.parametrize(
    ("privacy", "kind"),
    [
        (Privacy.FULL, TemporaryUploadedFile),
        (Privacy.REDACTED, InMemoryUploadedFile),
        (Privacy.HASHED, InMemoryUploadedFile),
    ],
)
def test_what_may_not_be_stored_raw_does_not_lie_on_disk_either(
    sender: Client, project: Project, uploads: list[Any], privacy: str, kind: type
) -> None:
    project.privacy = privacy
    project.save()
    rows = [portkey_row(number, padding="x" * 1000) for number in range(4000)]  # more than Django keeps in memory

    sender.post(PAGE, {"file": sent(*rows), "preview": "1"})

    assert [type(upload) for upload in uploads] == [kind]


def test_a_file_that_is_too_large_is_refused_before_it_is_read(
    sender: Client, settings: Settings, uploads: list[Any]
) -> None:
    settings.MAX_UPLOAD_MB = 1

    answer = sender.post(PAGE, {"file": sent("x" * 2_000_000)})

    assert answer.status_code == 413
    assert "import_logs support-agent FILE" in answer.content.decode()
    assert uploads == []


def test_an_upload_needs_the_token_of_the_form(member: User, project: Project) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(member)

    assert client.post(PAGE, {"file": sent(portkey_row(1))}).status_code == 403
    assert not LogRecord.objects.exists()


def test_the_list_of_rows_set_aside_goes_on_from_page_to_page(sender: Client, tmp_path: Path, project: Project) -> None:
    file = tmp_path / "bad.jsonl"
    file.write_text("\n".join([json.dumps(portkey_row(1)), *(f"{{bad {number}" for number in range(60))]))
    imports.import_file(project, file)

    first = sender.get(ASIDE).content.decode()
    after = first.split("?after=")[1].split('"')[0]
    second = sender.get(f"{ASIDE}?after={after}").content.decode()

    assert (first.count("{bad "), second.count("{bad ")) == (50, 10)
    assert sender.get(f"{ASIDE}?after=x").status_code == 400
