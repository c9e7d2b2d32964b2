"""What workers do for this app: one slice of a job at a time."""

import time
from dataclasses import asdict

from django.core.serializers.json import DjangoJSONEncoder
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from ingestion import downloads, retention, rollups, sync, usecases
from ingestion.gateway import open_gateway
from projects import jobs, notifications
from projects.models import Job

SLICE_S = 40.0  # below a minute even when the last step waits for the gateway


@jobs.slice_of("sync")
def pull_logs(job: Job, beat: jobs.Beat) -> bool:
    """Pull a project's logs. Options: `since` and `until`, ISO moments or absent."""
    result = sync.pull(
        job.project,
        since=parse_datetime(job.options.get("since") or ""),
        until=parse_datetime(job.options.get("until") or ""),
        gateway=open_gateway(job.project.connection),
        now=timezone.now(),
        beat=beat,
        job=job,
        deadline=time.monotonic() + SLICE_S,
    )
    told = DjangoJSONEncoder()
    times = {name: told.default(at) if at else None for name, at in (("since", result.since), ("until", result.until))}
    beat(message=f"{result.added} calls added", result={**asdict(result), **times})
    if result.finished:
        usecases.start_if_due(job.project)
    return result.finished


def tell_sync_failed(job: Job) -> None:
    """Send notice that a pull of logs failed; of each kind of failure once a day, however often it is tried."""
    if job.state == Job.State.FAILED:
        now = timezone.now()
        told = {
            # the code and not the message: that may quote what a gateway answered
            "sentence": f"The log sync failed: {job.error_code.replace('_', ' ')}.",
            "path": f"/p/{job.project.slug}/logs/", "code": job.error_code,
        }  # fmt: skip
        notifications.send(job.project, "sync_failed", told, key=f"{now:%F} {job.error_code}", now=now)


@jobs.slice_of("rollups")
def make_rollups(job: Job, beat: jobs.Beat) -> bool:
    """Make the hours anew whose calls changed; what is marked meanwhile is left to the next job."""
    deadline = time.monotonic() + SLICE_S
    reached = rollups.refresh(job.project, beat=beat, deadline=deadline)
    beat(message=f"up to batch {reached}", result={"watermark": reached})
    return time.monotonic() < deadline


@jobs.slice_of("retention")
def remove_bodies(job: Job, beat: jobs.Beat) -> bool:
    """Remove bodies. Its subject is a Removal; without one, what the project's own setting says is due."""
    downloads.sweep()  # files of exports hold bodies too, and a project may never pull again
    if job.subject_id is None:
        due = retention.open_due(job.project, now=timezone.now())
        if due is None:
            retention.forget_copies(job.project)
            beat(message="nothing is old enough")
            return True
        job.subject_id = due.pk
        job.save(update_fields=["subject_id"])
    removal = job.project.removals.get(pk=job.subject_id)
    finished = retention.work(removal, beat=beat, deadline=time.monotonic() + SLICE_S)
    counts = {name: getattr(removal, name) for name in ("records", "calls", "bodies", "set_aside", "answers")}
    beat(message=f"{removal.bodies} bodies removed", result={"removal": removal.pk, **counts})
    return finished


@jobs.slice_of("use_cases")
def refresh_use_cases(job: Job, beat: jobs.Beat) -> bool:
    """Find use cases and assign calls to them. Options: `refit`, or `split`, the id of a use case."""
    return usecases.refresh(
        job.project,
        now=timezone.now(),
        refit=bool(job.options.get("refit")),
        split=job.options.get("split"),
        name=f"job {job.pk}",
        beat=beat,
        deadline=time.monotonic() + SLICE_S,
    )
