"""`recommend PROJECT`: make the recommendation from the newest finished evaluation."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from agentopt.lib.errors import AgentOptError
from projects import access
from recommendations import explain, selectors, services


class Command(BaseCommand):
    help = "Make the recommendation from a project's newest finished evaluation."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("project", help="slug or number of the project")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, **options: Any) -> None:
        try:
            project = access.project_named(options["project"])
            recommendation = services.recommend(selectors.newest_finished(project), now=timezone.now())
        except AgentOptError as error:
            raise CommandError(error.message) from error
        if options["json"]:
            self.stdout.write(json.dumps(selectors.as_json(recommendation)))
            return
        evidence = recommendation.evidence
        self.stdout.write(f"Recommendation {recommendation.pk}: {explain.headline(evidence)}.")
        for sentence in explain.lead(evidence):
            self.stdout.write(f"  {sentence}")
        for reason in recommendation.reasons:
            self.stdout.write(f"  {reason['code']}: {reason['text']}")
        self.stdout.write(f"Check it with: python manage.py reproduce {recommendation.pk}")
