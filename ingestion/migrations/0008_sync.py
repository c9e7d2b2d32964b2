"""How far a pull is, what it waits for, and what the gateway's file lacked."""

from django.db import migrations, models

STATES = ["draft", "waiting", "downloading", "storing", "done", "failed"]


class Migration(migrations.Migration):
    dependencies = [("ingestion", "0007_analytics")]
    operations = [
        migrations.AddField(
            "syncrun", "doing",
            models.CharField(blank=True, default="", help_text="what it is at, or waits for", max_length=200),
        ),
        migrations.AddField(
            "syncrun", "hold_until", models.DateTimeField(help_text="the gateway asked to wait until then", null=True)
        ),
        migrations.AddField(
            "syncrun", "missing",
            models.PositiveBigIntegerField(default=0, help_text="calls counted by the gateway, absent from its file"),
        ),
        migrations.AddField(
            "syncrun", "read_rows",
            models.PositiveBigIntegerField(default=0, help_text="rows of the export that are committed"),
        ),
        migrations.AddField("syncrun", "started_at", models.DateTimeField(null=True)),
        migrations.AlterField(
            "syncrun", "expected",
            models.PositiveBigIntegerField(help_text="calls, as the gateway counts them", null=True),
        ),
        migrations.AlterField(
            "syncrun", "state",
            models.CharField(choices=[(word, word.title()) for word in STATES], default="draft", max_length=12),
        ),
    ]  # fmt: skip
