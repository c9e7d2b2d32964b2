"""Jobs by name: which task runs a slice of each kind, which kind follows when one is done, and which come again.

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
    "sync": JobKind("ingestion.tasks.pull_logs", "Log sync", then="rollups", ended="ingestion.tasks.tell_sync_failed"),
    "rollups": JobKind("ingestion.tasks.make_rollups", "Roll-ups"),
    "evaluation": JobKind(
        "evaluation.tasks.run_evaluation", "Evaluation", then="recommendation", ended="evaluation.tasks.mark_ended"
    ),
    "anchors": JobKind("evaluation.tasks.judge_anchors", "Judging of anchors"),
    "use_cases": JobKind("ingestion.tasks.refresh_use_cases", "Use cases", then="rollups"),
    "retention": JobKind("ingestion.tasks.remove_bodies", "Removal of bodies"),
    "digest": JobKind("projects.tasks.make_digest", "Daily letter"),
    "recommendation": JobKind("recommendations.tasks.recommend", "Recommendation"),
    "scheduled_evaluation": JobKind("recommendations.tasks.start_scheduled", "Scheduled evaluation"),
    "judging": JobKind("recommendations.tasks.judge_production", "Judging of production samples"),
    "summary": JobKind("recommendations.tasks.summarize", "Summary by a model"),
    "expiry": JobKind("recommendations.tasks.expire_recommendations", "Expiry of recommendations"),
    "follow_up": JobKind("recommendations.tasks.follow_recommendations", "Follow-up"),
    "drift": JobKind("recommendations.tasks.check_drift", "Drift check"),
}


@dataclass(frozen=True)
class Schedule:
    """A kind of job that comes again by itself, for each project.

    `cron` has five fields, in UTC; `setting` names the setting that holds it instead, and a project may have its own.
    `why_not`, dotted, is called with the Project and the moment: a sentence where there is nothing to start.
    """

    kind: str
    title: str
    does: str
    cron: str = ""
    setting: str = ""
    why_not: str | None = None


SCHEDULES = {
    "sync": Schedule(
        "sync", "Log sync", "pulls new calls from the gateway", cron="7 * * * *",
        why_not="ingestion.recurring.why_no_sync",
    ),
    "rollups": Schedule(
        "rollups", "Roll-ups", "makes figures anew whose calls changed", cron="37 * * * *",
        why_not="ingestion.recurring.why_no_rollups",
    ),
    "evaluation": Schedule(
        "scheduled_evaluation", "Evaluation", "starts one where something changed and the month has money for it",
        setting="EVALUATION_SCHEDULE_CRON",
    ),
    "judging": Schedule(
        "judging", "Judging of production", "has judges look at samples, within their own rate and cap",
        cron="20 * * * *", why_not="recommendations.production.why_not",
    ),
    "drift": Schedule("drift", "Drift", "holds new calls against their reference", cron="25 * * * *"),
    "expiry": Schedule(
        "expiry", "Expiry", "marks recommendations that no longer stand", cron="15 4 * * *",
    ),
    "follow_up": Schedule(
        "follow_up", "Follow-up", "holds what switches gave against what was promised", cron="45 4 * * *",
    ),
    "retention": Schedule(
        "retention", "Retention", "removes bodies that are too old, and files that nobody needs", cron="30 1 * * *"
    ),
    "digest": Schedule(
        "digest", "Daily letter", "sends what waits for it", cron="0 7 * * *",
        why_not="projects.notifications.digest.why_not",
    ),
}  # fmt: skip

# Called every few seconds by the supervisor: start what waits without a job, such as what a crash left.
SWEEPS = ("ingestion.rollups.ask_all", "projects.notifications.outbox.ask")

# Called with a Project after bodies were removed: blank what an app above copied out of them, return how many copies.
FORGET = ("evaluation.forgetting.forget",)
