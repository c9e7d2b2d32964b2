"""Quality where production samples are judged."""

from datetime import timedelta

import numpy as np

from evaluation.models import Judge, JudgeVersion
from ingestion.models import LogRecord
from projects.models import Project
from recommendations.drift import monitor, quality
from recommendations.drift.models import Alert, DriftSeries
from recommendations.models import ProductionVerdict
from tests.recommendations.drift import traffic


def judge(
    project: Project, *, falls_on: float, version: JudgeVersion, seed: int = 1, model: str = "judge-oriole"
) -> None:
    """Ten judged calls a day; from a day on answers are worse."""
    rng = np.random.default_rng(seed)
    one, _ = Judge.objects.get_or_create(project=project, rubric="quality", model=model)
    records = list(LogRecord.objects.filter(project=project).order_by("occurred_at", "pk"))[::8]
    ProductionVerdict.objects.bulk_create(
        ProductionVerdict(
            project=project, record=record, judge=one, version=version, at=record.occurred_at,
            score=float(np.clip(rng.normal(0.8 if day < falls_on else 0.6, 0.15), 0, 1)),
        )
        for record in records
        for day in [(record.occurred_at - traffic.START) / timedelta(days=1)]
    )  # fmt: skip


def rubric(name: str) -> JudgeVersion:
    return JudgeVersion.objects.create(rubric="quality", text_hash=name, text=name, lowest=1, highest=5)


def test_worse_judged_answers_raise_an_alert_about_a_fall(project: Project) -> None:
    traffic.take_in(project, 44, a_day=40)
    judge(project, falls_on=32, version=rubric("first"))

    monitor.check(project, now=traffic.START + timedelta(days=45))

    alert = Alert.objects.get(project=project, metric="quality")
    assert alert.rise is False
    assert -0.3 < alert.figures["shift"] < -0.1
    assert alert.began_at > traffic.START + timedelta(days=30)


def test_another_rubric_starts_another_reference(project: Project) -> None:
    traffic.take_in(project, 35, a_day=40)
    judge(project, falls_on=99, version=rubric("first"))
    monitor.check(project, now=traffic.START + timedelta(days=36))
    learnt = DriftSeries.objects.get(rule__project=project, rule__metric="quality").reference

    judge(project, falls_on=0, version=rubric("second"), seed=2)
    traffic.take_in(project, 1, a_day=40, seed=9, start=traffic.START + timedelta(days=37))
    monitor.check(project, now=traffic.START + timedelta(days=39))

    row = DriftSeries.objects.get(rule__project=project, rule__metric="quality")
    assert learnt is not None
    assert row.reference is not None
    assert row.reference["mean"] < learnt["mean"] - 0.1
    assert not Alert.objects.filter(project=project, metric="quality").exists()


def test_another_judge_model_is_no_change_of_the_agent(project: Project) -> None:
    traffic.take_in(project, 35, a_day=40)
    first = rubric("first")
    judge(project, falls_on=99, version=first)
    monitor.check(project, now=traffic.START + timedelta(days=36))

    Judge.objects.filter(project=project).update(active=False)
    judge(project, falls_on=0, version=first, seed=2, model="judge-heron")
    traffic.take_in(project, 1, a_day=40, seed=9, start=traffic.START + timedelta(days=37))
    monitor.check(project, now=traffic.START + timedelta(days=39))

    row = DriftSeries.objects.get(rule__project=project, rule__metric="quality")
    assert row.reference is not None
    assert row.reference["mean"] < 0.7
    assert not Alert.objects.filter(project=project, metric="quality").exists()


def test_a_judge_that_joins_counts_from_the_first_call_that_all_judged(project: Project) -> None:
    traffic.take_in(project, 10, a_day=40)
    first = rubric("first")
    judge(project, falls_on=99, version=first)
    before = quality.scored(project)
    late = Judge.objects.create(project=project, rubric="quality", model="judge-heron")
    some = ProductionVerdict.objects.filter(project=project).order_by("-record__occurred_at")[:20]
    ProductionVerdict.objects.bulk_create(
        ProductionVerdict(project=project, record=one.record, judge=late, version=first, at=one.at, score=0.2)
        for one in some
    )

    after = quality.scored(project)

    assert before is not None
    assert after is not None
    assert len(before.everything) > 20
    assert len(after.everything) == 20
    assert [len(found.panel) for found in (before, after)] == [1, 2]
