"""Runs that go wrong in every way end in an outcome with its reason, on page and in evidence, never in an exception."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from agentopt.sandbox.server import running
from evaluation.models import Evaluation, Replay
from ingestion.models import ModelOffer
from projects.models import Project, User
from recommendations import reproduction, services
from recommendations.models import Recommendation
from tests.evaluation import studies

Clients = Callable[[User], Client]
Answers = dict[str, dict[str, tuple[str, float | None]]]
Rows = list[dict[str, Any]]
REFUSAL = "I'm sorry, but I can't help with that request."


def answers(of: Callable[[int], tuple[str, float | None]]) -> Answers:
    """Forty questions: what `old` logged, rated 7 of 10, and what `new` says."""
    return {f"What is {i} and {i}?": {"old": (f"It is {2 * i}.", 7.0), "new": of(i)} for i in range(40)}


def same(rows: Rows) -> Rows:
    return rows


def one_conversation(rows: Rows) -> Rows:
    return [{**row, "trace_id": "the only one"} for row in rows]


def failed(rows: Rows) -> Rows:
    """Every logged call of the model in production failed."""
    broken = {"error": {"message": "The model is overloaded.", "type": "server_error"}}
    return [{**row, "is_success": False, "response_status_code": 500, "response": broken} for row in rows]


def few(rows: Rows) -> Rows:
    return rows[:12]


EDGES: Mapping[str, tuple[Callable[[int], tuple[str, float | None]], Callable[[Rows], Rows], set[str]]] = {
    "all scores are missing": (lambda i: (f"{2 * i}.", None), same, {"too_many_unscored"}),
    "every third score is missing": (
        lambda i: (f"{2 * i}.", None if i % 3 == 0 else 7.0), same, {"too_many_unscored", "no_candidate_likely"},
    ),
    "the candidate refuses everything": (lambda _: (REFUSAL, 1.0), same, {"no_candidate_likely"}),
    "one conversation": (
        lambda i: (f"{2 * i}.", 9.0), one_conversation,
        {"too_few_conversations", "no_candidate_likely", "evidence_too_weak"},
    ),
    "all differences are equal": (
        lambda i: (f"{2 * i}.", 7.0), same, {"no_candidate_likely", "evidence_too_weak"},
    ),
    "the model in production fails": (
        lambda i: (f"{2 * i}.", 9.0), failed, {"all_conditions_shown", "evidence_too_weak", "no_candidate_likely"},
    ),
    "twelve prompts": (lambda i: (f"{2 * i}.", 9.0), few, {"too_few_prompts"}),
}  # fmt: skip


@pytest.mark.parametrize("name", EDGES)
def test_an_edge_ends_in_an_outcome_with_its_reason(
    project: Project, reader: User, client_of: Clients, tmp_path: Path, name: str
) -> None:
    said, logged, codes = EDGES[name]
    rows = logged(studies.record(tmp_path, answers(said)))

    with running(recordings=tmp_path) as recorded:  # its models have no price
        gateway = studies.connect(project, recorded.url, simulated=False)
        studies.take_in(project, rows, tmp_path)
        study = studies.open_study(
            project, gateway, candidates=["new"], judges=["recorded-judge"], rubrics=["quality"], limit=40
        )
        studies.run_to_end(study, gateway)

    holds(study, reader=reader, client_of=client_of, codes=codes)


@pytest.mark.parametrize("model", ["fault-500", "fault-empty"])
def test_a_candidate_that_fails_every_call_is_dropped(
    project: Project, reader: User, client_of: Clients, tmp_path: Path, model: str
) -> None:
    with running() as sandbox:
        gateway = studies.connect(project, sandbox.url)
        studies.take_in(project, studies.support_log(60), tmp_path)
        study = studies.open_study(project, gateway, limit=35)
        broken = ModelOffer.objects.create(project=project, name=model, model=model, provider="northlight")
        study.candidates.filter(position=1).update(offer=broken)
        studies.run_to_end(study, gateway)

    holds(study, reader=reader, client_of=client_of, codes={"no_candidate_likely"})
    tried = Replay.objects.filter(sample__evaluation=study, candidate__position=1)
    assert set(tried.values_list("status", flat=True)) == {Replay.Status.FAILED}


def holds(study: Evaluation, *, reader: User, client_of: Clients, codes: set[str]) -> None:
    """It has an outcome, a recommendation that can be recomputed, and pages that open; nothing is not a number."""
    assert study.state == Evaluation.State.DONE
    assert study.reason in codes
    assert study.outcome is not None
    json.dumps(study.outcome, allow_nan=False)
    made = services.recommend(study, now=timezone.now())
    made = Recommendation.objects.get(pk=made.pk)
    assert made.reasons[0]["code"] == study.reason
    assert made.reasons[0]["text"]
    assert reproduction.reproduce(made) is None
    client = client_of(reader)
    for address in (study.get_absolute_url(), made.get_absolute_url(), f"{made.get_absolute_url()}evidence.json"):
        page = client.get(address)
        assert page.status_code == 200
        assert ">nan" not in page.content.decode()
