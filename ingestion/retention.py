"""Remove bodies that are too old, and what is kept of one person, through the audited door. Figures and hashes stay."""

from collections.abc import Collection

from agentopt.lib.crypto import keyed_hash
from ingestion.models import RemovedBody
from projects.models import Project


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
