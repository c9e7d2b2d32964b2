"""Ask one question about a project's logs."""

import json
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from agentopt.lib.errors import AgentOptError
from ingestion import analytics
from projects import access


class Command(BaseCommand):
    """Print the answer as a table, or as one JSON object."""

    help = "Answer a structured question about a project's logs, given as a file of JSON; - reads standard input."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("project", metavar="PROJECT", help="slug of the project")
        parser.add_argument("request", metavar="REQUEST.json", help="the question; - for standard input")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            project = access.project_named(options["project"])
            found = analytics.answer(project, analytics.read(_question(options["request"])))
        except AgentOptError as error:
            proposal = "" if error.proposal is None else f"\nThis would fit: {json.dumps(error.proposal)}"
            raise CommandError(error.message + proposal) from error
        if options["json"]:
            self.stdout.write(json.dumps(found))
        else:
            self._say(found)

    def _say(self, found: dict[str, Any]) -> None:
        error = f", quantiles within {found['error']:.0%}" if found["error"] else ""
        source = "roll-ups" if found["source"] == "rollup" else "calls"
        self.stdout.write(f"{found['kind']} over {found['n']:,} calls, from {source}{error}.")
        for row in found["rows"]:
            self.stdout.write("  " + "  ".join(f"{name}={_plain(value)}" for name, value in row.items()))
        if found["more"]:
            self.stdout.write("  … more: raise the limit.")


def _question(name: str) -> Any:
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{name} cannot be read.") from error
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CommandError(f"{name} holds no JSON.") from error


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ",".join(f"{name}:{_plain(inner)}" for name, inner in value.items()) or "all"
    return "-" if value is None else str(value)
