"""Roll-ups: marks, refreshes, and answers beside exact ones."""

from datetime import UTC, datetime, timedelta

import pytest

from ingestion import rollups
from ingestion.models import DirtyHour
from projects.models import Project

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 11, 9, 12, tzinfo=UTC)


def test_marking_an_hour_again_counts_instead_of_adding_a_row(project: Project) -> None:
    rollups.mark(project.pk, [NOON, NOON + timedelta(minutes=59), NOON + timedelta(hours=1)])
    rollups.mark(project.pk, [NOON + timedelta(minutes=5)])
    rollups.mark(project.pk, [])

    found = DirtyHour.objects.order_by("hour").values_list("hour", "marks")
    assert list(found) == [(NOON, 2), (NOON + timedelta(hours=1), 1)]


def test_many_hours_are_marked_at_once(project: Project) -> None:
    rollups.mark(project.pk, [NOON + timedelta(hours=n) for n in range(1000)])

    assert DirtyHour.objects.count() == 1000
