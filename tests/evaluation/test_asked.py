"""How models were asked: drift of latency, stability, tool calls, adaptations; on the page and over HTTP."""

import statistics
from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from agentopt.sandbox.server import Sandbox
from evaluation import asked
from evaluation.models import Evaluation, Replay
from projects.models import Project, User
from tests.evaluation import studies

Clients = Callable[[User], Client]


@pytest.fixture(scope="module")
def ended_once(ready_once: Project, sandbox: Sandbox) -> int:
    gateway = studies.connect(ready_once, sandbox.url)
    evaluation = studies.open_study(ready_once, gateway, limit=60, repetitions=2, baseline_answers="beside")
    return studies.run_to_end(evaluation, gateway).pk


@pytest.fixture
def ended(ended_once: int, db: None) -> Evaluation:
    return Evaluation.objects.get(pk=ended_once)


def test_a_median_difference_by_hand() -> None:
    # differences 1, 1, 1, 1, 1, 3: of six the interval at 95 % runs from the smallest to the largest
    found = asked.moved([(1.0, 2.0)] * 5 + [(2.0, 5.0)])

    assert found == asked.Moved(6, 1.0, 2.0, 1.0, 1.0, 3.0)
    assert asked.moved([]) is None
    few = asked.moved([(1.0, 2.0)] * 5)
    assert few is not None
    assert few.low_s is None


@given(st.lists(st.tuples(st.floats(0.01, 60), st.floats(0.01, 60)), min_size=6, max_size=60))
def test_the_interval_holds_the_median(pairs: list[tuple[float, float]]) -> None:
    found = asked.moved(pairs)

    assert found is not None
    assert found.low_s is not None
    assert found.high_s is not None
    assert found.low_s <= found.difference_s <= found.high_s
    assert found.difference_s == pytest.approx(statistics.median(after - before for before, after in pairs))


def test_drift_is_of_one_model_and_the_rest_of_two_at_one_time(ended: Evaluation) -> None:
    base = Replay.objects.filter(sample__evaluation=ended, candidate__position=0, status="answered")
    base.filter(repetition=0).update(latency_us=1_000_000)
    base.filter(repetition__gt=0).update(latency_us=1_500_000)
    Replay.objects.filter(sample__evaluation=ended, candidate__position=1).update(latency_us=1_200_000)

    found = asked.read(ended)

    assert found.drift is not None
    assert found.drift.difference_s == pytest.approx(0.5)
    assert found.arms[1].beside is not None
    assert found.arms[1].beside.difference_s == pytest.approx(-0.3)
    assert found.arms[1].beside.n > 20


def test_stability_counts_prompts_answered_twice(ended: Evaluation) -> None:
    drawn = Replay.objects.filter(sample__evaluation=ended, candidate__position=1, repetition=1, status="answered")
    rows = [(one, Replay.objects.get(sample=one.sample, candidate=one.candidate, repetition=0)) for one in drawn]
    both = [(one, first) for one, first in rows if first.status == "answered"]
    same = sum(one.answer == first.answer and _asked(one) == _asked(first) for one, first in both)

    told = asked.read(ended).arms[1].stability

    assert told is not None
    assert told.prompts == len(both) > 0
    assert told.same.estimate == pytest.approx(same / len(both))
    assert told.scored > 0
    assert told.variance is not None
    assert told.variance >= 0


def _asked(row: Replay) -> list[object]:
    """What was called with what, without the ids, which every answer gives anew."""
    return [call["function"] for call in row.tool_calls]


def test_two_unlike_answers_are_told(ended: Evaluation) -> None:
    drawn = Replay.objects.filter(sample__evaluation=ended, candidate__position=1, repetition=1)
    drawn.update(answer_hash="other")

    told = asked.read(ended).arms[1].stability

    assert told is not None
    assert told.same.estimate == 0.0


def test_the_page_and_the_api_say_the_same(ended: Evaluation, reader: User, client_of: Clients) -> None:
    own = [ended.project.slug, ended.number]
    Replay.objects.filter(sample__evaluation=ended, candidate__position=1, repetition=0).update(
        adapted="1:temperature_lowered", first_token_us=250_000
    )

    page = client_of(reader).get(reverse("evaluation:replay", args=own)).content.decode()
    told = client_of(reader).get(reverse("api-evaluation-asked", args=own)).json()

    assert "temperature lowered" in page
    assert "2 answers of each model to one prompt of five" in page
    assert told["arms"][1]["first_token_s"] == 0.25
    assert told["conditions"]["baseline"]["latency"] == "called beside the candidates"
    assert told["drift"]["n"] == asked.read(ended).drift.n  # type: ignore[union-attr]  # it was called
    assert told["arms"][1]["tools"]["prompts"] >= told["arms"][1]["tools"]["agrees"]


def test_without_calls_of_production_nothing_is_said_about_drift(
    ready_once: Project, sandbox: Sandbox, reader: User, client_of: Clients
) -> None:
    opened = studies.open_study(ready_once, studies.connect(ready_once, sandbox.url), limit=30)

    page = client_of(reader).get(reverse("evaluation:replay", args=[ready_once.slug, opened.number])).content.decode()

    assert asked.read(opened).drift is None
    assert "cannot be told from a difference of models" in page
