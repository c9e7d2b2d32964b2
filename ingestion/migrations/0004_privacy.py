"""Erasures, and what retention removed."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from agentopt.lib.immutable import Immutable


class Migration(migrations.Migration):
    dependencies = [
        ("ingestion", "0003_store"),
        ("projects", "0003_retention"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]
    operations = [
        migrations.CreateModel(
            name="Removal",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "kind",
                    models.CharField(
                        choices=[("retention", "by age"), ("erasure", "erasure of one person's calls")], max_length=10
                    ),
                ),
                ("older_than", models.DateTimeField(help_text="by age: bodies of calls before this moment", null=True)),
                (
                    "key",
                    models.CharField(blank=True, default="", help_text="erasure: the metadata key", max_length=128),
                ),
                (
                    "value_hash",
                    models.CharField(blank=True, default="", help_text="keyed hash of the value", max_length=64),
                ),
                (
                    "other_keys",
                    models.JSONField(default=list, help_text="further metadata keys whose values were replaced"),
                ),
                ("records", models.PositiveBigIntegerField(default=0, help_text="versions of calls that it changed")),
                ("calls", models.PositiveBigIntegerField(default=0, help_text="different calls among them")),
                ("bodies", models.PositiveBigIntegerField(default=0)),
                ("set_aside", models.PositiveBigIntegerField(default=0)),
                (
                    "answers",
                    models.PositiveBigIntegerField(
                        default=0, help_text="copies in evaluations: answers and explanations"
                    ),
                ),
                ("reached", models.BigIntegerField(default=0, help_text="the last record that is done")),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("ended_at", models.DateTimeField(null=True)),
                (
                    "lifted_at",
                    models.DateTimeField(help_text="erasure: since when later calls are kept whole again", null=True),
                ),
                (
                    "by",
                    models.ForeignKey(
                        help_text="null: the schedule",
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="removals", to="projects.project"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="RemovedBody",
            fields=[
                (
                    "record",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="removed",
                        serialize=False,
                        to="ingestion.logrecord",
                    ),
                ),
                (
                    "proof",
                    models.CharField(
                        help_text="keyed hash of record and removal: only the product can write it", max_length=64
                    ),
                ),
                (
                    "removal",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="removed", to="ingestion.removal"
                    ),
                ),
            ],
        ),
        migrations.AddIndex(
            model_name="removal",
            index=models.Index(fields=["project", "kind"], name="removal_by_kind"),
        ),
        Immutable("ingestion_removedbody"),
        Immutable("ingestion_removal", updates=False),
    ]
