"""A job that counts: each number is one keyed row, and one line for each time it was done."""

import os
import time

from projects import audit, jobs
from projects.jobs import Beat
from projects.models import IdempotencyKey, Job

SLICE = 10
UNIT_S = 0.05


@jobs.slice_of("counting")
def count(job: Job, beat: Beat) -> bool:
    """Do the next numbers up to `options["n"]`, at most SLICE; the pid stands in the message."""
    wanted = int(job.options.get("n", 5))  # a schedule gives no options
    owner = f"job {job.pk}"
    have = {int(key) for key in IdempotencyKey.objects.filter(owner=owner).values_list("key", flat=True)}
    waiting = [number for number in range(wanted) if number not in have][:SLICE]
    for number in waiting:
        beat(done=len(have), total=wanted, message=str(os.getpid()))
        time.sleep(UNIT_S)  # the model call
        audit.record(job.project, None, "counted", str(number))
        IdempotencyKey.objects.create(owner=owner, key=str(number), request_hash="")
        have.add(number)
    beat(done=len(have))
    return len(have) == wanted
