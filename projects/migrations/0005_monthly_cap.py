"""A project may cap what its evaluations spend in a calendar month, in dollars and in calls."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("projects", "0004_connection_config")]
    operations = [
        migrations.AddField(
            model_name="project",
            name="monthly_cap_nanousd",
            field=models.BigIntegerField(
                blank=True,
                help_text="Hard cap on what all evaluations of a calendar month (UTC) may spend.",
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="project",
            name="monthly_call_cap",
            field=models.PositiveIntegerField(
                blank=True, help_text="The same in model calls, retries included.", null=True
            ),
        ),
    ]
