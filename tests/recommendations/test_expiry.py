"""What ends a recommendation: prices, prompt version, traffic mix, retirement, thirty days."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.test import Client
from django.utils import timezone

from agentopt.lib.immutable import door
from agentopt.sandbox.server import Sandbox
from ingestion.models import ModelOffer, Price
from projects.models import Project, User
from recommendations import expiry, services, states, transitions
from recommendations.models import Recommendation
from tests.evaluation import people, studies
from tests.recommendations import documents, moves


@pytest.fixture
def now() -> datetime:
    return timezone.now()


@pytest.fixture
def made(project: Project) -> Recommendation:
    return moves.recommend(project, days_old=10)


def silent(**_progress: Any) -> None:
    """A beat that nobody hears."""


def codes(made: Recommendation, now: datetime) -> list[str]:
    return [one.code for one in expiry.endings(made, now=now)]


def _priced(made: Recommendation, *, known: int, now_costs: int) -> None:
    offer = ModelOffer.objects.get(name=moves.NEW)
    day = timezone.now().astimezone(UTC).date()
    for valid_from, amount in ((day - timedelta(days=90), known), (day - timedelta(days=2), now_costs)):
        Price.objects.create(
            offer=offer, valid_from=valid_from, input_nanousd=amount, output_nanousd=amount, source="test"
        )
    price = {"model": moves.NEW, "input_nanousd_per_million": known, "output_nanousd_per_million": known}
    with door():
        Recommendation.objects.filter(pk=made.pk).update(provenance={"prices": [price]})
    made.refresh_from_db()


def test_nothing_ends_it_while_all_is_as_it_was(project: Project, made: Recommendation, now: datetime) -> None:
    moves.serve(project, moves.OLD, since=now - timedelta(days=40), days=40, a_day=10, prompt_version="v1")
    _priced(made, known=5, now_costs=5)

    assert codes(made, now) == []
    assert expiry.expire_all(project, now=now, beat=silent) == 0


def test_a_new_price_of_the_recommended_model_ends_it(made: Recommendation, now: datetime) -> None:
    _priced(made, known=5, now_costs=6)

    assert codes(made, now) == [expiry.PRICE_CHANGED]


def test_a_model_that_retired_ends_it(made: Recommendation, now: datetime) -> None:
    ModelOffer.objects.filter(name=moves.NEW).update(retires_on=now.astimezone(UTC).date())

    assert codes(made, now) == [expiry.MODEL_RETIRED]


def _as_judged(place: int, candidate: bool) -> float:
    return 0.5 + (0.25 if place % 3 else -0.25) * candidate


def _otherwise(place: int, candidate: bool) -> float:
    """People who see the better one by a rule that has nothing to do with the judge's."""
    return 0.5 + (0.25 if place % 2 else -0.25) * candidate


def test_a_judge_that_people_call_unfit_since_ends_it_and_says_by_how_many_labels(
    project: Project, sandbox: Sandbox, tmp_path: Path, reader: User, client_of: Callable[[User], Client]
) -> None:
    studies.connect(project, sandbox.url)
    studies.take_in(project, studies.support_log(60), tmp_path)
    judged = people.study(project, sandbox, _as_judged, limit=60)
    made = documents.store(project, documents.recommended(), evaluation=judged)
    before = timezone.now()
    assert codes(made, before) == []

    people.label(judged, people.answered(judged), _otherwise)

    found = expiry.endings(made, now=timezone.now())
    assert [one.code for one in found] == [expiry.JUDGE_UNFIT]
    assert found[0].text.startswith(f"Unfit by the labels of people since: {studies.JUDGE} (kappa ")
    assert "n = 60)" in found[0].text
    text = client_of(reader).get(made.get_absolute_url()).content.decode()
    assert found[0].text in text  # before the job marks it, its page warns
    assert expiry.expire_all(project, now=timezone.now(), beat=silent) == 1
    assert transitions.state_of(made, now=timezone.now()) == states.OUT_OF_DATE
    text = client_of(reader).get(made.get_absolute_url()).content.decode()
    assert "Out of date since" in text
    # what was known when it was decided is no news
    judged.policy = {**judged.policy, "unfit": [0]}
    judged.save()
    assert expiry.doubts(made) == ""


def test_a_prompt_version_that_was_not_evaluated_ends_it_once_it_serves(
    project: Project, made: Recommendation, now: datetime
) -> None:
    moves.serve(project, moves.OLD, since=now - timedelta(days=40), days=38, a_day=10, prompt_version="v1")
    assert codes(made, now) == []

    moves.serve(project, moves.OLD, since=now - timedelta(days=2), days=2, a_day=30, prompt_version="v2")

    found = expiry.endings(made, now=now)
    assert [one.code for one in found] == [expiry.PROMPT_CHANGED]
    assert "v2" in found[0].text


def test_advice_on_one_version_of_the_prompt_ends_when_the_others_take_over(
    project: Project, made: Recommendation, now: datetime
) -> None:
    made.evaluation.prompt_version = "v2"
    made.evaluation.save()
    for version in ("v1", "v2"):
        moves.serve(project, moves.OLD, since=now - timedelta(days=40), days=38, a_day=10, prompt_version=version)
    assert codes(made, now) == []  # half of the calls were of the other one all the time

    moves.serve(project, moves.OLD, since=now - timedelta(days=2), days=2, a_day=30, prompt_version="v1")

    found = expiry.endings(made, now=now)
    assert [one.code for one in found] == [expiry.PROMPT_CHANGED]
    assert "v1" in found[0].text


@pytest.mark.parametrize(("orders_since", "ends"), [(10, False), (30, True)])
def test_a_mix_that_moved_by_more_than_ten_points_ends_it(
    project: Project, made: Recommendation, now: datetime, orders_since: int, ends: bool
) -> None:
    refunds, orders = moves.use_case(project, "Refunds"), moves.use_case(project, "Orders")
    for since, days, n_orders in ((40, 30, 10), (10, 10, orders_since)):
        start = now - timedelta(days=since)
        moves.serve(project, moves.OLD, since=start, days=days, a_day=30, use_case=refunds)
        moves.serve(project, moves.OLD, since=start, days=days, a_day=n_orders, use_case=orders)

    assert (expiry.MIX_MOVED in codes(made, now)) == ends


def test_thirty_days_end_it_and_the_step_says_so(project: Project, now: datetime) -> None:
    made = moves.recommend(project, days_old=31)

    assert expiry.expire_all(project, now=now, beat=silent) == 1
    assert expiry.expire_all(project, now=now, beat=silent) == 0

    step = made.transitions.get()
    assert (step.state, step.code, step.by) == ("out_of_date", expiry.DAYS_OVER, None)


def test_what_was_dismissed_stays_dismissed(project: Project, now: datetime, member: User) -> None:
    made = moves.recommend(project, days_old=29)
    services.dismiss(made, by=member, now=now, note="no")

    expiry.expire(made, now=now + timedelta(days=3))

    assert transitions.state_of(made, now=now + timedelta(days=3)) == states.DISMISSED


@pytest.mark.parametrize(
    ("before", "after", "moved"),
    [
        # by hand: shares 0.5/0.5 to 0.8/0.2 move 0.3; chance: sd √(0.25 / 50000) · 0.798 = 0.0018, both halves
        ((50_000, 50_000), (80_000, 20_000), 0.298),
        ((5_000, 5_000), (5_000, 5_000), 0.0),
        ((100, 100), (10, 10), None),
    ],
)
def test_the_share_that_moved(before: Sequence[int], after: Sequence[int], moved: float | None) -> None:
    found = expiry.moved_share(dict(zip("ab", before, strict=True)), dict(zip("ab", after, strict=True)))

    assert found == (None if moved is None else pytest.approx(moved, abs=0.001))


def test_chance_alone_hardly_moves_it() -> None:
    rng = np.random.default_rng(5)
    shares = [0.3, 0.25, 0.2, 0.15, 0.1]
    moved = []
    for _ in range(200):
        before, after = (dict(enumerate(rng.multinomial(n, shares).tolist())) for n in (2000, 300))
        moved.append(
            expiry.moved_share(
                {str(k): v for k, v in before.items()}, {str(k): v for k, v in after.items()}
            )
        )  # fmt: skip

    assert max(x for x in moved if x is not None) < expiry.MOST_MOVED
