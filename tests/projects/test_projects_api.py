"""Projects, tokens and jobs over HTTP."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from projects import tokens
from projects.models import ApiToken, AuditEntry, Job, Project, User

PROJECTS = "/api/v1/projects"
type_json = "application/json"


def bearer(plain: str) -> Client:
    return Client(headers={"Authorization": f"Bearer {plain}"})


def error_of(response: Any) -> dict[str, Any]:
    error: dict[str, Any] = response.json()["error"]
    assert set(error) == {"code", "message", "fields"}
    return error


def send(client: Client, method: str, path: str, body: Any, **headers: str) -> Any:
    return getattr(client, method)(path, body, content_type=type_json, headers=headers)


@pytest.fixture
def owner_api(owner: User, project: Project, client_of: Callable[[User], Client]) -> Client:
    return client_of(owner)


def test_a_person_makes_a_project_and_finds_it_by_number_and_slug(owner_api: Client) -> None:
    made = send(owner_api, "post", PROJECTS, {"name": "Search agent", "privacy": "hashed", "goal": {"min_gain": 0.2}})

    assert made.status_code == 201
    body = made.json()
    assert (body["slug"], body["privacy"], body["role"]) == ("search-agent", "hashed", "owner")
    assert (body["goal"]["version"], body["goal"]["min_gain"]) == (1, 0.2)
    assert owner_api.get(f"{PROJECTS}/{body['id']}").json() == owner_api.get(f"{PROJECTS}/search-agent").json() == body


def test_people_see_their_projects_only(
    owner_api: Client, project: Project, stranger: User, client_of: Callable[[User], Client]
) -> None:
    assert [item["slug"] for item in owner_api.get(PROJECTS).json()["items"]] == ["support-agent"]
    other = client_of(stranger)
    assert other.get(PROJECTS).json()["items"] == []
    assert error_of(other.get(f"{PROJECTS}/{project.pk}"))["code"] == "not_found"


def test_the_list_comes_in_pages(owner_api: Client) -> None:
    for n in range(4):
        send(owner_api, "post", PROJECTS, {"name": f"Agent {n}"})

    first = owner_api.get(PROJECTS, {"limit": 3}).json()
    second = owner_api.get(PROJECTS, {"limit": 3, "after": first["next"]}).json()

    names = [item["name"] for item in first["items"] + second["items"]]
    assert names == ["Agent 3", "Agent 2", "Agent 1", "Agent 0", "Support agent"]
    assert second["next"] is None
    assert error_of(owner_api.get(PROJECTS, {"after": "nonsense"}))["fields"].keys() == {"after"}
    assert error_of(owner_api.get(PROJECTS, {"limit": "-1"}))["fields"].keys() == {"limit"}


def test_a_change_is_whole_or_not_at_all(owner_api: Client, project: Project) -> None:
    wrong = {"name": "Renamed", "goal": {"margins": {"quality": 7}}}
    right = {
        "name": "Renamed",
        "goal": {"min_gain": 0.3},
        "overrides": {"max_evaluation_cost_usd": "1.5", "confidence_threshold": 0.9},
        "connection": {"base_url": "https://gateway.example.com", "api_key": "pk-secret"},
        "banned_models": ["b", "a", "a"],
    }

    refused = send(owner_api, "patch", f"{PROJECTS}/support-agent", wrong)
    assert (refused.status_code, error_of(refused)["fields"].keys()) == (400, {"margins.quality"})
    assert owner_api.get(f"{PROJECTS}/support-agent").json()["name"] == "Support agent"

    body = send(owner_api, "patch", f"{PROJECTS}/support-agent", right).json()
    assert (body["name"], body["goal"]["version"], body["banned_models"]) == ("Renamed", 2, ["a", "b"])
    assert body["connection"]["base_url"] == "https://gateway.example.com/v1"
    assert body["connection"]["has_key"] is True
    assert "pk-secret" not in str(body) + str(list(AuditEntry.objects.values()))
    assert body["effective"]["max_evaluation_cost_usd"] == 1.5
    assert body["effective"]["replay_sample_size"] == 100


def test_shape_errors_name_the_field(owner_api: Client) -> None:
    refused = send(owner_api, "post", PROJECTS, {"privacy": "secret", "goal": {"weights": {"cost": "much"}}})

    error = error_of(refused)
    assert (refused.status_code, error["code"]) == (400, "invalid")
    assert set(error["fields"]) == {"name", "privacy", "goal.weights.cost"}


def test_what_cannot_be_read_or_found_answers_the_envelope(owner_api: Client) -> None:
    unread = owner_api.post(PROJECTS, "{", content_type=type_json)
    assert (unread.status_code, error_of(unread)["code"]) == (400, "unreadable")
    assert error_of(owner_api.get("/api/v1/nothing"))["code"] == "not_found"
    assert error_of(owner_api.get(f"{PROJECTS}/"))["code"] == "not_found"
    put = owner_api.put(PROJECTS)
    assert (put.status_code, error_of(put)["code"]) == (405, "method_not_allowed")


def test_a_visitor_gets_a_401_and_no_redirect(db: None) -> None:
    response = Client().get(PROJECTS)

    assert (response.status_code, response["WWW-Authenticate"]) == (401, "Bearer")
    assert error_of(response)["code"] == "not_authenticated"
    assert bearer("aop_12345678_nonsense").get(PROJECTS).status_code == 401


def test_a_session_needs_the_csrf_token_and_a_bearer_does_not(owner: User, project: Project) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(owner)
    plain = tokens.issue("laptop", user=owner, by=owner).plain

    assert error_of(send(strict, "post", PROJECTS, {"name": "Other"}))["code"] == "not_allowed"
    program = Client(enforce_csrf_checks=True, headers={"Authorization": f"Bearer {plain}"})
    assert send(program, "post", PROJECTS, {"name": "Other"}).status_code == 201


def test_a_project_token_opens_its_project_within_its_scopes(owner: User, project: Project, owner_api: Client) -> None:
    send(owner_api, "post", PROJECTS, {"name": "Other"})
    issued = send(owner_api, "post", f"{PROJECTS}/support-agent/tokens", {"name": "ci", "scopes": ["read"]})
    program = bearer(issued.json()["token"])

    assert [item["slug"] for item in program.get(PROJECTS).json()["items"]] == ["support-agent"]
    assert program.get(f"{PROJECTS}/support-agent").json()["role"] is None
    assert program.get(f"{PROJECTS}/other").status_code == 404
    assert send(program, "patch", f"{PROJECTS}/support-agent", {"name": "x"}).status_code == 403
    assert send(program, "post", PROJECTS, {"name": "x"}).status_code == 403
    job = Job.objects.create(kind="sync", project=project)
    assert program.get(f"/api/v1/jobs/{job.pk}").status_code == 200
    assert error_of(program.post(f"/api/v1/jobs/{job.pk}/cancel"))["message"].startswith("The token lacks the scope")


def test_a_token_is_shown_once_and_revoked_at_once(owner_api: Client, project: Project) -> None:
    made = send(owner_api, "post", f"{PROJECTS}/{project.pk}/tokens", {"name": "ci", "scopes": ["read"]}).json()
    listed = owner_api.get(f"{PROJECTS}/{project.pk}/tokens").json()["items"]

    assert made["token"] not in str(listed)
    assert owner_api.delete(f"{PROJECTS}/{project.pk}/tokens/{made['id']}").status_code == 204
    assert bearer(made["token"]).get(PROJECTS).status_code == 401


def test_one_mints_personal_tokens_signed_in_only(owner_api: Client) -> None:
    made = send(owner_api, "post", "/api/v1/tokens", {"name": "laptop"})
    program = bearer(made.json()["token"])

    assert program.get("/api/v1/tokens").json()["items"][0]["name"] == "laptop"
    assert send(program, "post", "/api/v1/tokens", {"name": "more"}).status_code == 403
    assert program.delete(f"/api/v1/tokens/{made.json()['id']}").status_code == 204
    assert program.get("/api/v1/tokens").status_code == 401


def test_a_repeated_post_with_its_key_does_nothing_and_answers_the_same(owner_api: Client) -> None:
    key = {"Idempotency-Key": "abc"}

    first = send(owner_api, "post", PROJECTS, {"name": "Other"}, **key)
    again = send(owner_api, "post", PROJECTS, {"name": "Other"}, **key)
    different = send(owner_api, "post", PROJECTS, {"name": "Another"}, **key)

    assert (again.status_code, again.json()) == (first.status_code, first.json())
    assert again["Idempotent-Replay"] == "true"
    assert Project.objects.filter(name="Other").count() == 1
    assert (different.status_code, error_of(different)["code"]) == (409, "idempotency_key_reused")


def test_a_refused_post_does_not_use_up_its_key(owner_api: Client) -> None:
    key = {"Idempotency-Key": "abc"}

    assert send(owner_api, "post", PROJECTS, {"name": ""}, **key).status_code == 400
    assert send(owner_api, "post", PROJECTS, {"name": "Other"}, **key).status_code == 201


def test_a_repeat_never_shows_a_token_again(owner_api: Client, project: Project) -> None:
    body, key = {"name": "ci", "scopes": ["read"]}, {"Idempotency-Key": "abc"}

    assert send(owner_api, "post", f"{PROJECTS}/{project.pk}/tokens", body, **key).status_code == 201
    again = send(owner_api, "post", f"{PROJECTS}/{project.pk}/tokens", body, **key)

    assert (again.status_code, ApiToken.objects.count()) == (409, 1)


def test_a_job_is_polled_and_cancelled(owner_api: Client, project: Project) -> None:
    job = Job.objects.create(kind="sync", project=project, done=3, total=9, message="window 2 of 4")

    shown = owner_api.get(f"/api/v1/jobs/{job.pk}").json()
    cancelled = owner_api.post(f"/api/v1/jobs/{job.pk}/cancel")
    again = owner_api.post(f"/api/v1/jobs/{job.pk}/cancel")

    assert (shown["state"], shown["done"], shown["total"], shown["title"]) == ("queued", 3, 9, "Log sync")
    assert (cancelled.status_code, cancelled.json()["state"]) == (202, "cancelled")
    assert (again.status_code, error_of(again)["code"]) == (409, "conflict")


def test_schema_and_docs_are_for_who_signed_in(owner_api: Client) -> None:
    for path in ("/api/v1/schema", "/api/v1/docs"):
        assert owner_api.get(path).status_code == 200
        assert Client().get(path).status_code == 401
    docs = owner_api.get("/api/v1/docs").content.decode()
    assert "<style" not in docs
    assert "<script>" not in docs


def test_a_change_of_privacy_says_what_becomes_of_old_rows(
    project: Project, owner: User, client_of: Callable[[User], Client]
) -> None:
    given = {"privacy": "hashed", "retention_days": 30, "privacy_patterns": [{"name": "staff", "pattern": r"EMP-\d+"}]}

    answer = client_of(owner).patch(f"/api/v1/projects/{project.slug}", given, content_type="application/json").json()

    assert answer["notices"][0].startswith("Calls taken in so far stay as they were taken in, in full mode")
    assert any("cannot be replayed" in said for said in answer["notices"])
    assert (answer["retention_days"], answer["privacy_patterns"]) == (30, given["privacy_patterns"])
    entry = AuditEntry.objects.get(action="project.change")
    assert entry.after is not None
    assert entry.after["old_rows"] == "stay as they were taken in"


@pytest.mark.parametrize(
    "pattern", [{"name": "bad", "pattern": "(a+)+"}, {"name": "bad", "pattern": "("}, {"name": "bad", "pattern": ".*"}]
)
def test_a_pattern_that_cannot_be_used_is_refused_by_name(
    project: Project, owner: User, client_of: Callable[[User], Client], pattern: dict[str, str]
) -> None:
    answer = client_of(owner).patch(
        f"/api/v1/projects/{project.slug}", {"privacy_patterns": [pattern]}, content_type="application/json"
    )

    assert answer.status_code == 400
    assert answer.json()["error"]["fields"]["privacy_patterns"].startswith("bad: expected")


def test_people_of_a_project_over_the_api(
    project: Project, owner: User, reader: User, client_of: Callable[[User], Client]
) -> None:
    client, address = client_of(owner), "/api/v1/projects/support-agent/members"

    new = client.post(address, {"email": "new@example.com", "role": "reader"}, content_type="application/json")
    one = f"{address}/{new.json()['id']}"
    changed = client.patch(one, {"role": "member"}, content_type="application/json").json()
    listed = client.get(address).json()["items"]
    again = client.post(address, {"email": "new@example.com", "role": "reader"}, content_type="application/json")
    owners = next(item for item in listed if item["email"] == owner.email)
    last = client.patch(f"{address}/{owners['id']}", {"role": "reader"}, content_type="application/json")

    assert new.status_code == 201
    assert User.objects.get(email="new@example.com").check_password(new.json()["first_password"])
    assert changed["role"] == "member"
    assert "first_password" not in str(listed)
    assert again.status_code == 409
    assert last.status_code == 409  # somebody must own it
    assert client.delete(one).status_code == 204
    assert not project.memberships.filter(user__email="new@example.com").exists()
