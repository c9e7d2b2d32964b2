"""Reads of evaluations: the list, and everything about one."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from agentopt.lib.errors import NotFound
from agentopt.sandbox.server import Sandbox
from evaluation import selectors, services
from evaluation.models import Evaluation
from projects.models import Project
from tests.evaluation import studies


@pytest.fixture
def ended(project: Project, sandbox: Sandbox, tmp_path: Path) -> Evaluation:
    """An evaluation of one candidate that came to its end."""
    gateway = studies.connect(project, sandbox.url)
    studies.take_in(project, studies.support_log(50), tmp_path)
    evaluation = studies.open_study(project, gateway, rubrics=["correctness"], limit=35)
    return studies.run_to_end(evaluation, gateway)


def test_one_evaluation_tells_what_each_arm_did_and_what_it_cost(ended: Evaluation) -> None:
    found = selectors.detail(ended)

    baseline, candidate = found.arms
    assert (baseline.position, baseline.prompts) == (0, 35)
    assert candidate.name == "corvus-medium"
    assert candidate.answered + candidate.failed + candidate.missing == candidate.prompts > 0
    assert candidate.cost_per_1000_usd is not None
    assert candidate.quality is not None
    assert candidate.quality in candidate.metrics
    assert found.spend.total_usd == found.spend.replays_usd + found.spend.judges_usd > Decimal(0)
    assert found.row.spent_usd == found.spend.total_usd
    assert found.judges[0].scored + found.judges[0].unscored == found.spend.verdicts


def test_a_list_takes_the_same_queries_for_one_row_and_for_many(
    ended: Evaluation, project: Project, django_assert_max_num_queries: Any
) -> None:
    Evaluation.objects.filter(pk=ended.pk).update(number=3)
    for number in (1, 2):
        ended.pk, ended.number = None, number
        ended.save(force_insert=True)

    with django_assert_max_num_queries(5):
        rows = selectors.listing(project)

    assert [row.number for row in rows] == [3, 2, 1]
    assert [row.number for row in selectors.listing(project, before=3, limit=1)] == [2]
    assert rows[0].baseline == "aurora-large"


def test_an_evaluation_is_found_by_number_within_its_project_only(ended: Evaluation, project: Project) -> None:
    assert selectors.named(project, "1") == ended
    for unknown in ("2", "x", "²"):
        with pytest.raises(NotFound):
            selectors.named(project, unknown)


def test_the_spend_of_a_cancelled_evaluation_stays_told(ended: Evaluation) -> None:
    Evaluation.objects.filter(pk=ended.pk).update(state=Evaluation.State.PAUSED)
    ended.refresh_from_db()
    before = selectors.spend(ended)

    services.cancel(ended, None)

    assert selectors.spend(ended) == before
