"""Pull a project's logs from its gateway."""

import json
import sys
from argparse import ArgumentParser
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.core.serializers.json import DjangoJSONEncoder
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime
from tqdm import tqdm

from agentopt.lib.errors import AgentOptError
from ingestion import sync
from ingestion.gateway import open_gateway
from projects import access


class Command(BaseCommand):
    """Resumes where an earlier pull stopped; exit code 0 only when all is there."""

    help = "Pull a project's logs from its gateway."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("project", metavar="PROJECT", help="slug of the project")
        parser.add_argument("--since", type=_moment, help="ISO date or moment; else where the last pull ended")
        parser.add_argument("--until", type=_moment, help="ISO date or moment; else now")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        shown = not options["json"] and sys.stderr.isatty()
        with tqdm(unit=" calls", disable=not shown, file=sys.stderr) as bar:
            try:
                project = access.project_named(options["project"])
                result = sync.pull(
                    project,
                    since=options["since"],
                    until=options["until"],
                    gateway=open_gateway(project.connection),
                    now=timezone.now(),
                    beat=_shown(bar),
                )
            except AgentOptError as error:
                raise CommandError(error.message) from error
        if options["json"]:
            self.stdout.write(json.dumps(asdict(result), cls=DjangoJSONEncoder))
            return
        counts = f"{result.added} added, {result.already_there} already there, {result.set_aside} set aside"
        self.stdout.write(f"{counts}{' (simulated)' if result.simulated else ''}.")


def _shown(bar: Any) -> Callable[..., None]:
    """How far the pull is, on a progress bar."""

    def beat(*, done: int | None = None, total: int | None = None, message: str = "") -> None:
        bar.set_description(message, refresh=False)
        if total is not None:
            bar.total = total
        bar.update(0 if done is None else done - bar.n)

    return beat


def _moment(text: str) -> datetime:
    """A moment; without a zone it is UTC, a date is its first moment."""
    day = parse_date(text)
    at = datetime(day.year, day.month, day.day, tzinfo=UTC) if day else parse_datetime(text)
    if at is None:
        raise ValueError(text)
    return at if at.tzinfo else at.replace(tzinfo=UTC)
