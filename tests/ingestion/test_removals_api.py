"""Removals over HTTP and from the command line."""

import hashlib
import io
import json
from collections.abc import Callable

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from ingestion.models import LogBody, Removal
from projects.models import IdempotencyKey, Project, User
from tests.ingestion.test_retention import JANE, call, keep

JSON = "application/json"


@pytest.fixture
def api(project: Project, owner: User, client_of: Callable[[User], Client]) -> Client:
    keep(project, call(1, JANE), call(2, "john"))
    return client_of(owner)


def address(project: Project, rest: str) -> str:
    return f"/api/v1/logs/{project.slug}/{rest}"


def test_an_erasure_is_counted_then_done_then_listed_then_lifted(api: Client, project: Project) -> None:
    asked = {"key": "user_id", "value": JANE, "other_keys": ["city"]}

    counted = api.post(address(project, "erasures"), asked, content_type=JSON)
    done = api.post(address(project, "erasures"), {**asked, "confirm": True}, content_type=JSON)
    job = api.get(done.json()["job"]["url"]).json()
    (listed,) = api.get(address(project, "removals")).json()["items"]
    lifted = api.delete(address(project, f"erasures/{listed['id']}"))

    assert counted.json() == {"calls": 1, "others": 0, "records": 1, "bodies": 1, "set_aside": 0, "ids": 0}
    assert (done.status_code, job["state"], job["result"]["bodies"]) == (202, "done", 1)
    assert (listed["bodies"], listed["by"], listed["other_keys"]) == (1, "owner@example.com", ["city"])
    assert JANE not in json.dumps([counted.json(), done.json(), job, listed])
    assert lifted.status_code == 204
    assert Removal.objects.get().lifted_at is not None


def test_bodies_are_removed_by_age(api: Client, project: Project) -> None:
    counted = api.post(address(project, "removals"), {"older_than_days": 1}, content_type=JSON)
    refused = api.post(address(project, "removals"), {"older_than_days": -1, "confirm": True}, content_type=JSON)
    api.post(address(project, "removals"), {"older_than_days": 1, "confirm": True}, content_type=JSON)

    assert counted.json()["bodies"] == 2
    assert "older_than_days" in refused.json()["error"]["fields"]
    assert LogBody.objects.count() == 0


def test_a_call_says_that_its_body_was_removed(api: Client, project: Project) -> None:
    pk = LogBody.objects.earliest("pk").pk
    before = api.get(address(project, str(pk))).json()

    api.post(address(project, "removals"), {"older_than_days": 1, "confirm": True}, content_type=JSON)

    after = api.get(address(project, str(pk))).json()
    assert before["body_removed_at"] is None
    assert after["body_removed_at"] is not None
    assert (after["request"], after["input_tokens"]) == ("", before["input_tokens"])


def test_a_repeat_is_known_by_a_keyed_hash_of_the_request(api: Client, project: Project) -> None:
    body = json.dumps({"key": "user_id", "value": JANE})

    api.post(address(project, "erasures"), body, content_type=JSON, headers={"Idempotency-Key": "one"})

    plain = hashlib.sha256(f"POST {address(project, 'erasures')}\n{body}".encode()).hexdigest()
    assert IdempotencyKey.objects.get().request_hash != plain


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


def test_commands_count_first_and_act_when_told(api: Client, project: Project) -> None:
    person = ["erase", project.slug, "--key", "user_id", "--value", JANE, "--json"]
    age = ["remove_bodies", project.slug, "--older-than", "1", "--json"]

    assert json.loads(run(*person))["erased"] is False
    assert LogBody.objects.count() == 2
    assert json.loads(run(*person, "--yes"))["bodies"] == 1
    assert json.loads(run(*age))["bodies"] == 1
    assert json.loads(run(*age, "--yes")) == {"removed": True, "bodies": 1, "set_aside": 0, "answers": 0}
    assert JANE not in run("erase", project.slug, "--key", "team", "--value", "support")
    assert LogBody.objects.count() == 0
    with pytest.raises(CommandError, match="Nothing of this project"):
        run(*person, "--yes")


def test_the_value_is_read_from_standard_input(api: Client, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{JANE}\n"))

    assert json.loads(run("erase", project.slug, "--key", "user_id", "--value", "-", "--yes", "--json"))["bodies"] == 1
