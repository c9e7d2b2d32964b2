"""Run background work until told to stop."""

import argparse
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from projects import supervisor


class Command(BaseCommand):
    """Supervise a cluster of workers."""

    requires_system_checks = []  # quick to start again; `doctor` runs them
    help = "Run background work (WORKERS processes) until SIGTERM or Ctrl-C, and start it again when it stops moving."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--cluster", action="store_true", help=argparse.SUPPRESS)  # the supervised process itself

    def handle(self, *args: Any, cluster: bool = False, **options: Any) -> None:
        if cluster:
            supervisor.become_cluster()
        else:
            supervisor.run()
