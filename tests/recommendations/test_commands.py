"""`recommend` and `reproduce`."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from evaluation.models import Evaluation, Verdict
from projects.models import Project
from recommendations import services


def test_recommend_prints_the_outcome_as_json(finished: Evaluation) -> None:
    out = StringIO()

    call_command("recommend", "support-agent", "--json", stdout=out)

    assert json.loads(out.getvalue())["recommendation"] == "corvus-medium"


def test_recommend_without_an_evaluation_says_how_to_start_one(project: Project) -> None:
    with pytest.raises(CommandError, match="evaluate support-agent"):
        call_command("recommend", "support-agent")


def test_recommend_of_an_unknown_project_says_which_exist(project: Project) -> None:
    with pytest.raises(CommandError, match="support-agent"):
        call_command("recommend", "support-desk")


def test_reproduce_finds_the_same(finished: Evaluation) -> None:
    made = services.recommend(finished, now=timezone.now())
    out = StringIO()

    call_command("reproduce", str(made.pk), "--json", stdout=out)

    same = {"identical": True, "same_engine": True, "difference": None}
    assert json.loads(out.getvalue()) == {"recommendation": made.pk, **same}


def test_reproduce_exits_with_1_on_a_difference(finished: Evaluation) -> None:
    made = services.recommend(finished, now=timezone.now())
    Verdict.objects.filter(replay__candidate__position=1).update(score=0.0)
    errors = StringIO()

    with pytest.raises(SystemExit) as ended:
        call_command("reproduce", str(made.pk), stderr=errors)

    assert ended.value.code == 1
    assert "differs at inputs.measurements.lines[0]" in errors.getvalue()


def test_reproduce_of_an_unknown_number_says_what_exists(db: None) -> None:
    with pytest.raises(CommandError, match="None was made yet"):
        call_command("reproduce", "99")
