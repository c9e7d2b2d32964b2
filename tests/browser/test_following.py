"""A recommendation after its switch, its document, its links and the track record, in the browser."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from ingestion.models import LogBody
from projects.models import Project, User
from recommendations import followup, services, sharing
from recommendations.models import Recommendation, Summary
from tests.browser import checks
from tests.recommendations import documents, moves

Inspect = Callable[..., list[str]]


@pytest.fixture
def followed(project: Project, owner: User) -> Recommendation:
    """Acknowledged, followed and confirmed, with a mixed finding, a drop whose prompt is hostile, and a summary."""
    now = timezone.now()
    made = moves.recommend(project, days_old=25, judged=True)
    services.acknowledge(made, by=owner, now=now - timedelta(days=20), note="next sprint")
    refunds, orders = moves.use_case(project, "Refunds"), moves.use_case(project, "Order status")
    before = moves.serve(project, moves.OLD, since=now - timedelta(days=40), days=30, a_day=10, use_case=refunds)
    moves.serve(project, moves.OLD, since=now - timedelta(days=40), days=40, a_day=10, use_case=orders)
    moves.serve(project, moves.NEW, since=now - timedelta(days=10), days=10, use_case=refunds)
    LogBody.objects.create(record=before[0], request="{}", preview=documents.HOSTILE)
    followup.check(made, now=now)
    Summary.objects.create(
        recommendation=made, model="teller", text="It costs less and stays within your margins.", at=now
    )
    return made


def test_a_followed_recommendation_is_sound(followed: Recommendation, as_owner: None, inspect: Inspect) -> None:
    wrong = inspect(followed.get_absolute_url(), name="recommendation-followed")

    assert not wrong, checks.listed(wrong)


def test_documents_links_and_the_track_record_are_sound(
    followed: Recommendation, owner: User, as_owner: None, inspect: Inspect
) -> None:
    shared = sharing.share(followed, days=7, shows_prompts=False, by=owner, now=timezone.now())
    slug = followed.project.slug

    wrong = inspect(reverse("recommendations:track-record", args=[slug]), name="track-record")
    wrong += inspect(reverse("recommendations:share", args=[slug, followed.pk]), name="share")
    wrong += inspect(reverse("recommendations:print", args=[slug, followed.pk]), name="document")
    wrong += inspect(reverse("recommendations:shared", args=[shared.secret]), name="shared")

    assert not wrong, checks.listed(wrong)
