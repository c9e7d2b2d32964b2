"""Import a file of logs into a project."""

import json
import sys
from argparse import ArgumentParser
from collections import Counter
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from agentopt.lib import money, wording
from agentopt.lib.errors import AgentOptError
from ingestion import imports, values
from ingestion.formats.detection import READERS
from projects import access


class Command(BaseCommand):
    """Print what was added, what was there already, and what was set aside with the reasons."""

    help = "Import a file of logs (JSON lines, a JSON document, CSV or Parquet; gzip or not) into a project."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("project", metavar="PROJECT", help="slug of the project")
        parser.add_argument("file", metavar="FILE", type=Path)
        parser.add_argument("--format", choices=list(READERS), help="found out by looking unless given")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        shown = not options["json"] and sys.stderr.isatty()
        with tqdm(unit=" rows", disable=not shown, file=sys.stderr) as bar:
            try:
                project = access.project_named(options["project"])
                found = imports.import_file(
                    project, options["file"], format=options["format"], beat=lambda done: bar.update(done - bar.n)
                )
            except AgentOptError as error:
                raise CommandError(error.message) from error
        if options["json"]:
            self.stdout.write(json.dumps(_as_json(found)))
        else:
            self._say(found)

    def _say(self, found: values.Imported) -> None:
        self.stdout.write(f"{found.added} added, {found.already_there} already there, {found.set_aside} set aside.")
        held = {
            "conversations": found.traces,
            "messages": found.messages,
            "tool calls": found.tool_calls,
            "input tokens": found.input_tokens,
            "output tokens": found.output_tokens,
        }
        told = [f"{count:,} {name}" for name, count in held.items() if count]
        if found.cost_nanousd is not None:
            told.append(f"{wording.dollars(money.usd(found.cost_nanousd))} as it says")
        if found.without_calls:
            self.stdout.write(f"{found.without_calls:,} rows hold no call (spans, traces or scores).")
        if told:
            self.stdout.write(f"The file holds {', '.join(told)}.")
        for aside in found.reasons[:10]:
            self.stdout.write(f"  line {aside.line}: {aside.reason}")
        if found.set_aside > 10:
            counts = Counter(aside.code for aside in found.reasons)
            self.stdout.write("  … " + ", ".join(f"{code} {n}" for code, n in counts.most_common()))


def _as_json(found: values.Imported) -> dict[str, Any]:
    """What the file held and what became of it; null where the file does not tell."""
    return {
        "added": found.added,
        "already_there": found.already_there,
        "set_aside": found.set_aside,
        "traces": found.traces,
        "messages": found.messages,
        "tool_calls": found.tool_calls,
        "input_tokens": found.input_tokens,
        "output_tokens": found.output_tokens,
        "cost_usd": None if found.cost_nanousd is None else found.cost_nanousd / money.NANO,
        "reasons": [{"line": row.line, "code": row.code, "reason": row.reason} for row in found.reasons],
    }
