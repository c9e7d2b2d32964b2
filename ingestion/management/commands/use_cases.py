"""Find the use cases of a project and assign its calls to them, in this process."""

import json
import sys
from argparse import ArgumentParser
from dataclasses import dataclass
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from tqdm import tqdm

from agentopt.lib.errors import AgentOptError
from ingestion import portraits, rollups, usecases
from ingestion.serializers.usecases import UseCasesOut
from projects import access


class Command(BaseCommand):
    """Print the use cases with their size and share of spend; exit code 0 only when all calls are assigned."""

    help = "Find the use cases of a project and assign its calls to them."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("project", metavar="PROJECT", help="slug of the project")
        parser.add_argument("--refit", action="store_true", help="find them anew, also where that is not due")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        shown = not options["json"] and sys.stderr.isatty()
        with tqdm(unit=" calls", disable=not shown, file=sys.stderr) as bar:
            try:
                project = access.project_named(options["project"])
                usecases.refresh(project, now=timezone.now(), refit=options["refit"], beat=_Shown(bar))
                rollups.refresh(project)
            except AgentOptError as error:
                raise CommandError(error.message) from error
        found, state = portraits.portraits(project), portraits.state(project)
        if options["json"]:
            body = {"items": found, "refused": "", "calls_behind": state.behind, "sample": state.n_texts}
            self.stdout.write(json.dumps(UseCasesOut(body).data))
            return
        if not found:
            self.stdout.write("No use cases: they are found once at least 20 conversations are logged.")
        for one in found:
            name = f"{one.use_case.number}. {one.use_case.name}" if one.use_case else "belongs to none"
            self.stdout.write(f"{name}: {one.calls:,} calls, {100 * (one.share_calls or 0):.1f} %")


@dataclass
class _Shown:
    """Moves the bar to what is assigned; a second round starts it anew."""

    bar: Any

    def __call__(self, *, done: int = 0, message: str = "") -> None:
        self.bar.set_description(message, refresh=False)
        self.bar.update(max(0, done - self.bar.n))
