"""What each page of a project costs: statements sent, and CPU of this process.

    DATA_DIR=FOLDER python manage.py demo --no-serve
    python -m benchmarks.pages --data FOLDER [--project support-agent] [--rounds 9] [--json]

Pages are those of the test that holds their queries. A page is opened twice before it is measured, as answers are kept
and a session is new only once; CPU is the median of the rounds. Pages without a row to show are left out.
"""

import argparse
import json
import logging
import os
import platform
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from projects.models import Project


def subjects(project: "Project") -> dict[str, Any]:
    """The newest row of everything that a page of the project is about; a page needs none that is missing."""
    from ingestion.models import ModelOffer

    alert, offer = project.alerts.last(), ModelOffer.objects.first()
    evaluation, recommendation = project.evaluations.order_by("number").last(), project.recommendations.last()
    log, rule, use_case = project.logs.order_by("pk").last(), project.drift_rules.first(), project.use_cases.first()
    found = {
        "project": project.slug,
        "agent": project.slug,
        "recommendation": recommendation and recommendation.pk,
        "log": log and log.pk,
        "use-case": use_case and use_case.number,
        "offer": offer and offer.pk,
        "evaluation": evaluation and evaluation.number,
        "alert": alert and alert.pk,
        "rule": rule and rule.pk,
    }
    return {name: value for name, value in found.items() if value is not None}


def measure(project: "Project", *, rounds: int) -> dict[str, dict[str, float]]:
    """Open every page as an owner."""
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext
    from django.urls import reverse

    from tests.recommendations.test_page_queries import PAGES, PLAIN

    client, there = Client(), subjects(project)
    client.force_login(project.memberships.filter(role="owner").earliest("pk").user)
    found = {}
    for page, arguments, _most in PAGES:
        names = [] if arguments == "-" else arguments.split(",")
        if not {*names} <= {*there, *PLAIN}:
            continue
        address = reverse(page, args=[there.get(name, name) for name in names])
        client.get(address)
        with CaptureQueriesContext(connection) as caught:
            answer = client.get(address)
        assert answer.status_code == 200, address  # noqa: S101 - a page that fails is no figure
        queries, cpu = len(caught), []
        for _ in range(rounds):
            before = time.process_time()
            client.get(address)
            cpu.append(time.process_time() - before)
        found[page] = {"queries": queries, "cpu_ms": round(statistics.median(cpu) * 1000, 1)}
    return found


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pages", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="data folder of a demo")
    parser.add_argument("--project", default="support-agent")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    os.environ |= {"DATA_DIR": str(given.data), "AGENTOPT_ENV_FILE": os.devnull, "ALLOWED_HOSTS": "testserver"}
    os.environ["DJANGO_SETTINGS_MODULE"] = "agentopt.settings"
    import django

    django.setup()
    logging.disable(logging.WARNING)
    from projects.models import Project

    pages = measure(Project.objects.get(slug=given.project), rounds=given.rounds)
    machine = {"machine": platform.machine(), "cores": os.cpu_count(), "load": os.getloadavg()[0]}
    found = {**machine, "python": platform.python_version(), "django": django.__version__, "pages": pages}
    if given.json:
        print(json.dumps(found))
        return
    print(", ".join(f"{name} {value}" for name, value in found.items() if name != "pages"))
    for page, figures in pages.items():
        print(f"{page:32} {figures['queries']:3} queries {figures['cpu_ms']:7} ms")


if __name__ == "__main__":
    main()
