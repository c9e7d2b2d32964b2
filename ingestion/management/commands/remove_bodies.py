"""Remove the bodies of old calls."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from agentopt.lib.errors import AgentOptError
from ingestion import retention
from projects import access


class Command(BaseCommand):
    """Count what is old enough; with --yes remove it. A run that was stopped goes on with the next one."""

    help = "Remove the bodies of calls older than some days. Figures and keyed hashes stay; the chain still verifies."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("project", metavar="PROJECT", help="slug of the project")
        parser.add_argument("--older-than", metavar="DAYS", type=int, required=True)
        parser.add_argument("--yes", action="store_true", help="remove; without it they are only counted")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        days, now = options["older_than"], timezone.now()
        try:
            project = access.project_named(options["project"])
            found = retention.preview_age(project, days=days, now=now)
            if options["yes"]:
                retention.finish_open(project)
                removal = retention.open_by_age(project, days=days, now=now, by=None)
                retention.work(removal)
        except AgentOptError as error:
            raise CommandError(" ".join([error.message, *error.fields.values()])) from error
        body: dict[str, Any] = {"removed": options["yes"], "bodies": found.bodies, "set_aside": found.set_aside}
        if options["yes"]:
            body |= {"bodies": removal.bodies, "set_aside": removal.set_aside, "answers": removal.answers}
        if options["json"]:
            self.stdout.write(json.dumps(body))
        elif options["yes"]:
            self.stdout.write(
                f"{removal.bodies} bodies, {removal.set_aside} rows set aside and {removal.answers} copies removed."
            )
        else:
            self.stdout.write(
                f"{found.bodies} bodies and {found.set_aside} rows set aside are older. --yes removes them."
            )
