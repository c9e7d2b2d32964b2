"""Show what past calls cost at the prices of their days as the catalogue has them now."""

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from agentopt.lib.errors import AgentOptError
from agentopt.lib.wording import dollars, nano
from ingestion import selectors
from ingestion.catalog import recomputing
from projects import access


class Command(BaseCommand):
    """Print a line a model, or one JSON object."""

    help = "Show what past calls cost at the price of their day. Stored costs do not change: logs are immutable."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("project", metavar="PROJECT", help="slug of the project")
        parser.add_argument("--since", default="", metavar="T", help="ISO-8601; calls from then on")
        parser.add_argument("--until", default="", metavar="T", help="ISO-8601; calls before then")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            project = access.project_named(options["project"])
            asked = selectors.read_filter({name: options[name] for name in ("since", "until")})
            found = recomputing.recompute(project, since=asked.since, until=asked.until)
        except AgentOptError as error:
            raise CommandError(" ".join([error.message, *error.fields.values()])) from error
        if options["json"]:
            self.stdout.write(json.dumps({"models": [asdict(one) for one in found]}))
            return
        for one in found:
            stored = f"stored {dollars(nano(one.stored_nanousd))} of {one.n_stored:,}"
            now = f"now {dollars(nano(one.now_nanousd))} of {one.n_now:,}"
            self.stdout.write(f"{one.provider}/{one.model}: {one.calls:,} calls, {stored}, {now}")
        self.stdout.write("Stored costs do not change: logs are immutable.")
