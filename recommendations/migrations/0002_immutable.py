"""A recommendation stands as it was made."""

from django.db import migrations

from agentopt.lib.immutable import Immutable


class Migration(migrations.Migration):
    dependencies = [("recommendations", "0001_initial"), ("projects", "0002_door_and_cache")]
    operations = [Immutable("recommendations_recommendation")]
