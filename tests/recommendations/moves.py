"""A recommendation with its arms, and the traffic that follows it or does not."""

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Any

from agentopt.lib.immutable import door
from evaluation.models import Candidate, Judge, JudgeVersion, Replay, Sample, Seat, Verdict
from ingestion.models import Batch, LogRecord, ModelOffer, Trace, UseCase, UseCaseAssignment
from projects.models import Project
from recommendations.models import Recommendation
from tests.recommendations import documents

OLD, NEW = "aurora-large", "corvus-medium"
COST = {OLD: 8_340_000, NEW: 2_840_000}  # nano-dollars a call, as the evidence says


def recommend(project: Project, *, days_old: int = 30, judged: bool = False) -> Recommendation:
    """A switch from OLD to NEW made so many days ago; `judged`: with a panel that scored 60 answers of OLD."""
    evidence = documents.recommended()
    if not judged:
        evidence["checks"] = [check for check in evidence["checks"] if check["metric"] in ("answered", "gain")]
    evidence["estimates"].pop("latency")
    evidence["use_cases"] = [_finding("Order status", 0.01), _finding("Refunds", -0.12, worse=True)]
    made = documents.store(project, evidence, days_old=0)
    evaluation = made.evaluation
    arms = [
        Candidate.objects.create(
            evaluation=evaluation,
            offer=ModelOffer.objects.get_or_create(project=project, name=name, defaults={"model": name})[0],
            position=position,
        )
        for position, name in enumerate((OLD, NEW))
    ]
    at = made.created_at - timedelta(days=days_old)
    return _aged(made, arms, at=at)


def _finding(name: str, estimate: float, *, worse: bool = False) -> dict[str, Any]:
    return {"use_case": name, "prompts": 40, "raw": estimate, "estimate": estimate, "low": estimate - 0.05,
            "high": estimate + 0.05, "chance_worse": 0.95 if worse else 0.1, "worse": worse}  # fmt: skip


def _aged(made: Recommendation, arms: Sequence[Candidate], *, at: datetime) -> Recommendation:
    """Recommendations are immutable, so an old one is made as one."""
    evaluation = made.evaluation
    evaluation.window_since, evaluation.window_until = at - timedelta(days=30), at
    evaluation.policy = {"judge_sd": 0.025}
    evaluation.save()
    with door():
        Recommendation.objects.filter(pk=made.pk).update(
            created_at=at, expires_at=at + timedelta(days=30), candidate=arms[1]
        )
    made.refresh_from_db()
    return made


def serve(
    project: Project,
    model: str,
    *,
    since: datetime,
    days: int,
    a_day: int = 20,
    use_case: UseCase | None = None,
    cost: float = 1.0,
    failed: float = 0.0,
    seed: int = 7,
    prompt_version: str = "",
) -> list[LogRecord]:
    """Log single-call conversations evenly over days. `cost`: factor on the model's usual cost."""
    number = project.batches.count() + 1
    rng = Random(1000 * seed + number)  # noqa: S311 - invented traffic, the same each time
    total = days * a_day
    batch = Batch.objects.create(
        project=project, number=number, source="push", format="openai", added=total, manifest_hash="a"
    )
    names = [f"{model}-{number}-{at}" for at in range(total)]
    traces = Trace.objects.bulk_create(Trace(project=project, key=name) for name in names)
    records = LogRecord.objects.bulk_create(
        LogRecord(
            project=project, key=uuid.UUID(int=rng.getrandbits(128)), source_id=name, batch=batch, trace=trace,
            occurred_at=since + timedelta(days=days * at / total), model=model, prompt_version=prompt_version,
            status=LogRecord.Status.FAILED if rng.random() < failed else LogRecord.Status.OK, refused=False,
            cost_nanousd=round(COST[model] * cost * rng.lognormvariate(0, 0.3)), latency_us=2_000_000, content_hash="a",
        )
        for at, (name, trace) in enumerate(zip(names, traces, strict=True))
    )  # fmt: skip
    if use_case is not None:
        UseCaseAssignment.objects.bulk_create(
            UseCaseAssignment(record=record, use_case=use_case) for record in records
        )  # fmt: skip
    return list(records)


def use_case(project: Project, name: str) -> UseCase:
    """A named use case."""
    number = project.use_cases.count() + 1
    return UseCase.objects.create(project=project, number=number, origin=UseCase.Origin.FOUND, name=name)


def seat(made: Recommendation, *, rubric: str = "quality") -> Seat:
    """A judge on the panel of the recommendation's evaluation."""
    judge, _ = Judge.objects.get_or_create(project=made.project, rubric=rubric, model="judge-oriole")
    version, _ = JudgeVersion.objects.get_or_create(
        text_hash=f"{rubric}-1", defaults={"rubric": rubric, "text": "Rate it.", "lowest": 1, "highest": 5}
    )
    return Seat.objects.create(evaluation=made.evaluation, judge=judge, version=version)


def judge_before(made: Recommendation, records: Sequence[LogRecord], chair: Seat, scores: Sequence[float]) -> None:
    """Scores that the panel gave to logged answers of OLD within the evaluation."""
    arm = made.evaluation.candidates.get(position=0)
    for at, (record, score) in enumerate(zip(records, scores, strict=False)):
        sample = Sample.objects.create(evaluation=made.evaluation, position=at, record=record)
        replay = Replay.objects.create(
            sample=sample, candidate=arm, status=Replay.Status.ANSWERED, source=Replay.Source.LOGGED
        )
        Verdict.objects.create(
            replay=replay, judge=chair.judge, version=chair.version, score=score, source=Verdict.Source.CALLED
        )
