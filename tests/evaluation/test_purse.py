"""The hard caps, shared by processes, workers and evaluations."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from evaluation import purse
from evaluation.budget import Amount, Cap, Shortage, grant
from evaluation.models import Charge, Evaluation, Hold
from evaluation.purse import Purse, Settled
from projects.models import Goal, Project

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def _evaluation(project: Project, number: int = 1, **fields: Any) -> Evaluation:
    usual = {
        "project": project, "number": number, "goal": Goal.objects.get(project=project), "seed": 7, "limit": 10,
        "window_until": NOW, "policy": {}, "population": {}, "selection": {}, "forecast": {}, "cap_nanousd": 1000,
    }  # fmt: skip
    return Evaluation.objects.create(**{**usual, **fields})


def _purse(evaluation: Evaluation, *, block: int = 4, at: datetime = NOW) -> Purse:
    return Purse(evaluation.project, evaluation, lambda: at, block=block, wait_s=0)


def _cap(limit: int | None, *, spent: int = 0, held: int = 0, calls: int | None = None) -> Cap:
    return Cap("evaluation", limit, calls, Amount(spent, spent), Amount(held, held))


# ------------------------------------------------------------------------------------------------ the rule
def test_room_is_what_a_cap_leaves_of_spent_and_held() -> None:
    # by hand: 100 - 60 - 30 leaves 10
    assert grant([_cap(100, spent=60, held=30)], need=Amount(10, 1), want=Amount(10, 1)) == Amount(10, 1)
    assert grant([_cap(100, spent=60, held=30)], need=Amount(11, 1), want=Amount(11, 1)) == Shortage(
        "evaluation", "dollars", 100, 60
    )


def test_blocks_shrink_near_a_cap_and_the_tightest_cap_counts() -> None:
    caps = [_cap(1000), Cap("month", None, 8, Amount(0, 0), Amount(0, 0))]

    # by hand: a quarter of 1000, a quarter of 8
    assert grant(caps, need=Amount(10, 1), want=Amount(400, 40)) == Amount(250, 2)


def test_at_the_cap_nothing_is_sent_that_only_looks_free() -> None:
    assert grant([_cap(100, spent=100)], need=Amount(0, 1), want=Amount(0, 1)) == Shortage(
        "evaluation", "dollars", 100, 100
    )


def test_without_a_cap_room_is_what_is_wanted() -> None:
    assert grant([_cap(None)], need=Amount(1, 1), want=Amount(64, 64)) == Amount(64, 64)


# ------------------------------------------------------------------------------------------------ one purse
def test_what_calls_cost_takes_the_place_of_their_room(project: Project) -> None:
    evaluation = _evaluation(project)
    with _purse(evaluation) as held:
        assert held.take(100)
        assert held.take(100)

        held.settle([Settled(100, 70, 1), Settled(100, 30, 2)])

        charged = Charge.objects.get()
        assert (charged.nanousd, charged.calls, charged.unpriced) == (100, 3, 0)
        assert Hold.objects.get().nanousd + charged.nanousd <= evaluation.cap_nanousd
    assert not Hold.objects.exists()


def test_calls_that_cost_less_than_their_room_leave_it_to_others(project: Project) -> None:
    with _purse(_evaluation(project, cap_nanousd=200)) as held:
        sent = 0
        while held.take(100):
            sent += 1
            held.settle([Settled(100, 10, 1)])

    # by hand: after 11 calls 110 are spent, and 100 more would not fit
    assert sent == 11
    assert held.shortage == Shortage("evaluation", "dollars", 200, 110)


def test_a_cap_in_calls_counts_repeats_and_holds_without_any_price(project: Project) -> None:
    with _purse(_evaluation(project, cap_calls=10)) as held:
        sent = 0
        while held.take(None):
            sent += 1
            held.settle([Settled(0, 0, 3, is_unpriced=True)])

    # by hand: 3, 6, 9, and one more that ends at 12: passed by its own repeats only
    assert sent == 4
    assert held.shortage == Shortage("evaluation", "calls", 10, 12)
    assert sum(Charge.objects.values_list("unpriced", flat=True)) == 4


def test_a_month_counts_all_evaluations_judges_and_rankings_of_its_project_only(
    project: Project, make_project: Callable[..., Project]
) -> None:
    Project.objects.filter(pk=project.pk).update(monthly_cap_nanousd=300)
    project.refresh_from_db()
    one, other = _evaluation(project), _evaluation(project, 2)
    purse.charge(project, [Settled(0, 100, 1)], kind="verdicts", at=NOW, evaluation=other)
    purse.charge(project, [Settled(0, 100, 1)], kind="ranking", at=NOW)
    purse.charge(project, [Settled(0, 100, 1)], kind="replays", at=NOW.replace(month=10), evaluation=one)
    purse.charge(make_project("elsewhere"), [Settled(0, 100, 1)], kind="ranking", at=NOW)

    with _purse(one) as held:
        assert held.take(100)
        assert not held.take(100)

    assert held.shortage == Shortage("month", "dollars", 300, 200)
    with _purse(one, at=datetime(2026, 12, 1, tzinfo=UTC)) as next_month:
        assert next_month.take(250)


def test_room_of_a_process_that_is_gone_runs_out(project: Project) -> None:
    evaluation = _evaluation(project, cap_nanousd=100)
    killed = _purse(evaluation)
    assert killed.take(100)

    assert not _purse(evaluation).take(100)

    assert _purse(evaluation, at=NOW + timedelta(hours=1)).take(100)


def test_a_raised_cap_counts_at_once(project: Project) -> None:
    evaluation = _evaluation(project, cap_nanousd=100)
    with _purse(evaluation) as held:
        assert not held.take(150)
        Evaluation.objects.filter(pk=evaluation.pk).update(cap_nanousd=200)

        assert held.take(150)


def test_answers_and_their_charge_are_stored_together_or_not_at_all(project: Project) -> None:
    def fail() -> None:
        raise KeyError("the disk is full")

    held = _purse(_evaluation(project))
    held.take(10)

    with pytest.raises(KeyError):
        held.settle([Settled(10, 10, 1)], fail)

    assert not Charge.objects.exists()
    assert Hold.objects.get().nanousd >= 10


# ------------------------------------------------------------------------------------------------ several at once
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("capped", ["evaluation", "month"])
def test_workers_and_evaluations_at_once_never_pass_a_cap_together(
    transactional_db: None, project: Project, capped: str
) -> None:
    wide, cap = 10**9, 5_000
    if capped == "month":
        Project.objects.filter(pk=project.pk).update(monthly_cap_nanousd=cap)
        project.refresh_from_db()
    own = cap if capped == "evaluation" else wide
    one, other = _evaluation(project, cap_nanousd=own), _evaluation(project, 2, cap_nanousd=own)
    works_on = [one, one, one, one] if capped == "evaluation" else [one, one, other, other]
    start = threading.Barrier(len(works_on))

    def work(evaluation: Evaluation) -> int:
        """Eight calls in flight at most, each with room for 100 and costing 100."""
        try:
            start.wait(20)
            paid = 0
            with Purse(evaluation.project, evaluation, timezone.now, block=8, wait_s=0.2) as held:
                while True:
                    batch = 0
                    while batch < 8 and held.take(100):
                        batch += 1
                    if not batch:
                        return paid
                    held.settle([Settled(100, 100, 1)] * batch)
                    paid += batch
        finally:
            connection.close()

    with ThreadPoolExecutor(len(works_on)) as threads:
        paid = sum(threads.map(work, works_on))

    spent = sum(Charge.objects.values_list("nanousd", flat=True))
    assert spent == paid * 100 <= cap
    # who is refused while others hold room stops early, by what they have in flight at most
    assert spent >= cap - 3 * 8 * 100
    assert not Hold.objects.exists()
