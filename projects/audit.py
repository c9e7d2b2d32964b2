"""Record who changed what, from what, to what."""

from collections.abc import Mapping
from typing import Any

from projects.models import AuditEntry, Project, User


def record(
    project: Project | None,
    user: User | None,
    action: str,
    target: str = "",
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> AuditEntry:
    """Add an entry; call it in the transaction of the change. Secrets and content of logs never belong in it.

    Args:
        action: `noun.verb`, such as `goal.change`.
        target: what it was done to, as a person would name it.
        before, after: JSON values of what changed only.
    """
    return AuditEntry.objects.create(
        project=project,
        user=user,
        action=action,
        target=target[:120],
        before=None if before is None else dict(before),
        after=None if after is None else dict(after),
    )
