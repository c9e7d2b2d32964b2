"""Erasures, and what retention removed."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("ingestion", "0003_store"), ("projects", "0003_retention")]
    operations = []
