"""What more is known of models and their prices, and corrections of a day."""

from django.db import migrations, models

from agentopt.lib.immutable import Immutable

KNOWN = models.BooleanField(blank=True, null=True)
REVISION = models.PositiveSmallIntegerField(default=1, help_text="a correction of the same day is the next one")


class Migration(migrations.Migration):
    dependencies = [("ingestion", "0009_saved_views")]
    operations = [
        migrations.AddField(
            "modeloffer",
            "retirement_source",
            models.CharField(blank=True, default="", help_text="who says when it retires", max_length=200),
        ),
        migrations.AddField("offerversion", "parallel_tools", KNOWN),
        migrations.AddField("offerversion", "json_schema", KNOWN),
        migrations.AddField("offerversion", "reasoning", KNOWN),
        migrations.AddField("offerversion", "seed", KNOWN),
        migrations.AddField("offerversion", "revision", REVISION),
        migrations.AddField("price", "cache_write_nanousd", models.BigIntegerField(blank=True, null=True)),
        migrations.AddField("price", "reasoning_nanousd", models.BigIntegerField(blank=True, null=True)),
        migrations.AddField("price", "revision", REVISION),
        migrations.RemoveConstraint("offerversion", "offer_version_once"),
        migrations.AddConstraint(
            "offerversion",
            models.UniqueConstraint(fields=("offer", "valid_from", "revision"), name="offer_version_once"),
        ),
        migrations.RemoveConstraint("price", "price_once_a_day"),
        migrations.AddConstraint(
            "price", models.UniqueConstraint(fields=("offer", "valid_from", "revision"), name="price_once")
        ),
        # SQLite remakes tables for these changes and drops their triggers
        Immutable("ingestion_offerversion"),
        Immutable("ingestion_price"),
    ]
