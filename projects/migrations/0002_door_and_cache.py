"""The door of the immutable tables, and the table of the shared cache."""

from typing import Any

from django.core.management import call_command
from django.db import migrations

from agentopt.lib.immutable import MakeDoor


def make_cache(_apps: Any, editor: Any) -> None:
    call_command("createcachetable", database=editor.connection.alias, verbosity=0)


class Migration(migrations.Migration):
    dependencies = [("projects", "0001_initial")]
    operations = [MakeDoor(), migrations.RunPython(make_cache, migrations.RunPython.noop)]
