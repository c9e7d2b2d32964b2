"""Work in the background: a slice of an evaluation."""

import time

import structlog
from django.conf import settings
from django.utils import timezone

from agentopt.lib.errors import BudgetExceeded
from evaluation import anchors
from evaluation.models import Evaluation
from ingestion.gateway import open_gateway
from projects import jobs, notifications
from projects.models import Job

log = structlog.get_logger(__name__)
# The calls in flight are awaited after the slice's own time, within the queue's limit for a task.
_RESERVE_S = 10.0
_LEAST_S = 5.0
_QUEUE_S = float(str(settings.Q_CLUSTER["timeout"]))


@jobs.slice_of("evaluation")
def run_evaluation(job: Job, beat: jobs.Beat) -> bool:
    """Bring an evaluation forward; the job is done with the evaluation, and only then a recommendation follows."""
    from evaluation import run  # brings numpy and scipy, which the web process never needs

    evaluation = job.project.evaluations.select_related("project", "goal").get(pk=job.subject_id or 0)
    gateway = open_gateway(evaluation.project.connection)
    still = run.advance(
        evaluation, gateway=gateway, now=timezone.now, deadline=time.monotonic() + _slice_s(), beat=beat
    )
    if not still:
        return False
    if evaluation.state == Evaluation.State.DONE:
        anchors.follow(evaluation)
        beat(result={"evaluation": evaluation.number, "code": evaluation.reason})
        return True
    if evaluation.state == Evaluation.State.AT_CAP:
        raise BudgetExceeded(f"{evaluation.message} Raise the cap to go on: what was paid is kept.")
    raise jobs.Cancelled


@jobs.slice_of("anchors")
def judge_anchors(job: Job, beat: jobs.Beat) -> bool:
    """Have the judges in use score the project's anchors."""
    gateway = open_gateway(job.project.connection)
    deadline = time.monotonic() + _slice_s()
    return anchors.rejudge(job.project, gateway=gateway, now=timezone.now, deadline=deadline, beat=beat)


def mark_ended(job: Job) -> None:
    """Mark the evaluation of a job that failed or was cancelled, unless it already says why it stands still."""
    state = Evaluation.State.CANCELLED if job.state == Job.State.CANCELLED else Evaluation.State.FAILED
    going = [Evaluation.State.QUEUED, Evaluation.State.RUNNING]
    running = job.project.evaluations.filter(pk=job.subject_id or 0, state__in=going)
    running.update(state=state, reason=job.error_code, message=job.error[:300], ended_at=timezone.now())
    if job.state == Job.State.FAILED:
        _tell_stopped(job)


def _tell_stopped(job: Job) -> None:
    """Send notice that an evaluation stands still and waits for a person; once for each time it was started."""
    stopped = job.project.evaluations.filter(pk=job.subject_id or 0).first()
    if stopped is None:
        return
    told = {
        # the code and not the message: that may quote what a gateway answered
        "sentence": f"Evaluation {stopped.number} stopped: {(stopped.reason or job.error_code).replace('_', ' ')}.",
        "path": stopped.get_absolute_url(), "number": stopped.number, "state": stopped.state, "code": job.error_code,
    }  # fmt: skip
    notifications.send(job.project, "evaluation_stopped", told, key=f"{job.pk} {job.slices}")


def _slice_s() -> float:
    reserve_s = settings.CALL_TIMEOUT_S + _RESERVE_S
    return max(_LEAST_S, min(jobs.SLICE_S, _QUEUE_S - reserve_s))
