"""Which languages a model is made for."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("ingestion", "0010_catalog")]
    operations = [
        migrations.AddField(
            "offerversion",
            "languages",
            models.CharField(
                blank=True, help_text="it is made for; English names, comma-separated", max_length=300, null=True
            ),
        ),
    ]
