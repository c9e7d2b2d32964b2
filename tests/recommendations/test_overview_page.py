"""The overview of a project: what needs a person, and the numbers of a window of logs."""

import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from evaluation import seating
from evaluation.models import Evaluation
from ingestion.models import Batch, LogRecord, ModelOffer, Price, SetAside, Trace
from projects import jobs
from projects import services as projects
from projects.models import Job, Project, User
from recommendations import overview, services
from tests.recommendations import documents

Browser = Callable[[User], Client]


def _log(project: Project, *, calls: int = 4, ago: timedelta = timedelta(hours=2), **fields: Any) -> list[LogRecord]:
    number = project.batches.count() + 1
    batch = Batch.objects.create(
        project=project, number=number, source="push", format="openai", added=calls, manifest_hash="a"
    )
    trace = Trace.objects.create(project=project, key=f"t{number}")
    kept = {
        "model": "aurora-large",
        "status": LogRecord.Status.OK,
        "refused": False,
        "cost_nanousd": 2_500_000,
        "input_tokens": 100,
        "output_tokens": 20,
        "latency_us": 1_500_000,
        **fields,
    }
    at: datetime = timezone.now() - ago
    kept |= {"project": project, "batch": batch, "trace": trace, "occurred_at": at, "content_hash": "a"}
    rows = [LogRecord(key=uuid.uuid4(), source_id=f"{number}-{i}", **kept) for i in range(calls)]
    return LogRecord.objects.bulk_create(rows)


def _page(client: Client, project: Project, query: str = "", **headers: str) -> str:
    answer = client.get(f"/p/{project.slug}/{query}", headers=headers)
    assert answer.status_code == 200
    return str(answer.content.decode())


# ------------------------------------------------------------------------------------------------ who sees it
@pytest.mark.parametrize("person", ["owner", "member", "reader"])
def test_people_of_the_project_see_its_numbers(
    person: str, project: Project, client_of: Browser, request: pytest.FixtureRequest
) -> None:
    _log(project)

    text = _page(client_of(request.getfixturevalue(person)), project)

    assert "aurora-large" in text
    assert "$0.01000" in text
    assert ("Choose judges</a>" in text) == (person != "reader")


def test_a_stranger_finds_nothing_and_a_visitor_signs_in(
    project: Project, stranger: User, client_of: Browser, client: Client
) -> None:
    assert client_of(stranger).get(f"/p/{project.slug}/").status_code == 404
    assert client.get(f"/p/{project.slug}/").status_code == 302


# ------------------------------------------------------------------------------------------------ an empty project
def test_an_empty_project_says_how_logs_come_in(project: Project, owner: User, client_of: Browser) -> None:
    text = _page(client_of(owner), project)

    assert f"import_logs {project.slug}" in text
    assert f"sync_logs {project.slug}" in text
    assert f"/api/v1/logs/{project.slug}" in text
    assert "0 of 5 done" in text
    assert "data-figure" not in text


def test_the_steps_tick_while_the_page_is_open(project: Project, owner: User, client_of: Browser) -> None:
    client = client_of(owner)
    _log(project)

    part = _page(client, project, **{"HX-Request": "true"})

    assert part.lstrip().startswith("<section")
    assert "1 of 5 done" in part


def test_the_steps_go_with_the_first_recommendation(project: Project, reader: User, client_of: Browser) -> None:
    _log(project)
    documents.store(project, documents.recommended())

    assert "of 5 done" not in _page(client_of(reader), project)


# ------------------------------------------------------------------------------------------------ what needs a person
def test_an_undecided_recommendation_waits_for_review(project: Project, member: User, client_of: Browser) -> None:
    _log(project)
    made = documents.store(project, documents.recommended())
    client = client_of(member)

    before = _page(client, project)
    services.acknowledge(made, by=member, now=timezone.now())
    after = _page(client, project)

    assert ">Review</a>" in before
    assert ">Review</a>" not in after


def test_a_running_evaluation_can_be_watched(project: Project, reader: User, client_of: Browser) -> None:
    _log(project)
    documents.store(project, documents.recommended())
    Evaluation.objects.update(state=Evaluation.State.RUNNING)

    assert ">Watch</a>" in _page(client_of(reader), project)


def test_a_finished_evaluation_without_a_recommendation_is_offered(
    project: Project, member: User, client_of: Browser
) -> None:
    _log(project)
    documents.finish(project)

    assert "no recommendation was made of it" in _page(client_of(member), project)


def test_the_model_in_production_against_itself_is_not_the_last_evaluation(
    project: Project, member: User, client_of: Browser
) -> None:
    _log(project)
    documents.finish(project)
    Evaluation.objects.update(kind=Evaluation.Kind.NOISE)
    after = jobs.start("recommendation", project, subject_id=Evaluation.objects.get().pk)  # as its job is followed by

    assert after.state == Job.State.DONE
    page = _page(client_of(member), project)

    assert "no recommendation was made of it" not in page
    assert "None yet. An evaluation replays logged calls" in page


def test_models_without_a_price_are_named(project: Project, reader: User, client_of: Browser) -> None:
    _log(project, model="quill-9", cost_nanousd=None)

    text = _page(client_of(reader), project)

    assert "quill-9 has calls without a price" in text
    assert reverse("ingestion:catalog", args=[project.slug]) in text
    assert "no call has a known cost" in text


def test_a_price_that_is_there_now_is_not_asked_for_again(project: Project, reader: User, client_of: Browser) -> None:
    _log(project, model="quill-9", cost_nanousd=None)
    offer = ModelOffer.objects.create(project=project, model="quill-9", name="quill-9")
    Price.objects.create(offer=offer, valid_from=date(2026, 1, 1), input_nanousd=1, output_nanousd=1, source="x")

    assert "without a price" not in _page(client_of(reader), project)


def test_the_retirement_of_the_model_in_production_is_told_with_its_days(
    project: Project, member: User, client_of: Browser
) -> None:
    _log(project, model="quill-9")
    on = timezone.now().astimezone(UTC).date() + timedelta(days=41)
    ModelOffer.objects.create(project=project, model="quill-9", name="quill-9", retires_on=on)

    text = _page(client_of(member), project)

    assert f"quill-9 retires on {on:%b} {on.day}, {on.year}, in 41 days" in text
    assert "It serves most of your calls." in text
    assert "Evaluate others" in text


def test_a_model_of_another_host_has_other_dates(project: Project, member: User, client_of: Browser) -> None:
    _log(project, model="quill-9", provider="cloud")
    ModelOffer.objects.create(
        project=project, provider="maker", model="quill-9", name="quill-9", retires_on=date(2026, 1, 1)
    )

    assert "retire" not in _page(client_of(member), project)


def test_a_stopped_worker_is_told_only_while_work_waits(project: Project, reader: User, client_of: Browser) -> None:
    _log(project)
    cache.delete("agentopt:worker-seen")
    before = overview.overview(project, now=timezone.now())
    job = Job.objects.create(kind="sync", project=project)
    Job.objects.filter(pk=job.pk).update(created_at=timezone.now() - timedelta(minutes=3))

    after = overview.overview(project, now=timezone.now())

    assert (before.worker_stopped, after.worker_stopped) == (False, True)
    assert "run_worker" in _page(client_of(reader), project)


def test_nothing_needs_a_person_once_all_is_set_up(project: Project, owner: User, client_of: Browser) -> None:
    _log(project)
    projects.connect(project, base_url="http://127.0.0.1:9/v1", api_key="key", by=owner)
    seating.set_judges(project, ["judge-oriole"])
    project.refresh_from_db()

    assert "Nothing needs you." in _page(client_of(owner), project)


def test_a_channel_that_notices_do_not_reach_needs_an_owner(
    project: Project, owner: User, reader: User, client_of: Browser
) -> None:
    _log(project)
    failing = project.channels.create(name="ops", form="email", address="x", failing_since=timezone.now())

    pages = [_page(client_of(one), project) for one in (owner, reader)]
    failing.enabled = False
    failing.save()

    assert all("Notices do not reach “ops”." in page for page in pages)
    assert ["an owner can mend it" in page for page in pages] == [False, True]
    assert "Notices do not reach" not in _page(client_of(owner), project)


# ------------------------------------------------------------------------------------------------ the window
def test_figures_are_of_the_chosen_range(project: Project, reader: User, client_of: Browser) -> None:
    _log(project, calls=3, ago=timedelta(hours=1))
    _log(project, calls=5, ago=timedelta(days=5))
    client = client_of(reader)

    day, week = _page(client, project, "?range=24h"), _page(client, project, "?range=7d")

    assert "3 calls from" in day
    assert "8 calls from" in week


def test_an_old_log_is_shown_whole_unless_a_range_is_asked_for(
    project: Project, reader: User, client_of: Browser
) -> None:
    _log(project, ago=timedelta(days=400))
    client = client_of(reader)

    assert "4 calls from" in _page(client, project)
    assert "No calls in this range" in _page(client, project, "?range=7d")
    assert "4 calls from" in _page(client, project, "?range=century")


def test_conversations_that_hours_do_not_tell_are_unknown_with_the_reason(
    project: Project, reader: User, client_of: Browser
) -> None:
    _log(project)

    text = _page(client_of(reader), project)

    assert "in 0 conversations" not in text
    assert "its days do not add up" in text
    assert "conversations not counted" in text


def test_days_without_calls_stand_in_the_charts(project: Project) -> None:
    _log(project, ago=timedelta(days=3))
    _log(project, ago=timedelta(hours=0), status=LogRecord.Status.FAILED, refused=None, cost_nanousd=None)

    span = overview.overview(project, now=timezone.now() + timedelta(seconds=1)).span

    assert span is not None
    assert [sum(bucket.calls.values()) for bucket in span.buckets] == [4, 0, 0, 4]
    assert span.buckets[0].spend == {"aurora-large": 0.01}
    assert span.buckets[3].spend == {"aurora-large": None}
    assert span.unfinished


def test_rows_set_aside_are_counted_with_their_reasons(project: Project, reader: User, client_of: Browser) -> None:
    _log(project)
    SetAside.objects.create(project=project, label="log.jsonl", line=7, code="broken", reason="no JSON", raw_hash="a")

    text = _page(client_of(reader), project)

    assert "1 row that could not be read" in text
    assert "line 7: no JSON" in text


def test_a_hostile_model_name_stays_text(project: Project, reader: User, client_of: Browser) -> None:
    _log(project, model=documents.HOSTILE)

    text = _page(client_of(reader), project)

    assert "<script>alert(1)" not in text
    assert "&lt;/script&gt;&lt;script&gt;alert(1)" in text
