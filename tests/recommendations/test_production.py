"""Samples of production before the judges: the rate, the cap, and each call once."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agentopt.lib.money import nanousd
from agentopt.sandbox.server import Sandbox
from evaluation import services as evaluations
from evaluation.models import Charge
from ingestion.gateway import Gateway
from ingestion.models import LogRecord
from projects import services as projects
from projects.models import Project
from recommendations import production
from recommendations.models import ProductionVerdict
from tests.evaluation import studies

pytestmark = pytest.mark.django_db
EVENING = datetime(2026, 10, 28, 18, tzinfo=UTC)


@pytest.fixture
def gateway(project: Project, sandbox: Sandbox, tmp_path: Path) -> Gateway:
    """Calls of one day, two judges, and leave to judge 20 calls a day for a dollar a month."""
    gateway = studies.connect(project, sandbox.url)
    rows = [{**row, "created_at": "2026-10-28T08:00:00+00:00"} for row in studies.support_log(60)]
    studies.take_in(project, rows, tmp_path)
    evaluations.set_judges(project, [studies.JUDGE], rubrics=["correctness", "safety"])
    projects.change_project(project, {"judging_per_day": 20, "judging_cap_nanousd": nanousd(1)}, by=None)
    return gateway


def judge(project: Project, gateway: Gateway, *, at: datetime = EVENING) -> production.Judged:
    return production.judge(
        project, gateway=gateway, now=lambda: at, deadline=time.monotonic() + 60, beat=studies.silent
    )


def test_as_many_calls_as_are_due_by_now_are_judged_once_by_each_judge(project: Project, gateway: Gateway) -> None:
    found = judge(project, gateway)  # at 18:00 three quarters of 20
    again = judge(project, gateway)

    rows = ProductionVerdict.objects.filter(project=project)
    records = set(rows.values_list("record", flat=True))
    assert (found.calls, found.verdicts, found.stopped) == (15, 30, "")
    assert again.verdicts == 0
    assert len(records) == 15
    answered = LogRecord.objects.filter(project=project, status="ok", obstacle="")
    assert records == set(answered.order_by("key").values_list("pk", flat=True)[:15])  # those with the smallest keys
    assert all(0 <= row.score <= 1 for row in rows if row.score is not None)
    assert rows.filter(score__isnull=True).count() < 6
    assert rows.first().simulated  # type: ignore[union-attr]  # there are some


def test_each_new_day_has_its_own_samples(project: Project, gateway: Gateway) -> None:
    judge(project, gateway)

    judge(project, gateway, at=datetime(2026, 10, 29, 6, tzinfo=UTC))  # five are due by then

    assert ProductionVerdict.objects.values("record").distinct().count() == 20


def test_what_it_costs_is_charged_apart_and_its_own_cap_holds(project: Project, gateway: Gateway) -> None:
    judge(project, gateway)
    spent = production.spent_nanousd(project, now=EVENING)
    assert spent == sum(row.cost_nanousd or 0 for row in ProductionVerdict.objects.all())
    assert spent > 0
    assert set(Charge.objects.values_list("kind", flat=True)) == {"production"}

    projects.change_project(project, {"judging_cap_nanousd": spent, "judging_per_day": 60}, by=None)

    assert str(production.why_not(project, EVENING)).endswith("is used up.")
    assert judge(project, gateway).verdicts == 0
    assert production.why_not(project, EVENING + timedelta(days=10)) is None  # the next month


def test_it_stops_at_its_cap_and_says_so(project: Project, gateway: Gateway) -> None:
    projects.change_project(project, {"judging_cap_nanousd": 300_000}, by=None)

    found = judge(project, gateway)

    assert found.stopped == "at_cap"
    assert "It stopped at a cap." in found.text
    assert production.spent_nanousd(project, now=EVENING) <= 300_000


def test_the_cap_of_the_project_holds_besides(project: Project, gateway: Gateway) -> None:
    projects.change_project(project, {"monthly_cap_nanousd": 0}, by=None)

    found = judge(project, gateway)

    assert (found.verdicts, found.stopped) == (0, "at_cap")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"judging_per_day": None}, "It is off"),
        ({"judging_cap_nanousd": None}, "It is off"),
        ({"privacy": "hashed"}, "hashed"),
        ({"allowed_providers": ["elsewhere"]}, "judge-oriole (aviary)"),
    ],
)
def test_it_is_off_until_a_person_sets_both_and_where_nothing_is_kept(
    project: Project, gateway: Gateway, changes: dict[str, Any], said: str
) -> None:
    projects.change_project(project, changes, by=None)

    assert said in str(production.why_not(project, EVENING))
    assert judge(project, gateway).verdicts == 0
