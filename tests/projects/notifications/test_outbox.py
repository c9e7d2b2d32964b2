"""Notices on their way: what arrives, what is tried again, and what is told once."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from datetime import time as clock_time

import pytest
from django.core.cache import cache
from django.db import transaction
from pytest_django import Settings

from agentopt.lib.errors import Conflict
from projects.models import Channel, Notice, NoticeDelivery, Project
from projects.notifications import channels, kinds, outbox, send
from tests.projects.notifications.conftest import Clock
from tests.projects.notifications.receivers import Post, Receiver

pytestmark = pytest.mark.django_db
Make = Callable[..., Channel]
ALERT = {
    "sentence": "p95 latency of dim-1 rose from 2.4 s to 4.1 s.", "path": "/p/support-agent/alerts/3/",
    "number": 3, "metric": "p95 latency", "direction": "up", "since": datetime(2026, 11, 20, 14, tzinfo=UTC),
}  # fmt: skip


def work(clock: Clock) -> int:
    return outbox.deliver_due(now=clock, deadline=time.monotonic() + 30)


def only(project: Project) -> NoticeDelivery:
    return NoticeDelivery.objects.get(notice__project=project)


def test_an_alert_reaches_a_mailbox_over_smtp_as_text_and_html(
    project: Project, channel: Make, post: Post, clock: Clock
) -> None:
    channel("email", "team@example.com")

    send(project, "alert", ALERT, now=clock())
    work(clock)

    (letter,) = post.letters
    text, html = (part.get_payload(decode=True).decode() for part in letter.get_payload())  # type: ignore[union-attr]  # two parts
    assert letter["To"] == "team@example.com"
    assert letter["Subject"] == "[Support agent] Alert 3: p95 latency up"
    assert letter["Message-ID"] == f"<{only(project).key}@localhost>"
    assert "rose from 2.4 s to 4.1 s." in text
    assert "Since 2026-11-20 14:00 UTC." in text
    assert "http://localhost:8000/p/support-agent/alerts/3/" in text
    assert '<a href="http://localhost:8000/p/support-agent/alerts/3/">' in html
    assert only(project).state == "sent"


def test_a_signed_webhook_can_be_checked_by_who_receives_it(
    project: Project, channel: Make, receiver: Receiver, clock: Clock
) -> None:
    hook = channel("webhook", receiver.url)

    send(project, "alert", ALERT, now=clock())
    work(clock)

    (got,) = receiver.posts
    signed = f"{got.headers['webhook-id']}.{got.headers['webhook-timestamp']}.".encode() + got.body
    mac = hmac.new(base64.b64decode(hook.secret.removeprefix("whsec_")), signed, hashlib.sha256).digest()
    assert got.headers["webhook-signature"] == f"v1,{base64.b64encode(mac).decode()}"
    assert got.headers["idempotency-key"] == got.headers["webhook-id"] == only(project).key
    assert got.headers["webhook-timestamp"] == str(int(clock().timestamp()))
    assert json.loads(got.body) == {
        "id": only(project).key, "kind": "alert", "at": "2026-11-23T12:00:00+00:00",
        "project": {"id": project.pk, "slug": "support-agent", "name": "Support agent"},
        "sentence": ALERT["sentence"], "number": 3, "metric": "p95 latency", "direction": "up",
        "since": "2026-11-20T14:00:00+00:00", "url": "http://localhost:8000/p/support-agent/alerts/3/",
    }  # fmt: skip


def test_the_signature_is_that_of_the_convention() -> None:
    # the example of the Standard Webhooks specification: secret, id, timestamp and body with their signature
    secret, body = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", b'{"test": 2432232314}'
    at = datetime.fromtimestamp(1614265330, tz=UTC)

    headers = channels.signed(secret, body, key="msg_p5jXN8AQM9LWM0D4loKWxJek", now=at)

    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_chat_gets_plain_text_without_its_markup(
    project: Project, channel: Make, receiver: Receiver, clock: Clock
) -> None:
    channel("chat", receiver.url)

    send(project, "alert", {**ALERT, "sentence": "Cost & errors <!channel> rose."}, now=clock())
    work(clock)

    said = json.loads(receiver.posts[0].body)["text"]
    assert "Cost &amp; errors &lt;!channel&gt; rose." in said
    assert said.endswith("http://localhost:8000/p/support-agent/alerts/3/")


def test_a_receiver_that_is_down_gets_the_notice_later_once_and_under_the_same_key(
    project: Project, channel: Make, receiver: Receiver, clock: Clock
) -> None:
    channel("webhook", receiver.url)
    receiver.answers = [(503, {}), (500, {})]

    send(project, "alert", ALERT, now=clock())
    work(clock)
    work(clock)  # at once again: it is not due
    assert len(receiver.posts) == 1
    assert only(project).error == "The receiver answered 503."
    clock.forward(minutes=1)
    work(clock)
    clock.forward(minutes=5)
    work(clock)
    clock.forward(days=2)
    work(clock)

    assert len(receiver.posts) == 3
    assert len({got.headers["webhook-id"] for got in receiver.posts}) == 1
    assert len({got.headers["webhook-timestamp"] for got in receiver.posts}) == 3
    assert only(project).state == "sent"
    assert only(project).error == ""


def test_a_receiver_may_ask_for_a_longer_pause(
    project: Project, channel: Make, receiver: Receiver, clock: Clock
) -> None:
    channel("chat", receiver.url)
    receiver.answers = [(429, {"Retry-After": "600"})]

    send(project, "alert", ALERT, now=clock())
    work(clock)

    assert only(project).due_at == clock() + timedelta(minutes=10)


def test_a_channel_that_stays_down_is_shown_told_elsewhere_and_can_be_tried_again(
    project: Project, channel: Make, receiver: Receiver, post: Post, clock: Clock
) -> None:
    down = channel("webhook", receiver.url)
    channel("email", "team@example.com", wants={"alert": "off"})
    receiver.answers = [(500, {})] * outbox.MAX_ATTEMPTS
    send(project, "alert", ALERT, now=clock())

    for pause in (*outbox.PAUSES, timedelta(0)):
        work(clock)
        clock.forward(seconds=pause.total_seconds())
    work(clock)

    delivery = down.deliveries.get()
    down.refresh_from_db()
    assert (delivery.state, delivery.attempts) == ("failed", outbox.MAX_ATTEMPTS)
    assert down.failing_since is not None
    assert [letter["Subject"] for letter in post.letters] == ["[Support agent] Notices do not arrive"]

    outbox.again(delivery, now=clock())
    work(clock)

    delivery.refresh_from_db()
    assert delivery.state == "sent"
    assert Channel.objects.get(pk=down.pk).failing_since is None
    with pytest.raises(Conflict):
        outbox.again(delivery, now=clock())


def test_a_dead_receiver_does_not_hold_up_the_others(
    project: Project, channel: Make, receiver: Receiver, clock: Clock
) -> None:
    channel("webhook", "http://127.0.0.1:9/none", name="dead")
    channel("webhook", receiver.url, name="alive")

    for n in range(3):
        send(project, "alert", {**ALERT, "number": n}, now=clock())
    tried = work(clock)

    assert len(receiver.posts) == 3
    assert tried == 4  # the dead one was tried once


def test_what_a_dead_worker_was_sending_is_sent_under_the_same_key(
    project: Project, channel: Make, receiver: Receiver, clock: Clock
) -> None:
    channel("webhook", receiver.url)
    send(project, "alert", ALERT, now=clock())
    claimed = outbox._claim(clock(), without=set())  # and here the worker is killed
    assert claimed is not None

    assert work(clock) == 0  # its lease holds
    clock.forward(minutes=3)
    work(clock)

    assert [got.headers["webhook-id"] for got in receiver.posts] == [claimed.key]
    assert not outbox._hand_in(claimed, state="failed")  # the dead worker's word counts no more
    assert only(project).state == "sent"


def test_the_same_thing_is_told_once(project: Project, channel: Make, receiver: Receiver, clock: Clock) -> None:
    channel("webhook", receiver.url)

    for _ in range(2):
        send(project, "alert", ALERT, key="3", now=clock())
    work(clock)

    assert len(receiver.posts) == 1
    assert Notice.objects.count() == 1


def test_a_notice_of_a_transaction_that_broke_is_never_sent(
    project: Project, channel: Make, receiver: Receiver, clock: Clock
) -> None:
    channel("webhook", receiver.url)

    with transaction.atomic():
        send(project, "alert", ALERT, now=clock())
        transaction.set_rollback(True)
    work(clock)

    assert receiver.posts == []


def test_a_channel_gets_what_it_wants_when_it_wants_it(
    project: Project, channel: Make, receiver: Receiver, clock: Clock
) -> None:
    channel("webhook", receiver.url, name="all", wants={"alert": "now"})
    channel("webhook", receiver.url, name="none", wants={"alert": "off"})
    channel("webhook", receiver.url, name="later", wants={"alert": "digest"})
    channel("webhook", receiver.url, name="off", enabled=False)

    send(project, "alert", ALERT, now=clock())
    work(clock)

    states = dict(NoticeDelivery.objects.values_list("channel_name", "state"))
    assert states == {"all": "sent", "later": "for_digest"}


def test_quiet_hours_hold_a_notice_back_until_they_end(
    project: Project, channel: Make, receiver: Receiver, clock: Clock
) -> None:
    channel("webhook", receiver.url, quiet_from=clock_time(22), quiet_until=clock_time(7), timezone="Europe/Berlin")
    clock.now = datetime(2026, 11, 23, 23, tzinfo=UTC)  # midnight in Berlin

    send(project, "alert", ALERT, now=clock())
    work(clock)
    assert receiver.posts == []
    clock.now = datetime(2026, 11, 24, 6, tzinfo=UTC)  # 7:00 there
    work(clock)

    assert len(receiver.posts) == 1


def test_a_private_address_is_refused_unless_it_is_allowed(
    project: Project, channel: Make, receiver: Receiver, clock: Clock, settings: Settings
) -> None:
    channel("webhook", receiver.url.replace("127.0.0.1", "localhost"))
    settings.ALLOW_PRIVATE_ADDRESSES = False

    send(project, "alert", ALERT, now=clock())
    work(clock)

    assert receiver.posts == []
    assert only(project).state == "failed"
    assert "ALLOW_PRIVATE_ADDRESSES" in only(project).error


def test_a_redirect_is_not_followed(project: Project, channel: Make, receiver: Receiver, clock: Clock) -> None:
    channel("webhook", receiver.url)
    receiver.answers = [(302, {"Location": receiver.url})]

    send(project, "alert", ALERT, now=clock())
    work(clock)

    assert len(receiver.posts) == 1
    assert only(project).state == "failed"


@pytest.mark.parametrize(("said", "state"), [("450 greylisted", "waiting"), ("550 no such mailbox", "failed")])
def test_a_mail_server_that_refuses_for_now_is_asked_again_and_one_that_refuses_for_good_is_not(
    project: Project, channel: Make, post: Post, clock: Clock, said: str, state: str
) -> None:
    channel("email", "team@example.com")
    post.refuse = [said]

    send(project, "alert", ALERT, now=clock())
    work(clock)

    delivery = NoticeDelivery.objects.get(notice__kind="alert")
    assert delivery.state == state
    assert said[:3] in delivery.error
    assert "team@example.com" not in delivery.error


def test_the_test_button_sends_now_whatever_the_hour_and_says_how_it_went(
    channel: Make, receiver: Receiver, clock: Clock
) -> None:
    hook = channel("webhook", receiver.url, quiet_from=clock_time(0), quiet_until=clock_time(23, 59))
    receiver.answers = [(200, {}), (404, {})]

    arrived, failed = (outbox.send_test(hook, now=clock) for _ in range(2))

    assert (arrived.state, arrived.attempts) == ("sent", 1)
    assert (failed.state, failed.error) == ("failed", "The receiver answered 404.")
    assert Notice.objects.filter(kind="channel_failed").count() == 0


def test_a_notice_takes_only_what_its_kind_says(project: Project) -> None:
    for wrong in ({"prompt": "x"}, {"number": "3"}, {"since": datetime(2026, 1, 1)}, {"path": "https://elsewhere"}):
        with pytest.raises(ValueError, match=r"\w"):
            send(project, "alert", {**ALERT, **wrong})
    with pytest.raises(ValueError, match="there is no notice"):
        send(project, "weather", ALERT)

    long = kinds.checked("alert", {**ALERT, "sentence": "line\r\nBcc: x@example.com " + "x" * 900})

    assert len(long["sentence"]) == 400
    assert long["sentence"].startswith("line Bcc:")


def test_every_kind_has_its_letters(project: Project, channel: Make, post: Post, clock: Clock) -> None:
    channel("email", "team@example.com", wants=dict.fromkeys(kinds.CHOSEN, "now"))

    for kind in kinds.CHOSEN:
        send(project, kind, {"sentence": f"About {kind} <b>.", "path": "/"}, now=clock())
    work(clock)

    assert len(post.letters) == len(kinds.CHOSEN)
    for letter in post.letters:
        text, html = (part.get_payload(decode=True).decode() for part in letter.get_payload())  # type: ignore[union-attr]  # two parts
        assert "<b>." in text
        assert "&lt;b&gt;." in html
        assert "\n" not in letter["Subject"]


def test_secrets_are_encrypted_in_the_database(channel: Make, receiver: Receiver) -> None:
    hook = channel("webhook", receiver.url)

    stored = Channel.objects.filter(pk=hook.pk).extra(select={"a": "address || ' ' || secret"}).values("a").get()["a"]

    assert receiver.url not in stored
    assert hook.secret not in stored


def test_the_supervisor_asks_for_one_worker_at_a_time(
    project: Project, channel: Make, receiver: Receiver, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel("webhook", receiver.url)
    asked: list[str] = []
    monkeypatch.setattr(outbox, "async_task", lambda name, **_: asked.append(name))
    cache.delete("agentopt:notices-asked")
    outbox.ask()
    send(project, "alert", ALERT)

    for _ in range(3):
        outbox.ask()

    assert asked == ["projects.tasks.deliver_notices"]
