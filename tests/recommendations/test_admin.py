"""Recommendations in Django admin."""

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from evaluation.models import Evaluation
from projects.models import User
from recommendations import services
from recommendations.models import Recommendation

LIST = "admin:recommendations_recommendation_changelist"


@pytest.fixture
def finished(finished_once: int, db: None) -> Evaluation:
    return Evaluation.objects.get(pk=finished_once)


def admin_client() -> Client:
    """An instance owner's browser."""
    client = Client()
    client.force_login(User.objects.create_superuser("admin@example.com", "correct horse battery"))
    return client


def test_an_admin_acknowledges_with_a_note_and_nothing_is_switched(finished: Evaluation) -> None:
    made = services.recommend(finished, now=timezone.now())
    before = (finished.project.connection.base_url, Recommendation.objects.get().evidence_hash)

    answer = admin_client().post(
        reverse(LIST),
        {"action": "acknowledge", "_selected_action": [made.pk], "note": "agreed in the meeting"},
        follow=True,
    )

    decision = made.decisions.get()
    assert answer.status_code == 200
    assert "1 acknowledged. Nothing was switched." in answer.content.decode()
    assert decision.by is not None
    assert (decision.kind, decision.note, decision.by.email) == (
        "acknowledged",
        "agreed in the meeting",
        "admin@example.com",
    )
    finished.project.connection.refresh_from_db()
    assert (finished.project.connection.base_url, Recommendation.objects.get().evidence_hash) == before


def test_an_admin_reads_but_cannot_change_or_delete(finished: Evaluation) -> None:
    made = services.recommend(finished, now=timezone.now())
    client = admin_client()
    page = reverse("admin:recommendations_recommendation_change", args=[made.pk])

    assert client.get(reverse(LIST)).status_code == 200
    assert client.get(page).status_code == 200
    assert client.post(page, {"confidence": "1"}).status_code == 403
    assert client.post(reverse("admin:recommendations_recommendation_delete", args=[made.pk])).status_code == 403
