"""Bring a project's roll-ups up to its logs."""

import json
import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from agentopt.lib.errors import AgentOptError
from ingestion import rollups
from projects import access


class Command(BaseCommand):
    """Make anew the hours whose calls changed, or all of them; the same bytes come out."""

    help = "Bring a project's roll-ups up to its logs."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("project", metavar="PROJECT", help="slug of the project")
        parser.add_argument("--rebuild", action="store_true", help="throw all away first")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        began = time.monotonic()
        try:
            project = access.project_named(options["project"])
        except AgentOptError as error:
            raise CommandError(error.message) from error
        reached = rollups.rebuild(project) if options["rebuild"] else rollups.refresh(project)
        if options["json"]:
            figures = {"watermark": reached, "seconds": round(time.monotonic() - began, 3)}
            self.stdout.write(json.dumps({**figures, "waits": rollups.waits(project)}))
        else:
            self.stdout.write(f"The roll-ups hold every batch up to number {reached}.")
