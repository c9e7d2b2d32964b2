"""Labels of people: what counts, which pair comes next, and what they do to a decision and to a card."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np
import pytest
from django.db import DatabaseError, transaction
from django.utils import timezone
from sklearn.metrics import cohen_kappa_score

from agentopt.lib.errors import Invalid
from agentopt.sandbox.server import Sandbox
from evaluation import accuracy, comparison, labels
from evaluation.models import Evaluation, HumanLabel, Judge, JudgeVersion, Replay, Seat, Verdict
from evaluation.statistics import decision, fitness
from evaluation.statistics.fitness import Fitness, Why
from evaluation.statistics.policy import Policy
from projects.models import Project
from tests.evaluation import people, studies


def _judge(place: int, candidate: bool) -> float | None:
    return 0.5 + (0.2 if place % 3 else -0.2) * candidate


def _as_judged(place: int, candidate: bool) -> float | None:
    return 0.5 + (0.25 if place % 3 else -0.25) * candidate


def _otherwise(place: int, candidate: bool) -> float | None:
    """People who see the better one by another rule, which has nothing to do with the judge's."""
    return 0.5 + (0.25 if place % 2 else -0.25) * candidate


@pytest.fixture
def study(ready: Project, sandbox: Sandbox) -> Evaluation:
    """An evaluation of 60 prompts whose answers are judged and not yet labeled."""
    return people.study(ready, sandbox, _judge, limit=60)


# ------------------------------------------------------------------------------------------------ what counts
def test_of_one_person_on_one_answer_the_last_label_counts_and_the_first_stays(study: Evaluation) -> None:
    people.label(study, [3], lambda *_: 0.0)
    people.label(study, [3], lambda *_: 1.0)
    people.label(study, [3], lambda *_: 0.5, rater="person 2")

    said = labels.of_evaluation(study)

    sample = study.samples.get(position=3)
    both = said[sample.pk, people.leading(study).pk]
    assert {rater: one.score for rater, one in both.items()} == {"person 1": 1.0, "person 2": 0.5}
    assert labels.agreed(both) == 0.75
    assert HumanLabel.objects.count() == 6


def test_the_database_refuses_to_change_or_remove_a_label(study: Evaluation) -> None:
    people.label(study, [3], _as_judged)

    with pytest.raises(DatabaseError, match="immutable"), transaction.atomic():
        HumanLabel.objects.update(score=1.0)
    with pytest.raises(DatabaseError, match="immutable"), transaction.atomic():
        HumanLabel.objects.all().delete()


def test_a_label_follows_its_answer_into_the_next_evaluation_of_the_same_calls(
    study: Evaluation, sandbox: Sandbox
) -> None:
    people.label(study, [3], lambda _, candidate: 0.25 + 0.5 * candidate)
    again = people.study(study.project, sandbox, _judge, limit=60)
    record = study.samples.get(position=3).record_id
    place = again.samples.get(record=record)
    Replay.objects.filter(sample=place, candidate__position=1).update(answer_hash=f"{3:064d}")

    said = labels.of_evaluation(again)

    assert {one.score for one in said[place.pk, people.leading(again).pk].values()} == {0.75}


def test_failed_calls_and_scores_off_the_scale_are_refused(study: Evaluation) -> None:
    row = people.answer(study, 3, candidate=True)

    with pytest.raises(Invalid, match="outside 0 to 1"):
        labels.add(study.project, [labels.Said(row, 1.5)], rater="x", source="api", blind=False)
    row.status = Replay.Status.FAILED
    with pytest.raises(Invalid, match="a call that failed"):
        labels.add(study.project, [labels.Said(row, 0.5)], rater="x", source="api", blind=False)


# ------------------------------------------------------------------------------------------------ the queue
def test_the_queue_holds_every_pair_once_and_leaves_out_what_one_labeled(study: Evaluation) -> None:
    first = labels.queue(study, "person 1")
    assert {pair.position for pair in first.order} == set(people.answered(study))
    pair = first.next()
    assert pair is not None

    people.label(study, [pair.position], _as_judged)

    queue = labels.queue(study, "person 1")
    following = queue.next()
    assert following is not None
    assert following.position != pair.position
    assert (queue.done, queue.mine, queue.shared) == (1, 1, 0)


def test_a_second_person_gets_pairs_of_the_first_in_turns_with_new_ones(study: Evaluation) -> None:
    order = [pair.position for pair in labels.queue(study, "person 1").order]
    people.label(study, order[:4], _as_judged)

    fresh = labels.queue(study, "person 2").next()
    assert fresh is not None
    people.label(study, [fresh.position], _as_judged, rater="person 2")
    shared = labels.queue(study, "person 2").next()

    assert fresh.position == order[4]
    assert shared is not None
    assert shared.position in order[:4]


def test_a_pair_that_was_put_off_comes_after_the_others(study: Evaluation) -> None:
    queue = labels.queue(study, "person 1")
    first = queue.next()
    assert first is not None

    second = queue.next(passed=[first.key])

    assert second is not None
    assert second != first


# ------------------------------------------------------------------------------------------------ the decision
def test_labels_made_before_it_was_opened_reach_the_decision_and_later_ones_do_not(study: Evaluation) -> None:
    people.label(study, people.answered(study)[:12], _as_judged)

    assert comparison.read(study).samples.human is None
    Evaluation.objects.filter(pk=study.pk).update(created_at=timezone.now())
    study.refresh_from_db()
    human = comparison.read(study).samples.human

    assert human is not None
    assert int(np.isfinite(human).all(1).sum()) == 12


def test_the_same_run_again_counts_as_a_further_try_once_there_are_labels(study: Evaluation, sandbox: Sandbox) -> None:
    gateway = studies.connect(study.project, sandbox.url)
    same = studies.open_study(study.project, gateway, rubrics=["correctness"], limit=60)
    people.label(study, [people.answered(study)[0]], _as_judged)

    labeled = studies.open_study(study.project, gateway, rubrics=["correctness"], limit=60)

    assert same.population["drawn"] == study.population["drawn"]
    assert labeled.population["drawn"] != study.population["drawn"]


# ------------------------------------------------------------------------------------------------ the card
def test_a_judge_that_people_confirm_is_fit_and_its_kappa_is_that_of_scikit_learn(study: Evaluation) -> None:
    positions = people.answered(study)[:40]
    people.label(
        study, positions, lambda place, candidate: (_otherwise if place % 8 == 0 else _as_judged)(place, candidate)
    )

    (one,) = accuracy.report(study.project).cards

    judge = ["better" if place % 3 else "worse" for place in positions]
    truth = [("better" if place % 2 else "worse") if place % 8 == 0 else said
             for place, said in zip(positions, judge, strict=True)]  # fmt: skip
    assert one.card.n == 40
    assert one.card.kappa.value == pytest.approx(cohen_kappa_score(judge, truth))
    assert (one.card.fitness, one.is_current) == (Fitness.FIT, True)
    assert one.wording.model == studies.JUDGE


def test_a_judge_near_chance_is_unfit_and_cannot_carry_a_recommendation(study: Evaluation, sandbox: Sandbox) -> None:
    people.label(study, people.answered(study), _otherwise)
    (one,) = accuracy.report(study.project).cards
    assert (one.card.fitness, one.card.why) == (Fitness.UNFIT, Why.NEAR_CHANCE)

    again = studies.open_study(
        study.project, studies.connect(study.project, sandbox.url), rubrics=["correctness"], limit=60
    )

    policy = Policy.from_json(again.policy)
    assert policy.unfit == (0,)
    assert accuracy.unfit_names(again) == [studies.JUDGE]
    better = np.tile([0.2, 0.9], (300, 1))
    samples = decision.Samples(
        guards={"quality": better, "answered": np.ones((300, 2)), "safety": np.ones((300, 2))}, unit=np.arange(300)
    )
    fit = decision.decide(samples, Policy())
    unfit = decision.decide(samples, Policy(unfit=policy.unfit))
    assert fit.recommended == 1
    assert (unfit.recommended, unfit.code) == (None, "judge_unfit")


def test_two_people_are_measured_against_each_other(study: Evaluation) -> None:
    positions = people.answered(study)[:36]
    people.label(study, positions, _as_judged)
    people.label(study, positions, _as_judged, rater="ann")
    people.label(study, positions[:2], _otherwise, rater="ann")

    found = accuracy.report(study.project).people

    assert (found.raters, found.shared, found.pairs) == (2, 36, 36)
    assert found.preference.value is not None
    assert found.preference.n == 36
    assert found.alpha.value is not None


def test_what_people_call_harmful_is_set_against_the_safety_judge_by_answer(study: Evaluation) -> None:
    seat = study.seats.get()
    safety = Judge.objects.create(project=study.project, rubric="safety", model=studies.JUDGE, counts_as="guard")
    version = JudgeVersion.objects.create(rubric="safety", text="s", lowest=1, highest=10, text_hash="e" * 64)
    Seat.objects.create(evaluation=study, judge=safety, version=version, counts_as="guard")
    for place in people.answered(study)[:36]:
        row = people.answer(study, place, candidate=True)
        score = 0.1 if place % 2 else 0.9
        Verdict.objects.create(replay=row, judge=safety, version=version, score=score, source="called", calls=2)
        said = labels.Said(row, 0.5, harmful=bool(place % 2) if place % 9 else None)
        labels.add(study.project, [said], rater="ann", source="api", blind=False)

    cards = {one.about: one for one in accuracy.report(study.project).cards}

    asked = [place for place in people.answered(study)[:36] if place % 9]
    assert cards["safety"].card.n == len(asked)
    assert cards["safety"].card.table.agreed == len(asked)
    assert cards["safety"].wording.rubrics == (("safety", "e" * 8),)
    assert cards["safety"].is_current
    assert cards["quality"].card.n == 0  # no pair has both answers labeled
    assert seat.judge.rubric == "correctness"


def test_the_cards_take_no_more_queries_for_more_labels(
    study: Evaluation, django_assert_max_num_queries: Callable[[int], AbstractContextManager[object]]
) -> None:
    people.label(study, people.answered(study)[:40], _as_judged)

    with django_assert_max_num_queries(16):
        accuracy.report(study.project)


def test_fewer_than_thirty_labels_say_nothing_about_a_judge(study: Evaluation) -> None:
    people.label(study, people.answered(study)[:29], _otherwise)

    (one,) = accuracy.report(study.project).cards

    assert (one.card.fitness, one.card.why) == (Fitness.UNKNOWN, Why.TOO_FEW)
    assert fitness.RULE.startswith("From 30 labels on")


def test_without_labels_there_is_no_card_and_no_policy_changes(study: Evaluation) -> None:
    found = accuracy.report(study.project)

    assert found.cards == ()
    assert found.people.preference.value is None
    assert Policy.from_json(study.policy).unfit == ()
