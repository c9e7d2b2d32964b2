"""What evaluations copied out of calls goes with their bodies."""

from pathlib import Path

from django.utils import timezone

from agentopt.sandbox.server import Sandbox
from evaluation import comparison, forgetting, judging, population
from evaluation.models import Replay, Verdict
from ingestion import retention
from projects.models import Project
from tests.evaluation.test_judging import judge, seats_of, study_of


def test_answers_and_explanations_go_with_the_bodies_and_scores_stay(
    project: Project, sandbox: Sandbox, tmp_path: Path
) -> None:
    evaluation = study_of(project, sandbox, tmp_path)
    judge(evaluation, rows=5)
    scores = list(Verdict.objects.order_by("pk").values_list("score", "cost_nanousd"))

    removal = retention.open_by_age(project, days=0, now=timezone.now(), by=None)
    retention.work(removal)

    assert removal.answers == Replay.objects.count() + len(scores)
    assert set(Replay.objects.values_list("answer", "cache_key", "message")) == {("", "", "")}
    assert set(Verdict.objects.values_list("explanation", "cache_key")) == {("", "")}
    assert list(Verdict.objects.order_by("pk").values_list("score", "cost_nanousd")) == scores
    assert forgetting.forget(project) == 0


def test_an_answer_whose_prompt_is_gone_is_neither_judged_nor_drawn_again(
    project: Project, sandbox: Sandbox, tmp_path: Path
) -> None:
    evaluation = study_of(project, sandbox, tmp_path)
    retention.work(retention.open_by_age(project, days=0, now=timezone.now(), by=None))

    baseline = comparison.columns_of(evaluation)[:1]
    found = population.read(project, model=None, records=None, wanted=30, now=timezone.now())

    assert judging.waiting(evaluation, baseline, rows=5, seats=seats_of(evaluation)) == []
    assert found.prompts == ()
    assert [(left.code, left.calls) for left in found.left_out] == [("no_body", found.calls)]
