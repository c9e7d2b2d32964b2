"""Say what is wrong with this instance, and how to mend it."""

import json
from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core import checks
from django.core.management.base import BaseCommand, CommandError

from agentopt import health
from agentopt.health import Finding, ill, well
from agentopt.lib.crypto import KeyLost
from agentopt.lib.errors import AgentOptError, Invalid
from projects.models import Connection, Project


class Command(BaseCommand):
    """Settings, database, queue, worker, keys, and each project's gateway and judges."""

    help = "Check settings, database, queue, worker, keys, gateways and judges; exit code 1 when something is wrong."
    requires_system_checks = []  # they are one of the checks
    requires_migrations_checks = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        found = list(_findings())
        wrong = [one for one in found if not one.ok]
        if options["json"]:
            rows = [{"name": one.name, "ok": one.ok, "says": one.says, "mend": one.mend} for one in found]
            self.stdout.write(json.dumps({"ok": not wrong, "checks": rows}))
        else:
            for one in found:
                mark = self.style.SUCCESS("ok   ") if one.ok else self.style.ERROR("WRONG")
                self.stdout.write(f"{mark} {one.name}: {one.says}" + (f"\n      → {one.mend}" if one.mend else ""))
        if wrong:
            raise CommandError(f"{len(wrong)} of {len(found)} checks found something wrong.")


def _findings() -> Iterator[Finding]:
    yield _settings()
    basics = health.findings()
    yield from basics
    if len(basics) < len(health.CHECKS):
        return  # no tables to look into
    projects = list(Project.objects.defer("hash_key").order_by("slug"))
    if not projects:
        yield well("projects", "none yet", "Run `python manage.py create_project NAME`.")
    for project in projects:
        keys = _keys(project)
        yield keys
        if keys.ok:
            yield _gateway(project)
        yield _judges(project)


def _settings() -> Finding:
    """The settings were read, or this would not run; what the framework says against them."""
    said = [one for one in checks.run_checks() if one.level >= checks.WARNING and not one.is_silenced()]
    if said:
        hints = " ".join(str(one.hint) for one in said if one.hint)
        return ill("settings", "; ".join(f"{one.id}: {one.msg}" for one in said), hints)
    if settings.DEBUG and settings.PUBLIC_URL.startswith("https://"):
        return ill("settings", "DEBUG is on at a public address", "Set DEBUG=false.")
    return well("settings", f"read; data in {settings.DATA_DIR}")


def _keys(project: Project) -> Finding:
    name = f"{project.slug}: keys"
    try:
        Project.objects.values_list("hash_key").get(pk=project.pk)
        Connection.objects.filter(project=project).first()
    except KeyLost as error:
        return ill(name, error.message, "Put the old key behind the new one in AGENTOPT_ENCRYPTION_KEYS.")
    return well(name, "readable")


def _gateway(project: Project) -> Finding:
    from ingestion import gateway

    name = f"{project.slug}: gateway"
    try:
        models = gateway.open_gateway(project.connection).models()
    except Invalid as error:
        # logs may come from files alone, so this is no fault; replays need it
        return well(name, "not configured: logs can be imported, nothing can be replayed", error.message)
    except AgentOptError as error:
        return ill(name, error.message, "Check address and key in the project's settings.")
    return well(name, f"answers, {len(models)} models")


def _judges(project: Project) -> Finding:
    name = f"{project.slug}: judges"
    n_models = project.judges.filter(active=True).values("model").distinct().count()
    if n_models:
        return well(name, f"{n_models} judge models")
    if settings.JUDGE_MODELS:
        return well(name, f"those of JUDGE_MODELS ({len(settings.JUDGE_MODELS)})")
    return well(name, "none: quality cannot be compared", "Name judge models in JUDGE_MODELS or the project.")
