"""Recommendations over HTTP."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from evaluation.models import Evaluation
from projects.models import User
from recommendations import services

BASE = "/api/v1/recommendations/support-agent"


@pytest.fixture
def finished(finished_once: int, db: None) -> Evaluation:
    return Evaluation.objects.get(pk=finished_once)


def test_generate_makes_one_and_latest_shows_it(
    finished: Evaluation, member: User, client_of: Callable[[User], Client]
) -> None:
    client = client_of(member)

    made = client.post(f"{BASE}/generate")
    latest = client.get(f"{BASE}/latest")

    assert made.status_code == 201
    assert latest.json()["id"] == made.json()["id"]
    body: dict[str, Any] = latest.json()
    assert (body["recommendation"], body["baseline"], body["simulated"]) == ("corvus-medium", "aurora-large", True)
    assert body["evidence"]["checks"]


def test_latest_of_a_project_without_one_says_what_to_do(
    project: object, reader: User, client_of: Callable[[User], Client]
) -> None:
    answer = client_of(reader).get(f"{BASE}/latest")

    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"
    assert "Run an evaluation" in answer.json()["error"]["message"]


def test_a_member_acknowledges_with_a_note(
    finished: Evaluation, member: User, client_of: Callable[[User], Client]
) -> None:
    made = services.recommend(finished, now=timezone.now())

    answer = client_of(member).post(f"{BASE}/{made.pk}/acknowledge", {"note": "next sprint"}, "application/json")

    assert answer.status_code == 200
    decision = answer.json()["decision"]
    assert (decision["kind"], decision["note"], decision["by"]) == ("acknowledged", "next sprint", member.email)


def test_a_reader_may_look_but_not_decide(
    finished: Evaluation, reader: User, client_of: Callable[[User], Client]
) -> None:
    made = services.recommend(finished, now=timezone.now())
    client = client_of(reader)

    assert client.get(f"{BASE}/{made.pk}").status_code == 200
    assert client.post(f"{BASE}/{made.pk}/acknowledge", {}, "application/json").status_code == 403


def test_a_stranger_finds_nothing(finished: Evaluation, stranger: User, client_of: Callable[[User], Client]) -> None:
    made = services.recommend(finished, now=timezone.now())

    assert client_of(stranger).get(f"{BASE}/{made.pk}").status_code == 404


def test_dismissing_without_a_reason_names_the_field(
    finished: Evaluation, member: User, client_of: Callable[[User], Client]
) -> None:
    made = services.recommend(finished, now=timezone.now())

    answer = client_of(member).post(f"{BASE}/{made.pk}/dismiss", {}, "application/json")

    assert answer.status_code == 400
    assert "note" in answer.json()["error"]["fields"]
