"""Caps in calls and by month: what was spent, what is held by processes at work, and what a model said of candidates."""

from typing import Any

import django.db.models.deletion
from django.db import migrations, models
from django.db.models import Sum


def charge_what_was_paid(apps: Any, _schema: Any) -> None:
    """Evaluations from before have their spending in their rows only; it counts in the month in which they began."""
    of = {name: apps.get_model("evaluation", name) for name in ("Evaluation", "Replay", "Verdict", "Charge")}
    for evaluation in of["Evaluation"].objects.iterator():
        for kind, rows in (
            ("replays", of["Replay"].objects.filter(sample__evaluation=evaluation)),
            ("verdicts", of["Verdict"].objects.filter(replay__sample__evaluation=evaluation)),
        ):
            found = rows.aggregate(nanousd=Sum("paid_nanousd"), calls=Sum("calls"))
            if found["nanousd"] or found["calls"]:
                of["Charge"].objects.create(
                    project_id=evaluation.project_id, evaluation=evaluation, kind=kind,
                    nanousd=found["nanousd"] or 0, calls=found["calls"] or 0,
                    at=evaluation.started_at or evaluation.created_at,
                )  # fmt: skip


class Migration(migrations.Migration):
    dependencies = [("evaluation", "0003_replays"), ("projects", "0005_monthly_cap")]
    operations = [
        migrations.AddField(
            model_name="evaluation",
            name="cap_calls",
            field=models.PositiveIntegerField(
                help_text="hard cap on requests, retries included; null: none", null=True
            ),
        ),
        migrations.CreateModel(
            name="Hold",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("holder", models.CharField(max_length=32, unique=True)),
                ("nanousd", models.BigIntegerField()),
                ("calls", models.PositiveIntegerField()),
                ("until", models.DateTimeField()),
                (
                    "evaluation",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="holds",
                        to="evaluation.evaluation",
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="holds", to="projects.project"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Charge",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("replays", "Replays"),
                            ("verdicts", "Verdicts"),
                            ("ranking", "ranking by a model"),
                        ],
                        max_length=10,
                    ),
                ),
                ("nanousd", models.BigIntegerField(help_text="of the calls with a known price")),
                ("calls", models.PositiveIntegerField(help_text="requests, retries included")),
                (
                    "unpriced",
                    models.PositiveIntegerField(default=0, help_text="answered calls whose cost is not known"),
                ),
                ("at", models.DateTimeField()),
                (
                    "evaluation",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="charges",
                        to="evaluation.evaluation",
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="charges", to="projects.project"
                    ),
                ),
            ],
            options={"indexes": [models.Index(fields=["project", "at"], name="charge_by_month")]},
        ),
        migrations.CreateModel(
            name="Opinion",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("key", models.CharField(help_text="hash of the question, which holds aggregates only", max_length=64)),
                ("model", models.CharField(max_length=160)),
                ("text", models.TextField(help_text="as it came; read strictly each time")),
                ("simulated", models.BooleanField(default=False)),
                ("cost_nanousd", models.BigIntegerField(null=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="opinions", to="projects.project"
                    ),
                ),
            ],
            options={"constraints": [models.UniqueConstraint(fields=("project", "key"), name="opinion_once")]},
        ),
        migrations.RunPython(charge_what_was_paid, migrations.RunPython.noop),
    ]
