"""Every address × every kind of person = what they find there.

`in`: let through, whatever then comes of it · `refused`: 403, seen but not allowed · `hidden`: 404, as if it did not
exist · `sign-in`: 401 for a program, the sign-in page for a browser. The token is a project's own with all its scopes.
A new address fails here until it has its row; an API address needs one for each of its methods.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from projects import tokens
from projects.access import SCOPES
from projects.models import Job, Membership, Project, User

PEOPLE = ("owner", "member", "reader", "stranger", "visitor", "token")
# method  name  arguments                owner    member   reader   stranger visitor  token
TABLE = """
GET    healthz               -           in       in       in       in       in       in
GET    readyz                -           in       in       in       in       in       in
GET    metrics               -           hidden   hidden   hidden   hidden   hidden   hidden
GET    account_login         -           in       in       in       in       in       in
GET    admin:index           -           sign-in  sign-in  sign-in  sign-in  sign-in  sign-in

GET    schema                -           in       in       in       in       sign-in  in
GET    docs                  -           in       in       in       in       sign-in  in
GET    api-projects          -           in       in       in       in       sign-in  in
POST   api-projects          -           in       in       in       in       sign-in  refused
GET    api-project           project     in       in       in       hidden   sign-in  in
PATCH  api-project           project     in       refused  refused  hidden   sign-in  refused
GET    api-project-tokens    project     in       refused  refused  hidden   sign-in  refused
POST   api-project-tokens    project     in       refused  refused  hidden   sign-in  refused
DELETE api-project-token     project,0   in       refused  refused  hidden   sign-in  refused
GET    api-tokens            -           in       in       in       in       sign-in  refused
POST   api-tokens            -           in       in       in       in       sign-in  refused
DELETE api-token             0           in       in       in       in       sign-in  refused
GET    api-job               job         in       in       in       hidden   sign-in  in
POST   api-job-cancel        job         in       in       refused  hidden   sign-in  in
POST   api-job-retry         job         in       in       refused  hidden   sign-in  in
GET    api-scheduler-status  -           in       in       in       in       sign-in  in
POST   api-scheduler-trigger -           in       in       refused  hidden   sign-in  in
GET    api-members           project     in       refused  refused  hidden   sign-in  refused
POST   api-members           project     in       refused  refused  hidden   sign-in  refused
PATCH  api-member            project,0   in       refused  refused  hidden   sign-in  refused
DELETE api-member            project,0   in       refused  refused  hidden   sign-in  refused
GET    api-channels          project     in       refused  refused  hidden   sign-in  refused
POST   api-channels          project     in       refused  refused  hidden   sign-in  refused
PATCH  api-channel           project,0   in       refused  refused  hidden   sign-in  refused
DELETE api-channel           project,0   in       refused  refused  hidden   sign-in  refused
POST   api-channel-test      project,0   in       refused  refused  hidden   sign-in  refused
POST   api-channel-secret    project,0   in       refused  refused  hidden   sign-in  refused
GET    api-notices           project     in       refused  refused  hidden   sign-in  refused
POST   api-notice-again      project,0   in       refused  refused  hidden   sign-in  refused

GET    api-logs-sync         project     in       in       in       hidden   sign-in  in
POST   api-logs-sync         project     in       in       refused  hidden   sign-in  in
GET    api-logs-stats        project     in       in       in       hidden   sign-in  in
GET    api-logs              project     in       in       in       hidden   sign-in  in
POST   api-logs              project     in       in       refused  hidden   sign-in  in
GET    api-log               project,0   in       in       in       hidden   sign-in  in
GET    api-removals          project     in       refused  refused  hidden   sign-in  refused
POST   api-removals          project     in       refused  refused  hidden   sign-in  refused
POST   api-erasures          project     in       refused  refused  hidden   sign-in  refused
DELETE api-erasure           project,0   in       refused  refused  hidden   sign-in  refused
GET    api-catalog           project     in       in       in       hidden   sign-in  in
POST   api-catalog           project     in       refused  refused  hidden   sign-in  refused
GET    api-catalog-export    project     in       in       in       hidden   sign-in  in
POST   api-catalog-import    project     in       refused  refused  hidden   sign-in  refused
GET    api-catalog-costs     project     in       in       in       hidden   sign-in  in
GET    api-catalog-model     project,0   in       in       in       hidden   sign-in  in
PATCH  api-catalog-model     project,0   in       refused  refused  hidden   sign-in  refused
POST   api-catalog-prices    project,0   in       refused  refused  hidden   sign-in  refused
POST   api-catalog-abilities project,0   in       refused  refused  hidden   sign-in  refused
POST   otlp-traces           -           sign-in  sign-in  sign-in  sign-in  sign-in  in
POST   api-analytics         -           in       in       in       hidden   sign-in  in
GET    api-analytics-vocabulary -        in       in       in       in       sign-in  in
POST   api-analytics-cancel  project     in       in       in       hidden   sign-in  in
GET    api-analytics-summary project     in       in       in       hidden   sign-in  in

GET    api-use-cases         project     in       in       in       hidden   sign-in  in
POST   api-use-cases-refresh project     in       in       refused  hidden   sign-in  in
GET    api-use-case          project,0   in       in       in       hidden   sign-in  in
PATCH  api-use-case          project,0   in       in       refused  hidden   sign-in  in
POST   api-use-case-merge    project,0   in       in       refused  hidden   sign-in  in
POST   api-use-case-take-out project,0   in       in       refused  hidden   sign-in  in
POST   api-use-case-split    project,0   in       in       refused  hidden   sign-in  in

POST   api-evaluations       -           in       in       refused  hidden   sign-in  in
GET    api-project-evaluations project   in       in       in       hidden   sign-in  in
GET    api-evaluation        project,0   in       in       in       hidden   sign-in  in
GET    api-evaluation-asked  project,0   in       in       in       hidden   sign-in  in
GET    api-evaluation-cases  project,0   in       in       in       hidden   sign-in  in
GET    api-evaluation-case   project,0,0 in       in       in       hidden   sign-in  in
POST   api-evaluation-pause  project,0   in       in       refused  hidden   sign-in  in
POST   api-evaluation-resume project,0   in       in       refused  hidden   sign-in  in
POST   api-evaluation-retry  project,0   in       in       refused  hidden   sign-in  in
POST   api-evaluation-cancel project,0   in       in       refused  hidden   sign-in  in
GET    api-labels            project     in       in       in       hidden   sign-in  in
POST   api-labels            project     in       in       refused  hidden   sign-in  in
GET    api-label-queue       project,0   in       in       in       hidden   sign-in  in
GET    api-judge-accuracy    project     in       in       in       hidden   sign-in  in
GET    api-judge-library     project     in       in       in       hidden   sign-in  in
POST   api-judge-library     project     in       refused  refused  hidden   sign-in  refused
POST   api-judge-dry-run     project     in       refused  refused  hidden   sign-in  refused
GET    api-judge-versions    project,0   in       in       in       hidden   sign-in  in
PUT    api-judge-rule        project,0   in       refused  refused  hidden   sign-in  refused
POST   api-judge-retire      project,0   in       refused  refused  hidden   sign-in  refused
GET    api-evaluation-panel  project,0   in       in       in       hidden   sign-in  in
GET    api-judge-changes     project     in       in       in       hidden   sign-in  in
POST   api-judge-changes     project     in       in       refused  hidden   sign-in  in
GET    api-judges            project     in       in       in       hidden   sign-in  in
PUT    api-judges            project     in       refused  refused  hidden   sign-in  refused

GET    api-recommendations   project     in       in       in       hidden   sign-in  in
POST   api-recommendation-generate project in     in       refused  hidden   sign-in  in
GET    api-recommendation-latest project in       in       in       hidden   sign-in  in
GET    api-recommendation    project,0   in       in       in       hidden   sign-in  in
GET    api-recommendation-bundle project,0 in      in       in       hidden   sign-in  in
POST   api-recommendation-acknowledge project,0 in in      refused  hidden   sign-in  in
POST   api-recommendation-dismiss  project,0 in   in       refused  hidden   sign-in  in
POST   api-recommendation-postpone project,0 in   in       refused  hidden   sign-in  in
GET    api-track-record      project     in       in       in       hidden   sign-in  in
GET    api-recommendation-transitions project,0 in in      in       hidden   sign-in  in
GET    api-recommendation-follow-up project,0 in  in       in       hidden   sign-in  in
GET    api-recommendation-markdown project,0 in   in       in       hidden   sign-in  in
GET    api-recommendation-summary project,0 in   in       in       hidden   sign-in  in
POST   api-recommendation-summary project,0 in   in       refused  hidden   sign-in  in
GET    api-share-links       project,0   in       in       refused  hidden   sign-in  in
POST   api-share-links       project,0   in       in       refused  hidden   sign-in  in
DELETE api-share-link        project,0,0 in       in       refused  hidden   sign-in  in

GET    projects:setup        -           sign-in  sign-in  sign-in  sign-in  sign-in  sign-in
GET    projects:list         -           in       in       in       in       sign-in  sign-in
GET    projects:create       -           in       in       in       in       sign-in  sign-in
POST   projects:create       -           in       in       in       in       sign-in  sign-in
GET    projects:settings     project     in       refused  refused  hidden   sign-in  sign-in
POST   projects:settings     project     in       refused  refused  hidden   sign-in  sign-in
GET    projects:goal         project     in       refused  refused  hidden   sign-in  sign-in
POST   projects:goal         project     in       refused  refused  hidden   sign-in  sign-in
GET    projects:limits       project     in       refused  refused  hidden   sign-in  sign-in
POST   projects:limits       project     in       refused  refused  hidden   sign-in  sign-in
GET    projects:privacy      project     in       refused  refused  hidden   sign-in  sign-in
POST   projects:privacy      project     in       refused  refused  hidden   sign-in  sign-in
GET    ingestion:removals    project     in       refused  refused  hidden   sign-in  sign-in
POST   ingestion:removals    project     in       refused  refused  hidden   sign-in  sign-in
POST   ingestion:lift-erasure project,0  in       refused  refused  hidden   sign-in  sign-in
POST   ingestion:try-redaction project   in       refused  refused  hidden   sign-in  sign-in
GET    evaluation:judges     project     in       refused  refused  hidden   sign-in  sign-in
POST   evaluation:judges     project     in       refused  refused  hidden   sign-in  sign-in
GET    projects:schedules    project     in       in       in       hidden   sign-in  sign-in
POST   projects:schedules    project     in       refused  refused  hidden   sign-in  sign-in
POST   projects:run-schedule project,name in      in       refused  hidden   sign-in  sign-in
GET    projects:notices      project     in       refused  refused  hidden   sign-in  sign-in
POST   projects:notices      project     in       refused  refused  hidden   sign-in  sign-in
GET    projects:channel      project,0   in       refused  refused  hidden   sign-in  sign-in
POST   projects:channel      project,0   in       refused  refused  hidden   sign-in  sign-in
POST   projects:test-channel project,0   in       refused  refused  hidden   sign-in  sign-in
POST   projects:remove-channel project,0 in       refused  refused  hidden   sign-in  sign-in
POST   projects:renew-channel project,0  in       refused  refused  hidden   sign-in  sign-in
POST   projects:send-again   project,0   in       refused  refused  hidden   sign-in  sign-in
GET    projects:tokens       project     in       refused  refused  hidden   sign-in  sign-in
POST   projects:tokens       project     in       refused  refused  hidden   sign-in  sign-in
POST   projects:revoke-token project,0   in       refused  refused  hidden   sign-in  sign-in
GET    projects:members      project     in       refused  refused  hidden   sign-in  sign-in
POST   projects:members      project     in       refused  refused  hidden   sign-in  sign-in
POST   projects:remove-member project,membership in refused refused hidden  sign-in  sign-in

GET    ingestion:catalog     project     in       in       in       hidden   sign-in  sign-in
GET    ingestion:catalog-export project  in       in       in       hidden   sign-in  sign-in
GET    ingestion:catalog-add project     in       refused  refused  hidden   sign-in  sign-in
POST   ingestion:catalog-add project     in       refused  refused  hidden   sign-in  sign-in
GET    ingestion:catalog-import project  in       refused  refused  hidden   sign-in  sign-in
POST   ingestion:catalog-import project  in       refused  refused  hidden   sign-in  sign-in
POST   ingestion:catalog-refresh project in       refused  refused  hidden   sign-in  sign-in
GET    ingestion:catalog-model project,0 in       in       in       hidden   sign-in  sign-in
POST   ingestion:catalog-model project,0 in       refused  refused  hidden   sign-in  sign-in
GET    ingestion:logs        project     in       in       in       hidden   sign-in  sign-in
GET    ingestion:log         project,0   in       in       in       hidden   sign-in  sign-in
GET    ingestion:import      project     in       in       refused  hidden   sign-in  sign-in
POST   ingestion:import      project     in       in       refused  hidden   sign-in  sign-in
GET    ingestion:set-aside   project     in       in       in       hidden   sign-in  sign-in
GET    ingestion:coverage    project     in       in       in       hidden   sign-in  sign-in
GET    ingestion:sync-state  project     in       in       in       hidden   sign-in  sign-in
POST   ingestion:sync        project     in       in       refused  hidden   sign-in  sign-in
GET    ingestion:analytics   project     in       in       in       hidden   sign-in  sign-in
POST   ingestion:save-view   project     in       in       refused  hidden   sign-in  sign-in
POST   ingestion:delete-view project,0   in       in       refused  hidden   sign-in  sign-in
POST   ingestion:test-connection project in       refused  refused  hidden   sign-in  sign-in

GET    ingestion:use-cases   project     in       in       in       hidden   sign-in  sign-in
GET    ingestion:use-cases-state project in       in       in       hidden   sign-in  sign-in
POST   ingestion:use-cases-refresh project in     in       refused  hidden   sign-in  sign-in
GET    ingestion:use-case    project,0   in       in       in       hidden   sign-in  sign-in
POST   ingestion:use-case    project,0   in       in       refused  hidden   sign-in  sign-in
POST   ingestion:use-case-merge project,0 in      in       refused  hidden   sign-in  sign-in
POST   ingestion:use-case-take-out project,0 in   in       refused  hidden   sign-in  sign-in
POST   ingestion:use-case-split project,0 in      in       refused  hidden   sign-in  sign-in

GET    evaluation:list       project     in       in       in       hidden   sign-in  sign-in
GET    evaluation:create     project     in       in       refused  hidden   sign-in  sign-in
POST   evaluation:create     project     in       in       refused  hidden   sign-in  sign-in
GET    evaluation:detail     project,0   in       in       in       hidden   sign-in  sign-in
GET    evaluation:cases      project,0   in       in       in       hidden   sign-in  sign-in
GET    evaluation:case       project,0,0 in       in       in       hidden   sign-in  sign-in
GET    evaluation:replay     project,0   in       in       in       hidden   sign-in  sign-in
GET    evaluation:panel      project,0   in       in       in       hidden   sign-in  sign-in
GET    evaluation:judge-library project  in       in       in       hidden   sign-in  sign-in
GET    evaluation:judge      project,0   in       in       in       hidden   sign-in  sign-in
GET    evaluation:judge-own  project     in       refused  refused  hidden   sign-in  sign-in
POST   evaluation:judge-own  project     in       refused  refused  hidden   sign-in  sign-in
GET    evaluation:judge-rule project,0   in       refused  refused  hidden   sign-in  sign-in
POST   evaluation:judge-rule project,0   in       refused  refused  hidden   sign-in  sign-in
POST   evaluation:judge-retire project,0 in       refused  refused  hidden   sign-in  sign-in
GET    evaluation:costs      project,0   in       in       in       hidden   sign-in  sign-in
GET    evaluation:coverage   project,0   in       in       in       hidden   sign-in  sign-in
GET    evaluation:label      project,0   in       in       refused  hidden   sign-in  sign-in
POST   evaluation:label      project,0   in       in       refused  hidden   sign-in  sign-in
GET    evaluation:accuracy   project     in       in       in       hidden   sign-in  sign-in
POST   evaluation:judge-anchors project  in       in       refused  hidden   sign-in  sign-in
GET    evaluation:activity   project,0   in       in       in       hidden   sign-in  sign-in
POST   evaluation:retry      project,0   in       in       refused  hidden   sign-in  sign-in
POST   evaluation:pause      project,0   in       in       refused  hidden   sign-in  sign-in
POST   evaluation:resume     project,0   in       in       refused  hidden   sign-in  sign-in
POST   evaluation:cancel     project,0   in       in       refused  hidden   sign-in  sign-in

GET    api-alerts            project     in       in       in       hidden   sign-in  in
GET    api-alert             project,0   in       in       in       hidden   sign-in  in
POST   api-alert-action      project,0,mute in    in       refused  hidden   sign-in  in
GET    api-drift             project     in       in       in       hidden   sign-in  in
POST   api-drift-check       project     in       in       refused  hidden   sign-in  in
POST   api-drift-rules       project     in       in       refused  hidden   sign-in  in
PATCH  api-drift-rule        project,0   in       in       refused  hidden   sign-in  in
DELETE api-drift-rule        project,0   in       in       refused  hidden   sign-in  in
POST   api-drift-preview     project     in       in       in       hidden   sign-in  in

GET    recommendations:alerts project    in       in       in       hidden   sign-in  sign-in
GET    recommendations:alert-count project in     in       in       hidden   sign-in  sign-in
POST   recommendations:drift-check project in     in       refused  hidden   sign-in  sign-in
GET    recommendations:drift-rules project in     in       in       hidden   sign-in  sign-in
GET    recommendations:drift-rule-new project in  in       refused  hidden   sign-in  sign-in
POST   recommendations:drift-rule-new project in  in       refused  hidden   sign-in  sign-in
POST   recommendations:drift-budget project in    refused  refused  hidden   sign-in  sign-in
GET    recommendations:drift-rule project,0 in    in       refused  hidden   sign-in  sign-in
POST   recommendations:drift-rule project,0 in    in       refused  hidden   sign-in  sign-in
POST   recommendations:drift-rule-delete project,0 in in   refused  hidden   sign-in  sign-in
GET    recommendations:alert project,0   in       in       in       hidden   sign-in  sign-in
POST   recommendations:alert-act project,0,mute in in      refused  hidden   sign-in  sign-in

GET    recommendations:overview project  in       in       in       hidden   sign-in  sign-in
GET    recommendations:glance project    in       in       in       hidden   sign-in  sign-in
GET    recommendations:list  project     in       in       in       hidden   sign-in  sign-in
POST   recommendations:generate project  in       in       refused  hidden   sign-in  sign-in
GET    recommendations:detail project,0  in       in       in       hidden   sign-in  sign-in
GET    recommendations:bundle project,0  in       in       in       hidden   sign-in  sign-in
POST   recommendations:acknowledge project,0 in   in       refused  hidden   sign-in  sign-in
POST   recommendations:postpone project,0 in      in       refused  hidden   sign-in  sign-in
POST   recommendations:dismiss project,0 in       in       refused  hidden   sign-in  sign-in
GET    recommendations:track-record project in   in       in       hidden   sign-in  sign-in
GET    recommendations:markdown project,0 in     in       in       hidden   sign-in  sign-in
GET    recommendations:json  project,0   in       in       in       hidden   sign-in  sign-in
GET    recommendations:print project,0   in       in       in       hidden   sign-in  sign-in
POST   recommendations:summarize project,0 in    in       refused  hidden   sign-in  sign-in
GET    recommendations:share project,0   in       in       refused  hidden   sign-in  sign-in
POST   recommendations:share project,0   in       in       refused  hidden   sign-in  sign-in
POST   recommendations:revoke-link project,0,0 in in      refused  hidden   sign-in  sign-in
GET    recommendations:shared 0          in       in       in       in       in       in
"""
ROWS = [line.split() for line in TABLE.splitlines() if line.strip()]
# what a request must say to get as far as the door
BODIES: dict[str, dict[str, Any]] = {
    "api-analytics": {"project": "support-agent", "kind": "aggregation", "metric": "calls", "aggregate": "count"},
    "api-evaluations": {"project": "support-agent"},
    "api-judges": {"models": []},
    "api-scheduler-trigger": {"project": "support-agent", "job": "retention"},
}
NOT_OURS = ("admin:", "account_")  # Django's and allauth's own pages; the rows above stand for them
HIDDEN = ("No metrics here", "There is no such project", "There is no such job")


@pytest.fixture
def clients(owner: User, stranger: User, project: Project, client_of: Callable[[User], Client]) -> dict[str, Client]:
    plain = tokens.issue("program", project=project, scopes=list(SCOPES), by=owner).plain
    roles = {held.role: client_of(held.user) for held in project.memberships.all()}
    return {
        **roles,
        "stranger": client_of(stranger),
        "visitor": Client(),
        "token": Client(headers={"Authorization": f"Bearer {plain}"}),
    }


@pytest.fixture
def subjects(project: Project, member: User) -> dict[str, str | int]:
    """What the third column stands for; a number there stands for a row that does not exist."""
    return {
        "project": project.slug,
        "job": Job.objects.create(kind="sync", project=project).pk,
        "membership": Membership.objects.get(project=project, user=member).pk,
        "name": "retention",
    }


def ask(client: Client, method: str, name: str, *, arguments: list[Any]) -> Any:
    """Send one request and take back what it did, so that each person finds the same state."""
    client.raise_request_exception = False
    body = json.dumps(BODIES.get(name, {})) if name.startswith("api-") and method != "GET" else ""
    address = reverse(name, args=arguments)
    with transaction.atomic():
        response = client.generic(method, address, body, content_type="application/json")
        transaction.set_rollback(True)
    return response


def finding(response: Any) -> str:
    """The table's word for an answer."""
    status = response.status_code
    if status == 401 or (status in (302, 303) and "/login/" in response["Location"]):
        return "sign-in"
    if status == 403:
        return "refused"
    # a row that is missing in a project one sees is no closed door
    if status == 404 and any(words in response.content.decode() for words in HIDDEN):
        return "hidden"
    return "in" if status != 500 else "a fault of our own"


def addresses(resolver: URLResolver, space: str = "") -> Iterator[tuple[str, URLPattern]]:
    """Every address below a resolver by its full name."""
    for entry in resolver.url_patterns:
        if isinstance(entry, URLResolver):
            yield from addresses(entry, space + (f"{entry.namespace}:" if entry.namespace else ""))
        else:
            yield f"{space}{entry.name}", entry


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]} {row[1]}")
def test_everyone_finds_what_the_table_says(
    row: list[str], clients: dict[str, Client], subjects: dict[str, str | int]
) -> None:
    method, name, arguments, *expected = row
    given = [] if arguments == "-" else [subjects.get(one, one) for one in arguments.split(",")]

    found = [finding(ask(clients[who], method, name, arguments=given)) for who in PEOPLE]

    assert dict(zip(PEOPLE, found, strict=True)) == dict(zip(PEOPLE, expected, strict=True))


def test_every_address_and_every_method_of_the_api_has_its_row() -> None:
    covered = {(row[0], row[1]) for row in ROWS}
    names = {name for _, name in covered}
    missing = set()
    for name, entry in addresses(get_resolver()):
        view = getattr(entry.callback, "cls", None)
        if name.startswith(NOT_OURS) or name == "api-missing":
            continue
        if name not in names:
            missing.add(name)
        elif view is not None and name.startswith("api-"):
            methods = {verb.upper() for verb in view.http_method_names if hasattr(view, verb)} - {"OPTIONS", "HEAD"}
            missing |= {f"{verb} {name}" for verb in methods if (verb, name) not in covered}

    assert missing == set()
