"""Keys, hashes and spans of stored records."""

import uuid

import django.db.models.deletion
from django.core.management.base import CommandError
from django.db import migrations, models

import agentopt.lib.packing
from agentopt.lib.immutable import Immutable

GUARDED = [Immutable(f"ingestion_{table}") for table in ("batch", "logrecord", "logbody")]


def refuse_old_rows(apps, editor):
    """Rows of before the first release carry no hashes that could be checked."""
    if apps.get_model("ingestion", "LogRecord").objects.exists() or apps.get_model("ingestion", "Batch").objects.exists():
        raise CommandError(
            "This database holds logs that were stored before the first release; they cannot be carried over. "
            "Start with an empty database (make demo does so) and import the logs again."
        )


def refuse_and_guard(apps, editor):
    refuse_old_rows(apps, editor)
    for guard in GUARDED:
        guard.code(apps, editor)


class Migration(migrations.Migration):
    dependencies = [("ingestion", "0002_immutable")]
    operations = [
        migrations.RunPython(refuse_old_rows, refuse_and_guard),
        migrations.RemoveConstraint(model_name="logrecord", name="log_version_once"),
        migrations.AddField("batch", "first_at", models.DateTimeField(help_text="of the earliest of its records; null: it has none", null=True)),
        migrations.AddField("batch", "last_at", models.DateTimeField(null=True)),
        migrations.AddField("batch", "first_pk", models.BigIntegerField(help_text="of its records; null: it has none", null=True)),
        migrations.AddField("batch", "last_pk", models.BigIntegerField(null=True)),
        migrations.AddField(
            "logrecord",
            "key",
            models.UUIDField(default=uuid.UUID(int=0), help_text="the first half of the keyed hash of the source's id"),
            preserve_default=False,
        ),
        migrations.AddField(
            "logrecord",
            "body_hash",
            models.CharField(default="", help_text="keyed hash over the body as stored; empty: it has none", max_length=64),
            preserve_default=False,
        ),
        migrations.AddField(
            "logrecord",
            "row_hash",
            models.CharField(default="", help_text="keyed hash over this row and the hash of its body", max_length=64),
            preserve_default=False,
        ),
        migrations.AddField("logrecord", "cache_write_tokens", models.PositiveIntegerField(help_text="part of the input tokens", null=True)),
        migrations.AddField("logrecord", "reasoning_tokens", models.PositiveIntegerField(help_text="part of the output tokens", null=True)),
        migrations.AlterField(
            "batch", "manifest_hash", models.CharField(help_text="keyed hash over the rows' hashes and the hash before", max_length=64)
        ),
        migrations.AlterField(
            "logbody", "request", agentopt.lib.packing.PackedTextField(help_text="JSON of the request body, or a keyed hash")
        ),
        migrations.AlterField(
            "logbody",
            "response",
            agentopt.lib.packing.PackedTextField(blank=True, default="", help_text="JSON of the response body, or a keyed hash"),
        ),
        migrations.AlterField("logrecord", "cached_tokens", models.PositiveIntegerField(help_text="part of the input tokens", null=True)),
        migrations.AlterField("logrecord", "content_hash", models.CharField(help_text="keyed hash over all that the source told", max_length=64)),
        migrations.AlterField(
            "logrecord",
            "project",
            models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name="logs", to="projects.project"),
        ),
        migrations.AlterField(
            "logrecord",
            "batch",
            models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name="records", to="ingestion.batch"),
        ),
        migrations.AlterField(
            "logrecord",
            "trace",
            models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name="records", to="ingestion.trace"),
        ),
        migrations.AddConstraint(
            "logrecord", models.UniqueConstraint(fields=("project", "key", "version"), name="log_version_once")
        ),
        migrations.AddIndex(
            "logrecord",
            models.Index(condition=models.Q(("version__gt", 1)), fields=["project", "key", "version"], name="log_later_versions"),
        ),
        migrations.RemoveIndex("logrecord", "log_by_model"),
        migrations.AddIndex("logrecord", models.Index(fields=["project", "model", "-occurred_at", "-id"], name="log_by_model")),
        migrations.AddIndex("logrecord", models.Index(fields=["trace", "occurred_at"], name="log_by_trace")),
        *GUARDED,
    ]
