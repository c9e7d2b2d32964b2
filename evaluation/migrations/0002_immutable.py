"""A judge's rubric never changes; a new text is a new version."""

from django.db import migrations

from agentopt.lib.immutable import Immutable


class Migration(migrations.Migration):
    dependencies = [("evaluation", "0001_initial"), ("projects", "0002_door_and_cache")]
    operations = [Immutable("evaluation_judgeversion")]
