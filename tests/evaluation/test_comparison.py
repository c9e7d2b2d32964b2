"""What a call becomes in the arrays of the decision, cell by cell."""

import math
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.utils import timezone

from agentopt.lib.errors import Conflict
from agentopt.sandbox.server import Sandbox
from evaluation import comparison
from evaluation.models import Comparison, Evaluation, Replay, Seat, Verdict
from evaluation.statistics.decision import Wanted
from projects.models import Goal, Project
from tests.evaluation import studies

Status = Replay.Status
NAN = math.nan
Scores = dict[str, float | None]


@pytest.fixture
def study(project: Project, sandbox: Sandbox, tmp_path: Path) -> Evaluation:
    """Nothing but samples: what the log answered is taken away."""
    gateway = studies.connect(project, sandbox.url)
    studies.take_in(project, studies.support_log(40), tmp_path)
    evaluation = studies.open_study(project, gateway, limit=30, judges=("judge-a", "judge-b"))
    Replay.objects.all().delete()
    return evaluation


def put(study: Evaluation, cell: tuple[int, int], *, scores: Scores | None = None, **more: Any) -> None:
    """Store an answer at (row, column), with verdicts of the seats that `scores` names: rubric, end of the model."""
    candidate = study.candidates.get(position=cell[1])
    fields = {"status": Status.ANSWERED, "source": Replay.Source.CALLED, "refused": False, **more}
    replay = Replay.objects.create(sample=study.samples.get(position=cell[0]), candidate=candidate, **fields)
    for seat in study.seats.select_related("judge"):
        name = f"{seat.judge.rubric} {seat.judge.model[-1]}"
        if scores is not None and name in scores:
            judged(replay, seat, score=scores[name])


def judged(replay: Replay, seat: Seat, *, score: float | None, calls: int = 2) -> None:
    Verdict.objects.create(
        replay=replay, judge=seat.judge, version=seat.version, score=score, calls=calls,
        reason="" if score is not None else "prose", source=Verdict.Source.CALLED,
    )  # fmt: skip


ALL: Scores = {"correctness a": 0.9, "safety a": 1.0, "correctness b": 0.5, "safety b": 0.8}


def test_an_answer_counts_as_the_panel_scored_it(study: Evaluation) -> None:
    put(study, (0, 0), scores=ALL, cost_nanousd=2_000_000)
    put(study, (0, 1), scores={**ALL, "correctness b": None}, cost_nanousd=500_000)

    samples = comparison.read(study, rows=1).samples

    # by hand: (0.9 + 0.5) / 2; one judge alone where the other is unscored
    assert samples.guards["quality"][0].tolist() == pytest.approx([0.7, 0.9])
    assert samples.guards["safety"][0].tolist() == pytest.approx([0.9, 0.9])
    assert samples.guards["answered"][0].tolist() == [1.0, 1.0]
    assert samples.cost_usd is not None
    assert samples.cost_usd[0].tolist() == pytest.approx([0.002, 0.0005])
    assert samples.scores_by_judge is not None
    np.testing.assert_allclose(samples.scores_by_judge[0], [[0.9, 0.5], [0.9, NAN]])
    assert samples.latency_s is None


def test_a_refusal_is_judged_and_not_answered(study: Evaluation) -> None:
    put(study, (0, 0), scores=ALL)
    put(study, (0, 1), scores=ALL, refused=True)

    samples = comparison.read(study, rows=1).samples

    assert samples.guards["answered"][0].tolist() == [1.0, 0.0]
    assert samples.guards["quality"][0].tolist() == pytest.approx([0.7, 0.7])


def test_a_failure_of_the_model_counts_against_it_but_does_no_harm(study: Evaluation) -> None:
    put(study, (0, 0), status=Status.FAILED)
    put(study, (0, 1), status=Status.FAILED)

    samples = comparison.read(study, rows=1).samples

    assert {name: box[0].tolist() for name, box in samples.guards.items()} == {
        "quality": [0.0, 0.0], "answered": [0.0, 0.0], "safety": [1.0, 1.0],
    }  # fmt: skip
    assert samples.scores_by_judge is not None
    assert samples.scores_by_judge[0].tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_what_could_not_be_asked_is_absent_everywhere(study: Evaluation) -> None:
    put(study, (0, 0), scores=ALL)
    put(study, (0, 1), status=Status.MISSING)

    samples = comparison.read(study, rows=1).samples

    assert all(np.isnan(box[0, 1]) and not np.isnan(box[0, 0]) for box in samples.guards.values())


def test_a_prompt_is_measured_once_called_and_judged_by_all(study: Evaluation) -> None:
    for row in range(30):
        put(study, (row, 0), scores=ALL)
    put(study, (0, 1), scores=ALL)
    put(study, (1, 1), status=Status.FAILED)
    put(study, (2, 1), scores={"correctness a": 0.5})

    said = comparison.measure(study)
    table = comparison.read(study)

    assert isinstance(said, Wanted)
    assert table.measured.tolist() == [30, 2]
    with pytest.raises(Conflict):
        comparison.recompute(study)


def test_an_unreadable_verdict_that_will_be_asked_again_is_not_there_yet(study: Evaluation) -> None:
    put(study, (0, 0), scores={name: ALL[name] for name in ("safety a", "correctness b", "safety b")})
    replay = Replay.objects.get()
    seat = study.seats.get(judge__rubric="correctness", judge__model="judge-a")

    judged(replay, seat, score=None, calls=1)
    once = comparison.read(study).measured[0]
    Verdict.objects.filter(score=None).update(calls=2)
    twice = comparison.read(study).measured[0]

    assert (once, twice) == (0, 1)


def test_limits_are_levels_to_exceed(study: Evaluation) -> None:
    limits = {"quality": 0.5, "cost_per_call_usd": 0.002, "latency_p95_s": 1.5}
    goal = Goal.objects.create(project=study.project, version=9, terms={"limits": limits})
    Evaluation.objects.filter(pk=study.pk).update(goal=goal)
    for row, (cost, latency) in enumerate([(1_000_000, 1_000_000), (6_000_000, 2_000_000), (None, None)]):
        put(study, (row, 0), scores=ALL)
        put(study, (row, 1), scores=ALL, cost_nanousd=cost, latency_us=latency)

    levels = comparison.read(Evaluation.objects.get(pk=study.pk), rows=3).samples.levels

    assert levels is not None
    # by hand: 1 − 0.001 / 0.004 = 0.75; 1 − 0.006 / 0.004 is below 0; not known
    np.testing.assert_allclose(levels["cost_per_call_usd"][:, 1], [0.75, 0.0, NAN])
    np.testing.assert_allclose(levels["latency_p95_s"][:, 1], [1.0, 0.0, NAN])
    assert levels["quality"][0].tolist() == pytest.approx([0.7, 0.7])


def test_a_conversation_is_one_unit_numbered_by_its_first_prompt(study: Evaluation) -> None:
    samples = comparison.read(study).samples

    traces = [study.samples.get(position=place).record.trace_id for place in range(30)]
    in_order = list(dict.fromkeys(traces))
    assert samples.unit.tolist() == [in_order.index(trace) for trace in traces]


def test_means_of_the_baseline_come_from_the_whole_population(study: Evaluation) -> None:
    for row in range(2):
        put(study, (row, 0), scores=ALL, cost_nanousd=5)
        put(study, (row, 1), scores=ALL, cost_nanousd=5)

    means = comparison.read(study, rows=2).samples.baseline

    assert dict(means or {}) == pytest.approx(study.population["baseline"])
    assert set(means or {}) == {"answered", "cost"}


def test_writing_an_outcome_twice_writes_the_same_rows(study: Evaluation) -> None:
    for row in range(30):
        label = ("refunds", "delivery")[row % 2]
        study.samples.filter(position=row).update(use_case=label)
        put(study, (row, 0), scores=ALL, cost_nanousd=2_000_000)
        put(study, (row, 1), scores={**ALL, "correctness a": 0.9 - 0.01 * (row % 7)}, cost_nanousd=500_000)
    outcome = comparison.recompute(study)

    comparison.store(study, outcome)
    first = rows_of(study)
    comparison.store(study, outcome)

    assert rows_of(study) == first
    assert {row["use_case"] for row in first} == {"", "refunds", "delivery"}
    cost = Comparison.objects.get(evaluation=study, use_case="", metric="cost")
    # by hand: 1 − 0.5 / 2
    assert cost.estimate == pytest.approx(0.75, abs=0.02)
    assert [cost.baseline, cost.value] == pytest.approx([0.002, 0.0005])


def rows_of(study: Evaluation) -> list[Any]:
    return list(
        study.comparisons.order_by("use_case", "metric").values("use_case", "metric", "estimate", "low", "high")
    )


def test_numbers_that_are_none_are_stored_as_not_known() -> None:
    assert comparison.finite({"a": math.nan, "b": math.inf, "c": 1.0, "d": "x"}) == {
        "a": None, "b": None, "c": 1.0, "d": "x",
    }  # fmt: skip


def test_no_clock_is_read(study: Evaluation) -> None:
    for row in range(30):
        put(study, (row, 0), scores=ALL)
        put(study, (row, 1), scores=ALL)
    first = comparison.recompute(study)

    Replay.objects.update(created_at=timezone.now() + timedelta(days=400))

    assert comparison.recompute(study) == first
