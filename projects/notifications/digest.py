"""Many small notices, one daily letter for each channel."""

from datetime import datetime, timedelta

from django.db import transaction

from projects.models import Channel, Notice, NoticeDelivery, Project
from projects.notifications.kinds import checked
from projects.notifications.outbox import delivery_of

State = NoticeDelivery.State
KEPT_FOR = timedelta(days=90)


class _Nothing(Exception):
    """Another worker made the letter meanwhile."""


def waits(project: Project) -> bool:
    """Whether something waits for a daily letter."""
    return NoticeDelivery.objects.filter(
        notice__project=project, state=State.FOR_DIGEST, channel__enabled=True
    ).exists()


def why_not(project: Project, now: datetime) -> str | None:  # noqa: ARG001 — the signature of every schedule
    """Why no letter is made; None: something waits, or old notices may go."""
    if waits(project) or project.notices.exists():
        return None
    return "Nothing waits for a daily letter."


def make(project: Project, *, now: datetime) -> int:
    """Put what waits into one letter for each channel, which is then on its way; how many letters.

    Safe to kill and to run twice at once: a part goes into its letter in the transaction that makes the letter.
    """
    made = 0
    for channel in Channel.objects.filter(project=project, enabled=True).order_by("pk"):
        waiting = NoticeDelivery.objects.filter(channel=channel, state=State.FOR_DIGEST)
        if not waiting.exists():
            continue
        try:
            with transaction.atomic():
                _make_for(channel, now=now)
        except _Nothing:
            continue
        made += 1
    return made


def _make_for(channel: Channel, *, now: datetime) -> None:
    letter = Notice(project=channel.project, kind="digest", key=f"{channel.pk} {now.isoformat()}", created_at=now)
    letter.context = {}
    letter.save()
    delivery = delivery_of(letter, channel, now=now)
    delivery.save()
    waiting = NoticeDelivery.objects.filter(channel=channel, state=State.FOR_DIGEST)
    count = waiting.update(state=State.IN_DIGEST, within=delivery)
    if not count:
        raise _Nothing
    sentence = f"{count} notice{'' if count == 1 else 's'} of {channel.project.name}."
    path = f"/p/{channel.project.slug}/"
    letter.context = checked("digest", {"sentence": sentence, "path": path, "count": count})
    letter.save(update_fields=["context"])


def forget(project: Project, *, now: datetime) -> int:
    """Delete notices of long ago whose deliveries have all come to an end; how many rows."""
    old = Notice.objects.filter(project=project, created_at__lt=now - KEPT_FOR)
    return old.exclude(deliveries__state__in=[State.WAITING, State.FOR_DIGEST]).delete()[0]
