"""What the workers run."""

import time

from django.utils import timezone

from evaluation.models import Evaluation
from ingestion.gateway import open_gateway
from projects import jobs
from projects.jobs import Beat
from projects.models import Job
from recommendations import expiry, followup, pipeline, production, services, summaries
from recommendations.drift import alerts, monitor

SLICE_S = 20.0


@jobs.slice_of("recommendation")
def recommend(job: Job, beat: Beat) -> bool:
    """Make the recommendation of the evaluation that just ended; one that stopped at its cap has none yet."""
    evaluation = job.project.evaluations.get(pk=job.subject_id or 0)
    if evaluation.state != Evaluation.State.DONE:
        beat(message=f"Evaluation {evaluation.number} has no outcome yet: {evaluation.get_state_display()}.")
        return True
    if evaluation.kind == Evaluation.Kind.NOISE:
        beat(message="It shows how far answers differ by chance, and recommends nothing.")
        return True
    made = services.recommend(evaluation, now=timezone.now())
    services.tell(made)
    beat(done=1, total=1, message="Recommendation made.", result={"recommendation": made.pk})
    return True


@jobs.slice_of("scheduled_evaluation")
def start_scheduled(job: Job, beat: Beat) -> bool:
    """Start an evaluation if it is due. Options: `asked`, where a person wants it now."""
    turn = pipeline.evaluate(
        job.project, connect=lambda: open_gateway(job.project.connection), now=timezone.now(), job=job,
        asked=bool(job.options.get("asked")),
    )  # fmt: skip
    because = [{"code": one.code, "text": one.text} for one in turn.because]
    if turn.evaluation is None:
        held = turn.held or pipeline.Said("unchanged", "")
        said = {"started": False, "code": held.code, "text": held.text, "because": because}
        beat(message=f"Not started: {held.text}", result=said)
    else:
        why = " ".join(one["text"] for one in because) or "A person asked for it."
        number = turn.evaluation.number
        beat(message=f"Evaluation {number} is started. {why}", result={
            "started": True, "evaluation": number, "because": because,
        })  # fmt: skip
    return True


@jobs.slice_of("judging")
def judge_production(job: Job, beat: Beat) -> bool:
    """Have judges look at samples of production, within the project's own rate and cap."""
    found = production.judge(
        job.project, gateway=open_gateway(job.project.connection), now=timezone.now,
        deadline=time.monotonic() + SLICE_S, beat=beat,
    )  # fmt: skip
    beat(message=found.text, result={"calls": found.calls, "verdicts": found.verdicts, "stopped": found.stopped})
    return found.finished


@jobs.slice_of("summary")
def summarize(job: Job, beat: Beat) -> bool:
    """Have a model retell a recommendation."""
    recommendation = job.project.recommendations.get(pk=job.subject_id or 0)
    gateway = open_gateway(job.project.connection)
    made = summaries.write(recommendation, gateway=gateway, by=job.created_by, now=timezone.now)
    beat(done=1, total=1, message=made.refused or "Summary written.", result={"shown": not made.refused})
    return True


@jobs.slice_of("expiry")
def expire_recommendations(job: Job, beat: Beat) -> bool:
    """Mark recommendations of a project as out of date whose prices, prompt, mix, model or thirty days are gone."""
    pipeline.warn_of_retirement(job.project, now=timezone.now())
    ended = expiry.expire_all(job.project, now=timezone.now(), beat=beat)
    beat(message=f"{ended} out of date.", result={"expired": ended})
    return True


@jobs.slice_of("follow_up")
def follow_recommendations(job: Job, beat: Beat) -> bool:
    """Follow the recommendations of a project that the logs show being followed."""
    watched = followup.check_all(job.project, now=timezone.now(), beat=beat)
    beat(message=f"{watched} watched.", result={"watched": watched})
    return True


@jobs.slice_of("drift")
def check_drift(job: Job, beat: Beat) -> bool:
    """Check what closed since the last check; a slice ends when its time is over."""
    now = timezone.now()
    alerts.unmute(job.project, now=now)
    outcome = monitor.check(job.project, now=now, deadline=time.monotonic() + SLICE_S, beat=beat)
    beat(result={"conversations": outcome.conversations, "alerts": [one.pk for one in outcome.alerts]})
    return outcome.finished
