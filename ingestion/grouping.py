"""The work of the job "use_cases": fit a model of what is asked, and assign calls by it, in slices that may be killed.

What is committed is never done twice: a chunk's assignments and how far they go are one transaction, and so are a fit
and the use cases that it makes.
"""

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction
from django.db.models import OuterRef, Subquery

from agentopt.lib.errors import Conflict
from ingestion import assigning, clustering
from ingestion.models import LogRecord, Trace, UseCase, UseCaseAssignment, UseCaseFit
from projects.models import Privacy, Project

SCANNED = 200_000
SAMPLE_CHARACTERS = 8_000_000
MIN_SEEN = 500
FAR, LOST = 0.8, 0.2  # of nearness, and share without a known word: beyond them a fit no longer describes the calls
HASHED = (
    "This project keeps hashes of prompts, not their words: there is nothing to tell kinds of requests by. Use cases "
    "need the privacy mode full or redacted."
)
TOO_FEW = f"Fewer than {clustering.MIN_TEXTS} conversations hold words that several of them share."


class HashedProject(Conflict):
    """Only hashes of the prompts are kept."""

    code = "prompts_hashed"


def check(project: Project) -> None:
    """See that a project can have use cases.

    Raises:
        HashedProject: it keeps hashes only.
    """
    if project.privacy == Privacy.HASHED:
        raise HashedProject(HASHED)


def run(work: assigning.Work) -> bool:
    """Do one slice: fit where that is due or asked, then assign what is not assigned. True: nothing is left.

    Raises:
        HashedProject: the project keeps hashes only.
    """
    check(work.project)
    if not assigning.assign(work):
        return False
    fit, asked = assigning.newest_fit(work.project), work.refit or work.split is not None
    made_by_this_run = fit is not None and work.name != "" and fit.figures.get("by") == work.name
    if made_by_this_run or not (asked or _is_due(fit)):
        return True
    made = _split(work, fit) if work.split is not None and fit is not None else _fit(work, fit)
    return assigning.assign(work) if made else True


def _is_due(fit: UseCaseFit | None) -> bool:
    """Whether calls since the fit outnumber those it knew, or are no longer like them."""
    if fit is None or fit.project.removals.filter(kind="erasure", ended_at__gt=fit.created_at).exists():
        return True  # of an erased person not even a word may stay that others said, too
    seen, lost = fit.figures.get("seen", 0), fit.figures.get("lost", 0)
    if not fit.n_texts:
        return bool(seen >= clustering.MIN_TEXTS)
    if seen >= fit.figures["calls"] and fit.n_texts < clustering.SAMPLE:
        return True
    if seen < MIN_SEEN:
        return False
    near = fit.figures.get("near", 0.0) / max(1, seen - lost)
    return bool(lost / seen > LOST or near < FAR * fit.figures["nearness"])


# ------------------------------------------------------------------------------------------------ fits
def _sample(project: Project) -> tuple[list[int], int]:
    """The last call of each of up to 10,000 conversations, in order of their keys, and how many calls were looked at.

    Which conversations is told by the keys of calls, so it depends neither on the database nor on the order of
    imports. A call that names its use case is left out: there is nothing to find.
    """
    unnamed = LogRecord.objects.filter(**{f"metadata__{assigning.GIVEN_KEY}__isnull": True})
    traces: dict[int, None] = {}
    calls = 0
    scanned = unnamed.filter(project=project).order_by("key", "version")[:SCANNED]
    for trace in scanned.values_list("trace_id", flat=True).iterator():
        traces[trace] = None
        calls += 1
        if len(traces) == clustering.SAMPLE:
            break
    # without the project: after a first import PostgreSQL takes it for few calls, and would read them all each time
    of_trace = unnamed.filter(trace=OuterRef("pk")).order_by("-occurred_at", "-key", "-version")
    last: list[tuple[object, int]] = []
    for chunk in assigning.cut(list(traces)):
        found = Trace.objects.filter(pk__in=chunk).annotate(last=Subquery(of_trace.values("pk")[:1]))
        pks = [pk for pk in found.values_list("last", flat=True) if pk is not None]
        last += [(key, pk) for pk, key in LogRecord.objects.filter(pk__in=pks).values_list("pk", "key")]
    return [pk for _, pk in sorted(last)], calls


def _sample_texts(project: Project) -> tuple[list[str], int]:
    records, calls = _sample(project)
    texts: list[str] = []
    size = 0
    for chunk in assigning.cut(records):
        texts += [text for text in assigning.texts_of(chunk).values() if text]
        size += sum(map(len, texts[-len(chunk) :]))
        if size > SAMPLE_CHARACTERS:
            break
    return texts, calls


def _fit(work: assigning.Work, old: UseCaseFit | None) -> bool:
    """Make the next fit and its use cases; False where another worker was faster."""
    project = work.project
    last = project.batches.order_by("-number").values_list("number", flat=True).first() or 0
    if work.beat is not None:
        work.beat(message="Reading a sample of the calls")
    texts, calls = _sample_texts(project)
    model = assigning.model_of(old)
    again = clustering.refit(texts, old=model, apart=_apart(old)) if model is not None and old is not None else None
    found = again[0] if again else clustering.fit(texts)
    matched = again[1] if again else [None] * (len(found.model.centers) if found else 0)
    if work.beat is not None:
        work.beat(message="Kinds of requests found" if found else TOO_FEW)
    with transaction.atomic():
        Project.objects.select_for_update(no_key=True).get(pk=project.pk)
        if _is_overtaken(project, old):
            return False
        if found is None and old is not None and old.n_texts:
            return False  # a model that once held stays
        clusters = _use_cases(work, found, texts=texts, old=old, model=model, matched=matched) if found else []
        scores = {str(k): score for k, score in found.scores.items()} if found else {}
        UseCaseFit.objects.create(
            project=project,
            number=(old.number if old else 0) + 1,
            watermark=last,
            n_texts=len(texts) if found else 0,
            clusters=clusters,
            figures={"by": work.name, "calls": calls, "scores": scores, "nearness": found.nearness if found else None},
            model=found.model.to_bytes() if found else None,
        )
        _forget_models(project)
    return True


def _is_overtaken(project: Project, old: UseCaseFit | None) -> bool:
    newest = assigning.newest_fit(project)
    return (newest.number if newest else 0) != (old.number if old else 0)


def _forget_models(project: Project) -> None:
    """Old models are not asked again; they are the one large thing here."""
    newest = UseCaseFit.objects.filter(project=project).latest("number")
    UseCaseFit.objects.filter(project=project, number__lt=newest.number).update(model=None)


def _apart(fit: UseCaseFit | None) -> list[frozenset[int]]:
    """Groups of clusters that a person split from each other and did not merge again."""
    rows = {use_case.pk: use_case for use_case in UseCase.objects.filter(pk__in=fit.clusters if fit else [])}
    groups: dict[int, set[int]] = {}
    home: dict[int, int] = {}
    for at, pk in enumerate(fit.clusters if fit else []):
        source = rows[pk].split_from_id
        if source in home and _root(rows[pk]) != _root(rows[fit.clusters[home[source]]]):  # type: ignore[union-attr]
            first = home[source]
            groups.setdefault(first, {first}).add(at)
            home[pk] = first
        else:
            home[pk] = at
    return [frozenset(group) for group in groups.values()]


def _root(use_case: UseCase) -> int:
    return use_case.merged_into_id or use_case.pk


def _use_cases(
    work: assigning.Work,
    found: clustering.Fit,
    *,
    texts: Sequence[str],
    old: UseCaseFit | None,
    model: clustering.Model | None,
    matched: Sequence[int | None],
) -> list[int]:
    """The use case of each cluster: the one that it continues, else a new one; those that none continues retire."""
    project = work.project
    told = clustering.telling_words(texts, found.labels.tolist(), len(matched))
    home = _joined_by_hand(found, texts, old=old, model=model)
    known = {use_case.pk: use_case for use_case in project.use_cases.all()}
    taken = {one.name for one in known.values() if one.merged_into_id is None and one.retired_at is None}
    number = max((one.number for one in known.values()), default=0)
    clusters: list[int] = []
    for at, words in enumerate(told):
        before = matched[at]
        if before is not None and old is not None:
            use_case = known[old.clusters[before]]
            use_case.terms = list(words)
        else:
            number += 1
            use_case = UseCase(project=project, number=number, origin=UseCase.Origin.FOUND, terms=list(words))
            use_case.name = assigning.name_of(words, number=number, taken=taken)
            use_case.merged_into = known.get(home.get(at, 0))
            taken |= set() if use_case.merged_into_id else {use_case.name}
        use_case.retired_at = None
        use_case.save()
        clusters.append(use_case.pk)
    _retire(project, clusters, now=work.now)
    return clusters


def _joined_by_hand(
    found: clustering.Fit, texts: Sequence[str], *, old: UseCaseFit | None, model: clustering.Model | None
) -> dict[int, int]:
    """Of each cluster that lies mostly within use cases that a person merged: the one that stands for them."""
    if old is None or model is None:
        return {}
    rows = UseCase.objects.filter(pk__in=old.clusters).values_list("pk", "merged_into_id")
    merged_into = {pk: root for pk, root in rows if root is not None}
    root_of = {**{root: root for root in merged_into.values()}, **merged_into}
    before = clustering.place(model, texts).labels
    home: dict[int, int] = {}
    for at in range(len(found.model.centers)):
        inside = [old.clusters[label] for label in before[found.labels == at].tolist() if label >= 0]
        roots = [root_of.get(pk, 0) for pk in inside]
        for root in sorted(set(roots) - {0}):
            if 2 * roots.count(root) > len(roots):
                home[at] = root
    return home


def _retire(project: Project, clusters: Sequence[int], *, now: datetime) -> None:
    """Found ones without a cluster go, unless they stand for one that has."""
    kept = set(clusters) | set(
        UseCase.objects.filter(pk__in=clusters, merged_into__isnull=False).values_list("merged_into_id", flat=True)
    )
    gone = project.use_cases.filter(origin=UseCase.Origin.FOUND, retired_at=None).exclude(pk__in=kept)
    gone.update(retired_at=now)


def _split(work: assigning.Work, old: UseCaseFit) -> bool:
    """Cut one use case in two by a fit whose only change is that; False where its calls are too alike.

    Raises:
        Conflict: nothing tells its calls apart, or too few are there.
    """
    model, project = assigning.model_of(old), work.project
    if model is None or work.split not in old.clusters:
        raise Conflict("This use case was not found by clustering, so it cannot be split.")
    inside = UseCaseAssignment.objects.filter(use_case=work.split).order_by("record__key", "record__version")
    records = list(inside.values_list("record_id", flat=True)[: clustering.TRIED])
    texts = [text for text in assigning.texts_of(records).values() if text]
    at = old.clusters.index(work.split)
    cut = clustering.split(model, at, texts) if len(texts) >= clustering.MIN_TEXTS else None
    if cut is None:
        raise Conflict("The calls of this use case are too few or too much alike to be split.")
    labels = clustering.place(cut, texts).labels.tolist()
    words = clustering.telling_words(texts, [int(label == len(model.centers)) for label in labels], 2)[1]
    with transaction.atomic():
        Project.objects.select_for_update(no_key=True).get(pk=project.pk)
        if _is_overtaken(project, old):
            return False
        number = max(project.use_cases.values_list("number", flat=True)) + 1
        taken = project.use_cases.filter(merged_into=None, retired_at=None).values_list("name", flat=True)
        part = UseCase.objects.create(
            project=project, number=number, origin=UseCase.Origin.FOUND, terms=list(words), split_from_id=work.split,
            name=assigning.name_of(words, number=number, taken=taken),
        )  # fmt: skip
        UseCaseFit.objects.create(
            project=project, number=old.number + 1, seed=old.seed, watermark=old.watermark, n_texts=old.n_texts,
            clusters=[*old.clusters, part.pk], model=cut.to_bytes(), only=[work.split], reached=old.reached,
            figures={**old.figures, "by": work.name, "cursor": 0},
        )  # fmt: skip
        _forget_models(project)
    return True
