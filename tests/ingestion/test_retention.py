"""Removal of bodies: by age, and of one person."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import DatabaseError, transaction

from ingestion import retention, store
from ingestion.models import LogRecord, Removal, RemovedBody
from projects.models import Project
from tests.ingestion.conftest import encoded, portkey_row

NOW = datetime(2026, 2, 1, tzinfo=UTC)


def keep(project: Project, *rows: object, label: str = "logs") -> None:
    store.append(project, encoded(*rows), format="portkey", source="file", label=label, simulated=False, now=NOW)


def test_only_a_proven_removal_counts(agent: Project, make_project: Callable[..., Project]) -> None:
    keep(agent, portkey_row(1), portkey_row(2))
    removal = Removal.objects.create(project=agent, kind="retention")
    first, second = LogRecord.objects.order_by("pk")
    right = retention.proof(agent, first.pk, removal.pk, first.content_hash)
    RemovedBody.objects.create(record=first, removal=removal, proof=right)
    RemovedBody.objects.create(record=second, removal=removal, proof=right)

    found = retention.removed(agent, [first.pk, second.pk])

    assert found == {first.pk}
    assert retention.removed(make_project("other"), [first.pk]) == frozenset()


@pytest.mark.parametrize("rows", [Removal.objects, RemovedBody.objects])
def test_what_tells_of_a_removal_cannot_be_deleted(agent: Project, rows: Any) -> None:
    keep(agent, portkey_row(1))
    removal = Removal.objects.create(project=agent, kind="retention")
    RemovedBody.objects.create(record=LogRecord.objects.get(), removal=removal, proof="")

    with pytest.raises(DatabaseError, match="immutable"), transaction.atomic():
        rows.all()._raw_delete("default")  # without the cascade
