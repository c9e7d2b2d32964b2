"""`reproduce RECOMMENDATION_ID`: recompute a recommendation from stored rows; exit 1 on any difference."""

import json
import sys
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from recommendations import services
from recommendations.models import Recommendation


class Command(BaseCommand):
    help = "Recompute a recommendation from stored rows, compare bit for bit, name the first difference."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("recommendation_id", type=int, help="the id that `recommend` and the page show")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, **options: Any) -> None:
        wanted = options["recommendation_id"]
        recommendation = Recommendation.objects.filter(pk=wanted).first()
        if recommendation is None:
            known = ", ".join(
                str(pk) for pk in Recommendation.objects.order_by("-pk").values_list("pk", flat=True)[:10]
            )
            raise CommandError(
                f"There is no recommendation {wanted}. "
                + (f"The newest are {known}." if known else "None was made yet.")
            )
        difference = services.reproduce(recommendation)
        if options["json"]:
            found = None if difference is None else asdict(difference)
            answer = {"recommendation": wanted, "identical": difference is None, "difference": found}
            self.stdout.write(json.dumps(answer))
        elif difference is None:
            fingerprint = recommendation.evidence_hash[:16]
            self.stdout.write(f"Recommendation {wanted} recomputed from stored rows: identical ({fingerprint}).")
        else:
            where = f"Recommendation {wanted} differs at {difference.path}"
            self.stderr.write(f"{where}: stored {difference.stored}, now {difference.now}.")
        if difference is not None:
            sys.exit(1)
