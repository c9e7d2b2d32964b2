"""Steps, follow-ups, the track record and links over HTTP."""

from collections.abc import Callable
from datetime import timedelta

from django.test import Client
from django.utils import timezone

from projects.models import Project, User
from recommendations import followup, services
from recommendations.models import ShareLink
from tests.recommendations import documents, moves

Browser = Callable[[User], Client]
BASE = "/api/v1/recommendations/support-agent"


def test_the_steps_say_what_may_follow(project: Project, member: User, client_of: Browser) -> None:
    made = documents.store(project, documents.recommended())
    services.acknowledge(made, by=member, now=timezone.now(), note="next sprint")

    found = client_of(member).get(f"{BASE}/{made.pk}/transitions").json()

    assert found["state"] == "acknowledged"
    assert found["may_become"] == ["acknowledged", "dismissed", "postponed", "watching", "out_of_date"]
    assert [(one["state"], one["why"], one["by"]) for one in found["transitions"]] == [
        ("acknowledged", "next sprint", member.email)
    ]


def test_a_follow_up_is_told_with_its_looks_and_its_absence_with_why(
    project: Project, reader: User, client_of: Browser
) -> None:
    now = timezone.now()
    made = moves.recommend(project, days_old=30)
    client = client_of(reader)
    absent = client.get(f"{BASE}/{made.pk}/follow-up")
    moves.serve(project, moves.OLD, since=now - timedelta(days=40), days=30, a_day=10)
    moves.serve(project, moves.NEW, since=now - timedelta(days=10), days=10)
    followup.check(made, now=now)

    found = client.get(f"{BASE}/{made.pk}/follow-up").json()

    assert absent.status_code == 404
    assert "No switch" in absent.json()["error"]["message"]
    assert found["verdict"] == "confirmed"
    assert found["looks"][0]["number"] == 3
    assert {one["metric"] for one in found["promised"]} == {"cost", "answered"}


def test_the_track_record_holds_back_shares_of_few(project: Project, reader: User, client_of: Browser) -> None:
    found = client_of(reader).get(f"{BASE}/track-record").json()

    assert found["real"]["rate"] is None
    assert found["real"]["least_follow_ups"] == 5
    assert found["follow_ups"] == []


def test_markdown_comes_as_text(project: Project, reader: User, client_of: Browser) -> None:
    made = documents.store(project, documents.recommended())

    answer = client_of(reader).get(f"{BASE}/{made.pk}/markdown")

    assert answer["Content-Type"].startswith("text/markdown")
    assert answer.content.decode().startswith("# Move Support agent")


def test_a_link_is_made_opened_and_revoked(project: Project, member: User, client: Client, client_of: Browser) -> None:
    made = documents.store(project, documents.recommended())
    mine = client_of(member)

    answer = mine.post(f"{BASE}/{made.pk}/share-links", {"days": 2}, "application/json")
    refused = mine.post(f"{BASE}/{made.pk}/share-links", {"shows_prompts": True}, "application/json")
    address = answer.json()["url"].removeprefix("http://testserver")
    opened = client.get(address)
    listed = mine.get(f"{BASE}/{made.pk}/share-links").json()
    revoked = mine.delete(f"{BASE}/{made.pk}/share-links/{listed[0]['id']}")

    assert (answer.status_code, refused.status_code, opened.status_code, revoked.status_code) == (201, 403, 200, 204)
    assert "url" not in listed[0]
    assert client.get(address).status_code == 404
    assert ShareLink.objects.count() == 1
