"""Create a project from the command line."""

import json
from argparse import ArgumentParser, FileType
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from agentopt.lib.errors import AgentOptError
from projects import services
from projects.models import Privacy, User


class Command(BaseCommand):
    """Create a project, of the instance owner unless said; print its slug."""

    help = "Create a project; other commands name it by the slug that this prints."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME")
        parser.add_argument("--owner", metavar="EMAIL", help="default: the instance owner")
        parser.add_argument("--privacy", choices=Privacy.values, default=Privacy.FULL.value)
        parser.add_argument("--base-url", metavar="URL", help="where model calls go; default: PORTKEY_BASE_URL")
        parser.add_argument("--control-url", metavar="URL", help="address of log exports, where it differs")
        parser.add_argument("--auth-header", metavar="NAME", help="x-portkey-api-key (default) or Authorization")
        parser.add_argument("--api-key-file", metavar="FILE", type=FileType(), help="file of the key; - reads it here")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        owner = _owner(options["owner"])
        try:
            with transaction.atomic():
                project = services.create_project(options["name"], owner=owner, privacy=options["privacy"])
                given = {name: options[name] for name in ("base_url", "control_url", "auth_header") if options[name]}
                if options["api_key_file"]:
                    given["api_key"] = options["api_key_file"].read()
                if given:
                    services.connect(project, by=owner, **given)
        except AgentOptError as error:
            raise CommandError(" ".join([error.message, *error.fields.values()])) from error
        if options["json"]:
            body = {"id": project.pk, "slug": project.slug, "name": project.name, "privacy": project.privacy}
            self.stdout.write(json.dumps({**body, "owner": owner.email}))
        else:
            self.stdout.write(f"Project {project.slug} ({project.name}) of {owner.email}, privacy {project.privacy}.")


def _owner(email: str | None) -> User:
    if email is None:
        owner = User.objects.filter(is_superuser=True, is_active=True).order_by("pk").first()
        if owner is None:
            raise CommandError(
                "This instance has no owner yet. Make one on the site's first page, or with "
                "`python manage.py createsuperuser`, or name an existing person with --owner EMAIL."
            )
        return owner
    owner = User.objects.filter(email__iexact=email).first()
    if owner is None:
        raise CommandError(f"Nobody here has the address {email}. `python manage.py createsuperuser` adds a person.")
    return owner
