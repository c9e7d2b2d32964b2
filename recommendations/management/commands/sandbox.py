"""Serve a Portkey-compatible sandbox on loopback: simulated models and judges, or recorded answers."""

import asyncio
import json
import signal
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from agentopt.sandbox import faults, server


class Command(BaseCommand):
    """Serve until Ctrl-C or SIGTERM."""

    help = "Serve a Portkey-compatible sandbox on 127.0.0.1 until Ctrl-C."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=8790, help="0 takes a free one (default: 8790)")
        parser.add_argument("--recordings", metavar="DIR", help="recorded answers and verdicts; without it, simulated")
        parser.add_argument("--seed", type=int, default=7, help="of the simulated world (default: 7)")
        parser.add_argument("--latency-ms", type=float, default=0, help="mean delay of an ordinary model (default: 0)")
        kinds = ", ".join(faults.KINDS + faults.EXPORT_KINDS)
        help_fail = f"share of calls that meet trouble; may be repeated. KIND: {kinds}"
        parser.add_argument("--fail", action="append", default=[], metavar="KIND:RATE", help=help_fail)
        parser.add_argument("--json", action="store_true", help="print one line of JSON once it serves")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            sandbox = server.configure(
                recordings=options["recordings"],
                seed=options["seed"],
                latency_ms=options["latency_ms"],
                faults=options["fail"],
            )
        except (ValueError, OSError) as error:
            raise CommandError(f"{error}") from error
        try:
            asyncio.run(self._serve(sandbox, port=options["port"], as_json=options["json"]))
        except OSError as error:
            raise CommandError(
                f"Port {options['port']} cannot be opened: {error.strerror}. Try another, or --port 0."
            ) from error

    async def _serve(self, sandbox: server.Sandbox, *, port: int, as_json: bool) -> None:
        serving = asyncio.ensure_future(server.serve(sandbox, port=port, ready=lambda s: self._say(s, as_json=as_json)))
        for name in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(name, serving.cancel)
        try:
            await serving
        except asyncio.CancelledError:
            if not as_json:
                self.stdout.write("Stopped.")

    def _say(self, sandbox: server.Sandbox, *, as_json: bool) -> None:
        keys = [] if sandbox.recordings else list(server.KEYS)
        if as_json:
            found = {"url": sandbox.url, "port": sandbox.port, "mode": sandbox.kind, "keys": keys, "seed": sandbox.seed}
            self.stdout.write(json.dumps(found))
        else:
            self.stdout.write(f"Sandbox ({sandbox.kind}) at {sandbox.url}")
            self.stdout.write("Workspace keys: " + (", ".join(keys) or "any") + "\nStop it with Ctrl-C.")
        self.stdout.flush()
