"""Keep notices and bring them to their channels: nothing is lost, and repeats can be told.

`send` only writes rows, in the caller's transaction. A look every few seconds hands what is due to a worker, which
claims one delivery after the other by a conditional update, under a lease. A worker that dies leaves a lease that ends;
the next one tries again under the same key.
"""

import time
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.conf import settings
from django.core.cache import cache
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone
from django_q.tasks import async_task

from agentopt.lib.errors import Conflict
from projects.models import Channel, Notice, NoticeDelivery, Project
from projects.notifications import channels, letters
from projects.notifications.kinds import DIGEST, KINDS, NOW, OFF, checked
from projects.notifications.quiet import Quiet

State = NoticeDelivery.State
# after the first failure, the second, …; a channel that is still down after about a day has failed
PAUSES = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 15, 60, 180, 360, 720))
MAX_ATTEMPTS = len(PAUSES) + 1
LEASE = timedelta(seconds=120)  # longer than one try can take
_ASKED_KEY, _ASKED_S = "agentopt:notices-asked", 30
log = structlog.get_logger(__name__)


def send(
    project: Project, kind: str, context: Mapping[str, Any], *, key: str = "", now: datetime | None = None
) -> Notice:
    """Tell a project's channels something; part of the caller's transaction, and no network here.

    Args:
        kind: a name of `kinds.KINDS`, which says what the context takes: always `sentence` and `path`.
        context: figures, names and a sentence made by code. Nothing of prompts, nor names of use cases.
        key: the same kind and key of a project are told once, however often this is called. "": told each time.

    Raises:
        ValueError: the context is not what the kind takes.
    """
    clean = checked(kind, context)
    now = now or timezone.now()
    with transaction.atomic():
        notice, is_new = Notice.objects.get_or_create(
            project=project, kind=kind, key=key or uuid.uuid4().hex, defaults={"context": clean, "created_at": now}
        )
        if is_new:
            _put_on_the_way(notice, now)
    return notice


def _put_on_the_way(notice: Notice, now: datetime) -> None:
    rows = []
    for channel in Channel.objects.filter(project=notice.project_id, enabled=True).order_by("pk"):
        when = wanted(channel, notice.kind)
        if when == OFF or (notice.kind == "channel_failed" and notice.context.get("channel") == channel.name):
            continue
        rows.append(delivery_of(notice, channel, now=now, for_digest=when == DIGEST))
    NoticeDelivery.objects.bulk_create(rows)


def delivery_of(notice: Notice, channel: Channel, *, now: datetime, for_digest: bool = False) -> NoticeDelivery:
    """A delivery that is not stored yet; outside of the daily letter it is due when the channel's quiet hours end."""
    return NoticeDelivery(
        notice=notice, channel=channel, channel_name=channel.name, key=uuid.uuid4().hex, created_at=now,
        state=State.FOR_DIGEST if for_digest else State.WAITING, due_at=None if for_digest else loud(channel, now),
    )  # fmt: skip


def wanted(channel: Channel, kind: str) -> str:
    """When a channel wants notices of a kind: its own choice, else the kind's."""
    if KINDS[kind].internal:
        return NOW
    return str(channel.wants.get(kind) or KINDS[kind].when)


def loud(channel: Channel, moment: datetime) -> datetime:
    """The moment, or the end of the channel's quiet hours."""
    if channel.quiet_from is None or channel.quiet_until is None:
        return moment
    return Quiet(channel.quiet_from, channel.quiet_until, channel.timezone).end(moment)


# ------------------------------------------------------------------------------------------------ on the way
def ask() -> None:
    """Have a worker bring what is due, unless one was just asked; the supervisor calls it every few seconds."""
    if not _due(timezone.now()).exists() or not cache.add(_ASKED_KEY, 1, timeout=_ASKED_S):
        return
    async_task("projects.tasks.deliver_notices", task_name="notices", sync=bool(settings.Q_CLUSTER["sync"]))


def deliver_due(*, now: Callable[[], datetime] = timezone.now, deadline: float) -> int:
    """Bring what is due, one after the other, until `deadline` of `time.monotonic()`; how many were tried."""
    down: set[int] = set()  # one dead receiver must not hold up all others
    tried = 0
    while time.monotonic() < deadline:
        delivery = _claim(now(), without=down)
        if delivery is None:
            break
        tried += 1
        if not attempt(delivery, now=now) and delivery.channel_id is not None:
            down.add(delivery.channel_id)
    cache.delete(_ASKED_KEY)
    return tried


def _due(now: datetime) -> Any:
    free = Q(lease_until=None) | Q(lease_until__lt=now)
    return NoticeDelivery.objects.filter(free, state=State.WAITING, due_at__lte=now)


def _claim(now: datetime, *, without: set[int]) -> NoticeDelivery | None:
    """Take the delivery that waits longest; whoever else looks at it at this moment gets another one."""
    while True:
        due = _due(now).exclude(channel__in=without).order_by("due_at", "pk")
        pk = due.values_list("pk", flat=True).first()
        if pk is None:
            return None
        token = uuid.uuid4().hex
        taken = _due(now).filter(pk=pk)
        if taken.update(token=token, lease_until=now + LEASE, tried_at=now, attempts=F("attempts") + 1):
            return NoticeDelivery.objects.select_related("notice__project", "channel").get(pk=pk)


def attempt(delivery: NoticeDelivery, *, now: Callable[[], datetime], is_last: bool = False) -> bool:
    """Try a claimed delivery once and write down how it went; whether it arrived.

    Args:
        is_last: do not try again, as after a press of the test button.
    """
    channel = delivery.channel
    if channel is None or not channel.enabled:
        _hand_in(delivery, state=State.DROPPED, error="The channel is no more, or switched off.")
        return True
    if delivery.attempts > MAX_ATTEMPTS:  # its last worker died before it could say how it went
        failure = channels.Undelivered("The worker stopped at the last try.", is_final=True)
    else:
        try:
            channels.deliver(channel, letters.write(delivery), key=delivery.key, now=now())
        except channels.Undelivered as error:
            failure = error
        else:
            _hand_in(delivery, state=State.SENT, error="", sent_at=now())
            Channel.objects.filter(pk=channel.pk).exclude(failing_since=None).update(failing_since=None)
            return True
    _note_failure(delivery, channel, failure, now=now(), is_last=is_last)
    return False


def _note_failure(
    delivery: NoticeDelivery, channel: Channel, failure: channels.Undelivered, *, now: datetime, is_last: bool
) -> None:
    log.warning("notice not delivered", delivery=delivery.pk, attempts=delivery.attempts, why=failure.why)
    if not (is_last or failure.is_final or delivery.attempts >= MAX_ATTEMPTS):
        pause = max(PAUSES[delivery.attempts - 1], timedelta(seconds=failure.wait_s))
        _hand_in(delivery, state=State.WAITING, error=failure.why, due_at=loud(channel, now + pause))
        return
    with transaction.atomic():
        if not _hand_in(delivery, state=State.FAILED, error=failure.why) or delivery.notice.kind == "test":
            return
        Channel.objects.filter(pk=channel.pk, failing_since=None).update(failing_since=now)
        sentence = f"Notices to “{channel.name}” do not arrive: {failure.why}"
        path = f"/p/{delivery.notice.project.slug}/settings/notices/"
        told = {"channel": channel.name, "sentence": sentence, "path": path}
        send(delivery.notice.project, "channel_failed", told, key=f"{channel.pk} {now:%F}", now=now)


def _hand_in(delivery: NoticeDelivery, **fields: Any) -> bool:
    """Write how a try went, unless another worker took over meanwhile."""
    held = NoticeDelivery.objects.filter(pk=delivery.pk, token=delivery.token, state=State.WAITING)
    ended = {"token": "", "lease_until": None, **fields}
    for name, value in ended.items():
        setattr(delivery, name, value)
    return bool(held.update(**ended))


# ------------------------------------------------------------------------------------------------ by hand
def send_test(channel: Channel, *, now: Callable[[], datetime] = timezone.now) -> NoticeDelivery:
    """Send a test notice here and now, quiet hours or not, and return how it went."""
    at = now()
    context = {
        "sentence": "This is a test: notices of the project reach this channel.",
        "path": f"/p/{channel.project.slug}/settings/notices/",
    }
    with transaction.atomic():
        notice = Notice.objects.create(
            project=channel.project, kind="test", key=uuid.uuid4().hex, context=checked("test", context), created_at=at
        )
        delivery = delivery_of(notice, channel, now=at)
        delivery.due_at, delivery.token, delivery.lease_until = at, uuid.uuid4().hex, at + LEASE
        delivery.tried_at, delivery.attempts = at, MAX_ATTEMPTS  # one try: if this process dies, none follows
        delivery.save()
    attempt(delivery, now=now, is_last=True)
    NoticeDelivery.objects.filter(pk=delivery.pk).update(attempts=1)
    delivery.refresh_from_db()
    return delivery


def again(delivery: NoticeDelivery, *, now: datetime) -> None:
    """Have a failed delivery tried anew, under the same key.

    Raises:
        Conflict: it has not failed, or its channel is gone.
    """
    failed = NoticeDelivery.objects.filter(pk=delivery.pk, state=State.FAILED, channel__enabled=True)
    if not failed.update(state=State.WAITING, attempts=0, due_at=now, error=""):
        raise Conflict("Only a delivery that failed can be sent again, and only to a channel that is switched on.")
