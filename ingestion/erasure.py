"""Find what is stored of one person by a metadata key such as the user id, in whichever form its mode left it."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from django.db import connection
from django.db.models import Q, QuerySet

from agentopt.lib.crypto import keyed_hash
from agentopt.lib.errors import Invalid
from ingestion import privacy
from ingestion.hashing import Hasher
from ingestion.models import LogBody, LogRecord, Removal, SetAside
from projects.models import Project

LONG_ENOUGH = 4  # a shorter value stands in too many texts by chance
_ESCAPE = re.compile(r"\\+u([0-9a-fA-F]{4})")


@dataclass(frozen=True)
class Asked:
    """Whose calls: those whose metadata hold a value under a key. The values of `other_keys` go as well."""

    key: str
    value: str
    other_keys: Sequence[str] = ()

    def __post_init__(self) -> None:
        wrong = {}
        if not 1 <= len(self.key) <= privacy.METADATA_CHARACTERS:
            wrong["key"] = "Expected the name of a metadata key, such as user_id."
        if not 1 <= len(self.value) <= privacy.METADATA_CHARACTERS:
            wrong["value"] = f"Expected 1 to {privacy.METADATA_CHARACTERS} characters: no more is stored of a value."
        if wrong:
            raise Invalid("That does not name a person's calls.", fields=wrong)


@dataclass(frozen=True)
class Preview:
    """What an erasure would change. `others`: calls of the same conversations that say nothing under the key."""

    calls: int
    others: int
    records: int
    bodies: int
    set_aside: int
    ids: int


def value_hash(project: Project, value: str) -> str:
    """By what an erasure knows the value."""
    return keyed_hash(project.hash_key, value[: privacy.METADATA_CHARACTERS])


def forms(removal: Removal) -> tuple[str, ...]:
    """The texts that stand for the person under the key, in the modes the project has had."""
    return _forms(removal.project, removal.key, removal.value_hash)


def _forms(project: Project, key: str, hashed: str) -> tuple[str, ...]:
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute(
                "SELECT DISTINCT entry.value FROM ingestion_logrecord record, json_each(record.metadata) entry "
                "WHERE record.project_id = %s AND entry.key = %s",
                [project.pk, key],
            )
        else:
            cursor.execute(
                "SELECT DISTINCT metadata ->> %s FROM ingestion_logrecord WHERE project_id = %s", [key, project.pk]
            )
        held = [text for (text,) in cursor.fetchall() if text is not None]
    return tuple(
        text
        for text in held
        if text == hashed
        or (privacy.mark_of(hashed) in text and text.endswith(privacy.mark_of(hashed)))
        or keyed_hash(project.hash_key, text) == hashed
    )


def next_records(removal: Removal, found: Collection[str], *, limit: int) -> list[int]:
    """The next records that hold the value, in order of their keys."""
    return _holding(removal.project, removal.key, found, after=removal.reached, limit=limit) if found else []


def _holding(
    project: Project, key: str, found: Collection[str], *, after: int = 0, limit: int | None = None
) -> list[int]:
    marks = ", ".join(["%s"] * len(found))
    holds = (
        f"EXISTS (SELECT 1 FROM json_each(metadata) WHERE key = %s AND value IN ({marks}))"  # noqa: S608
        if connection.vendor == "sqlite"
        else f"metadata ->> %s IN ({marks})"
    )
    bound = "" if limit is None else f" LIMIT {limit:d}"
    query = f"SELECT id FROM ingestion_logrecord WHERE project_id = %s AND id > %s AND {holds} ORDER BY id{bound}"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(query, [project.pk, after, key, *found])
        return [pk for (pk,) in cursor.fetchall()]


def with_conversations(removal: Removal, pks: Sequence[int], found: Collection[str]) -> "QuerySet[LogRecord]":
    """Some records, all their versions, and the calls of their conversations that name nobody else under the key."""
    return _around(removal.project, removal.key, pks, found)


def _around(project: Project, key: str, pks: Sequence[int], found: Collection[str]) -> "QuerySet[LogRecord]":
    holding = LogRecord.objects.filter(pk__in=pks)
    versions = Q(key__in=holding.values("key"))
    near = LogRecord.objects.filter(project=project).filter(versions | Q(trace__in=holding.values("trace")))
    told = near.values_list("pk", "key", "metadata")
    calls = set(holding.values_list("key", flat=True))
    mine = [pk for pk, call, held in told if call in calls or held.get(key) in found or key not in held]
    return LogRecord.objects.filter(pk__in=mine)


def replace_values(removal: Removal, records: "QuerySet[LogRecord]") -> tuple[int, int]:
    """Put keyed hashes in the place of the values; how many records there were, and how many calls."""
    names = {removal.key, *removal.other_keys}
    n_calls, hasher = 0, Hasher(removal.project.hash_key)
    rows = list(records.values_list("pk", "version", "metadata"))
    for pk, version, held in rows:
        n_calls += version == 1
        changed = {name: hasher.erased(text) if name in names else text for name, text in held.items()}
        if changed != held:
            LogRecord.objects.filter(pk=pk).update(metadata=changed)
    return len(rows), n_calls


@dataclass(frozen=True)
class Plan:
    """What an erasure will touch beside metadata and bodies; looked up before the database is locked for it."""

    preview: Preview
    asides: Sequence[int]
    ids: Mapping[int, str]
    traces: Mapping[int, str]


def plan(project: Project, asked: Asked) -> Plan:
    """Look up all that holds the value, without changing it."""
    asides, ids, traces = _asides(project, asked), _ids(project, asked), _traces(project, asked)
    counted = preview(project, asked, n_asides=len(asides), n_ids=len(ids) + len(traces))
    return Plan(counted, asides, ids, traces)


def preview(project: Project, asked: Asked, *, n_asides: int | None = None, n_ids: int | None = None) -> Preview:
    """Count what an erasure would change, without changing it."""
    found = _forms(project, asked.key, value_hash(project, asked.value))
    holding = _holding(project, asked.key, found) if found else []
    mine: set[int] = set()
    for start in range(0, len(holding), 500):
        mine |= set(_around(project, asked.key, holding[start : start + 500], found).values_list("pk", flat=True))
    calls = others = bodies = 0
    theirs, everything = set(holding), sorted(mine)
    for start in range(0, len(everything), 500):
        part = everything[start : start + 500]
        bodies += LogBody.objects.filter(pk__in=part).count()
        firsts = LogRecord.objects.filter(pk__in=part, version=1).values_list("pk", flat=True)
        calls += sum(pk in theirs for pk in firsts)
        others += sum(pk not in theirs for pk in firsts)
    if n_asides is None:
        n_asides = len(_asides(project, asked))
    if n_ids is None:
        n_ids = len(_ids(project, asked)) + len(_traces(project, asked))
    return Preview(calls, others, len(mine), bodies, n_asides, n_ids)


# ------------------------------------------------------------------------------------------------ beside metadata
def carry_out(project: Project, asked: Asked, planned: Plan) -> int:
    """Take the text of rows set aside, and put keyed hashes in the place of ids, which still tell calls apart.

    Runs while the door is open; returns how many rows set aside lost their text.
    """
    hasher = Hasher(project.hash_key)
    for pk, name in planned.ids.items():
        LogRecord.objects.filter(pk=pk).update(source_id=hasher.erased(name))
    for pk, name in planned.traces.items():
        project.traces.filter(pk=pk).update(key=hasher.erased(name))
    # with those that came since: no later step knows the value
    pks = [*planned.asides, *_asides(project, asked, after=max(planned.asides, default=0))]
    for start in range(0, len(pks), 500):
        project.set_aside.filter(pk__in=pks[start : start + 500]).update(raw="")
    return len(pks)


def _asides(project: Project, asked: Asked, *, after: int = 0) -> list[int]:
    rows = SetAside.objects.filter(project=project, pk__gt=after).exclude(raw="").values_list("pk", "raw")
    return [pk for pk, raw in rows.order_by("pk").iterator() if _mentions(_plain(raw), asked)]


def _plain(raw: str) -> str:
    """The text without the escapes of JSON, JSON within JSON included."""
    text = _ESCAPE.sub(lambda found: chr(int(found[1], 16)), raw)
    return text.replace('\\"', '"').replace("\\/", "/")


def _mentions(text: str, asked: Asked) -> bool:
    value = asked.value
    if len(value) < LONG_ENOUGH and asked.key not in text:
        return False
    return re.search(rf"(?<![^\W_]){re.escape(value)}(?![^\W_])", text, re.IGNORECASE) is not None


def _ids(project: Project, asked: Asked) -> dict[int, str]:
    if len(asked.value) < LONG_ENOUGH:
        return {}
    rows = LogRecord.objects.filter(project=project, source_id__icontains=asked.value)
    return {pk: name for pk, name in rows.values_list("pk", "source_id") if _mentions(name, asked)}


def _traces(project: Project, asked: Asked) -> dict[int, str]:
    if len(asked.value) < LONG_ENOUGH:
        return {}
    rows = project.traces.filter(key__icontains=asked.value)
    return {pk: name for pk, name in rows.values_list("pk", "key") if _mentions(name, asked)}
