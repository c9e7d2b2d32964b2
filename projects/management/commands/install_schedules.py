"""Set up the recurring jobs."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from agentopt.schedules import SCHEDULES
from projects import scheduling


class Command(BaseCommand):
    """Make the queue's schedules those of the product and of the settings; the worker does the same when it starts."""

    help = "Set up the recurring jobs; needed only after a change of EVALUATION_SCHEDULE_CRON while a worker runs."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        changed = scheduling.install()
        crons = {name: scheduling.cron_of(name) for name in SCHEDULES}
        if options["json"]:
            self.stdout.write(json.dumps({"enabled": scheduling.is_on(), "changed": changed, "schedules": crons}))
            return
        for name, cron in crons.items():
            self.stdout.write(f"{name:12} {cron:16} {SCHEDULES[name].does}")
        self.stdout.write(f"Changed: {', '.join(changed) or 'nothing'}.")
        if not scheduling.is_on():
            self.stdout.write("ENABLE_SCHEDULER is off: none of them starts by itself.")
