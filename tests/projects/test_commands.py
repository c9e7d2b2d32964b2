"""create_project from the command line."""

import json
from io import StringIO
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command
from pytest_django import Settings

from projects import services
from projects.models import Channel, Connection, Project, User
from projects.notifications import addresses


def test_a_project_belongs_to_the_instance_owner_unless_said(owner: User) -> None:
    boss = User.objects.create_superuser("boss@example.com", "x")
    out = StringIO()

    call_command("create_project", "Search agent", "--privacy", "hashed", "--json", stdout=out)
    call_command("create_project", "Search agent", "--owner", "OWNER@example.com", stdout=StringIO())

    first = Project.objects.get(slug="search-agent")
    assert json.loads(out.getvalue()) == {
        "id": first.pk, "slug": "search-agent", "name": "Search agent", "privacy": "hashed", "owner": boss.email,
    }  # fmt: skip
    assert Project.objects.get(slug="search-agent-2").created_by == owner


@pytest.mark.parametrize(
    ("arguments", "says"),
    [(["x"], "no owner yet.*createsuperuser"), (["x", "--owner", "a@b.org"], "Nobody here has the address a@b.org")],
)
def test_without_a_person_it_says_how_to_make_one(db: None, arguments: list[str], says: str) -> None:
    with pytest.raises(CommandError, match=says):
        call_command("create_project", *arguments)


def test_a_name_that_cannot_be_is_refused(db: None) -> None:
    User.objects.create_superuser("boss@example.com", "x")

    with pytest.raises(CommandError, match="1 to 80 characters"):
        call_command("create_project", " ")


def test_the_first_person_can_be_made_by_command(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", "correct horse battery")

    call_command("createsuperuser", "--noinput", "--email", "boss@example.com", stdout=StringIO())

    assert User.objects.get().is_superuser


def test_a_project_is_connected_as_it_is_made(owner: User, tmp_path: Path) -> None:
    owner.is_superuser = True
    owner.save()
    key = tmp_path / "key"
    key.write_text("pk-secret\n", encoding="utf-8")
    addresses = ["--base-url", "https://gateway.example.com", "--control-url", "https://control.example.com/api"]

    call_command(
        "create_project", "Search agent", *addresses, "--auth-header", "Authorization", "--api-key-file", str(key),
        stdout=StringIO(),
    )  # fmt: skip

    row = Project.objects.get().connection
    assert (row.base_url, row.control_url) == ("https://gateway.example.com/v1", "https://control.example.com/api")
    assert (row.auth_header, row.api_key) == ("Authorization", "pk-secret")
    with pytest.raises(CommandError, match="header"):
        call_command("create_project", "Another agent", "--auth-header", "no header")
    assert Project.objects.count() == 1


def test_rotating_brings_every_secret_under_the_first_key(
    project: Project, owner: User, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    services.connect(project, by=owner, api_key="pk-secret")
    addresses.add(project, form="webhook", name="ops", address="https://h.example.com/x", by=owner)
    old, new = settings.AGENTOPT_ENCRYPTION_KEYS[0], Fernet.generate_key().decode()
    settings.AGENTOPT_ENCRYPTION_KEYS = [new, old]

    call_command("rotate_keys", "--json")

    settings.AGENTOPT_ENCRYPTION_KEYS = [new]
    project.refresh_from_db()
    assert Connection.objects.get(project=project).api_key == "pk-secret"
    assert Channel.objects.get().address == "https://h.example.com/x"
    assert project.hash_key
    assert json.loads(capsys.readouterr().out)["rotated"]["projects.Channel"] == 2


def test_rotating_without_the_old_key_says_which_row_cannot_be_read(project: Project, settings: Settings) -> None:
    settings.AGENTOPT_ENCRYPTION_KEYS = [Fernet.generate_key().decode()]

    with pytest.raises(CommandError, match="hash_key"):
        call_command("rotate_keys")
