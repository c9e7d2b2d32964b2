"""Evaluations and judges over HTTP."""

from typing import Any

from django.test import Client

from agentopt.sandbox.server import Sandbox
from projects.models import Project, User
from tests.evaluation import studies


def _signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def _post(client: Client, address: str, **body: Any) -> Any:
    return client.post(f"/api/v1{address}", body, content_type="application/json")


def test_a_forecast_alone_stores_nothing(ready: Project, member: User) -> None:
    answer = _post(
        _signed_in(member), "/evaluations", project=ready.slug, candidates=["corvus-medium"], forecast_only=True
    )

    assert answer.status_code == 200
    assert answer.json()["candidates"] == ["corvus-medium"]
    assert answer.json()["forecast"]["replay_calls_at_most"] > 0
    assert not ready.evaluations.exists()


def test_a_new_evaluation_is_accepted_with_a_job_to_poll(ready: Project, member: User) -> None:
    # a limit below what the decision needs: it ends without a call
    answer = _post(_signed_in(member), "/evaluations", project=ready.pk, candidates=["corvus-medium"], limit=10)

    found = answer.json()
    assert answer.status_code == 202
    assert found["evaluation"]["id"] == 1
    assert found["job"]["url"].startswith("/api/v1/jobs/")
    assert ready.evaluations.get().created_by == member


def test_a_list_and_one_evaluation_are_read_by_number(ready: Project, sandbox: Sandbox, reader: User) -> None:
    evaluation = studies.open_study(ready, studies.connect(ready, sandbox.url), rubrics=["correctness"], limit=30)
    client = _signed_in(reader)

    listed = client.get(f"/api/v1/evaluations/{ready.slug}").json()
    one = client.get(f"/api/v1/evaluations/{ready.pk}/{evaluation.number}").json()

    assert [row["id"] for row in listed["items"]] == [1]
    assert listed["items"][0]["url"] == f"/api/v1/evaluations/{ready.slug}/1"
    assert [arm["state"] for arm in one["arms"]] == ["baseline", "waiting"]
    assert one["arms"][0]["prompts"] == 30
    assert one["spend"]["total_usd"] == 0
    assert one["judges"][0]["rubric"] == "correctness"


def test_a_reader_may_look_but_not_start_and_a_stranger_sees_nothing(
    ready: Project, reader: User, stranger: User
) -> None:
    body = {"project": ready.slug, "limit": 10}

    assert _post(_signed_in(reader), "/evaluations", **body).status_code == 403
    assert _post(_signed_in(stranger), "/evaluations", **body).status_code == 404
    assert _signed_in(stranger).get(f"/api/v1/evaluations/{ready.slug}").status_code == 404
    assert Client().get(f"/api/v1/evaluations/{ready.slug}").status_code in (401, 403)


def test_an_unknown_candidate_is_refused_in_the_envelope(ready: Project, member: User) -> None:
    answer = _post(_signed_in(member), "/evaluations", project=ready.slug, candidates=["nope"])

    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "invalid"
    assert "corvus-medium" in answer.json()["error"]["fields"]["candidates"]


def test_an_unknown_number_is_not_found(ready: Project, reader: User) -> None:
    assert _signed_in(reader).get(f"/api/v1/evaluations/{ready.slug}/99").status_code == 404


def test_pause_and_cancel_over_http(ready: Project, sandbox: Sandbox, member: User) -> None:
    studies.open_study(ready, studies.connect(ready, sandbox.url), limit=30)
    client = _signed_in(member)

    paused = _post(client, f"/evaluations/{ready.slug}/1/pause")
    cancelled = _post(client, f"/evaluations/{ready.slug}/1/cancel")
    again = _post(client, f"/evaluations/{ready.slug}/1/cancel")

    assert (paused.json()["state"], cancelled.json()["state"]) == ("paused", "cancelled")
    assert again.status_code == 409


def test_an_owner_sets_the_judges_and_a_member_may_not(ready: Project, owner: User, member: User) -> None:
    body = {"models": ["judge-heron"], "rubrics": ["quality"], "repeats": 2}
    address = f"/api/v1/projects/{ready.slug}/judges"

    refused = _signed_in(member).put(address, body, content_type="application/json")
    done = _signed_in(owner).put(address, body, content_type="application/json")

    assert refused.status_code == 403
    assert [(row["model"], row["rubric"], row["repeats"]) for row in done.json()] == [("judge-heron", "quality", 2)]
    assert _signed_in(member).get(address).json() == done.json()
