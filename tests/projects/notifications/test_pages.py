"""Channels on pages and over the API: add, change, test, remove; secrets are shown once."""

import base64
from collections.abc import Callable
from datetime import time

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from projects import services
from projects.models import AuditEntry, Channel, NoticeDelivery, Project, User
from projects.notifications import kinds, outbox, send
from tests.projects.notifications.receivers import Receiver

pytestmark = pytest.mark.django_db
Browser = Callable[[User], Client]
PAGE = "/p/support-agent/settings/notices/"
API = "/api/v1/projects/support-agent/channels"


def test_a_signed_webhook_is_added_tested_and_removed_on_the_page(
    project: Project, owner: User, client_of: Browser, receiver: Receiver
) -> None:
    client = client_of(owner)

    added = client.post(PAGE, {"form": "webhook", "name": "ops", "address": receiver.url}).content.decode()
    row = Channel.objects.get()
    tested = client.post(f"{PAGE}{row.pk}/test/", follow=True).content.decode()
    later = client.get(PAGE).content.decode()

    assert row.secret in added
    assert row.secret not in later
    assert receiver.url not in later
    assert "The test went out to ops." in tested
    assert len(receiver.posts) == 1
    assert "This is a test" in later

    client.post(f"{PAGE}{row.pk}/remove/")

    assert not Channel.objects.exists()
    assert NoticeDelivery.objects.get().channel_name == "ops"
    actions = list(AuditEntry.objects.filter(action__startswith="channel.").values_list("action", flat=True))
    assert actions == ["channel.add", "channel.remove"]
    assert receiver.url not in str(list(AuditEntry.objects.values_list("before", "after")))


def test_a_channel_chooses_what_it_gets_and_when_it_is_left_alone(
    project: Project, owner: User, client_of: Browser
) -> None:
    client = client_of(owner)
    client.post(PAGE, {"form": "email", "name": "team", "address": "team@example.com"})
    row = Channel.objects.get()
    page = client.get(f"{PAGE}{row.pk}/")
    kept = {f"on_{kind}": "off" for kind in kinds.CHOSEN}
    given = {
        "name": "team",
        "enabled": "on",
        "quiet_from": "22:00",
        "quiet_until": "07:00",
        "timezone": "Europe/Berlin",
    }

    saved = client.post(f"{PAGE}{row.pk}/", {**given, **kept, "on_channel_failed": "digest"})
    half = client.post(f"{PAGE}{row.pk}/", {**given, **kept, "on_channel_failed": "now", "quiet_until": ""})

    row.refresh_from_db()
    assert page.status_code == 200
    assert saved.status_code == 303
    assert (row.quiet_from, row.quiet_until, row.timezone) == (time(22), time(7), "Europe/Berlin")
    assert row.wants["alert"] == "off"
    assert row.wants["channel_failed"] == "digest"
    assert half.status_code == 422
    assert "Quiet hours need a beginning and an end." in half.content.decode()


def test_a_key_can_be_made_anew(project: Project, owner: User, client_of: Browser, receiver: Receiver) -> None:
    client = client_of(owner)
    client.post(PAGE, {"form": "webhook", "name": "ops", "address": receiver.url})
    before = Channel.objects.get().secret

    page = client.post(f"{PAGE}{Channel.objects.get().pk}/renew/").content.decode()

    after = Channel.objects.get().secret
    assert after != before
    assert after in page
    assert len(base64.b64decode(after.removeprefix("whsec_"))) == 32


def test_a_failed_delivery_is_shown_and_sent_again(
    project: Project, owner: User, client_of: Browser, receiver: Receiver
) -> None:
    client = client_of(owner)
    client.post(PAGE, {"form": "chat", "name": "room", "address": receiver.url})
    receiver.answers = [(410, {})]
    send(project, "sync_failed", {"sentence": "The log sync failed.", "path": "/p/support-agent/logs/"})
    outbox.deliver_due(deadline=float("inf"))
    delivery = NoticeDelivery.objects.get()

    page = client.get(PAGE).content.decode()
    client.post(f"{PAGE}deliveries/{delivery.pk}/again/")
    outbox.deliver_due(deadline=float("inf"))

    assert "The receiver answered 410." in page
    assert "failing" in page
    delivery.refresh_from_db()
    assert delivery.state == "sent"


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"form": "email", "address": "nobody"}, "address"),
        ({"form": "webhook", "address": "ftp://example.com"}, "address"),
        ({"form": "webhook", "address": "https://user:pass@example.com/x"}, "address"),
        ({"form": "webhook", "address": "http://127.0.0.1/x"}, "address"),
        ({"form": "webhook", "address": "https://example.com/x", "timezone": "Mars/Olympus"}, "timezone"),
        ({"form": "webhook", "address": "https://example.com/x", "wants": {"weather": "now"}}, "wants"),
        ({"form": "webhook", "address": "https://example.com/x", "quiet_from": "22:00"}, "quiet_until"),
    ],
)
def test_the_api_refuses_what_makes_no_sense(
    project: Project, owner: User, client_of: Browser, settings: Settings, given: dict[str, object], field: str
) -> None:
    settings.ALLOW_PRIVATE_ADDRESSES = False

    answer = client_of(owner).post(API, {"name": "x", **given}, content_type="application/json")

    assert answer.status_code == 400
    assert field in answer.json()["error"]["fields"]


def test_a_channel_over_the_api(project: Project, owner: User, client_of: Browser, receiver: Receiver) -> None:
    client = client_of(owner)
    made = client.post(
        API, {"form": "webhook", "name": "ops", "address": f"{receiver.url}?token=abc"}, content_type="application/json"
    )
    one = f"{API}/{made.json()['id']}"

    listed = client.get(API).json()["items"][0]
    changed = client.patch(one, {"wants": {"alert": "off"}, "enabled": False}, content_type="application/json").json()
    same = client.post(API, {"form": "chat", "name": "ops", "address": receiver.url}, content_type="application/json")
    tested = client.post(f"{one}/test").json()
    client.patch(one, {"enabled": True}, content_type="application/json")
    again = client.post(f"{one}/test").json()
    renewed = client.post(f"{one}/secret").json()
    notices = client.get("/api/v1/projects/support-agent/notices").json()["items"]

    assert made.status_code == 201
    assert made.json()["secret"].startswith("whsec_")
    assert "secret" not in listed
    assert "token=abc" not in str(listed)
    assert changed["wants"]["alert"] == "off"
    assert same.status_code == 409
    assert tested["state"] == "dropped"
    assert again["state"] == "sent"
    assert renewed["secret"] != made.json()["secret"]
    assert [notice["kind"] for notice in notices] == ["test", "test"]
    assert client.delete(one).status_code == 204


def test_who_leaves_the_project_is_told_nothing_more(project: Project, owner: User, member: User) -> None:
    from projects.notifications import addresses

    addresses.add(project, form="email", name="one", address=member.email.upper(), by=owner)
    addresses.add(project, form="email", name="other", address="team@example.com", by=owner)
    send(project, "alert", {"sentence": "x", "path": "/"}, now=timezone.now())

    services.remove_member(project.memberships.get(user=member), by=owner)

    assert [channel.name for channel in project.channels.all()] == ["other"]
    states = dict(NoticeDelivery.objects.values_list("channel_name", "state"))
    assert states == {"one": "dropped", "other": "waiting"}
