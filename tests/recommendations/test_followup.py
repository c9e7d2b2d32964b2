"""After a recommendation: the switch is seen in the logs, the promise is checked, and a verdict stands."""

from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from projects.models import AuditEntry, Project, User
from recommendations import followup, promises, services, states, transitions
from recommendations.models import FollowUp, ProductionVerdict, Recommendation
from tests.recommendations import moves


@pytest.fixture
def now() -> datetime:
    return timezone.now().replace(hour=12, minute=0, second=0, microsecond=0)


@pytest.fixture
def made(project: Project) -> Recommendation:
    return moves.recommend(project, days_old=30)


def _before(project: Project, now: datetime) -> None:
    moves.serve(project, moves.OLD, since=now - timedelta(days=40), days=30, a_day=10)


def test_without_a_switch_in_the_logs_nothing_is_watched(project: Project, made: Recommendation, now: datetime) -> None:
    _before(project, now)
    moves.serve(project, moves.OLD, since=now - timedelta(days=10), days=10)

    assert followup.check(made, now=now) is None
    assert transitions.state_of(made, now=made.created_at) == states.NEW


def test_a_switch_starts_a_watch_that_confirms_what_was_promised(
    project: Project, made: Recommendation, now: datetime, member: User
) -> None:
    services.acknowledge(made, by=member, now=made.created_at + timedelta(days=1))
    _before(project, now)
    moves.serve(project, moves.NEW, since=now - timedelta(days=10), days=10, seed=8)

    found = followup.check(made, now=now)

    assert found is not None
    found.refresh_from_db()
    assert found.switched_at.date() == (now - timedelta(days=10)).date()
    assert found.verdict == FollowUp.Verdict.CONFIRMED
    assert [step.state for step in made.transitions.order_by("number")] == ["acknowledged", "watching", "confirmed"]
    cost = next(one for one in found.realised["metrics"] if one["metric"] == "cost")
    # by hand: 1 - 2.84 / 8.34 = 0.659
    assert cost["low"] < 0.659 < cost["high"]
    assert found.realised["saving"]["saving_usd"] == pytest.approx(20 * 365.25 / 12 * 5.5e-3, rel=0.15)
    assert AuditEntry.objects.filter(action="follow_up.confirmed").count() == 1


def test_more_calls_than_are_read_count_in_what_is_saved(
    project: Project, made: Recommendation, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(followup, "MOST_CALLS", 100)
    _before(project, now)
    moves.serve(project, moves.NEW, since=now - timedelta(days=10), days=10, seed=8)

    found = followup.check(made, now=now)

    assert found is not None
    assert found.realised["calls"] == 200
    assert found.realised["saving"]["saving_usd"] == pytest.approx(20 * 365.25 / 12 * 5.5e-3, rel=0.25)


def test_a_dearer_model_than_promised_is_not_confirmed(project: Project, made: Recommendation, now: datetime) -> None:
    _before(project, now)
    moves.serve(project, moves.NEW, since=now - timedelta(days=10), days=10, cost=2.0, seed=8)

    found = followup.check(made, now=now)

    assert found is not None
    found.refresh_from_db()
    assert found.verdict == FollowUp.Verdict.NOT_CONFIRMED
    assert transitions.state_of(made, now=now) == states.WATCHING
    told = AuditEntry.objects.get(action="follow_up.not_confirmed").after
    assert told == {"look": 3, "kept": ["answered"], "broken": ["cost"]}


def test_failures_of_the_new_model_break_the_promise_to_answer(
    project: Project, made: Recommendation, now: datetime
) -> None:
    _before(project, now)
    moves.serve(project, moves.NEW, since=now - timedelta(days=10), days=10, failed=0.2, seed=8)

    found = followup.check(made, now=now)

    assert found is not None
    found.refresh_from_db()
    assert found.verdict == FollowUp.Verdict.NOT_CONFIRMED
    assert found.realised["rates"]["failed"]["after"] == pytest.approx(0.2, abs=0.06)
    assert found.realised["rates"]["failed"]["before"] == 0


def test_a_handful_of_conversations_is_too_early(project: Project, made: Recommendation, now: datetime) -> None:
    _before(project, now)
    moves.serve(project, moves.NEW, since=now - timedelta(days=2), days=2, seed=8)

    found = followup.check(made, now=now)

    assert found is not None
    assert found.verdict == FollowUp.Verdict.TOO_EARLY
    assert not found.looks.exists()
    assert found.realised["calls"] == 40


def test_checking_every_day_takes_each_look_once(project: Project, made: Recommendation, now: datetime) -> None:
    _before(project, now)
    moves.serve(project, moves.NEW, since=now - timedelta(days=3), days=3, cost=1.19, seed=8)  # close to the bar

    for _ in range(3):
        followup.check(made, now=now)

    following = FollowUp.objects.get()
    assert [look.number for look in following.looks.all()] == [1]
    assert made.transitions.count() == 1


def test_a_switch_of_one_use_case_is_seen_there(project: Project, made: Recommendation, now: datetime) -> None:
    refunds, rest = moves.use_case(project, "Refunds"), moves.use_case(project, "Orders")
    moves.serve(project, moves.OLD, since=now - timedelta(days=40), days=30, a_day=5, use_case=refunds)
    moves.serve(project, moves.OLD, since=now - timedelta(days=40), days=40, a_day=60, use_case=rest, seed=9)
    moves.serve(project, moves.NEW, since=now - timedelta(days=10), days=10, a_day=6, use_case=refunds, seed=8)

    found = followup.check(made, now=now)

    assert found is not None
    shares = {one["use_case"]: one["share"] for one in found.shares}
    assert shares["Refunds"] > 0.95  # the day of the switch began with the model before
    assert shares["Orders"] == 0.0
    assert shares[""] == pytest.approx(6 / 66, abs=0.01)


def test_traffic_that_went_back_reverses_it(project: Project, made: Recommendation, now: datetime) -> None:
    _before(project, now)
    moves.serve(project, moves.NEW, since=now - timedelta(days=10), days=6, seed=8)
    followup.check(made, now=now - timedelta(days=4))
    moves.serve(project, moves.OLD, since=now - timedelta(days=4), days=4, seed=9)

    followup.check(made, now=now)

    assert transitions.state_of(made, now=now) == states.REVERSED


def test_quality_counts_where_production_is_judged_by_the_same_version_of_the_judges(
    project: Project, now: datetime
) -> None:
    made = moves.recommend(project, days_old=30, judged=True)
    chair = moves.seat(made)
    before = moves.serve(project, moves.OLD, since=now - timedelta(days=40), days=30, a_day=10)
    moves.judge_before(made, before, chair, [0.9, 0.8] * 60)
    after = moves.serve(project, moves.NEW, since=now - timedelta(days=10), days=10, seed=8)
    ProductionVerdict.objects.bulk_create(
        ProductionVerdict(
            project=project, record=record, judge=chair.judge, version=chair.version, at=now,
            score=0.3 if at % 2 else 0.4,
        )
        for at, record in enumerate(after)
    )  # fmt: skip

    found = followup.check(made, now=now)

    assert found is not None
    found.refresh_from_db()
    figures = {one["metric"]: one for one in found.realised["metrics"]}
    assert figures["quality"]["estimate"] == pytest.approx(-0.5, abs=0.01)
    assert figures["safety"]["state"] == promises.UNMEASURED
    assert found.verdict == FollowUp.Verdict.NOT_CONFIRMED
    assert found.realised["judged"] == 200


def test_the_watch_ends_after_ninety_days(project: Project, made: Recommendation, now: datetime) -> None:
    _before(project, now)
    moves.serve(project, moves.NEW, since=now - timedelta(days=10), days=10, seed=8)
    followup.check(made, now=now)
    checked = FollowUp.objects.get().checked_at

    followup.check(made, now=now + timedelta(days=90))

    assert FollowUp.objects.get().checked_at == checked
