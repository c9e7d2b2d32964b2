"""Hard caps with two workers at once, each a process of its own: what they spend together stays within the cap."""

from pathlib import Path

import pytest
from django.db.models import Max, Sum
from django.utils import timezone

from agentopt.sandbox.server import running
from evaluation import purse
from evaluation.models import Evaluation, Replay, Verdict
from projects.models import Project, User
from projects.services import create_project
from tests.evaluation import studies
from tests.flows.test_kill import IN_FLIGHT, study_of, work

CAP_CALLS = 60
WORKERS = 2


@pytest.mark.worker
def test_two_workers_keep_a_cap_in_calls_together(transactional_db: None, owner: User, tmp_path: Path) -> None:
    with running(latency_ms=40) as sandbox:
        shared = study_of(create_project("Support agent", owner=owner), sandbox, tmp_path)
        Evaluation.objects.filter(pk=shared.pk).update(cap_calls=CAP_CALLS)
        sent = sandbox.chat_calls + sandbox.judge_calls
        with work(shared, tmp_path) as first, work(shared, tmp_path) as second:
            ends = [first.wait(90), second.wait(90)]
        sent = sandbox.chat_calls + sandbox.judge_calls - sent

    shared.refresh_from_db()
    assert ends == [0, 0]
    assert (shared.state, shared.reason) == (Evaluation.State.AT_CAP, "at_call_cap")
    # who is refused while the other holds room may stop a block short of the cap
    assert CAP_CALLS - 2 * WORKERS * IN_FLIGHT <= sent <= CAP_CALLS + WORKERS * IN_FLIGHT


@pytest.mark.worker
def test_two_evaluations_in_two_processes_keep_the_dollars_of_a_month_together(
    transactional_db: None, owner: User, tmp_path: Path
) -> None:
    with running(latency_ms=40) as sandbox:
        project = create_project("Support agent", owner=owner)
        first = study_of(project, sandbox, tmp_path)
        gateway = studies.connect(project, sandbox.url)
        second = studies.open_study(project, gateway, candidates=("tern-70b", "lumen-flash"), limit=60, seed=8)
        cap = 20_000_000
        Project.objects.filter(pk=project.pk).update(monthly_cap_nanousd=cap)
        with work(first, tmp_path) as one, work(second, tmp_path) as other:
            ends = [one.wait(90), other.wait(90)]

    dearest = max(model.objects.aggregate(most=Max("cost_nanousd"))["most"] or 0 for model in (Replay, Verdict))
    spent = purse.caps_of(project, None, now=timezone.now())[0].spent.nanousd
    paid = sum(model.objects.aggregate(paid=Sum("paid_nanousd"))["paid"] or 0 for model in (Replay, Verdict))
    states = set(Evaluation.objects.values_list("state", "reason"))
    assert ends == [0, 0]
    assert (Evaluation.State.AT_CAP, "at_monthly_cap") in states
    assert paid == spent <= cap + WORKERS * IN_FLIGHT * dearest
