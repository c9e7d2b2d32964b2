"""Use cases as pages, over the API and from the command line."""

import json
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from ingestion import portraits, rollups, usecases
from ingestion.models import LogRecord, UseCase
from projects.models import Project, User
from tests.ingestion.test_usecases import NOW, row, rows_of, take_in

ClientOf = Callable[[User], Client]
HOSTILE = "</script><script>alert(1)</script> refund money charged invoice"


@pytest.fixture
def grouped(project: Project) -> Project:
    """160 calls of four topics, and one of hostile text."""
    take_in(project, [*rows_of(160), row(999, HOSTILE)])
    usecases.refresh(project, now=NOW)
    rollups.refresh(project)
    return project


def page(project: Project, name: str = "use-cases", *arguments: object) -> str:
    return reverse(f"ingestion:{name}", args=[project.slug, *arguments])


def api(project: Project, rest: str = "") -> str:
    return f"/api/v1/projects/{project.slug}/use-cases{rest}"


def send(client: Client, method: str, url: str, body: object = None) -> Any:
    return client.generic(method, url, json.dumps(body or {}), content_type="application/json")


# ------------------------------------------------------------------------------------------------ figures
def test_shares_add_up_and_merged_calls_count_for_their_root(grouped: Project) -> None:
    one, two = usecases.shown(grouped)[:2]
    before = {p.use_case.pk: p for p in portraits.portraits(grouped) if p.use_case}
    usecases.merge(one, [two], by=None)

    found = portraits.portraits(grouped)

    assert sum(p.calls for p in found) == 161
    assert sum(p.share_calls or 0 for p in found) == pytest.approx(1)
    assert sum(p.share_cost or 0 for p in found) == pytest.approx(1)
    merged = next(p for p in found if p.use_case == one)
    assert merged.calls == before[one.pk].calls + before[two.pk].calls
    assert merged.p95_latency_us == pytest.approx(812_000, rel=0.02)


def test_figures_agree_with_a_plain_count_of_the_calls(grouped: Project) -> None:
    use_case = usecases.shown(grouped)[0]

    found = portraits.portrait(grouped, use_case)

    mine = LogRecord.objects.filter(project=grouped, assignment__use_case=use_case)
    assert found.calls == mine.count()
    costs = sorted(cost for cost in mine.values_list("cost_nanousd", flat=True) if cost is not None)
    assert found.cost_nanousd == sum(costs)
    assert found.at("cost", 0.5) == pytest.approx(costs[-(-len(costs) // 2) - 1], rel=0.02)
    assert found.models[0].calls == found.calls


def test_examples_come_from_different_conversations(grouped: Project) -> None:
    take_in(grouped, [row(5000 + at, "refund money charged invoice", trace_id="one") for at in range(30)])
    usecases.refresh(grouped, now=NOW)
    rollups.refresh(grouped)
    use_case = LogRecord.objects.get(source_id="log-5000").assignment.use_case

    found = portraits.examples(grouped, use_case)

    assert len(found) == portraits.EXAMPLES
    assert len([one for one in found if LogRecord.objects.get(pk=one.pk).trace.key == "one"]) == 1


# ------------------------------------------------------------------------------------------------ pages
def test_the_list_says_size_share_models_and_what_is_left(client_of: ClientOf, reader: User, grouped: Project) -> None:
    answer = client_of(reader).get(page(grouped))

    assert answer.status_code == 200
    for use_case in usecases.shown(grouped):
        assert use_case.name in answer.content.decode()
    assert b"gpt-4o-mini" in answer.content
    assert b"Find anew" not in answer.content  # a reader starts no work


def test_the_list_takes_few_queries_however_many_use_cases(client_of: ClientOf, reader: User, grouped: Project) -> None:
    client = client_of(reader)
    with CaptureQueriesContext(
        connection,
    ) as few:
        client.get(page(grouped))
    take_in(grouped, [row(7000 + at, "hi", metadata={"use_case": f"kind {at}"}) for at in range(20)])
    usecases.refresh(grouped, now=NOW)
    rollups.refresh(grouped)
    with CaptureQueriesContext(connection) as many:
        client.get(page(grouped))

    assert len(many) <= len(few) <= 20


def test_htmx_gets_the_results_alone(client_of: ClientOf, reader: User, grouped: Project) -> None:
    answer = client_of(reader).get(page(grouped), headers={"HX-Request": "true"})

    assert answer.content.strip().startswith(b'<section class="card" id="results"')


def test_a_projects_first_page_says_what_is_needed(client_of: ClientOf, reader: User, project: Project) -> None:
    assert b"at least 20 conversations" in client_of(reader).get(page(project)).content


def test_a_hashed_project_says_why_there_are_none(client_of: ClientOf, member: User, project: Project) -> None:
    Project.objects.filter(pk=project.pk).update(privacy="hashed")
    client = client_of(member)

    shown = client.get(page(project))
    started = client.post(page(project, "use-cases-refresh"), follow=True)

    assert b"keeps hashes of prompts" in shown.content
    assert b"keeps hashes of prompts" in started.content
    assert not project.jobs.exists()


def test_one_use_case_shows_hostile_text_as_text(client_of: ClientOf, reader: User, grouped: Project) -> None:
    use_case = LogRecord.objects.get(source_id="log-999").assignment.use_case

    answer = client_of(reader).get(page(grouped, "use-case", use_case.number))

    assert b"<script>alert(1)" not in answer.content
    assert b"&lt;script&gt;alert(1)" in answer.content


def test_renaming_on_the_page(client_of: ClientOf, member: User, grouped: Project) -> None:
    one, other = usecases.shown(grouped)[:2]
    client = client_of(member)

    done = client.post(page(grouped, "use-case", one.number), {"name": "<b>Money</b>"}, follow=True)
    refused = client.post(page(grouped, "use-case", other.number), {"name": "<b>Money</b>"})

    assert b"&lt;b&gt;Money" in done.content
    assert refused.status_code == 422
    assert b"Another use case has this name" in refused.content
    assert grouped.audit.get(action="use_case.rename").user == member


def test_merging_and_taking_out_on_the_page(client_of: ClientOf, member: User, grouped: Project) -> None:
    one, other = usecases.shown(grouped)[:2]
    client = client_of(member)

    merged = client.post(page(grouped, "use-case-merge", one.number), {"numbers": [other.number]}, follow=True)
    assert b"Stands for" in merged.content
    taken = client.post(page(grouped, "use-case-take-out", other.number), follow=True)
    nothing = client.post(page(grouped, "use-case-merge", one.number), {"numbers": []})

    assert b"stands for itself again" in taken.content
    assert nothing.status_code == 422
    assert len(usecases.shown(grouped)) == 4


def test_splitting_on_the_page(client_of: ClientOf, member: User, grouped: Project) -> None:
    use_case = usecases.shown(grouped)[0]

    client_of(member).post(page(grouped, "use-case-split", use_case.number), follow=True)

    assert UseCase.objects.filter(split_from=use_case).count() == 1


def test_finding_anew_on_the_page(client_of: ClientOf, member: User, grouped: Project) -> None:
    client_of(member).post(page(grouped, "use-cases-refresh"), {"refit": "yes"})

    assert grouped.use_case_fits.count() == 2


def test_the_state_asks_the_page_to_show_itself_when_work_ended(
    client_of: ClientOf, reader: User, grouped: Project
) -> None:
    assert client_of(reader).get(page(grouped, "use-cases-state"))["HX-Refresh"] == "true"


# ------------------------------------------------------------------------------------------------ API
def test_the_api_tells_what_the_page_tells(client_of: ClientOf, reader: User, grouped: Project) -> None:
    client = client_of(reader)
    listed = client.get(api(grouped)).json()
    first = listed["items"][0]

    one = client.get(api(grouped, f"/{first['number']}")).json()

    assert listed["refused"] == ""
    assert sum(item["calls"] for item in listed["items"]) == 161
    assert one["quantiles"]["latency_s"]["p95"] == pytest.approx(0.812, rel=0.02)
    assert one["calls"] == first["calls"]
    assert len(one["examples"]) == portraits.EXAMPLES


def test_the_api_renames_merges_takes_out_splits_and_refreshes(
    client_of: ClientOf, member: User, grouped: Project
) -> None:
    one, other, third, _ = (use_case.number for use_case in usecases.shown(grouped))
    client = client_of(member)

    renamed = send(client, "PATCH", api(grouped, f"/{one}"), {"name": "Money"})
    merged = send(client, "POST", api(grouped, f"/{one}/merge"), {"numbers": [other]})
    taken = send(client, "POST", api(grouped, f"/{other}/take-out"))
    split = send(client, "POST", api(grouped, f"/{third}/split"))
    again = send(client, "POST", api(grouped, "/refresh"), {"refit": True})

    assert renamed.json()["name"] == "Money"
    assert [part["number"] for part in merged.json()["merged"]] == [other]
    assert taken.json()["merged_into"] is None
    assert split.status_code == again.status_code == 202
    assert len(usecases.shown(grouped)) == 5


@pytest.mark.parametrize(
    ("method", "rest", "body", "status"),
    [
        ("PATCH", "/1", {}, 400),
        ("PATCH", "/1", {"name": "x" * 81}, 400),
        ("POST", "/1/merge", {"numbers": [1]}, 400),
        ("POST", "/1/merge", {"numbers": []}, 400),
        ("POST", "/1/merge", {"numbers": [777]}, 404),
        ("POST", "/1/take-out", {}, 409),
        ("GET", "/777", None, 404),
        ("POST", "/refresh", {"refit": "perhaps"}, 400),
    ],
)
def test_the_api_refuses_by_name(
    client_of: ClientOf, member: User, grouped: Project, method: str, rest: str, body: object, status: int
) -> None:
    answer = send(client_of(member), method, api(grouped, rest), body)

    assert answer.status_code == status, answer.content
    assert set(answer.json()["error"]) == {"code", "message", "fields"}


# ------------------------------------------------------------------------------------------------ command
def test_the_command_finds_and_prints_them(project: Project) -> None:
    take_in(project, rows_of(100))
    out, told = StringIO(), StringIO()

    call_command("use_cases", project.slug, stdout=out)
    call_command("use_cases", project.slug, "--refit", "--json", stdout=told)

    assert "calls" in out.getvalue()
    assert sum(item["calls"] for item in json.loads(told.getvalue())["items"]) == 100
    assert project.use_case_fits.count() == 2


def test_the_command_refuses_a_hashed_project(project: Project) -> None:
    Project.objects.filter(pk=project.pk).update(privacy="hashed")

    with pytest.raises(CommandError, match="hashes of prompts"):
        call_command("use_cases", project.slug)
