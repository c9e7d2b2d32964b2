"""Evaluations whose answers and verdicts are written as rows, and people who label them: no model is called."""

from collections.abc import Callable, Sequence

from django.utils import timezone

from agentopt.sandbox.server import Sandbox
from evaluation import labels
from evaluation.models import Candidate, Evaluation, HumanLabel, Replay, Verdict
from projects.models import Project
from tests.evaluation import studies

Scores = Callable[[int, bool], float | None]  # place, whether it is the candidate's → score


def study(project: Project, sandbox: Sandbox, scores: Scores, *, limit: int = 40) -> Evaluation:
    """An evaluation with an answer of one candidate to each prompt, each answer scored by one judge."""
    evaluation = studies.open_study(
        project, studies.connect(project, sandbox.url), rubrics=["correctness"], limit=limit
    )  # fmt: skip
    fill(evaluation, scores)
    return evaluation


def fill(evaluation: Evaluation, scores: Scores) -> None:
    """Write the candidate's answers, and a verdict on each answer."""
    candidate = evaluation.candidates.get(position=1)
    samples = list(evaluation.samples.order_by("position"))
    Replay.objects.bulk_create(
        Replay(
            sample=sample,
            candidate=candidate,
            status=Replay.Status.ANSWERED,
            source=Replay.Source.CALLED,
            answer=f"New answer {sample.position} <b>bold</b>",
            answer_hash=f"{sample.position:064d}",
        )
        for sample in samples
    )
    seat = evaluation.seats.get()
    answered = Replay.objects.filter(sample__evaluation=evaluation, status=Replay.Status.ANSWERED)
    Verdict.objects.bulk_create(
        Verdict(
            replay=row,
            judge=seat.judge,
            version=seat.version,
            score=scores(row.sample.position, row.candidate_id == candidate.pk),
            source=Verdict.Source.CALLED,
            calls=2,
        )
        for row in answered.select_related("sample")
    )
    Evaluation.objects.filter(pk=evaluation.pk).update(state=Evaluation.State.DONE, ended_at=timezone.now())
    evaluation.refresh_from_db()


def answer(evaluation: Evaluation, position: int, *, candidate: bool) -> Replay:
    """One of the two answers to a case."""
    place = 1 if candidate else 0
    return Replay.objects.get(
        sample__evaluation=evaluation, sample__position=position, candidate__position=place, repetition=0
    )


def label(evaluation: Evaluation, positions: Sequence[int], said: Scores, *, rater: str = "person 1") -> None:
    """Have somebody label both answers of these cases."""
    for position in positions:
        own = [
            labels.Said(answer(evaluation, position, candidate=which), said(position, which) or 0.0)
            for which in (False, True)
        ]
        labels.add(
            evaluation.project, own, rater=rater, source=HumanLabel.Source.PAGE, blind=True, left=own[0].replay.pk
        )


def answered(evaluation: Evaluation) -> list[int]:
    """Cases to which both models answered."""
    rows = Replay.objects.filter(sample__evaluation=evaluation, candidate__position=0, status=Replay.Status.ANSWERED)
    return sorted(rows.values_list("sample__position", flat=True))


def leading(evaluation: Evaluation) -> Candidate:
    """The one candidate."""
    return evaluation.candidates.get(position=1)
