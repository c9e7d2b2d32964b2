"""What the workers run."""

from django.utils import timezone

from evaluation.models import Evaluation
from projects import jobs
from projects.jobs import Beat
from projects.models import Job
from recommendations import expiry, followup, services


@jobs.slice_of("recommendation")
def recommend(job: Job, beat: Beat) -> bool:
    """Make the recommendation of the evaluation that just ended; one that stopped at its cap has no outcome yet."""
    evaluation = job.project.evaluations.get(pk=job.subject_id or 0)
    if evaluation.state != Evaluation.State.DONE:
        beat(message=f"Evaluation {evaluation.number} has no outcome yet: {evaluation.get_state_display()}.")
        return True
    made = services.recommend(evaluation, now=timezone.now())
    services.tell(made)
    beat(done=1, total=1, message="Recommendation made.", result={"recommendation": made.pk})
    return True


@jobs.slice_of("expiry")
def expire_recommendations(job: Job, beat: Beat) -> bool:
    """Mark recommendations of a project as out of date whose prices, prompt, mix, model or thirty days are gone."""
    ended = expiry.expire_all(job.project, now=timezone.now(), beat=beat)
    beat(message=f"{ended} out of date.", result={"expired": ended})
    return True


@jobs.slice_of("follow_up")
def follow_recommendations(job: Job, beat: Beat) -> bool:
    """Follow the recommendations of a project that the logs show being followed."""
    watched = followup.check_all(job.project, now=timezone.now(), beat=beat)
    beat(message=f"{watched} watched.", result={"watched": watched})
    return True
