"""Logs, batches and prices are only ever added to."""

from django.db import migrations

from agentopt.lib.immutable import Immutable


class Migration(migrations.Migration):
    dependencies = [("ingestion", "0001_initial"), ("projects", "0002_door_and_cache")]
    operations = [Immutable(f"ingestion_{table}") for table in ("batch", "logrecord", "logbody", "price", "offerversion")]
