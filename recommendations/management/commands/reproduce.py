"""`reproduce RECOMMENDATION_ID` from rows, `reproduce --bundle FILE` without a database; exit 1 on any difference."""

import json
import sys
from argparse import ArgumentParser
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from recommendations import bundles, reproduction
from recommendations.models import Recommendation
from recommendations.reproduction import Difference

OTHER_ENGINE = "Other code computed it than that of this release, which may be the cause."


class Command(BaseCommand):
    """Reads only; the bundle is read from a file, and no database is opened for it."""

    help = (
        "Recompute a recommendation from stored rows or from a bundle, compare bit for bit, name the first difference."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("recommendation_id", type=int, nargs="?", help="the id that `recommend` and the page show")
        parser.add_argument("--bundle", metavar="FILE", help="an evidence bundle, as page and API give it")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, **options: Any) -> None:
        wanted, file = options["recommendation_id"], options["bundle"]
        if (wanted is None) == (file is None):
            raise CommandError("Name a recommendation or a bundle: reproduce 7, or reproduce --bundle evidence-7.json.")
        if file is not None:
            self._bundle(Path(file), as_json=options["json"])
        else:
            self._rows(wanted, as_json=options["json"])

    def _rows(self, wanted: int, *, as_json: bool) -> None:
        recommendation = Recommendation.objects.filter(pk=wanted).first()
        if recommendation is None:
            known = ", ".join(
                str(pk) for pk in Recommendation.objects.order_by("-pk").values_list("pk", flat=True)[:10]
            )
            raise CommandError(
                f"There is no recommendation {wanted}. "
                + (f"The newest are {known}." if known else "None was made yet.")
            )
        found = reproduction.reproduce(recommendation)
        same_engine = recommendation.provenance.get("engine") in (None, reproduction.engine_hash())
        self._say(
            found, {"recommendation": wanted}, f"Recommendation {wanted}", "stored rows",
            fingerprint=recommendation.evidence_hash, same_engine=same_engine, as_json=as_json,
        )  # fmt: skip

    def _bundle(self, file: Path, *, as_json: bool) -> None:
        try:
            if file.stat().st_size > bundles.LARGEST:
                raise CommandError(f"{file} is larger than any bundle.")
            bundle = json.loads(file.read_bytes())
            found = reproduction.reproduce_bundle(bundle)
        except OSError as error:
            raise CommandError(f"{file} cannot be read: {error.strerror}.") from error
        except (ValueError, RecursionError) as error:
            raise CommandError(f"{file} is no JSON document: {error}.") from error
        except bundles.BadBundle as error:
            raise CommandError(f"{file}: {error.message}") from error
        number = bundle["recommendation"]["id"]
        self._say(
            found, {"recommendation": number, "bundle": str(file)}, f"Recommendation {number}", "its bundle alone",
            fingerprint=bundle["evidence_hash"], same_engine=bundles.same_engine(bundle), as_json=as_json,
        )  # fmt: skip

    def _say(  # the words and the numbers of one result
        self,
        found: Difference | None,
        about: dict[str, Any],
        name: str,
        source: str,
        *,
        fingerprint: str,
        same_engine: bool,
        as_json: bool,
    ) -> None:
        if as_json:
            difference = None if found is None else asdict(found)
            answer = {**about, "identical": found is None, "same_engine": same_engine, "difference": difference}
            self.stdout.write(json.dumps(answer))
        elif found is None:
            self.stdout.write(f"{name} recomputed from {source}: identical ({fingerprint[:16]}).")
        else:
            note = "" if same_engine else f" {OTHER_ENGINE}"
            self.stderr.write(f"{name} differs at {found.path}: stored {found.stored}, now {found.now}.{note}")
        if found is not None:
            sys.exit(1)
