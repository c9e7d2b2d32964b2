"""Remove bodies that are too old, and what is kept of one person, through the audited door. Figures and hashes stay.

A `Removal` is worked off in small transactions and goes on where it stopped, in whichever process. It never holds what
it removes: a person's value is known by its keyed hash, as it stands in the rows afterwards.
"""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import F, QuerySet
from django.utils import timezone
from django.utils.module_loading import import_string

from agentopt.lib.crypto import keyed_hash
from agentopt.lib.errors import Invalid, NotFound
from agentopt.lib.immutable import door
from agentopt.schedules import FORGET
from ingestion import erasure
from ingestion.analytics.cache import forget
from ingestion.models import LogBody, LogRecord, Removal, RemovedBody, SetAside
from projects import audit
from projects.models import Project, User

CHUNK = 500
MAX_DAYS = 36_500
Beat = Callable[..., object]


# ------------------------------------------------------------------------------------------------ proof
def removed(project: Project, records: Collection[int]) -> frozenset[int]:
    """Those of some records (primary keys) whose bodies the product itself removed.

    A row that was written past the product has no valid proof and does not count, so a body that is missing without
    being here was taken away by somebody else.
    """
    rows = RemovedBody.objects.filter(record_id__in=records, record__project=project)
    proven = rows.values_list("record_id", "removal_id", "record__content_hash", "proof")
    return frozenset(pk for pk, removal, content, held in proven if held == proof(project, pk, removal, content))


def proof(project: Project, record: int, removal: int, content_hash: str) -> str:
    """What only somebody with the project's key can write about a removed body."""
    return keyed_hash(project.hash_key, f"removed body\n{record}\n{removal}\n{content_hash}")


def removal_of(project: Project, record: int) -> Removal | None:
    """The removal that took the body of a record, if one did."""
    return Removal.objects.filter(project=project, removed__record=record).first()


# ------------------------------------------------------------------------------------------------ by age
@dataclass(frozen=True)
class AgePreview:
    """What a removal by age would take: bodies and rows set aside from before a moment."""

    older_than: datetime
    bodies: int
    set_aside: int


def preview_age(project: Project, *, days: int, now: datetime) -> AgePreview:
    """Count what is older than some days.

    Raises:
        Invalid: days below 0 or above 36,500.
    """
    before = _moment(days, now=now)
    return AgePreview(before, _old_bodies(project, before).count(), _old_asides(project, before).count())


def open_by_age(project: Project, *, days: int, now: datetime, by: User | None) -> Removal:
    """Note that bodies older than some days go; `work` removes them.

    Raises:
        Invalid: days below 0 or above 36,500.
    """
    before = _moment(days, now=now)
    with transaction.atomic():
        removal = Removal.objects.create(project=project, kind=Removal.Kind.RETENTION, by=by, older_than=before)
        told = {"older_than": before.isoformat(), "days": days}
        audit.record(project, by, "bodies.remove", f"removal {removal.pk}", after=told)
    return removal


def open_due(project: Project, *, now: datetime) -> Removal | None:
    """What the schedule has to do: a removal that was left unfinished, else a new one by the project's own setting.

    None where neither is: bodies are kept without limit, or nothing is old enough.
    """
    left = project.removals.filter(ended_at=None).order_by("pk").first()
    if left is not None or project.retention_days is None:
        return left
    before = _moment(project.retention_days, now=now)
    if not _old_bodies(project, before).exists() and not _old_asides(project, before).exists():
        return None
    return open_by_age(project, days=project.retention_days, now=now, by=None)


def finish_open(project: Project) -> None:
    """Work off what was left unfinished, so that nothing waits behind a later removal."""
    for removal in project.removals.filter(ended_at=None).order_by("pk"):
        work(removal)


def _moment(days: int, *, now: datetime) -> datetime:
    if not 0 <= days <= MAX_DAYS:
        raise Invalid("That is no age.", fields={"older_than_days": f"Expected 0 to {MAX_DAYS:,} days."})
    return now - timedelta(days=days)


def _old_bodies(project: Project, before: datetime) -> "QuerySet[LogBody]":
    return LogBody.objects.filter(record__project=project, record__occurred_at__lt=before)


def _old_asides(project: Project, before: datetime) -> "QuerySet[SetAside]":
    """Their own time could not be read, so that of their import counts."""
    return project.set_aside.filter(created_at__lt=before).exclude(raw="")


# ------------------------------------------------------------------------------------------------ one person
def open_erasure(project: Project, asked: erasure.Asked, *, by: User | None) -> Removal:
    """Note that a person's calls go, and take the value at once out of ids and rows set aside; `work` does the rest.

    It stands from now on: later calls with this value are taken in without what was said.

    Raises:
        Invalid: no key, or no value, or one that is too long.
        NotFound: nothing of this project holds the value.
    """
    planned = erasure.plan(project, asked)
    found = planned.preview
    if not found.calls and not found.set_aside and not found.ids:
        raise NotFound("Nothing of this project holds that value under that key, as far as it can be told.")
    with door():
        Project.objects.select_for_update(no_key=True).get(pk=project.pk)  # the store reads what stands under it
        removal = Removal.objects.create(
            project=project,
            kind=Removal.Kind.ERASURE,
            by=by,
            key=asked.key,
            value_hash=erasure.value_hash(project, asked.value),
            other_keys=sorted(set(asked.other_keys) - {asked.key}),
            set_aside=erasure.carry_out(project, asked, planned),
        )
        told = {"key": asked.key, "value_hash": removal.value_hash, "other_keys": removal.other_keys}
        counts = {"calls": found.calls, "bodies": found.bodies, "set_aside": found.set_aside, "ids": found.ids}
        audit.record(project, by, "person.erase", f"removal {removal.pk}", after={**told, **counts})
    return removal


def lift(removal: Removal, *, by: User | None, now: datetime) -> None:
    """Let later calls of an erased person be kept whole again; what was removed stays removed."""
    with transaction.atomic():
        standing = Removal.objects.filter(pk=removal.pk, kind=Removal.Kind.ERASURE, lifted_at=None)
        if standing.update(lifted_at=now):
            audit.record(removal.project, by, "erasure.lift", f"removal {removal.pk}")


def standing(project: Project) -> Mapping[str, Mapping[str, Sequence[str]]]:
    """Erasures that hold for what comes in: key, then keyed hash of the value, then the other keys to replace."""
    found: dict[str, dict[str, Sequence[str]]] = {}
    rows = project.removals.filter(kind=Removal.Kind.ERASURE, lifted_at=None)
    for key, value, others in rows.order_by("pk").values_list("key", "value_hash", "other_keys"):
        found.setdefault(key, {})[value] = others
    return found


# ------------------------------------------------------------------------------------------------ the work
def work(removal: Removal, *, beat: Beat | None = None, deadline: float | None = None) -> bool:
    """Remove, chunk by chunk; False: time was up, another call goes on.

    Args:
        beat: called with done= after each chunk; may raise to stop.
        deadline: on the monotonic clock; None goes on to the end.
    """
    with _nothing_left_in_freed_pages():
        forms = erasure.forms(removal) if removal.kind == Removal.Kind.ERASURE else ()
        while _step(removal, forms):
            removal.refresh_from_db()
            if beat is not None:
                beat(done=removal.records)
            if deadline is not None and time.monotonic() >= deadline:
                return False
        answers = forget_copies(removal.project)
        _end(removal, answers=answers)
    _shrink_wal()
    removal.refresh_from_db()
    return True


def forget_copies(project: Project) -> int:
    """Let the apps above blank what they copied out of bodies that are gone; how many copies there were."""
    return sum(import_string(path)(project) for path in FORGET)


def _step(removal: Removal, forms: Collection[str]) -> bool:
    """One transaction; False: nothing is left."""
    with door():  # one at a time: the row that opens it is locked
        removal.refresh_from_db()
        if removal.ended_at is not None:
            return False
        if removal.kind == Removal.Kind.RETENTION:
            return _asides_by_age(removal) or _bodies_by_age(removal)
        return _person(removal, forms)


def _asides_by_age(removal: Removal) -> bool:
    assert removal.older_than is not None  # noqa: S101 - a removal by age has one
    old = list(_old_asides(removal.project, removal.older_than).order_by("pk").values_list("pk", flat=True)[:CHUNK])
    n = removal.project.set_aside.filter(pk__in=old).update(raw="")
    _count(removal, set_aside=n)
    return bool(n)


def _bodies_by_age(removal: Removal) -> bool:
    assert removal.older_than is not None  # noqa: S101 - a removal by age has one
    old = _old_bodies(removal.project, removal.older_than).filter(pk__gt=removal.reached).order_by("pk")
    pks = list(old.values_list("pk", flat=True)[:CHUNK])
    if not pks:
        return False
    _remove(removal, LogRecord.objects.filter(pk__in=pks))
    _count(removal, reached=pks[-1])
    return True


def _person(removal: Removal, forms: Collection[str]) -> bool:
    pks = erasure.next_records(removal, forms, limit=CHUNK)
    if not pks:
        return False
    records = erasure.with_conversations(removal, pks, forms)
    _remove(removal, records)
    changed, calls = erasure.replace_values(removal, records)
    _count(removal, reached=pks[-1], changed=changed, calls=calls)
    return True


def _remove(removal: Removal, records: "QuerySet[LogRecord]") -> None:
    """Take the bodies of some records, and prove that it was us."""
    with_body = records.filter(body__isnull=False).order_by("pk")
    told = list(with_body.values_list("pk", "content_hash"))
    LogBody.objects.filter(pk__in=[pk for pk, _ in told]).delete()
    RemovedBody.objects.bulk_create(
        RemovedBody(record_id=pk, removal=removal, proof=proof(removal.project, pk, removal.pk, content))
        for pk, content in told
    )
    _count(removal, bodies=len(told), changed=len(told) if removal.kind == Removal.Kind.RETENTION else 0)


def _count(
    removal: Removal,
    *,
    reached: int | None = None,
    changed: int = 0,
    calls: int = 0,
    bodies: int = 0,
    set_aside: int = 0,
) -> None:
    Removal.objects.filter(pk=removal.pk).update(
        records=F("records") + changed,
        calls=F("calls") + calls,
        bodies=F("bodies") + bodies,
        set_aside=F("set_aside") + set_aside,
        **({} if reached is None else {"reached": reached}),
    )


def _end(removal: Removal, *, answers: int) -> None:
    with transaction.atomic():
        opened = Removal.objects.filter(pk=removal.pk, ended_at=None)
        if not opened.update(ended_at=timezone.now(), answers=F("answers") + answers):
            return
        if removal.kind == Removal.Kind.ERASURE:
            forget(removal.project)  # kept answers may name groups by what is gone
        removal.refresh_from_db()
        counts = {name: getattr(removal, name) for name in ("records", "bodies", "set_aside", "answers")}
        audit.record(removal.project, removal.by, "removal.end", f"removal {removal.pk}", after=counts)


# ------------------------------------------------------------------------------------------------ the file
@contextmanager
def _nothing_left_in_freed_pages() -> Iterator[None]:
    """SQLite leaves deleted text in its file until the page is used again, unless it is told to write over it."""
    if connection.vendor != "sqlite":
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA secure_delete")
        (before,) = cursor.fetchone()
        cursor.execute("PRAGMA secure_delete=ON")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"PRAGMA secure_delete={int(before)}")


def _shrink_wal() -> None:
    """Older pages stand in SQLite's write-ahead log until it is emptied; a reader that lasts puts it off."""
    if connection.vendor == "sqlite" and not connection.in_atomic_block:
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
