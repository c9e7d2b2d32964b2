"""The track record: promises kept beside the confidence that was stated, and the follow-up on its page."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.test import Client
from django.utils import timezone

from projects.models import Project, User
from recommendations import followup, services, tracking
from recommendations.models import FollowUp
from tests.recommendations import documents, moves

Browser = Callable[[User], Client]


@pytest.fixture
def now() -> datetime:
    return timezone.now()


def _followed(project: Project, by: User | None, *, number: int, verdict: str, simulated: bool = False) -> None:
    made = documents.store(project, documents.recommended(), number=number, simulated=simulated)
    if by is not None:
        services.acknowledge(made, by=by, now=timezone.now())
    FollowUp.objects.create(
        recommendation=made, switched_at=made.created_at, promised=[], verdict=verdict, created_at=made.created_at
    )


def test_shares_are_told_from_five_follow_ups_on(project: Project, member: User) -> None:
    for number in range(1, 5):
        _followed(project, member, number=number, verdict="confirmed")

    found = tracking.record(project).real

    assert (found.followed, found.kept, found.rate, found.low) == (4, 4, None, None)


def test_the_record_counts_acknowledged_ones_with_a_verdict_and_keeps_simulated_ones_apart(
    project: Project, member: User, client_of: Browser
) -> None:
    for number in range(1, 9):
        _followed(project, member, number=number, verdict="confirmed")
    _followed(project, member, number=9, verdict="not_confirmed")
    _followed(project, member, number=10, verdict="too_early")
    _followed(project, None, number=11, verdict="confirmed")
    _followed(project, member, number=12, verdict="confirmed", simulated=True)

    found = tracking.record(project)
    text = client_of(member).get(f"/p/{project.slug}/recommendations/track-record/").content.decode()

    # Wilson (1927) by hand for 8 of 9: 0.565 to 0.980
    assert found.real.rate == pytest.approx(8 / 9)
    assert [found.real.low, found.real.high] == pytest.approx([0.565, 0.980], abs=0.001)
    assert found.real.stated == pytest.approx(0.866)
    assert "Of 9 acknowledged recommendations with a verdict, 8 kept their promise" in text
    assert "stated confidence 86\u202f%" in text
    assert "1 of 1 acknowledged recommendations has a verdict" in text


def test_the_page_shows_promised_against_realised(
    project: Project, reader: User, client_of: Browser, now: datetime
) -> None:
    made = moves.recommend(project, days_old=30, judged=True)
    moves.serve(project, moves.OLD, since=now - timedelta(days=40), days=30, a_day=10)
    moves.serve(project, moves.NEW, since=now - timedelta(days=10), days=10)
    followup.check(made, now=now)

    text = client_of(reader).get(made.get_absolute_url()).content.decode()

    assert "After the switch" in text
    assert "66\u202f% (64\u202f% to 68\u202f%)" in text
    assert "not judged by the same judges" in text
    assert "every promise that is measured is kept" in text
    assert 'badge state ok">confirmed' in text


def test_without_any_follow_up_the_page_says_how_one_starts(project: Project, reader: User, client_of: Browser) -> None:
    text = client_of(reader).get(f"/p/{project.slug}/recommendations/track-record/").content.decode()

    assert "No follow-up yet" in text
    assert "No recommendation was acknowledged yet" in text
