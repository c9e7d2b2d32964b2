"""Kept answers and what questions have cost."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("ingestion", "0006_use_cases")]
    operations = []
