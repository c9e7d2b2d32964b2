"""Check that the logs of a project are what was stored."""

import json
import sys
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from agentopt.lib.errors import AgentOptError
from ingestion import verification
from projects import access


class Command(BaseCommand):
    """Make all hashes anew and name the first places that do not fit; exit code 1 where there are any."""

    help = "Check the chain of batches, every record and every body of a project."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("project", metavar="PROJECT", help="slug of the project")
        parser.add_argument("--head", default="", help="the newest hash of an earlier check, kept elsewhere")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        shown = not options["json"] and sys.stderr.isatty()
        with tqdm(unit=" records", disable=not shown, file=sys.stderr) as bar:
            try:
                project = access.project_named(options["project"])
            except AgentOptError as error:
                raise CommandError(error.message) from error
            found = verification.verify(project, head=options["head"], beat=lambda done: bar.update(done - bar.n))
        if options["json"]:
            said = {**asdict(found), "intact": found.intact, "findings": [asdict(one) for one in found.findings]}
            self.stdout.write(json.dumps(said))
        else:
            self._say(found)
        if not found.intact:
            sys.exit(1)

    def _say(self, found: verification.Verified) -> None:
        for one in found.findings:
            self.stdout.write(str(one))
        rest = sum(found.counts.values()) - len(found.findings)
        if rest:
            self.stdout.write(f"… and {rest} more")
        self.stdout.write(
            f"{found.batches} batches, {found.records} records and {found.bodies} bodies checked, "
            f"{found.removed} bodies removed by retention or erasure: "
            + ("all is as it was stored." if found.intact else f"{sum(found.counts.values())} findings.")
        )
        if found.head:
            self.stdout.write(f"Newest hash: {found.head}")
