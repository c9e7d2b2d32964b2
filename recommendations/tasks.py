"""What the workers run."""

from django.utils import timezone

from evaluation.models import Evaluation
from projects import jobs
from projects.jobs import Beat
from projects.models import Job
from recommendations import services


@jobs.slice_of("recommendation")
def recommend(job: Job, beat: Beat) -> bool:
    """Make the recommendation of the evaluation that just ended; one that stopped at its cap has no outcome yet."""
    evaluation = job.project.evaluations.get(pk=job.subject_id or 0)
    if evaluation.state != Evaluation.State.DONE:
        beat(message=f"Evaluation {evaluation.number} has no outcome yet: {evaluation.get_state_display()}.")
        return True
    made = services.recommend(evaluation, now=timezone.now())
    beat(done=1, total=1, message="Recommendation made.", result={"recommendation": made.pk})
    return True
