"""Hourly roll-ups."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("ingestion", "0004_privacy")]
    operations = []
