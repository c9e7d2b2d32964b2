"""Use cases of a project: which call belongs to which, by name."""

from collections.abc import Iterable

from ingestion.models import UseCase, UseCaseAssignment
from projects.models import Project

_AT_ONCE = 500


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
