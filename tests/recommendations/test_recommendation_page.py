"""Pages of recommendations: the list, one of them, and what a person decides about it."""

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from evaluation.models import Evaluation
from ingestion.models import Batch, LogBody, LogRecord, Trace
from projects.models import Project, User
from recommendations import services
from recommendations.models import Decision, Recommendation
from tests.recommendations import documents

Browser = Callable[[User], Client]


def _logged(project: Project, preview: str) -> LogRecord:
    batch = Batch.objects.create(project=project, number=1, source="push", format="openai", added=1, manifest_hash="a")
    record = LogRecord.objects.create(
        project=project,
        key=uuid.uuid4(),
        source_id="call-1",
        batch=batch,
        trace=Trace.objects.create(project=project, key="t"),
        occurred_at=timezone.now(),
        model="aurora-large",
        status=LogRecord.Status.OK,
        content_hash="a",
    )
    LogBody.objects.create(record=record, request="{}", preview=preview)
    return record


def _text(client: Client, address: str, *, status: int = 200) -> str:
    answer = client.get(address)
    assert answer.status_code == status
    return str(answer.content.decode())


# ------------------------------------------------------------------------------------------------ who sees it
@pytest.mark.parametrize("person", ["owner", "member", "reader"])
def test_people_of_the_project_read_it(
    person: str, project: Project, client_of: Browser, request: pytest.FixtureRequest
) -> None:
    made = documents.store(project, documents.recommended())

    text = _text(client_of(request.getfixturevalue(person)), made.get_absolute_url())

    assert "Move Support agent from aurora-large to corvus-medium" in text
    assert "All four checks are shown" in text
    assert ("Acknowledge</button>" in text) == (person != "reader")


def test_a_stranger_finds_nothing_and_a_visitor_signs_in(
    project: Project, stranger: User, client_of: Browser, client: Client
) -> None:
    made = documents.store(project, documents.recommended())

    for address in (made.get_absolute_url(), f"/p/{project.slug}/recommendations/"):
        assert client_of(stranger).get(address).status_code == 404
        assert client.get(address).status_code == 302


def test_a_recommendation_of_another_project_is_not_found(project: Project, owner: User, client_of: Browser) -> None:
    from projects import services as projects

    other = projects.create_project("Other agent", owner=owner)
    made = documents.store(other, documents.recommended())

    assert client_of(owner).get(f"/p/{project.slug}/recommendations/{made.pk}/").status_code == 404


# ------------------------------------------------------------------------------------------------ what it says
def test_a_switch_shows_confidence_saving_and_the_command_that_reproduces_it(
    project: Project, reader: User, client_of: Browser
) -> None:
    made = documents.store(project, documents.recommended())

    text = _text(client_of(reader), made.get_absolute_url())

    assert "86\u202f%" in text
    assert "$1,168" in text
    assert f"python manage.py reproduce {made.pk}" in text
    assert "10 holds images" in text
    assert "No tool calling." in text


def test_no_recommendation_says_what_would_settle_it(project: Project, member: User, client_of: Browser) -> None:
    evidence = documents.not_shown()
    evidence["next_step"] |= {"chance": 0.8, "model_calls": 210, "judge_calls": 840}
    made = documents.store(project, evidence)

    text = _text(client_of(member), made.get_absolute_url())

    assert "NO RECOMMENDATION" in text
    assert "What would settle it" in text
    assert "80\u202f%</td>" in text
    assert "210 to models<small>840 to judges</small>" in text
    assert "A new run of 210 prompts, about $1.74 (210 calls to models and 840 calls to judges)," in text
    assert "Held back by one check: quality." in text


def test_without_a_leader_the_page_reads_without_checks_and_charts(
    project: Project, reader: User, client_of: Browser
) -> None:
    made = documents.store(project, documents.too_few())

    text = _text(client_of(reader), made.get_absolute_url())

    assert "there are too few calls to tell" in text
    assert "10 more replayable prompts are needed" in text
    assert "Nothing was tested" in text
    assert "Checks, table" not in text
    assert "data-figure" not in text
    assert "None" not in text


def test_a_hostile_prompt_stays_text_and_links_to_its_case(project: Project, reader: User, client_of: Browser) -> None:
    record = _logged(project, documents.HOSTILE)
    evidence = documents.recommended()
    evidence["worst"] = [{"case": 3, "record": record.pk, "was": 0.9, "now": 0.4, "drop": -0.5}]
    evidence["candidates"][2]["name"] = documents.HOSTILE
    made = documents.store(project, evidence)

    text = _text(client_of(reader), made.get_absolute_url())

    assert "<script>alert(1)" not in text
    assert "&lt;script&gt;alert(1)" in text
    assert f"/p/{project.slug}/evaluations/1/cases/3/" in text


@pytest.mark.parametrize(
    ("policy", "unfit", "said"),
    [
        ({"judge_sd": 0.025}, [], "How far they agree with people is not known; an error of 0.025"),
        ({"judge_sd": 0.015}, [], "Fit by the labels of people; an error of 0.015"),
        ({"judge_sd": 0.0}, [], "They know the right answer."),
        ({"judge_sd": 0.025}, ["judge-oriole"], "Unfit by the labels of people: judge-oriole."),
        ({}, [], None),
    ],
)
def test_the_page_says_how_far_judges_are_trusted(
    project: Project, reader: User, client_of: Browser, policy: dict[str, Any], unfit: list[str], said: str | None
) -> None:
    evidence = documents.recommended()
    evidence["judges"]["unfit"] = unfit
    made = documents.store(project, evidence)
    Evaluation.objects.update(policy=policy)

    text = _text(client_of(reader), made.get_absolute_url())

    assert ("labels of people" in text or "agree with people is" in text or "right answer" in text) == bool(said)
    assert said is None or said in text


def test_simulated_evidence_is_marked(project: Project, reader: User, client_of: Browser) -> None:
    invented = documents.store(project, documents.recommended(), simulated=True)
    measured = documents.store(project, documents.recommended(), number=2)

    simulated = _text(client_of(reader), invented.get_absolute_url())
    real = _text(client_of(reader), measured.get_absolute_url())

    assert "badge plain sim" not in real
    assert "badge plain sim" in simulated


def test_a_recommendation_past_its_day_is_out_of_date_and_asks_for_nothing(
    project: Project, member: User, client_of: Browser
) -> None:
    made = documents.store(project, documents.recommended(), days_old=31)

    text = _text(client_of(member), made.get_absolute_url())

    assert "out of date" in text
    assert "?decide=acknowledge" not in text


def test_the_page_of_a_real_evaluation_holds_its_evidence(
    finished: Evaluation, reader: User, client_of: Browser
) -> None:
    made = services.recommend(finished, now=timezone.now())

    text = _text(client_of(reader), made.get_absolute_url())

    assert "corvus-medium" in text
    assert "Checks, table" in text
    assert 'data-figure="f-trade"' in text
    assert 'data-figure="f-looks"' in text
    assert "badge plain sim" in text


# ------------------------------------------------------------------------------------------------ deciding
def test_a_member_acknowledges_with_a_note(project: Project, member: User, client_of: Browser) -> None:
    made = documents.store(project, documents.recommended())
    client = client_of(member)

    answer = client.post(f"{made.get_absolute_url()}acknowledge/", {"note": "next sprint"})

    assert (answer.status_code, answer["Location"]) == (303, made.get_absolute_url())
    text = _text(client, made.get_absolute_url())
    assert "Acknowledged by member@example.com" in text
    assert "next sprint" in text


def test_dismissing_needs_a_reason_and_says_so_beside_the_field(
    project: Project, member: User, client_of: Browser
) -> None:
    made = documents.store(project, documents.recommended())

    answer = client_of(member).post(f"{made.get_absolute_url()}dismiss/", {"note": " "})

    assert answer.status_code == 422
    assert 'aria-invalid="true"' in answer.content.decode()
    assert not Decision.objects.exists()


def test_postponing_ends_with_the_chosen_day(project: Project, member: User, client_of: Browser) -> None:
    made = documents.store(project, documents.recommended())
    day = timezone.localdate() + timedelta(days=3)

    answer = client_of(member).post(f"{made.get_absolute_url()}postpone/", {"until": day.isoformat()})

    assert answer.status_code == 303
    until = made.decisions.get().until
    assert until is not None
    assert timezone.localdate(until) == day


@pytest.mark.parametrize("days", [-1, 45])
def test_postponing_to_the_past_or_beyond_its_end_is_refused(
    days: int, project: Project, member: User, client_of: Browser
) -> None:
    made = documents.store(project, documents.recommended())
    day = timezone.localdate() + timedelta(days=days)

    answer = client_of(member).post(f"{made.get_absolute_url()}postpone/", {"until": day.isoformat()})

    assert answer.status_code == 422
    assert "Expected until" in answer.content.decode()


def test_without_a_script_a_link_shows_the_form(project: Project, member: User, client_of: Browser) -> None:
    made = documents.store(project, documents.recommended())

    text = _text(client_of(member), f"{made.get_absolute_url()}?decide=dismiss")

    assert '<dialog id="dismiss"' not in text
    assert "Dismiss recommendation" in text
    assert text.count('id="dismissform-note"') == 1


@pytest.mark.parametrize("action", ["acknowledge", "postpone", "dismiss"])
def test_a_reader_may_not_decide_and_a_visitor_signs_in(
    action: str, project: Project, reader: User, stranger: User, client_of: Browser, client: Client
) -> None:
    made = documents.store(project, documents.recommended())
    address = f"{made.get_absolute_url()}{action}/"

    assert client_of(reader).post(address, {"note": "no"}).status_code == 403
    assert client_of(stranger).post(address, {"note": "no"}).status_code == 404
    assert client.post(address).status_code == 302
    assert client_of(reader).get(address).status_code == 405


# ------------------------------------------------------------------------------------------------ the list
def test_the_list_shows_what_was_decided(project: Project, member: User, client_of: Browser) -> None:
    first = documents.store(project, documents.recommended())
    documents.store(project, documents.too_few(), number=2)
    services.dismiss(first, by=member, now=timezone.now(), note="bound to the provider")

    text = _text(client_of(member), f"/p/{project.slug}/recommendations/")

    assert "dismissed" in text
    assert "there are too few calls to tell" in text
    assert text.index("too few calls") < text.index("Move Support agent")


def test_an_empty_list_says_what_comes_first(project: Project, member: User, client_of: Browser) -> None:
    text = _text(client_of(member), f"/p/{project.slug}/recommendations/")

    assert "No recommendation yet" in text
    assert "See the first steps" in text


def test_a_finished_evaluation_gets_its_recommendation_by_a_button(
    finished: Evaluation, member: User, reader: User, client_of: Browser
) -> None:
    address: str = f"/p/{finished.project.slug}/recommendations/generate/"

    assert "Make the recommendation" in _text(client_of(member), f"/p/{finished.project.slug}/recommendations/")
    assert client_of(reader).post(address).status_code == 403
    answer: Any = client_of(member).post(address)

    assert answer.status_code == 303
    assert answer["Location"] == Recommendation.objects.get().get_absolute_url()
