"""How long bodies are kept."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("projects", "0002_door_and_cache")]
    operations = [
        migrations.AddField(
            "project",
            "retention_days",
            models.PositiveIntegerField(
                blank=True, help_text="Bodies of calls older than this are removed; null: kept.", null=True
            ),
        )
    ]
