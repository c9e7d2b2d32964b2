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
from ingestion import progress, rollups, sync
from ingestion.gateway import open_gateway
from projects import access
from projects.models import Project

RUN_FIELDS = (
    "since", "until", "state", "doing", "started_at", "ended_at", "read_rows", "expected", "added", "already_there",
    "set_aside", "missing", "error_code", "error",
)  # fmt: skip


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
        now = timezone.now()
        with tqdm(unit=" calls", disable=not shown, file=sys.stderr) as bar:
            try:
                project = access.project_named(options["project"])
            except AgentOptError as error:
                raise CommandError(error.message) from error
            try:
                result = sync.pull(
                    project,
                    since=options["since"],
                    until=options["until"],
                    gateway=open_gateway(project.connection),
                    now=now,
                    beat=_shown(bar),
                )
                rollups.refresh(project)
            except AgentOptError as error:
                if options["json"]:
                    failure = {"code": error.code, "message": error.message}
                    self._print(project, {"finished": False, "error": failure}, since=now)
                raise CommandError(error.message) from error
        if options["json"]:
            self._print(project, {**asdict(result), "error": None}, since=now)
            return
        counts = f"{result.added} added, {result.already_there} already there, {result.set_aside} set aside"
        lack = f", {result.missing} missing from the gateway's files" if result.missing else ""
        self.stdout.write(f"{counts}{lack}{' (simulated)' if result.simulated else ''}.")

    def _print(self, project: Project, told: dict[str, Any], *, since: datetime) -> None:
        """One object: what came, and each window with what it is at, n of m."""
        found = progress.of(project, since=since)
        runs = [{name: getattr(run, name) for name in RUN_FIELDS} for run in found.runs]
        how_far = {"doing": found.doing, "rows": found.rows, "expected": found.expected, "runs": runs}
        self.stdout.write(json.dumps({**told, **how_far}, cls=DjangoJSONEncoder))


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
