"""Erase one person's calls."""

import json
import sys
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from agentopt.lib.errors import AgentOptError
from ingestion import erasure, retention
from projects import access


class Command(BaseCommand):
    """Count a person's calls; with --yes remove what was said in them, and the value. The value is never printed."""

    help = "Remove what one person said, found by a metadata key. Figures and keyed hashes stay."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("project", metavar="PROJECT", help="slug of the project")
        parser.add_argument("--key", required=True, help="metadata key, such as user_id")
        parser.add_argument("--value", required=True, help="whose calls; - reads it from standard input")
        parser.add_argument("--other-key", action="append", default=[], help="a further key whose values go as well")
        parser.add_argument("--yes", action="store_true", help="erase; without it the calls are only counted")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        value = sys.stdin.readline().rstrip("\r\n") if options["value"] == "-" else options["value"]
        try:
            project = access.project_named(options["project"])
            asked = erasure.Asked(options["key"], value, tuple(options["other_key"]))
            found = asdict(erasure.preview(project, asked))
            if options["yes"]:
                removal = retention.open_erasure(project, asked, by=None)
                retention.work(removal)
        except AgentOptError as error:
            raise CommandError(" ".join([error.message, *error.fields.values()])) from error
        if options["yes"]:
            found |= {"records": removal.records, "bodies": removal.bodies, "answers": removal.answers}
        if options["json"]:
            self.stdout.write(json.dumps({"erased": options["yes"], **found}))
            return
        self.stdout.write(
            f"{found['calls']} calls hold the value, {found['others']} more of their conversations name nobody: "
            f"{found['bodies']} bodies, {found['set_aside']} rows set aside, {found['ids']} ids."
        )
        self.stdout.write("They are erased." if options["yes"] else "--yes erases them.")
