"""Which calls an evaluation draws from, and the logged answers it starts with."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agentopt.lib.errors import Conflict, Invalid
from evaluation import logged, population
from evaluation.models import Candidate, Evaluation, Replay, Sample
from evaluation.values import Population
from ingestion.catalog import offers
from ingestion.models import LogRecord, UseCase, UseCaseAssignment
from projects.models import Project
from tests.evaluation import studies

NOW = datetime(2026, 11, 1, tzinfo=UTC)


def _row(index: int, *, days_ago: float = 1, answer: str = "It is on its way.", **more: Any) -> dict[str, Any]:
    row = studies.chat_row(index, "Where is my order?", answer, model=more.pop("model", "aurora-large"))
    return {**row, "created_at": (NOW - timedelta(days=days_ago)).isoformat(), **more}


def _read(project: Project, rows: Sequence[dict[str, Any]], folder: Path, **given: Any) -> Population:
    studies.take_in(project, rows, folder)
    asked = {"model": None, "records": None, "wanted": 30, **given}
    return population.read(project, now=NOW, **asked)


def test_the_baseline_is_the_model_with_most_calls_lately(project: Project, tmp_path: Path) -> None:
    old = [_row(i, days_ago=200, model="elder-1") for i in range(5)]
    new = [_row(10 + i, model="aurora-large") for i in range(3)] + [_row(20 + i, model="b") for i in range(2)]

    found = _read(project, old + new, tmp_path)

    assert (found.model, found.calls, len(found.prompts)) == ("aurora-large", 3, 3)


def test_the_window_is_thirty_days_of_the_log_where_these_hold_enough(project: Project, tmp_path: Path) -> None:
    rows = [_row(i, days_ago=1) for i in range(4)] + [_row(10 + i, days_ago=60) for i in range(4)]

    enough = _read(project, rows, tmp_path, wanted=4)
    more = population.read(project, model=None, records=None, wanted=5, now=NOW)

    assert enough.since == NOW - timedelta(days=31)
    assert len(enough.prompts) == 4
    assert more.since is None
    assert len(more.prompts) == 8


def test_what_cannot_be_replayed_is_counted_by_reason_and_left_out(project: Project, tmp_path: Path) -> None:
    rows = [_row(1), _row(2), {**_row(3), "response": None}, {**_row(4), "request": None}]

    found = _read(project, rows, tmp_path)

    assert len(found.prompts) == 2
    assert sum(left.calls for left in found.left_out) == found.calls - 2
    assert all(left.code and left.label for left in found.left_out)


def test_prompts_come_by_source_id_whatever_the_order_of_the_log(project: Project, tmp_path: Path) -> None:
    found = _read(project, [_row(i) for i in (3, 1, 2)], tmp_path)

    assert [prompt.source_id for prompt in found.prompts] == ["call-1", "call-2", "call-3"]


def test_the_means_of_the_baseline_hold_what_every_prompt_tells(project: Project, tmp_path: Path) -> None:
    # by hand: 1 of 4 declines; costs are known for none
    refusal = "I'm sorry, but I can't help with that."
    found = _read(project, [_row(1), _row(2), _row(3), _row(4, answer=refusal)], tmp_path)

    assert found.baseline_means() == {"answered": 0.75}


def test_without_logs_or_of_another_model_there_is_no_population(project: Project, tmp_path: Path) -> None:
    with pytest.raises(Conflict, match="no logs"):
        population.read(project, model=None, records=None, wanted=30, now=NOW)
    with pytest.raises(Invalid, match="No call of nope"):
        _read(project, [_row(1)], tmp_path, model="nope")


def test_calls_of_one_version_of_the_prompt_can_be_drawn_alone(project: Project, tmp_path: Path) -> None:
    # the new version is served by another model, the old one was served last 40 days ago
    old = [_row(i, days_ago=40 + i, prompt_slug="v1") for i in range(5)]
    new = [_row(10 + i, prompt_slug="v2", model="b") for i in range(3)]
    both = _read(project, [*old, *new, _row(20, model="b")], tmp_path, wanted=4)

    of_new = population.read(project, model=None, records=None, wanted=3, now=NOW, prompt_version="v2")
    of_old = population.read(project, model=None, records=None, wanted=5, now=NOW, prompt_version="v1")

    assert (both.model, both.calls) == ("b", 4)
    assert (of_new.model, [prompt.source_id for prompt in of_new.prompts]) == ("b", ["call-10", "call-11", "call-12"])
    assert (of_old.model, of_old.calls, of_old.since) == ("aurora-large", 5, NOW - timedelta(days=70))
    with pytest.raises(Invalid, match="No call of prompt version v3 is logged") as refused:
        population.read(project, model=None, records=None, wanted=3, now=NOW, prompt_version="v3")
    assert refused.value.fields == {"prompt_version": "Expected one of: v1, v2."}
    with pytest.raises(Invalid) as of_model:
        population.read(project, model="b", records=None, wanted=3, now=NOW, prompt_version="v1")
    assert of_model.value.fields == {"baseline": "Expected one of: aurora-large."}


def test_a_logged_answer_becomes_a_replay_that_costs_nothing(project: Project, tmp_path: Path) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "look_up", "arguments": "{}"}}
    tool = {"choices": [{"message": {"role": "assistant", "content": None, "tool_calls": [call]}}]}
    rows = [_row(1), {**_row(2), "response": tool}, _row(3)]
    found = _read(project, rows, tmp_path)
    evaluation = _evaluation(project)
    baseline = Candidate.objects.create(
        evaluation=evaluation, offer=offers.ensure(project, "", "aurora-large"), position=0
    )  # fmt: skip
    samples = Sample.objects.bulk_create(
        Sample(evaluation=evaluation, position=i, record_id=prompt.pk) for i, prompt in enumerate(found.prompts)
    )

    logged.store(baseline, samples)

    first, second, _ = Replay.objects.order_by("sample__position")
    assert (first.status, first.answer, first.paid_nanousd) == ("answered", "It is on its way.", 0)
    assert (second.answer, second.tool_calls) == ("", [call])
    assert {row.source for row in Replay.objects.all()} == {Replay.Source.LOGGED}


def _evaluation(project: Project) -> Evaluation:
    return Evaluation.objects.create(
        project=project, number=1, goal=project.goals.get(), seed=7, limit=3, window_until=NOW, policy={},
        population={}, selection={}, forecast={}, cap_nanousd=0,
    )  # fmt: skip


def test_a_call_has_the_use_case_it_is_assigned_to_else_the_one_its_log_names(project: Project, tmp_path: Path) -> None:
    rows = [_row(1), _row(2, metadata={"use_case": "orders"}), _row(3)]
    studies.take_in(project, rows, tmp_path)
    assigned = LogRecord.objects.filter(project=project).order_by("source_id").first()
    assert assigned is not None
    root = UseCase.objects.create(project=project, number=1, origin="found", name="refunds")
    merged = UseCase.objects.create(project=project, number=2, origin="found", name="money", merged_into=root)
    UseCaseAssignment.objects.create(record=assigned, use_case=merged)

    found = population.read(project, model=None, records=None, wanted=30, now=NOW)

    assert sorted(prompt.use_case for prompt in found.prompts) == ["", "orders", "refunds"]
    assert next(p.use_case for p in found.prompts if p.pk == assigned.pk) == "refunds"


def test_of_a_long_window_a_repeatable_sample_is_read_and_said(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(population, "MOST_CALLS", 6)

    first = _read(project, [_row(i) for i in range(20)], tmp_path)
    again = population.read(project, model=None, records=None, wanted=30, now=NOW)

    assert (first.calls, first.sampled, len(first.prompts)) == (6, True, 6)
    assert again.prompts == first.prompts
    assert first.to_json()["sampled"] is True


def test_calls_that_are_left_out_are_named_by_some_ids(project: Project, tmp_path: Path) -> None:
    found = _read(project, [_row(1), *({**_row(i), "request": None} for i in range(2, 9))], tmp_path)

    (left,) = found.left_out
    without = LogRecord.objects.exclude(obstacle="").values_list("pk", flat=True)
    assert (left.calls, len(left.examples)) == (7, 3)
    assert set(left.examples) < set(without)
