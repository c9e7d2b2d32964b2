"""Assign calls to use cases by a fitted model, chunk by chunk.

A chunk's assignments and how far they go are one transaction, so a kill loses nothing and nothing is done twice.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from ingestion import clustering, rollups
from ingestion.models import LogBody, LogRecord, UseCase, UseCaseAssignment, UseCaseFit
from projects.models import Project

CHUNK_CALLS = 1000
CHUNK_BATCHES = 50
MAX_GIVEN = 200
GIVEN_KEY = "use_case"
Beat = Callable[..., object]


@dataclass(frozen=True)
class Work:
    """One run of the job: what was asked of it, and until when it may work. `name` is the same in all its slices."""

    project: Project
    now: datetime
    name: str = ""
    refit: bool = False
    split: int | None = None
    beat: Beat | None = None
    deadline: float | None = None

    @property
    def over(self) -> bool:
        """Whether this slice has used up its time."""
        return self.deadline is not None and time.monotonic() > self.deadline


def newest_fit(project: Project) -> UseCaseFit | None:
    """The fit that counts, without its model."""
    return UseCaseFit.objects.filter(project=project).defer("model").order_by("-number").first()


def model_of(fit: UseCaseFit | None) -> clustering.Model | None:
    stored = UseCaseFit.objects.filter(pk=fit.pk).values_list("model", flat=True).first() if fit else None
    return clustering.Model.from_bytes(bytes(stored)) if stored is not None else None


def cut(wanted: Sequence[int]) -> Iterable[Sequence[int]]:
    return (wanted[start : start + 500] for start in range(0, len(wanted), 500))


def texts_of(records: Sequence[int]) -> dict[int, str]:
    """What each call asks, as far as its body is there; in the order given."""
    found: dict[int, str] = {}
    for chunk in cut(records):
        rows = LogBody.objects.filter(pk__in=chunk).values_list("pk", "request")
        asked = {pk: clustering.asked(request) for pk, request in rows}
        found |= {pk: asked[pk] for pk in chunk if pk in asked}
    return found


def assign(work: Work) -> bool:
    """Assign all calls that the newest fit has not seen; False where time ran out before."""
    fit = newest_fit(work.project)
    model = model_of(fit)
    done = 0
    while fit is not None:
        if work.over:
            return False
        n = _anew(fit, model) if fit.only else _next_batches(fit, model)
        if n is None:
            return True
        done += n
        if work.beat is not None:
            work.beat(message=f"{done:,} calls assigned", done=done)
    return True


def _next_batches(fit: UseCaseFit, model: clustering.Model | None) -> int | None:
    """Assign the calls of the next few batches; None: there are none."""
    batches = fit.project.batches.filter(number__gt=fit.reached).order_by("number")
    taken, calls = [], 0
    for batch in batches.only("number", "added", "first_pk", "last_pk")[:CHUNK_BATCHES]:
        taken.append(batch)
        calls += batch.added
        if calls >= CHUNK_CALLS:
            break
    if not taken:
        return None
    ends = [pk for batch in taken for pk in (batch.first_pk, batch.last_pk) if pk is not None]
    rows = []
    if ends:
        records = LogRecord.objects.filter(project=fit.project, pk__range=(min(ends), max(ends)))
        rows = list(records.order_by("pk").values_list("pk", "occurred_at", "metadata"))
    given = {pk: given_name(metadata) for pk, _, metadata in rows}
    named = _named(fit.project, {name for name in given.values() if name})
    placed = _places(fit, model, [pk for pk, name in given.items() if name not in named])
    wanted = {pk: named[name] for pk, name in given.items() if name in named} | placed.wanted
    tally = None
    if max(batch.number for batch in taken) > fit.watermark:
        tally = placed
    return _write(fit, wanted, {pk: at for pk, at, _ in rows}, reached=taken[-1].number, tally=tally)


def given_name(metadata: object) -> str:
    """How the logs themselves name the use case of a call; "" where they do not."""
    return str(metadata.get(GIVEN_KEY, "") or "").strip()[:128] if isinstance(metadata, dict) else ""


def _named(project: Project, given: set[str]) -> dict[str, int]:
    """Ids of the use cases that logs name, made where they are missing, but at most 200 of them."""
    known = dict(project.use_cases.filter(origin=UseCase.Origin.GIVEN).values_list("given_name", "pk"))
    missing = sorted(given - known.keys())[: max(0, MAX_GIVEN - len(known))]
    if missing:
        with transaction.atomic():
            Project.objects.select_for_update(no_key=True).get(pk=project.pk)
            known = dict(project.use_cases.filter(origin=UseCase.Origin.GIVEN).values_list("given_name", "pk"))
            number = max(project.use_cases.values_list("number", flat=True), default=0)
            taken = set(project.use_cases.filter(merged_into=None, retired_at=None).values_list("name", flat=True))
            for name in (name for name in missing if name not in known):
                number += 1
                shown = name[:80] if name[:80] not in taken else name_of([name[:70]], number=number, taken=taken)
                taken.add(shown)
                known[name] = UseCase.objects.create(
                    project=project, number=number, origin=UseCase.Origin.GIVEN, given_name=name, name=shown
                ).pk
    return known


@dataclass(frozen=True)
class _Places:
    """Use case id of each call with a text (None: no known word is in it), how many they are, how near they lie.

    Calls whose body is gone are not in it: they keep what they were assigned to.
    """

    wanted: dict[int, int | None]
    seen: int = 0
    lost: int = 0
    near: float = 0.0


def _places(fit: UseCaseFit, model: clustering.Model | None, records: Sequence[int]) -> _Places:
    texts = {pk: text for pk, text in texts_of(records).items() if text}
    wanted: dict[int, int | None] = {}
    if model is None or not texts:
        return _Places(dict.fromkeys(texts), seen=len(texts), lost=len(texts))
    placed = clustering.place(model, list(texts.values()))
    for pk, label in zip(texts, placed.labels.tolist(), strict=True):
        wanted[pk] = fit.clusters[label] if label >= 0 else None
    lost = int((placed.labels < 0).sum())
    return _Places(wanted, seen=len(texts), lost=lost, near=placed.nearness)


def _anew(fit: UseCaseFit, model: clustering.Model | None) -> int | None:
    """Assign the next calls of a use case that was split; the other use cases stay as they are."""
    (use_case,) = fit.only
    after = UseCaseAssignment.objects.filter(use_case=use_case, record_id__gt=fit.figures["cursor"])
    rows = list(after.order_by("record_id").values_list("record_id", "record__occurred_at")[:CHUNK_CALLS])
    if not rows or model is None:
        fit.only = []
        fit.save(update_fields=["only"])
        return 0
    parts = (use_case, fit.clusters[-1])
    placed = _places(fit, model, [pk for pk, _ in rows]).wanted
    wanted = {pk: placed[pk] if placed.get(pk) in parts else use_case for pk, _ in rows}
    return _write(fit, wanted, dict(rows), cursor=rows[-1][0])


def _write(
    fit: UseCaseFit,
    wanted: dict[int, int | None],
    moments: dict[int, datetime],
    *,
    reached: int | None = None,
    cursor: int | None = None,
    tally: _Places | None = None,
) -> int:
    """Write what differs, mark its hours, and note how far the fit has come: all or nothing."""
    with transaction.atomic():
        own = UseCaseFit.objects.select_for_update().defer("model").get(pk=fit.pk)
        if (own.reached, own.only, own.figures.get("cursor")) != (fit.reached, fit.only, fit.figures.get("cursor")):
            return _caught_up(fit, own)
        pks = list(wanted)
        had = dict(UseCaseAssignment.objects.filter(record__in=pks).values_list("record_id", "use_case_id"))
        changed = [pk for pk, use_case in wanted.items() if had.get(pk) != use_case]
        UseCaseAssignment.objects.bulk_create(
            [
                UseCaseAssignment(record_id=pk, use_case_id=use_case, fit_id=fit.pk)
                for pk in changed
                if (use_case := wanted[pk]) is not None
            ],
            update_conflicts=True, unique_fields=["record"], update_fields=["use_case", "fit"],
        )  # fmt: skip
        UseCaseAssignment.objects.filter(record__in=[pk for pk in changed if wanted[pk] is None]).delete()
        rollups.mark(fit.project_id, {moments[pk] for pk in changed})
        if reached is not None:
            own.reached = reached
        if cursor is not None:
            own.figures["cursor"] = cursor
        for name in ("seen", "lost", "near") if tally else ():
            own.figures[name] = own.figures.get(name, 0) + getattr(tally, name)
        own.save(update_fields=["reached", "figures"])
        _caught_up(fit, own)
    return len(wanted)


def _caught_up(fit: UseCaseFit, own: UseCaseFit) -> int:
    fit.reached, fit.only, fit.figures = own.reached, own.only, own.figures
    return 0


def name_of(words: Sequence[str], *, number: int, taken: Iterable[str]) -> str:
    """A name out of telling words that no other use case has."""
    used = set(taken)
    for n in range(3, len(words) + 1):
        name = ", ".join(words[:n])[:80]
        if name not in used:
            return name
    plain = ", ".join(words)[:60] or "Use case"
    name = plain if words and plain not in used else f"{plain} {number}"
    while name in used:
        name += "+"
    return name
