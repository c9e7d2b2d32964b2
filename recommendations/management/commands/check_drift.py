"""`check_drift PROJECT`: check all that closed since the last check, in this process."""

import json
from argparse import ArgumentParser
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from agentopt.lib.errors import AgentOptError
from projects import access
from recommendations.drift import alerts, monitor, sentences


class Command(BaseCommand):
    help = "Check a project's calls for drift."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("project", help="slug or number of the project")
        parser.add_argument("--at", help="as if it were this moment (ISO 8601, UTC unless it says otherwise)")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, **options: Any) -> None:
        try:
            project = access.project_named(options["project"])
            now = _moment(options["at"])
            alerts.unmute(project, now=now)
            outcome = monitor.check(project, now=now)
        except AgentOptError as error:
            raise CommandError(error.message) from error
        if options["json"]:
            found = {
                "project": project.slug, "windows": outcome.windows, "conversations": outcome.conversations,
                "calls": outcome.calls, "alerts": [sentences.as_json(one) for one in outcome.alerts],
            }  # fmt: skip
            self.stdout.write(json.dumps(found))
            return
        self.stdout.write(
            f"{outcome.windows:,} windows, {outcome.conversations:,} conversations, {outcome.calls:,} calls read."
        )
        for one in outcome.alerts:
            self.stdout.write(f"Alert {one.pk}: {sentences.headline(one)}.")
        if not outcome.alerts:
            self.stdout.write("No new alerts.")


def _moment(given: str | None) -> datetime:
    if given is None:
        return timezone.now()
    try:
        found = datetime.fromisoformat(given)
    except ValueError as error:
        raise CommandError(f"--at {given}: expected a moment such as 2026-11-22T14:00") from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)
