"""Repetitions and calls of the model in production: what is asked and judged, and what the decision makes of it."""

from typing import Any

import numpy as np
import pytest

from agentopt.lib.errors import Invalid
from agentopt.sandbox.server import Sandbox
from evaluation import comparison, measurements
from evaluation.judges import panel
from evaluation.measurements import Cell, Line, Measurements
from evaluation.models import Evaluation, Replay, Verdict
from evaluation.repeating import Baseline, Repeating
from projects.models import Project
from tests.evaluation import studies

CHAIRS = (panel.Chair(0, "correctness", "judge"),)


def _cell(score: float | None, *, cost: int = 10, latency_us: int = 10**6, status: str = "answered") -> Cell:
    return Cell(status, None, cost, latency_us, ((score,),))


def _measured(lines: list[Line], repeating: Repeating) -> Measurements:
    return Measurements(2, CHAIRS, (1,), {}, {"answered": 1.0}, repeating, tuple(lines))


def _study(ready: Project, sandbox: Sandbox, **more: Any) -> Evaluation:
    gateway = studies.connect(ready, sandbox.url)
    evaluation = studies.open_study(ready, gateway, rubrics=["correctness"], limit=60, **more)
    return studies.run_to_end(evaluation, gateway)


# ------------------------------------------------------------------------------------------------ the decision's rows
def test_a_cell_is_the_mean_over_repetitions_and_stability_their_distance() -> None:
    repeating = Repeating(3, Baseline.LOGGED)
    drawn = next(p for p in range(5) if repeating.is_drawn(p))
    plain = Line(1, 0, "", (_cell(0.8), _cell(0.6)))
    more = (
        (_cell(0.7), _cell(0.9)),  # the model in production was called thrice: 0.8 below, then these
        (_cell(0.4, cost=40, latency_us=3 * 10**6), _cell(0.2, cost=10, latency_us=2 * 10**6)),
    )
    asked = Line(2, 1, "", (_cell(0.5), _cell(0.6, cost=10)), _cell(0.8), more)
    lines = [plain] * 5
    lines[drawn] = asked

    table = measurements.table(_measured(lines, repeating))

    # by hand: (0.6 + 0.4 + 0.2) / 3; its logged answer alone counts for the model in production
    assert table.samples.guards["quality"][drawn] == pytest.approx([0.5, 0.4])
    assert table.samples.cost_usd is not None
    assert table.samples.cost_usd[drawn] == pytest.approx([10e-9, 20e-9])
    # distances 0.1, 0.1, 0.2 of 0.8, 0.7, 0.9, and 0.2, 0.4, 0.2 of 0.6, 0.4, 0.2
    assert table.samples.guards["stability"][drawn] == pytest.approx([1 - 0.4 / 3, 1 - 0.8 / 3])
    others = np.delete(table.samples.guards["stability"], drawn, axis=0)
    assert np.isnan(others).all()
    assert table.measured.tolist() == [5, 5]


def test_a_prompt_is_whole_only_with_all_its_repetitions_judged() -> None:
    repeating = Repeating(2, Baseline.LOGGED)
    drawn = next(p for p in range(5) if repeating.is_drawn(p))
    whole = Line(2, 1, "", (_cell(0.5), _cell(0.6)), _cell(0.8), ((_cell(0.7),), (_cell(0.4),)))
    raw = Cell("answered", None, 1, 1, ((),))
    unjudged = Line(2, 1, "", (_cell(0.5), _cell(0.6)), _cell(0.8), ((_cell(0.7),), (raw,)))
    lacking = Line(2, 1, "", (_cell(0.5), _cell(0.6)), _cell(0.8), ((), (_cell(0.4),)))
    plain = [Line(1, 0, "", (_cell(0.8), _cell(0.6)))] * 5

    def counts(line: Line) -> list[int]:
        lines = [*plain]
        lines[drawn] = line
        return [int(n) for n in measurements.table(_measured(lines, repeating)).measured]

    assert counts(whole) == [5, 5]
    assert counts(unjudged) == [5, drawn]
    assert counts(lacking) == [drawn, 5]


def test_replayed_the_model_in_production_is_measured_by_its_calls_alone() -> None:
    line = Line(1, 0, "", (_cell(0.2, cost=99), _cell(0.6)), _cell(0.9, cost=30, latency_us=2 * 10**6))

    samples = measurements.table(_measured([line], Repeating(1, Baseline.REPLAYED))).samples

    assert samples.guards["quality"][0] == pytest.approx([0.9, 0.6])
    assert samples.cost_usd is not None
    assert samples.cost_usd[0] == pytest.approx([30e-9, 10e-9])
    assert samples.latency_s is not None
    assert samples.latency_s[0] == pytest.approx([2.0, 1.0])
    assert samples.baseline is None  # means over the log are of other calls


@pytest.mark.parametrize("baseline", list(Baseline))
def test_what_was_measured_is_the_same_after_json(baseline: Baseline) -> None:
    line = Line(1, 0, "", (_cell(0.2), _cell(0.6)), _cell(0.9), ((_cell(0.1),), (_cell(None),)))
    found = _measured([line], Repeating(2, baseline, 3))

    assert Measurements.from_json(found.to_json()) == found


# ------------------------------------------------------------------------------------------------ a run
def test_repetitions_are_asked_judged_and_decided_on(ready: Project, sandbox: Sandbox) -> None:
    evaluation = _study(ready, sandbox, repetitions=3)

    repeating = evaluation.repeating()
    assert evaluation.state == Evaluation.State.DONE
    reached = Replay.objects.filter(sample__evaluation=evaluation, candidate__position=1, repetition=0)
    positions = sorted(reached.values_list("sample__position", flat=True))
    for position in positions:
        rows = Replay.objects.filter(sample__evaluation=evaluation, sample__position=position)
        asked = list(rows.filter(candidate__position=1).order_by("repetition").values_list("repetition", flat=True))
        called = list(rows.filter(candidate__position=0).order_by("repetition").values_list("repetition", flat=True))
        assert asked == list(repeating.of_candidate(position))
        assert called == [0, *repeating.of_baseline(position)]
    judged = Verdict.objects.filter(replay__sample__evaluation=evaluation, replay__repetition__gt=0)
    answered = Replay.objects.filter(sample__evaluation=evaluation, repetition__gt=0, status="answered")
    assert judged.count() == answered.count() > 0
    stability = comparison.read(evaluation).samples.guards["stability"]
    assert np.isfinite(stability).any()
    assert "stability" in dict(evaluation.policy["margins"])
    assert evaluation.comparisons.filter(metric="stability", n_prompts__gt=0).exists()
    assert comparison.recompute(evaluation).code == evaluation.reason


def test_without_repetitions_nothing_is_asked_twice(ready: Project, sandbox: Sandbox) -> None:
    evaluation = _study(ready, sandbox)

    assert not Replay.objects.filter(sample__evaluation=evaluation, repetition__gt=0).exists()
    assert "stability" not in comparison.read(evaluation).samples.guards


def test_replayed_judges_its_calls_and_not_the_log(ready: Project, sandbox: Sandbox) -> None:
    evaluation = _study(ready, sandbox, baseline_answers="replayed")

    own = Verdict.objects.filter(replay__sample__evaluation=evaluation, replay__candidate__position=0)
    assert set(own.values_list("replay__repetition", flat=True)) == {1}
    assert evaluation.conditions["baseline"]["quality"] == "called beside the candidates"
    assert comparison.read(evaluation).samples.latency_s is not None


def test_a_subset_is_called_and_latency_does_not_count(ready: Project, sandbox: Sandbox) -> None:
    evaluation = _study(ready, sandbox, baseline_answers="subset")

    called = Replay.objects.filter(sample__evaluation=evaluation, candidate__position=0, repetition=1)
    drawn = set(called.values_list("sample__position", flat=True))
    assert drawn
    assert all(evaluation.repeating().is_drawn(position) for position in drawn)
    assert comparison.read(evaluation).samples.latency_s is None
    assert not Verdict.objects.filter(replay__in=called).exists()


def test_the_forecast_counts_repetitions(ready: Project, sandbox: Sandbox) -> None:
    gateway = studies.connect(ready, sandbox.url)
    once = studies.open_study(ready, gateway, limit=60)
    thrice = studies.open_study(ready, gateway, limit=60, repetitions=3)

    more = ("replay_calls_expected", "judge_calls_expected", "replay_calls_at_most", "cost_expected_nanousd")
    assert all(thrice.forecast[name] > once.forecast[name] for name in more)
    # of one candidate on at most 60 prompts: 60 and 12 times two more, and 12 prompts thrice of the baseline
    assert once.forecast["replay_calls_at_most"] == 60
    assert thrice.forecast["replay_calls_at_most"] == 60 + 24 + 36


@pytest.mark.parametrize("odd", [{"repetitions": 0}, {"repetitions": 11}, {"baseline_answers": "other"}])
def test_what_makes_no_sense_is_refused_by_name(ready: Project, sandbox: Sandbox, odd: dict[str, object]) -> None:
    gateway = studies.connect(ready, sandbox.url)

    with pytest.raises(Invalid) as refused:
        studies.open_study(ready, gateway, **odd)  # type: ignore[arg-type]  # wrong on purpose

    assert list(refused.value.fields) == list(odd)
