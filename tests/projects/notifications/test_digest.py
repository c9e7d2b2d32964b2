"""The daily letter."""

import json
import time
from collections.abc import Callable

import pytest

from projects import jobs
from projects.models import Channel, Notice, NoticeDelivery, Project
from projects.notifications import digest, outbox, send
from tests.projects.notifications.conftest import Clock
from tests.projects.notifications.receivers import Receiver

pytestmark = pytest.mark.django_db
Make = Callable[..., Channel]


def tell(project: Project, clock: Clock, n: int) -> None:
    for i in range(n):
        told = {"sentence": f"Alert {i} is over.", "path": f"/p/support-agent/alerts/{i}/", "number": i}
        send(project, "alert_resolved", told, now=clock())


def test_many_notices_become_one_letter_for_each_channel(
    project: Project, channel: Make, receiver: Receiver, clock: Clock
) -> None:
    channel("webhook", receiver.url, name="one")
    channel("webhook", receiver.url, name="other", wants={"alert_resolved": "off"})
    tell(project, clock, 3)

    assert digest.make(project, now=clock()) == 1
    outbox.deliver_due(now=clock, deadline=time.monotonic() + 30)

    (got,) = receiver.posts
    body = json.loads(got.body)
    assert body["kind"] == "digest"
    assert body["count"] == 3
    assert [one["sentence"] for one in body["notices"]] == [f"Alert {i} is over." for i in range(3)]
    assert not digest.waits(project)


def test_a_letter_made_twice_tells_each_thing_once(project: Project, channel: Make, clock: Clock) -> None:
    channel("email", "team@example.com")
    tell(project, clock, 2)

    made = [digest.make(project, now=clock()) for _ in range(2)]

    assert made == [1, 0]
    assert NoticeDelivery.objects.filter(notice__kind="digest").count() == 1


def test_a_letter_counts_what_it_does_not_list(
    project: Project, channel: Make, receiver: Receiver, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("projects.notifications.letters.ITEMS", 2)
    channel("chat", receiver.url)
    tell(project, clock, 5)

    digest.make(project, now=clock())
    outbox.deliver_due(now=clock, deadline=time.monotonic() + 30)

    said = json.loads(receiver.posts[0].body)["text"]
    assert "[Support agent] 5 notices" in said
    assert said.count("•") == 2


def test_notices_of_long_ago_go_once_they_have_arrived(project: Project, channel: Make, clock: Clock) -> None:
    channel("email", "team@example.com")
    tell(project, clock, 2)
    NoticeDelivery.objects.filter(notice__context__number=1).update(state="sent")
    clock.forward(days=91)

    digest.forget(project, now=clock())

    assert [notice.context["number"] for notice in Notice.objects.all()] == [0]


def test_the_job_makes_the_letter(project: Project, channel: Make, clock: Clock) -> None:
    channel("email", "team@example.com")
    tell(project, clock, 1)

    job = jobs.start("digest", project)

    assert (job.state, job.result) == ("done", {"letters": 1})
