"""Making, deciding about and recomputing a recommendation."""

from datetime import timedelta

import pytest
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from agentopt.lib.errors import Conflict, Invalid
from evaluation.models import Evaluation
from projects.models import AuditEntry, User
from recommendations import selectors, services
from recommendations.models import Recommendation


@pytest.fixture
def finished(finished_once: int, db: None) -> Evaluation:
    return Evaluation.objects.get(pk=finished_once)


def test_a_finished_evaluation_becomes_one_recommendation(finished: Evaluation) -> None:
    first = services.recommend(finished, now=timezone.now())
    again = services.recommend(finished, now=timezone.now())

    assert first.pk == again.pk
    assert Recommendation.objects.count() == 1
    assert first.simulated


def test_a_switch_carries_every_number_that_it_rests_on(finished: Evaluation) -> None:
    made = services.recommend(finished, now=timezone.now())

    evidence = made.evidence
    assert made.kind == Recommendation.Kind.SWITCH
    assert evidence["outcome"]["recommended"] == "corvus-medium"
    assert {check["verdict"] for check in evidence["checks"]} == {"shown"}
    assert made.confidence is not None
    assert made.confidence >= evidence["outcome"]["threshold"]
    assert evidence["saving"]["low_usd"] <= evidence["saving"]["saving_usd"] <= evidence["saving"]["high_usd"]
    assert [arm["name"] for arm in evidence["candidates"]] == ["aurora-large", "corvus-medium"]
    assert "latency_unknown" in [reason["code"] for reason in made.reasons]


def test_an_evaluation_that_still_runs_has_no_recommendation(finished: Evaluation) -> None:
    Evaluation.objects.filter(pk=finished.pk).update(state=Evaluation.State.AT_CAP)
    finished.refresh_from_db()

    with pytest.raises(Conflict, match="no outcome yet"):
        services.recommend(finished, now=timezone.now())


def test_the_database_refuses_to_change_or_delete_a_recommendation(finished: Evaluation) -> None:
    made = services.recommend(finished, now=timezone.now())

    for statement in (
        "UPDATE recommendations_recommendation SET confidence = 1",
        "DELETE FROM recommendations_recommendation",
    ):
        with pytest.raises(DatabaseError, match="immutable"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)

    assert Recommendation.objects.get().confidence == made.confidence


def test_acknowledging_is_recorded_with_who_and_note_and_switches_nothing(finished: Evaluation, member: User) -> None:
    made = services.recommend(finished, now=timezone.now())

    services.acknowledge(made, by=member, now=timezone.now(), note="next sprint")

    decision = selectors.decision_of(made)
    assert decision is not None
    assert (decision.kind, decision.by, decision.note) == ("acknowledged", member, "next sprint")
    assert AuditEntry.objects.filter(action="recommendation.acknowledged", user=member).count() == 1
    assert selectors.state_of(made, now=timezone.now()) == "acknowledged"


def test_dismissing_needs_a_reason(finished: Evaluation, member: User) -> None:
    made = services.recommend(finished, now=timezone.now())

    with pytest.raises(Invalid) as refusal:
        services.dismiss(made, by=member, now=timezone.now(), note="  ")

    assert "note" in refusal.value.fields


def test_a_postponed_recommendation_is_new_again_when_its_day_has_come(finished: Evaluation, member: User) -> None:
    now = timezone.now()
    made = services.recommend(finished, now=now)

    services.postpone(made, by=member, now=now, until=now + timedelta(days=7))

    assert selectors.state_of(made, now=now + timedelta(days=6)) == "postponed"
    assert selectors.state_of(made, now=now + timedelta(days=8)) == "new"
    assert selectors.state_of(made, now=now + timedelta(days=31)) == "out_of_date"


def test_it_cannot_be_postponed_beyond_its_expiry(finished: Evaluation, member: User) -> None:
    now = timezone.now()
    made = services.recommend(finished, now=now)

    with pytest.raises(Invalid):
        services.postpone(made, by=member, now=now, until=now + timedelta(days=31))
