"""`demo`: three projects on the sandbox (a switch, none, drift), the path through real workers, then the site."""

import os
import secrets
import signal
import subprocess
import sys
import time
from argparse import ArgumentParser
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from agentopt.lib.errors import AgentOptError
from agentopt.lib.processes import die_with_parent
from recommendations import demonstration

PORT = 8000
ADDRESS = f"http://localhost:{PORT}"


@dataclass
class Children:
    """Processes that end with this one."""

    running: list["subprocess.Popen[str]"]

    def start(self, *arguments: str, piped: bool = False) -> "subprocess.Popen[str]":
        """Start `manage.py ARGUMENTS` so that it dies with this process."""
        log = settings.DATA_DIR / "demo.log"
        with log.open("a") as out:
            child = subprocess.Popen(  # noqa: S603
                [sys.executable, "-W", "ignore", "manage.py", *arguments],
                cwd=settings.BASE_DIR,
                text=True,
                stdout=subprocess.PIPE if piped else out,
                stderr=out,
                preexec_fn=die_with_parent,  # noqa: PLW1509  # no thread runs yet
            )
        self.running.append(child)
        return child

    def stop(self) -> None:
        """End all, the youngest first."""
        for child in reversed(self.running):
            if child.poll() is None:
                child.terminate()
        for child in reversed(self.running):
            try:
                child.wait(30)
            except subprocess.TimeoutExpired:
                child.kill()


class Command(BaseCommand):
    help = "Three demo projects on the sandbox: the whole path through real workers, what came out, then the site."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--no-serve",
            action="store_true",
            help="end after the job; exit code 0 only if all three outcomes are as expected",
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")

    def handle(self, **options: Any) -> None:
        if not settings.ALLOW_PRIVATE_ADDRESSES:
            # the sandbox is on the loopback; settings are read at start, so start again with the switch on
            os.environ["ALLOW_PRIVATE_ADDRESSES"] = "true"
            os.execv(sys.executable, [sys.executable, "-W", "ignore", *sys.argv])  # noqa: S606
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        children = Children([])
        say = (lambda _text: None) if options["json"] else self.stdout.write
        try:
            call_command("migrate", verbosity=0)
            password = self._password()
            outcomes = self._run(children, password=password, say=say)
            self._tell(outcomes, password=password, as_json=options["json"])
            self._refuse_surprises(outcomes)
            if not options["no_serve"]:
                self._serve(children, say=say)
        except AgentOptError as error:
            raise CommandError(f"{error.message} See {settings.DATA_DIR / 'demo.log'}.") from error
        except KeyboardInterrupt:
            say("Stopped.")
        finally:
            children.stop()

    def _refuse_surprises(self, outcomes: list[demonstration.Outcome]) -> None:
        wrong = [outcome.project for outcome in outcomes if not outcome.expected]
        if wrong:
            raise CommandError(f"Not as expected: {', '.join(wrong)}. See {settings.DATA_DIR / 'demo.log'}.")

    def _run(self, children: Children, *, password: str, say: Any) -> list[demonstration.Outcome]:
        sandbox = children.start("sandbox", "--port", "0", "--latency-ms", "30", "--json", piped=True)
        assert sandbox.stdout is not None  # noqa: S101
        line = sandbox.stdout.readline()
        if not line:
            raise CommandError(f"The sandbox did not start. See {settings.DATA_DIR / 'demo.log'}.")
        projects = demonstration.prepare(line, email=demonstration.EMAIL, password=password)
        children.start("run_worker")
        return [demonstration.follow(project, say=say, sleep=time.sleep, now=time.monotonic) for project in projects]

    def _password(self) -> str:
        """The demo person's password: made once, kept where only this account reads it."""
        path = settings.DATA_DIR / "demo_password"
        if not path.exists():
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:  # noqa: PTH123
                out.write(secrets.token_urlsafe(9))
        return str(path.read_text()).strip()

    def _tell(self, outcomes: list[demonstration.Outcome], *, password: str, as_json: bool) -> None:
        if as_json:
            self.stdout.write(demonstration.as_json(outcomes, address=ADDRESS, email=demonstration.EMAIL))
            return
        for outcome in outcomes:
            mark = "as expected" if outcome.expected else "NOT AS EXPECTED"
            self.stdout.write(f"\n{outcome.project}: {outcome.headline}\n  {outcome.line}")
            self.stdout.write(f"  {ADDRESS}{outcome.path}  ({mark}, simulated)")
        self.stdout.write(f"\nSign in at {ADDRESS}/ as {demonstration.EMAIL} with password {password}")

    def _serve(self, children: Children, *, say: Any) -> None:
        say(f"\nServing {ADDRESS}/ until Ctrl-C.")
        site = children.start("runserver", "--noreload", f"127.0.0.1:{PORT}")
        if site.wait():
            raise CommandError(f"Port {PORT} could not be served: is it taken? See {settings.DATA_DIR / 'demo.log'}.")
