"""Decisions of before become transitions."""

from typing import Any

from django.db import migrations


def fill(apps: Any, _editor: Any) -> None:
    decision, transition = (apps.get_model("recommendations", name) for name in ("Decision", "Transition"))
    was: dict[int, str] = {}
    numbers: dict[int, int] = {}
    for row in decision.objects.order_by("pk").iterator():
        numbers[row.recommendation_id] = numbers.get(row.recommendation_id, 0) + 1
        transition.objects.create(
            recommendation_id=row.recommendation_id,
            number=numbers[row.recommendation_id],
            was=was.get(row.recommendation_id, "new"),
            state=row.kind,
            why=row.note,
            until=row.until,
            by_id=row.by_id,
            at=row.at,
        )
        was[row.recommendation_id] = row.kind


class Migration(migrations.Migration):
    dependencies = [("recommendations", "0003_following")]
    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
