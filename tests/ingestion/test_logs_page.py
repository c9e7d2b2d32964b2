"""The list of calls and one call, as plain GET and POST."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils.text import Truncator

from agentopt.lib.money import nanousd
from ingestion import lines, receipts, selectors, services
from ingestion.models import ModelOffer, SyncRun, UseCaseAssignment
from projects.models import Job, Project, User
from tests.evaluation import studies
from tests.ingestion.conftest import portkey_row

ClientOf = Callable[[User], Client]


@pytest.fixture
def filled(project: Project) -> Project:
    """Sixty calls of one user message each."""
    rows = [studies.chat_row(i, f"Question {i} about a refund", f"Answer {i}") for i in range(60)]
    services.push(project, rows)
    return project


@pytest.mark.parametrize("text", ["", "a" * 159, "a" * 160, "a" * 161, "é" * 161, "e\u0301" * 161, "a\n" * 99])
def test_the_beginning_of_a_prompt_is_what_the_filter_of_templates_makes_of_it(text: str) -> None:
    assert lines.shortened(text) == Truncator(text).chars(lines.LONGEST)


def address(project: Project, *args: object) -> str:
    return reverse("ingestion:log" if args else "ingestion:logs", args=[project.slug, *args])


def test_the_list_goes_on_by_its_cursor(client_of: ClientOf, reader: User, filled: Project) -> None:
    client = client_of(reader)

    first = client.get(address(filled))
    second = client.get(address(filled), {"after": first.context["page"].after})

    seen = [row.pk for answer in (first, second) for row in answer.context["page"].rows]
    assert len(seen) == len(set(seen)) == 60
    assert second.context["page"].after is None


def test_htmx_gets_the_results_alone(client_of: ClientOf, reader: User, filled: Project) -> None:
    answer = client_of(reader).get(address(filled), headers={"HX-Request": "true"})

    assert answer.content.strip().startswith(b'<div class="with-drawer" id="results">')


def test_words_must_all_stand_in_the_prompt(client_of: ClientOf, reader: User, filled: Project) -> None:
    answer = client_of(reader).get(address(filled), {"q": "refund 17"})

    assert [row.preview for row in answer.context["page"].rows] == ["Question 17 about a refund"]


def test_an_unknown_filter_is_named_and_ignored(client_of: ClientOf, reader: User, filled: Project) -> None:
    answer = client_of(reader).get(address(filled), {"color": "red", "model": "never-seen", "status": "odd"})

    assert answer.context["ignored"] == ["color", "model", "status"]
    assert len(answer.context["page"].rows) == 50


def test_a_link_may_name_a_window_and_a_range_goes_before_it(
    client_of: ClientOf, reader: User, filled: Project
) -> None:
    client, times = client_of(reader), sorted(filled.logs.values_list("occurred_at", flat=True))
    window = {"since": times[10].isoformat(), "until": times[-10].isoformat()}

    narrowed = client.get(address(filled), window)
    of_range = client.get(address(filled), {**window, "range": "24h"})
    unreadable = client.get(address(filled), {"since": "soon"})

    inside = [at for at in times if times[10] <= at < times[-10]]
    assert len(narrowed.context["page"].rows) == len(inside) < 60
    assert narrowed.context["ignored"] == []
    assert b"Remove the filter on a time" in narrowed.content
    assert (len(of_range.context["page"].rows), b"filter on a time" in of_range.content) == (0, False)
    assert (len(unreadable.context["page"].rows), unreadable.context["ignored"]) == (50, ["since"])


def test_calls_of_a_use_case_and_of_a_prompt_version_are_shown_alone(
    client_of: ClientOf, reader: User, filled: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, mine = client_of(reader), filled.use_cases.create(number=901, origin="found", name="refunds, label")
    other = filled.use_cases.create(number=902, origin="found", name="delivery")
    kept, left = filled.logs.order_by("pk")[:2]
    for record, use_case in ((kept, mine), (left, other)):
        UseCaseAssignment.objects.update_or_create(record=record, defaults={"use_case": use_case})

    of_use_case = client.get(address(filled), {"use_case": "refunds, label"})
    of_version = client.get(address(filled), {"prompt_version": "v9"})
    monkeypatch.setattr(selectors, "FEW", 0)
    of_large = client.get(address(filled), {"use_case": "refunds, label"})

    assert [row.pk for row in of_use_case.context["page"].rows] == [kept.pk]
    assert of_large.context["page"] == of_use_case.context["page"]
    assert of_version.context["page"].rows == ()
    assert b"prompt version v9" in of_version.content
    assert client.get(f"/api/v1/logs/{filled.slug}", {"use_case": "delivery"}).json()["items"][0]["id"] == left.pk


def test_no_match_offers_to_clear_the_filters(client_of: ClientOf, reader: User, filled: Project) -> None:
    answer = client_of(reader).get(address(filled), {"q": "nowhere"})

    assert b"No call matches" in answer.content


def test_a_project_without_logs_says_how_they_get_in(client_of: ClientOf, reader: User, project: Project) -> None:
    answer = client_of(reader).get(address(project))

    assert b"four ways to get logs in" in answer.content


def test_hostile_text_is_escaped_everywhere(client_of: ClientOf, reader: User, project: Project) -> None:
    services.push(project, [studies.chat_row(1, "<script>alert(1)</script>", "</script><b>x</b>", model="<i>m</i>")])
    client = client_of(reader)

    pages = client.get(address(project)).content + client.get(address(project, project.logs.get().pk)).content

    assert b"<script>alert" not in pages
    assert b"<b>x</b>" not in pages
    assert b"<i>m</i>" not in pages
    assert b"&lt;script&gt;alert(1)" in pages


def test_a_call_of_another_project_is_not_found(
    client_of: ClientOf, reader: User, stranger: User, filled: Project
) -> None:
    pk = filled.logs.first().pk  # type: ignore[union-attr]

    assert client_of(reader).get(address(filled, pk)).status_code == 200
    assert client_of(stranger).get(address(filled, pk)).status_code == 404
    assert client_of(reader).get(address(filled, 999_999)).status_code == 404


def test_unknown_figures_are_dashes_that_say_why(client_of: ClientOf, reader: User, filled: Project) -> None:
    answer = client_of(reader).get(address(filled))

    assert '<span title="no price or no tokens known">–</span>' in answer.content.decode()


def test_a_sync_needs_a_member_and_a_connection(
    client_of: ClientOf, member: User, reader: User, filled: Project
) -> None:
    url = reverse("ingestion:sync", args=[filled.slug])

    assert client_of(reader).post(url).status_code == 403
    assert client_of(member).get(url).status_code == 405
    assert client_of(member).post(url).status_code == 400


def test_a_receipt_multiplies_tokens_by_the_price_of_the_day(project: Project) -> None:
    offer = ModelOffer.objects.create(project=project, provider="northlight", model="aurora-large", name="aurora-large")
    offer.prices.create(
        valid_from=date(2026, 1, 1), input_nanousd=nanousd("2.50"), output_nanousd=nanousd(10), source="test"
    )
    row = studies.chat_row(1, "Where?", "There.")
    row["response"]["usage"] = {"prompt_tokens": 2418, "completion_tokens": 274}
    services.push(project, [row])

    found = receipts.receipt(project, project.logs.get())

    # by hand: 2418 × $2.50 / 1M = $0.006045, 274 × $10 / 1M = $0.00274
    assert found is not None
    assert [(line.kind, line.cost_nanousd) for line in found.lines] == [("In", 6_045_000), ("Out", 2_740_000)]
    assert found.valid_from == date(2026, 1, 1)


def test_one_call_tells_ours_beside_the_source_s_own_cost(client_of: ClientOf, reader: User, project: Project) -> None:
    offer = ModelOffer.objects.create(project=project, provider="openai", model="gpt-4o-mini", name="gpt-4o-mini")
    offer.prices.create(
        valid_from=date(2026, 1, 1), input_nanousd=nanousd("0.15"), output_nanousd=nanousd("0.60"), source="test"
    )
    row = portkey_row(cost=0.02)
    row["response"]["usage"] |= {"completion_tokens_details": {"reasoning_tokens": 20}}
    services.push(project, [row])
    pk = project.logs.get().pk

    page = client_of(reader).get(address(project, pk)).content.decode()
    told = client_of(reader).get(f"/api/v1/logs/{project.slug}/{pk}").json()

    # by hand: 1000 × $0.15 + 50 × $0.60 per million = $0.00018; the source says 0.02 cents = $0.0002: 10 % more
    assert (told["cost_usd"], told["source_cost_usd"]) == (0.00018, 0.0002)
    assert told["cost_deviation"] == pytest.approx(-0.1)
    assert (told["reasoning_tokens"], told["cache_write_tokens"]) == (20, None)
    assert "Out, reasoning" in page
    assert "ours deviates by \u221210.0" in page


def test_the_page_follows_a_pull_and_shows_itself_anew_when_it_ends(
    client_of: ClientOf, reader: User, filled: Project
) -> None:
    job = filled.jobs.create(kind="sync", state="running", done=3, total=10, message="window 1 of 2")
    client, state = client_of(reader), reverse("ingestion:sync-state", args=[filled.slug])

    page = client.get(address(filled)).content.decode()
    going = client.get(state, headers={"HX-Request": "true"})
    filled.jobs.filter(pk=job.pk).update(state="failed", error="The key was refused.")
    ended = client.get(state, headers={"HX-Request": "true"})

    assert f'hx-get="{state}"' in page
    assert "window 1 of 2" in going.content.decode()
    assert "HX-Refresh" not in going
    assert ended["HX-Refresh"] == "true"
    assert "The key was refused." in client.get(address(filled)).content.decode()


def test_a_pull_that_is_under_way_tells_windows_calls_and_what_it_waits_for(
    client_of: ClientOf, reader: User, project: Project
) -> None:
    job = Job.objects.create(kind="sync", project=project, state=Job.State.RUNNING, message="waiting for the gateway")
    at = datetime(2026, 11, 1, tzinfo=UTC)
    done, waits = (
        SyncRun(project=project, job=job, since=at + day * n, until=at + day * (n + 1), started_at=at)
        for n, day in enumerate([timedelta(days=1)] * 2)
    )
    done.state, done.read_rows, done.expected, done.missing = "done", 1200, 1200, 2
    waits.state, waits.expected, waits.doing = "waiting", 800, "waiting for the gateway (queued)"
    SyncRun.objects.bulk_create([done, waits])

    page = client_of(reader).get(address(project)).content.decode()
    told = client_of(reader).get(f"/api/v1/logs/{project.slug}/sync").json()

    assert "1,200 of 2,000" in page
    assert "1 of 2 windows done" in page
    assert "2 calls that the gateway counted were not in its files" in page
    assert (told["windows"], told["windows_done"], told["rows"], told["expected"]) == (2, 1, 1200, 2000)
    assert (told["doing"], told["runs"][1]["state"]) == ("waiting for the gateway (queued)", "waiting")


def test_a_pull_that_stopped_halfway_is_told_without_a_job(client_of: ClientOf, reader: User, project: Project) -> None:
    at = datetime(2026, 11, 1, tzinfo=UTC)
    SyncRun.objects.create(project=project, since=at, until=at + timedelta(days=1), error="The gateway was down.")

    page = client_of(reader).get(address(project)).content.decode()

    assert "0 of 1 window done, The gateway was down." in page
