"""Ranking by a model: what it is told, how its answer is read, and what stands in for it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from agentopt.lib import money
from agentopt.sandbox import traffic as agents
from agentopt.sandbox import worlds
from evaluation import ranking, selectors, services
from evaluation.models import Charge, Evaluation, Opinion
from evaluation.ranking import Ranking
from evaluation.values import Reason
from ingestion.catalog import loader
from ingestion.gateway import Gateway, open_gateway
from projects import services as projects
from projects.models import Project
from tests.evaluation import studies
from tests.ingestion.gateway import fake
from tests.ingestion.gateway.fake import Fake, Handler

CANARIES = ("canary-prompt-7731", "canary-metadata-4402", "canary_tool_9918")
Change = Callable[[list[dict[str, str]]], Any]


def _rows(count: int = 50) -> list[dict[str, Any]]:
    """Logged calls with canaries in prompts, answers, metadata, tools and tool calls."""
    prompt, metadata, tool = CANARIES
    rows = []
    for index in range(count):
        row = studies.chat_row(index, f"Where is my order {prompt} {index}?", f"On its way, {prompt}.")
        row["metadata"] = {"customer": metadata, metadata: "yes", "use_case": metadata}
        row["request"]["tools"] = [{"type": "function", "function": {"name": tool, "parameters": {"type": "object"}}}]
        row["response"]["usage"] = {"prompt_tokens": 900 + index, "completion_tokens": 120}
        call = {"id": "c", "type": "function", "function": {"name": tool, "arguments": json.dumps({"q": prompt})}}
        row["response"]["choices"][0]["message"]["tool_calls"] = [call, call]
        rows.append(row)
    return rows


def _whole(rows: list[dict[str, str]]) -> Any:
    return {"ranking": rows}


def _ranks(change: Change = _whole) -> fake.Answer:
    """A model that ranks backwards by name, changed as a test says."""

    def answer(handler: Handler) -> None:
        asked = json.loads(handler.asked.json()["messages"][-1]["content"])
        names = sorted((one["name"] for one in asked["candidates"]), reverse=True)
        said = change([{"name": name, "reason": f"<b>{name}</b> is known for it"} for name in names])
        handler.send(fake.completion(said if isinstance(said, str) else json.dumps(said)))

    return answer


def _listed(handler: Handler) -> None:
    names = [model["name"] for model in worlds.catalog()["models"]]
    handler.send({"object": "list", "data": [{"id": name, "object": "model"} for name in names]})


@pytest.fixture
def told(project: Project, settings: Any, tmp_path: Path) -> Project:
    """A project with canaries in its log, a judge, prices, and a ranking model."""
    settings.RANKING_MODEL = "aurora-large"
    loader.load(worlds.catalog(), project=project)
    studies.take_in(project, _rows(), tmp_path)
    services.set_judges(project, [studies.JUDGE], rubrics=["correctness"])
    return project


def _serving(answer: fake.Answer) -> Any:
    return fake.serving(fake.by_path({"POST /chat/completions": answer, "GET /models": _listed}))


def _connect(project: Project, served: Fake) -> Gateway:
    projects.connect(project, by=None, base_url=served.url, api_key=agents.AGENTS[0].key)
    project.refresh_from_db()
    return open_gateway(project.connection)


def _open(project: Project, served: Fake) -> Evaluation:
    request = services.EvaluationRequest(limit=40)
    gateway = _connect(project, served)
    return services.open_evaluation(project, request, by=None, gateway=gateway, now=timezone.now())


def _asked(served: Fake) -> list[fake.Asked]:
    return [one for one in served.asked if one.method == "POST"]


def _order(evaluation: Evaluation) -> list[str]:
    kept = evaluation.candidates.filter(position__gt=0).order_by("position")
    return list(kept.values_list("offer__name", flat=True))


def test_no_word_of_a_log_is_sent_to_the_ranking_model(told: Project) -> None:
    with _serving(_ranks()) as served:
        _open(told, served)

    sent = _asked(served)
    assert len(sent) == 1
    whole = sent[0].body.decode() + json.dumps(sent[0].headers) + sent[0].path
    assert [canary for canary in CANARIES if canary in whole] == []
    assert told.slug not in whole
    body = sent[0].json()
    assert (body["temperature"], body["seed"], body["model"]) == (0, 7, "aurora-large")
    profile = json.loads(body["messages"][-1]["content"])
    assert profile["share_tools"] == profile["share_parallel_tools"] == 1.0
    assert profile["p99_input_tokens"] > 900
    assert profile["languages"] == {"English": 1.0}


def test_its_order_stands_with_its_reasons_is_stored_and_is_paid_once(told: Project) -> None:
    with _serving(_ranks()) as served:
        first, second = _open(told, served), _open(told, served)

    names = _order(first)
    assert names == sorted(names, reverse=True)
    assert len(_asked(served)) == 1
    assert second.selection == first.selection
    said = first.selection
    assert (said["version"], said["ranking"], said["ranked_by"]) == (3, "model", "aurora-large")
    best = next(model for model in said["models"] if model["rank"] == 1)
    note = next(note for note in best["notes"] if note["code"] == "ranked_by_model")
    assert note["text"] == f"aurora-large: <b>{names[0]}</b> is known for it"
    charge = Charge.objects.get()
    assert (charge.kind, charge.calls, charge.evaluation) == ("ranking", 1, first)
    assert charge.nanousd > 0
    assert selectors.spend(first).total_usd == selectors.rows_of([first])[0].spent_usd == money.usd(charge.nanousd)


def test_a_forecast_asks_nobody_and_uses_what_was_answered_before(told: Project) -> None:
    request = services.EvaluationRequest(limit=40)
    with _serving(_ranks()) as served:
        gateway = _connect(told, served)
        before = services.plan(told, request, gateway=gateway, now=timezone.now())
        assert _asked(served) == []
        assert "ranking_absent" in [note.code for note in before.notes]
        opened = _open(told, served)
        after = services.plan(told, request, gateway=gateway, now=timezone.now())

    assert [offer.name for offer in after.kept] == _order(opened)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda _: "I would take the first one.", "no JSON"),
        (lambda rows: {"ranking": rows, "note": "x"}, "holds no ranking"),
        (lambda rows: {"ranking": rows[1:]}, "leaves out 1"),
        (lambda rows: {"ranking": [*rows, rows[0]]}, "twice"),
        (lambda rows: {"ranking": [*rows, {"name": "gpt-99", "reason": "new"}]}, "not asked about"),
        (lambda rows: {"ranking": [{**rows[0], "score": 1}, *rows[1:]]}, "no name with a reason"),
        (lambda rows: {"ranking": [{**rows[0], "reason": 5}, *rows[1:]]}, "no name with a reason"),
        (lambda _: "[" * 5000, "no JSON"),
    ],
)
def test_an_answer_that_is_not_exactly_a_ranking_leaves_it_to_cost(told: Project, change: Change, why: str) -> None:
    with _serving(_ranks(change)) as served:
        evaluation = _open(told, served)

    assert evaluation.selection["ranking"] == "expected_cost"
    note = next(note for note in evaluation.selection["notes"] if note["code"] == "ranking_unusable")
    assert why in note["text"]
    costs = [model["cost_per_call_nanousd"] for model in evaluation.selection["models"] if model["kept"]]
    assert costs == sorted(costs)


def test_a_ranking_model_out_of_reach_leaves_it_to_cost_and_is_asked_again(told: Project) -> None:
    with _serving(lambda handler: handler.send({"error": {"message": "no such model"}}, status=404)) as served:
        first = _open(told, served)

    assert [note["code"] for note in first.selection["notes"] if "ranking" in note["code"]] == ["ranking_absent"]
    assert not Opinion.objects.exists()
    with _serving(_ranks()) as served:
        assert _open(told, served).selection["ranking"] == "model"


def test_a_cap_without_room_leaves_it_to_cost(told: Project) -> None:
    projects.change_project(told, {"monthly_call_cap": 0}, by=None)
    with _serving(_ranks()) as served:
        evaluation = _open(told, served)

    assert _asked(served) == []
    assert "no room" in str(evaluation.selection["notes"])


def test_reasons_are_cut_to_one_line_without_control_characters() -> None:
    rows = [{"name": "a", "reason": "one\n\u202etwo" + "x" * 900}, {"name": "b", "reason": ""}]

    found = ranking.read(json.dumps({"ranking": rows}), {"a", "b"}, model="m")

    assert isinstance(found, Ranking)
    said = dict(found.reasons)["a"]
    assert said.startswith("one two")
    assert len(said) == ranking.LONGEST_REASON
    assert isinstance(ranking.read("{}", {"a"}, model="m"), Reason)
