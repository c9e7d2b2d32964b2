"""States of a recommendation: which may follow which, who took each step, and what the calendar does."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.db import DatabaseError, connection, transaction
from django.test import Client
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from agentopt.lib.errors import Conflict
from projects.models import AuditEntry, Project, User
from recommendations import services, states, transitions
from recommendations.models import Recommendation, Transition
from tests.recommendations import documents

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.fixture
def made(project: Project) -> Recommendation:
    return documents.store(project, documents.recommended())


def test_every_state_has_a_meaning_and_a_place_in_the_table() -> None:
    assert set(states.ALLOWED) == set(states.MEANINGS) == set(states.STATES)
    assert {state for following in states.ALLOWED.values() for state in following} == set(states.STATES)


@given(st.sampled_from(states.STATES), st.integers(-40, 40), st.integers(-40, 40))
def test_the_calendar_only_ends_what_waits_and_wakes_what_was_put_off(state: str, until: int, end: int) -> None:
    found = states.now_in(
        state, until=NOON + timedelta(days=until), expires_at=NOON + timedelta(days=end), now=NOON
    )  # fmt: skip

    if state == states.POSTPONED and until > 0:
        assert found == states.POSTPONED
    elif state in (states.NEW, states.SEEN, states.POSTPONED):
        assert found == (states.OUT_OF_DATE if end <= 0 else states.NEW if state == states.POSTPONED else state)
    else:
        assert found == state


def test_each_step_is_a_row_and_an_audit_entry_with_who_when_and_why(made: Recommendation, member: User) -> None:
    now = timezone.now()

    transitions.see(made, by=member, now=now)
    services.dismiss(made, by=member, now=now, note="bound to the provider")

    steps = list(made.transitions.order_by("number").values_list("was", "state", "why", "by", "at"))
    assert steps == [
        ("new", "seen", "", member.pk, now),
        ("seen", "dismissed", "bound to the provider", member.pk, now),
    ]
    entry = AuditEntry.objects.get(action="recommendation.dismissed")
    assert (entry.user, entry.before) == (member, {"state": "seen"})
    assert entry.after == {"state": "dismissed", "why": "bound to the provider"}


def test_a_step_that_the_table_does_not_allow_is_refused_with_what_is(made: Recommendation, member: User) -> None:
    with pytest.raises(Conflict, match="cannot become confirmed: what may follow is seen, acknowledged"):
        transitions.step(made, states.CONFIRMED, by=member, now=timezone.now())

    assert not made.transitions.exists()


def test_of_two_steps_at_once_one_is_refused(made: Recommendation, member: User) -> None:
    stale = Recommendation.objects.prefetch_related("transitions").get(pk=made.pk)
    assert list(stale.transitions.all()) == []
    services.acknowledge(made, by=member, now=timezone.now())

    with pytest.raises(Conflict, match="by somebody else just now"):
        transitions.step(stale, states.DISMISSED, by=member, now=timezone.now())

    assert [step.state for step in made.transitions.all()] == ["acknowledged"]


def test_opening_the_page_is_seen_once_and_by_a_person(
    made: Recommendation, member: User, reader: User, client_of: Callable[[User], Client]
) -> None:
    address = made.get_absolute_url()

    client_of(reader).get(address)
    client_of(member).get(address)

    assert [(step.state, step.by) for step in made.transitions.all()] == [("seen", reader)]


def test_what_has_ended_can_no_longer_be_decided(
    project: Project, member: User, client_of: Callable[[User], Client]
) -> None:
    made = documents.store(project, documents.recommended(), days_old=31)

    answer = client_of(member).post(f"{made.get_absolute_url()}acknowledge/", {"note": ""})

    assert answer.status_code == 422
    assert "is out of date, so it cannot become acknowledged" in answer.content.decode()
    assert transitions.state_of(made, now=timezone.now()) == states.OUT_OF_DATE


def test_the_end_by_date_is_noted_as_a_step_from_the_state_before(project: Project) -> None:
    made = documents.store(project, documents.recommended(), days_old=31)

    noted = transitions.step(made, states.OUT_OF_DATE, by=None, now=timezone.now(), code="days_over")

    assert (noted.was, noted.state, noted.by) == ("new", "out_of_date", None)
    with pytest.raises(Conflict):
        transitions.step(made, states.OUT_OF_DATE, by=None, now=timezone.now())


def test_the_database_refuses_to_delete_a_step_and_forgets_a_person_who_left(
    made: Recommendation, member: User
) -> None:
    services.acknowledge(made, by=member, now=timezone.now())

    with pytest.raises(DatabaseError, match="immutable"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM recommendations_transition")
    member.delete()

    assert Transition.objects.get().by is None
