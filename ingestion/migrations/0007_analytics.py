"""Kept answers and what questions have cost."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("ingestion", "0006_use_cases")]
    operations = [
        migrations.CreateModel(
            name="AnalyticsEntry",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "request_hash",
                    models.CharField(
                        help_text="of the question and of what else the answer hangs on", max_length=64
                    ),
                ),
                ("watermark", models.PositiveIntegerField(help_text="newest batch when it was made")),
                ("since", models.DateTimeField(null=True)),
                ("until", models.DateTimeField(null=True)),
                ("body", models.BinaryField()),
                ("made_at", models.DateTimeField()),
                (
                    "project",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="projects.project",
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["project", "made_at"], name="analytics_entry_by_age")],
                "constraints": [
                    models.UniqueConstraint(fields=("project", "request_hash"), name="analytics_entry_once")
                ],
            },
        ),
        migrations.CreateModel(
            name="AnalyticsRun",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "token",
                    models.CharField(blank=True, default="", help_text="the asker's name for it", max_length=64),
                ),
                ("rows", models.PositiveBigIntegerField(help_text="that it was expected to read")),
                ("seconds", models.FloatField(help_text="null: running, or its process died", null=True)),
                ("stop", models.BooleanField(default=False)),
                ("started_at", models.DateTimeField()),
                (
                    "project",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="projects.project",
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["project", "started_at"], name="analytics_run_by_day")],
            },
        ),
    ]
