"""Jobs by name: which task runs a slice of each kind, and which kind follows when one is done.

A dotted path is not an import, so a lower app may start what an upper app does.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class JobKind:
    """`task` runs one slice of a job, given its id; `then` is the kind that follows on the same subject.

    `ended`, where given, is called with the Job once it failed or was cancelled, to mark its subject.
    """

    task: str
    title: str
    then: str | None = None
    ended: str | None = None


JOBS = {
    "sync": JobKind("ingestion.tasks.pull_logs", "Log sync", then="rollups"),
    "rollups": JobKind("ingestion.tasks.make_rollups", "Roll-ups"),
    "evaluation": JobKind(
        "evaluation.tasks.run_evaluation", "Evaluation", then="recommendation", ended="evaluation.tasks.mark_ended"
    ),
    "use_cases": JobKind("ingestion.tasks.refresh_use_cases", "Use cases", then="rollups"),
    "retention": JobKind("ingestion.tasks.remove_bodies", "Removal of bodies"),
    "digest": JobKind("projects.tasks.make_digest", "Daily letter"),
    "recommendation": JobKind("recommendations.tasks.recommend", "Recommendation"),
    "expiry": JobKind("recommendations.tasks.expire_recommendations", "Expiry of recommendations"),
    "follow_up": JobKind("recommendations.tasks.follow_recommendations", "Follow-up"),
}

# Called every few seconds by the supervisor: start what waits without a job, such as what a crash left.
SWEEPS = ("ingestion.rollups.ask_all", "projects.notifications.outbox.ask")

# Called with a Project after bodies were removed: blank what an app above copied out of them, return how many copies.
FORGET = ("evaluation.forgetting.forget",)
