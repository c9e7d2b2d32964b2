"""Use cases and which call belongs to which."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("ingestion", "0005_rollups")]
    operations = []
