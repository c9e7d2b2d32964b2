"""How many statements each page sends, and what none of them asks of the logs, read off the queries themselves."""

import re
from collections.abc import Callable

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from evaluation.models import Evaluation
from ingestion import rollups, usecases
from ingestion.models import LogRecord, ModelOffer
from projects.models import User
from projects.services import create_project
from recommendations import services, sharing
from tests.recommendations.drift import traffic
from tests.test_permissions import ROWS

BAR = 12
# The overview sends 20, and 3 more once the newest call is older than 30 days: it then shows all there is.
# page                         arguments                most statements
TABLE = """
recommendations:overview       project                  23
recommendations:glance         project                  bar
recommendations:list           project                  bar
recommendations:track-record   project                  bar
recommendations:detail         project,recommendation   bar
recommendations:bundle         project,recommendation   bar
recommendations:markdown       project,recommendation   bar
recommendations:json           project,recommendation   bar
recommendations:print          project,recommendation   bar
recommendations:share          project,recommendation   bar
recommendations:shared         secret                   bar
recommendations:alerts         agent                    bar
recommendations:alert-count    agent                    bar
recommendations:alert          agent,alert              bar
recommendations:drift-rules    agent                    bar
recommendations:drift-rule-new project                  bar
recommendations:drift-rule     agent,rule               bar

ingestion:logs                 project                  bar
ingestion:log                  project,log              bar
ingestion:import               project                  bar
ingestion:set-aside            project                  bar
ingestion:coverage             project                  bar
ingestion:sync-state           project                  bar
ingestion:analytics            project                  bar
ingestion:use-cases            project                  bar
ingestion:use-cases-state      project                  bar
ingestion:use-case             project,use-case         bar
ingestion:catalog              project                  bar
ingestion:catalog-add          project                  bar
ingestion:catalog-import       project                  bar
ingestion:catalog-export       project                  bar
ingestion:catalog-model        project,offer            bar
ingestion:removals             project                  bar

evaluation:list                project                  bar
evaluation:create              project                  35
evaluation:detail              project,evaluation       15
evaluation:cases               project,evaluation       bar
evaluation:case                project,evaluation,0     13
evaluation:replay              project,evaluation       bar
evaluation:panel               project,evaluation       bar
evaluation:costs               project,evaluation       bar
evaluation:coverage            project,evaluation       bar
evaluation:activity            project,evaluation       bar
evaluation:label               project,evaluation       17
evaluation:accuracy            project                  16
evaluation:judge-library       project                  bar
evaluation:judge               project,correctness      bar
evaluation:judge-own           project                  bar
evaluation:judge-rule          project,refusal          bar
evaluation:judges              project                  bar

projects:list                  -                        bar
projects:create                -                        bar
projects:settings              project                  bar
projects:goal                  project                  bar
projects:limits                project                  bar
projects:privacy               project                  bar
projects:schedules             project                  bar
projects:notices               project                  bar
projects:channel               project,channel          bar
projects:tokens                project                  bar
projects:members               project                  bar
"""
PAGES = [line.split() for line in TABLE.splitlines() if line.strip()]
PLAIN = {"0", "correctness", "refusal"}
"""Arguments that stand for themselves; any other stands for a row."""
READ_WHOLE = {"evaluation:create"}
"""Before an evaluation is opened, the calls that it would draw from are read, whatever they are."""
ELSEWHERE = {"projects:setup", "admin:index"}


@pytest.fixture
def subjects(finished: Evaluation, owner: User) -> dict[str, str | int]:
    """One row of everything that a page may be about; what drifted is a project of its own."""
    project, now = finished.project, timezone.now()
    usecases.refresh(project, now=now)
    rollups.refresh(project)
    made = services.recommend(finished, now=now)
    alert = traffic.drift(create_project("Order desk", owner=owner))
    return {
        "project": project.slug,
        "recommendation": made.pk,
        "secret": sharing.share(made, days=7, shows_prompts=False, by=owner, now=now).secret,
        "log": LogRecord.objects.filter(project=project).latest("pk").pk,
        "use-case": project.use_cases.earliest("number").number,
        "offer": ModelOffer.objects.earliest("pk").pk,
        "evaluation": finished.number,
        "channel": project.channels.create(name="ops", form="email", address="ops@example.com").pk,
        "agent": alert.project.slug,
        "alert": alert.pk,
        "rule": alert.project.drift_rules.earliest("pk").pk,
    }


def asked(client: Client, address: str) -> list[str]:
    """What a page sends once answers are kept and whoever looks has looked before."""
    client.get(address)
    with CaptureQueriesContext(connection) as caught:
        answer = client.get(address)
    assert answer.status_code == 200, address
    return [one["sql"] for one in caught.captured_queries]


def test_no_page_sends_more_than_its_row_says_and_none_counts_all_calls_or_skips_over_any(
    subjects: dict[str, str | int], owner: User, client_of: Callable[[User], Client]
) -> None:
    client, over, counted = client_of(owner), {}, {}
    for page, arguments, most in PAGES:
        names = [] if arguments == "-" else arguments.split(",")
        given = [one if one in PLAIN else subjects[one] for one in names]
        sent = asked(client, reverse(page, args=given))
        if len(sent) > (BAR if most == "bar" else int(most)):
            over[page] = [str(len(sent)), *sent]
        of_logs = [sql for sql in sent if "ingestion_log" in sql]
        wrong = [sql for sql in of_logs if re.search(r"\bOFFSET\b", sql)]
        wrong += [sql for sql in of_logs if re.search(r"\bCOUNT\(", sql, re.IGNORECASE) and "LIMIT" not in sql]
        if wrong and page not in READ_WHOLE:
            counted[page] = wrong

    assert over == {}
    assert counted == {}


def test_every_page_has_its_row() -> None:
    pages = {row[1] for row in ROWS if row[0] == "GET" and ":" in row[1]}

    assert {page for page, *_ in PAGES} == pages - ELSEWHERE
