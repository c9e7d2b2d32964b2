"""Runs one evaluation to its end in a process of its own; to be killed at any moment.

python -m tests.flows.victim EVALUATION_PK
"""

import sys
import time

import django


def main(evaluation_pk: int) -> None:
    """Say `going` once the work begins, and `done` at its end."""
    django.setup()
    from django.utils import timezone

    from evaluation import run
    from evaluation.models import Evaluation
    from ingestion.gateway import open_gateway

    def beat(**_progress: object) -> None:
        sys.stdout.write("going\n")
        sys.stdout.flush()

    evaluation = Evaluation.objects.get(pk=evaluation_pk)
    gateway = open_gateway(evaluation.project.connection)
    while not run.advance(evaluation, gateway=gateway, now=timezone.now, deadline=time.monotonic() + 30, beat=beat):
        pass
    sys.stdout.write("done\n")


if __name__ == "__main__":
    main(int(sys.argv[1]))
