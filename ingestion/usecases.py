"""Use cases of a project: which call belongs to which, and what people change about them.

Clustering finds them (`grouping`), logs may name them, people rename, merge and split them. What a person did stays
when clustering runs again: names by hand are kept, merged ones stay merged, split ones stay apart.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import Sum
from django.utils import timezone

from agentopt.lib.errors import Conflict, Invalid, NotFound
from ingestion import assigning, clustering, grouping
from ingestion.models import UseCase, UseCaseAssignment
from projects import audit, jobs
from projects.models import Job, Privacy, Project, User

KIND = "use_cases"
ENOUGH_NEW = 1000
PAUSE = timedelta(minutes=5)
MAX_NAME = 80
_AT_ONCE = 500


# ------------------------------------------------------------------------------------------------ which call is which
def roots(project: Project) -> dict[int, int]:
    """For each use case the one that stands for it: itself, or the one it was merged into.

    Assignments and roll-ups keep the id as assigned, so that a merge and its undoing touch no row: whoever shows or
    groups them folds ids by this.
    """
    rows = UseCase.objects.filter(project=project).values_list("pk", "merged_into_id")
    return {pk: merged_into or pk for pk, merged_into in rows}


def names(project: Project) -> dict[int, str]:
    """The name to show for each id that an assignment may hold; a merged one shows its root's."""
    rows = {pk: (root, name) for pk, root, name in project.use_cases.values_list("pk", "merged_into_id", "name")}
    return {pk: rows[root or pk][1] for pk, (root, _) in rows.items()}


def given_names(project: Project, shown: Mapping[int, str]) -> dict[str, str]:
    """The name to show for each use case that the logs themselves name, by what they call it; `shown`: of `names`."""
    rows = project.use_cases.filter(origin=UseCase.Origin.GIVEN).values_list("given_name", "pk")
    return {given: shown[pk] for given, pk in rows}


def labels(project: Project, record_pks: Iterable[int]) -> dict[int, str]:
    """The name of the use case of each record that is assigned to one; the others are absent."""
    shown, wanted = names(project), list(record_pks)
    found: dict[int, str] = {}
    for start in range(0, len(wanted), _AT_ONCE):
        rows = UseCaseAssignment.objects.filter(
            record__in=wanted[start : start + _AT_ONCE], use_case__project=project
        ).values_list("record_id", "use_case_id")
        found.update((record, shown[use_case]) for record, use_case in rows)
    return found


def stamp(project: Project) -> str:
    """Changes whenever an answer by use case may: part of the key of whoever keeps such answers."""
    fit = assigning.newest_fit(project)
    last = project.audit.filter(action__startswith="use_case.").order_by("-pk").values_list("pk", flat=True)
    reached = f"{fit.number}.{fit.reached}.{fit.figures.get('cursor', 0)}" if fit else "0"
    return f"{reached}.{last.first() or 0}"


def shown(project: Project) -> list[UseCase]:
    """Those that stand for themselves and that clustering or logs still have, by their numbers."""
    return list(project.use_cases.filter(merged_into=None, retired_at=None).order_by("number"))


def standing(known: Iterable[UseCase]) -> list[UseCase]:
    """The same of those that the caller has."""
    return [one for one in known if one.merged_into_id is None and one.retired_at is None]


def numbered(project: Project, number: int) -> UseCase:
    """One by its number, merged and retired ones too.

    Raises:
        NotFound: there is none.
    """
    found = project.use_cases.select_related("merged_into", "split_from").filter(number=number).first()
    if found is None:
        raise NotFound(f"There is no use case {number} in this project.")
    return found


# ------------------------------------------------------------------------------------------------ the job
def refresh(
    project: Project,
    *,
    now: datetime,
    refit: bool = False,
    split: int | None = None,
    name: str = "",
    beat: Callable[..., object] | None = None,
    deadline: float | None = None,
) -> bool:
    """Find use cases where that is due or asked, and assign calls to them; True once nothing is left.

    Args:
        split: id of a use case to cut in two first.
        name: of the run, the same in all its slices, so that a later slice does not fit again.
        deadline: of `time.monotonic()`; a call of this ends soon after it.

    Raises:
        HashedProject: only hashes of the prompts are kept. Conflict: the use case cannot be split.
    """
    work = assigning.Work(project, now, name=name, refit=refit, split=split, beat=beat, deadline=deadline)
    return grouping.run(work)


def start(project: Project, *, refit: bool = False, split: UseCase | None = None, by: User | None = None) -> Job:
    """Queue the job, or return the one that waits or runs where nothing special is asked.

    Raises:
        HashedProject: only hashes of the prompts are kept.
        Conflict: something special is asked while another job works on the use cases.
    """
    grouping.check(project)
    active = project.jobs.filter(kind=KIND, state__in=jobs.ACTIVE).order_by("pk").first()
    options: dict[str, object] = {}
    if refit:
        options["refit"] = True
    if split is not None:
        options["split"] = split.pk
    if active is not None and options and active.options != options:
        raise Conflict("The use cases are being worked on: try again when that is done.")
    return active or jobs.start(KIND, project, subject_id=split.pk if split else None, options=options, by=by)


def start_if_due(project: Project) -> Job | None:
    """Queue the job after an import: where 1,000 calls or more are new, or some are and it last ran 5 minutes ago.

    Before the first fit it takes as many calls as a fit needs texts.
    """
    if project.privacy == Privacy.HASHED or project.jobs.filter(kind=KIND, state__in=jobs.ACTIVE).exists():
        return None
    fit = assigning.newest_fit(project)
    new = project.batches.filter(number__gt=fit.reached if fit else 0).aggregate(calls=Sum("added"))["calls"] or 0
    latest = project.jobs.filter(kind=KIND).order_by("-pk").first()
    rested = latest is None or timezone.now() - latest.created_at >= PAUSE
    some = new >= (clustering.MIN_TEXTS if fit is None else 1)
    return jobs.start(KIND, project) if new >= ENOUGH_NEW or (some and rested) else None


# ------------------------------------------------------------------------------------------------ changes by people
def rename(use_case: UseCase, name: str, *, by: User | None) -> UseCase:
    """Give a name by hand; an empty one gives the automatic name back.

    Raises:
        Invalid: too long, or another use case has it.
    """
    name = " ".join(name.split())
    if len(name) > MAX_NAME or not name.isprintable():
        raise Invalid("This name cannot be taken.", fields={"name": f"Expected 1 to {MAX_NAME} printed characters."})
    before = use_case.name
    automatic = not name
    if automatic:
        taken = [one.name for one in shown(use_case.project) if one.pk != use_case.pk]
        words = [use_case.given_name[:MAX_NAME]] if use_case.given_name else use_case.terms
        name = assigning.name_of(words, number=use_case.number, taken=taken)
    try:
        with transaction.atomic():
            use_case.name, use_case.named_by_hand = name, not automatic
            use_case.save(update_fields=["name", "named_by_hand"])
            _note(use_case, "use_case.rename", by=by, before={"name": before}, after={"name": name})
    except IntegrityError:
        use_case.name = before
        said = "Another use case has this name. Merge the two if they are the same."
        raise Invalid(said, fields={"name": said}) from None
    return use_case


def merge(use_case: UseCase, others: Sequence[UseCase], *, by: User | None) -> UseCase:
    """Let one use case stand for others, and for what those stand for. No call is assigned anew.

    Raises:
        Invalid: none is given, or one cannot be merged.
    """
    if not others or any(other.pk == use_case.pk for other in others):
        raise Invalid("Choose other use cases to merge.", fields={"numbers": "Expected numbers of other use cases."})
    for one in (use_case, *others):
        if one.project_id != use_case.project_id or one.merged_into_id or one.retired_at:
            said = f"Use case {one.number} is merged already, or no longer found."
            raise Invalid(said, fields={"numbers": said})
    with transaction.atomic():
        Project.objects.select_for_update(no_key=True).get(pk=use_case.project_id)
        pks = [other.pk for other in others]
        mine = UseCase.objects.filter(project=use_case.project_id)
        if mine.filter(pk__in=[use_case.pk, *pks], merged_into=None).count() != len(set(pks)) + 1:
            raise Conflict("Someone else has just merged one of these: look again.")
        mine.filter(merged_into__in=pks).update(merged_into=use_case)
        mine.filter(pk__in=pks).update(merged_into=use_case)
        _note(use_case, "use_case.merge", by=by, after={"merged": sorted(other.number for other in others)})
    use_case.refresh_from_db()
    return use_case


def take_out(use_case: UseCase, *, by: User | None) -> UseCase:
    """Undo a merge: the use case stands for itself again.

    Raises:
        Conflict: it is not merged into another.
    """
    if use_case.merged_into is None:
        raise Conflict("This use case is not merged into another.")
    root = use_case.merged_into
    with transaction.atomic():
        Project.objects.select_for_update(no_key=True).get(pk=use_case.project_id)
        taken = [one.name for one in shown(use_case.project)]
        if use_case.name in taken:
            use_case.name = assigning.name_of([use_case.name], number=use_case.number, taken=taken)
        use_case.merged_into = None
        use_case.save(update_fields=["merged_into", "name"])
        _note(use_case, "use_case.take_out", by=by, before={"merged_into": root.number})
    return use_case


def split(use_case: UseCase, *, by: User | None) -> Job:
    """Queue the job that cuts a use case in two by what its calls ask; merging the two undoes it.

    Raises:
        Conflict: it cannot be split, for the reason given. HashedProject: only hashes of the prompts are kept.
    """
    if use_case.origin == UseCase.Origin.GIVEN:
        raise Conflict("The logs themselves name this use case: to split it, name its calls apart where they are made.")
    if use_case.merged_into_id or use_case.retired_at:
        raise Conflict("This use case is merged into another, or no longer found.")
    if use_case.merged.exists():
        raise Conflict("Others are merged into this use case: take those out first.")
    with transaction.atomic():
        job = start(use_case.project, split=use_case, by=by)
        _note(use_case, "use_case.split", by=by)
    return job


def _note(
    use_case: UseCase,
    action: str,
    *,
    by: User | None,
    before: dict[str, object] | None = None,
    after: dict[str, object] | None = None,
) -> None:
    audit.record(use_case.project, by, action, f"use case {use_case.number}", before=before, after=after)
