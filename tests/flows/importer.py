"""Imports one file in a process of its own; to be killed at any moment.

python -m tests.flows.importer SLUG FILE
"""

import sys
from pathlib import Path

import django


def main(slug: str, file: str) -> None:
    """Say `going` after each chunk, and `done` at the end."""
    django.setup()
    from django.db import connection

    from ingestion import imports, store
    from projects.models import Project

    store.CHUNK_ROWS[connection.vendor] = 20

    def beat(**_progress: object) -> None:
        sys.stdout.write("going\n")
        sys.stdout.flush()

    imports.import_file(Project.objects.get(slug=slug), Path(file), beat=beat)
    sys.stdout.write("done\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
