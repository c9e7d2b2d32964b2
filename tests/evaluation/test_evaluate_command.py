"""`manage.py evaluate`: one evaluation to its end in this process."""

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from projects.models import Project


def _evaluate(project: Project, *arguments: str) -> str:
    out = StringIO()
    call_command("evaluate", project.slug, *arguments, stdout=out)
    return out.getvalue()


def test_it_runs_to_an_outcome_and_no_recommendation_is_a_success(ready: Project) -> None:
    told = _evaluate(ready, "--candidates", "lumen-flash", "--limit", "35")

    evaluation = ready.evaluations.get()
    assert evaluation.state == "done"
    assert told.startswith("Evaluation 1: ")
    assert "lumen-flash" in told
    assert ready.anchors.exists()  # as after a run of a worker


def test_it_draws_from_one_version_of_the_prompt_where_one_is_named(ready: Project) -> None:
    version = ready.logs.exclude(prompt_version="").values_list("prompt_version", flat=True)[0]
    found = json.loads(
        _evaluate(ready, "--prompt-version", version, "--candidates", "lumen-flash", "--limit", "30", "--json")
    )

    assert found["prompt_version"] == version
    with pytest.raises(CommandError, match=f"prompt_version: Expected one of: {version}"):
        _evaluate(ready, "--prompt-version", "nope", "--forecast-only")


def test_with_every_candidate_pruned_it_says_why(ready: Project) -> None:
    told = _evaluate(ready, "--candidates", "tern-8b")

    assert "no_candidate" in told
    assert "tern-8b: No tool calling" in told


def test_json_holds_the_outcome_and_the_calls(ready: Project) -> None:
    found: dict[str, Any] = json.loads(_evaluate(ready, "--candidates", "lumen-flash", "--limit", "35", "--json"))
    tokens = {row["name"]: row["actual"] for row in found["forecast_against_actual"] if "Tokens" in row["name"]}
    assert min(tokens.values()) > 0
    assert set(tokens) == {"Tokens of models", "Tokens of judges"}

    assert found["state"] == "done"
    assert found["model_calls"] > 0
    assert [row["model"] for row in found["candidates"]] == ["lumen-flash"]
    assert found["planned_answers"] == 35
    assert found["saved_answers"] == 35 - found["answers"]
    assert [row["model"] for row in found["dropped"]] == (
        ["lumen-flash"] if found["reason"] == "no_candidate_likely" else []
    )
    for row in found["dropped"]:
        assert 0 < row["prompts"] <= found["answers"]
        assert row["worse_on"]
        assert row["stage"] in ("ranking", "test")
    assert found["next_step"]["code"]
    assert found["saving"]["saving_usd"] > 0
    assert found["prompts_paid"] == found["answers"] <= found["prompts_at_most"] == 35
    assert {one["metric"] for one in found["conditions"]} >= {"quality", "gain"}
    assert found["detectable_difference"] > 0
    assert {change["name"] for change in found["changes"]} >= {"unscored_as_failures", "margin_needed"}


def test_a_forecast_stores_nothing_and_names_what_was_left_out(ready: Project) -> None:
    told = _evaluate(ready, "--forecast-only")

    assert not ready.evaluations.exists()
    assert "Replays:" in told
    assert "tokens." in told
    assert " min. Prompts go to " in told
    assert "It is the model in production." in told


def test_a_run_that_stops_at_its_cap_exits_with_an_error_that_says_so(ready: Project) -> None:
    with pytest.raises(CommandError, match=r"cap.*resumed"):
        _evaluate(ready, "--candidates", "corvus-medium", "--max-cost-usd", "0.000001")

    assert ready.evaluations.get().state == "at_cap"


@pytest.mark.parametrize("cap", ["NaN", "Infinity", "-1", "2000000"])
def test_a_cap_that_is_no_amount_is_refused_by_name(ready: Project, cap: str) -> None:
    with pytest.raises(CommandError, match="max_cost_usd: Expected US dollars from 0 to 1000000"):
        _evaluate(ready, "--forecast-only", "--max-cost-usd", cap)


def test_an_unknown_project_is_refused_with_those_there_are(ready: Project) -> None:
    with pytest.raises(CommandError, match=f"There are: {ready.slug}"):
        call_command("evaluate", "nope")


def test_an_unknown_candidate_is_refused_with_those_there_are(ready: Project) -> None:
    with pytest.raises(CommandError, match=r"No such model: nope[\s\S]*corvus-medium"):
        _evaluate(ready, "--candidates", "nope")
