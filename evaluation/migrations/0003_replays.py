"""How requests are asked, what was adapted, what is to be asked again, and who is asking right now."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("evaluation", "0002_immutable"), ("projects", "0002_door_and_cache")]

    operations = [
        migrations.AddField(
            model_name="evaluation",
            name="conditions",
            field=models.JSONField(default=dict, help_text="how requests are asked, frozen when it was opened"),
        ),
        migrations.AddField(
            model_name="replay",
            name="adapted",
            field=models.CharField(
                blank=True, default="", help_text="what the model needed changed, as adaptation.written", max_length=200
            ),
        ),
        migrations.AddField(
            model_name="replay",
            name="again",
            field=models.BooleanField(default=False, help_text="it failed, and a person wants it asked again"),
        ),
        migrations.CreateModel(
            name="Claim",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("key", models.CharField(max_length=64)),
                ("holder", models.CharField(max_length=32)),
                ("until", models.DateTimeField()),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="claims", to="projects.project"
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("project", "key"), name="claim_once")],
            },
        ),
    ]
