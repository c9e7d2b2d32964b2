"""Recurring jobs: the table of agentopt.schedules as rows of django-q2, what came of each turn, and turns by hand.

django-q2 hands out a turn with the moment it was due. That moment is the key of a ScheduleRun, written in the
transaction that starts the job: two clusters, or a turn that is delivered twice, start one. A turn that was missed
while nothing ran comes once, when a worker is back, and the next one is computed from then on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from croniter import croniter
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Max, Q, QuerySet
from django.utils import timezone
from django.utils.module_loading import import_string
from django_q.models import Schedule as Row

from agentopt.lib.errors import Conflict, Invalid
from agentopt.schedules import SCHEDULES
from projects import audit, jobs
from projects.models import Job, Project, ScheduleRun, User

PREFIX = "agentopt:"
TASK = "projects.tasks.run_schedule"
KEPT_FOR = timedelta(days=30)
OWN = {"evaluation": "evaluation_cron"}  # schedules that a project may have its own cron for
log = structlog.get_logger(__name__)


def is_cron(text: str) -> bool:
    """Whether a text is five cron fields; names such as @daily and seconds are not taken."""
    if len(text.split()) != 5 or not croniter.is_valid(text):
        return False
    try:
        croniter(text, timezone.now()).get_next(datetime)
    except ValueError:  # a day that never comes, such as February 31
        return False
    return True


def cron_of(name: str, project: Project | None = None) -> str:
    """When a schedule comes round: the project's own cron, the setting's, or the table's."""
    own = str(getattr(project, OWN[name])) if project is not None and name in OWN else ""
    found = SCHEDULES[name]
    return own or (str(getattr(settings, found.setting)) if found.setting else found.cron)


# ------------------------------------------------------------------------------------------------ rows of the queue
def install() -> list[str]:
    """Make django-q2's rows those of the table, and return the names of what was added, changed or removed.

    What is right already keeps its next turn, so a turn that was missed meanwhile still comes, once.
    """
    wanted = _wanted()
    changed: list[str] = []
    with transaction.atomic():
        if connection.vendor == "postgresql":  # SQLite's transaction holds the write lock from its start
            with connection.cursor() as cursor:
                cursor.execute("LOCK TABLE django_q_schedule IN SHARE ROW EXCLUSIVE MODE")
        for row in Row.objects.filter(name__startswith=PREFIX).order_by("pk"):
            cron, args = wanted.pop(row.name, ("", ""))
            if (row.cron, row.args, row.func) == (cron, args, TASK):
                continue
            changed.append(row.name.removeprefix(PREFIX))
            if not cron:
                row.delete()
                continue
            row.cron, row.args, row.func = cron, args, TASK
            row.next_run = row.calculate_next_run()
            row.save()
        for name, (cron, args) in wanted.items():
            changed.append(name.removeprefix(PREFIX))
            Row.objects.create(  # a new row's next turn is set as it is saved
                name=name, func=TASK, args=args, cron=cron, schedule_type=Row.CRON, intended_date_kwarg="due"
            )
    return changed


def _wanted() -> dict[str, tuple[str, str]]:
    rows = {f"{PREFIX}{name}": (cron_of(name), f"{name!r},") for name in SCHEDULES}
    for name, field in OWN.items():
        if name in SCHEDULES:
            for pk, cron in Project.objects.exclude(**{field: ""}).values_list("pk", field):
                rows[f"{PREFIX}{name}:{pk}"] = (cron, f"{name!r}, {pk}")
    return rows


# ------------------------------------------------------------------------------------------------ turns
def run(name: str, *, due_at: datetime, project_id: int | None = None, now: datetime | None = None) -> int:
    """Start a schedule's jobs for one turn and return how many; may be called again for the same turn.

    Args:
        project_id: of a project with its own cron; None: all others.
    """
    if name not in SCHEDULES:
        return 0  # a row of an older version that is still in the queue
    now = now or timezone.now()
    started = 0
    for project in _projects(name, project_id).iterator():
        try:
            started += _turn(project, name, due_at=due_at, now=now)
        except Exception:  # the fault of one project must not stop the others
            log.exception("schedule failed", schedule=name, project=project.slug)
    _forget(name, now=now)
    return started


def _projects(name: str, project_id: int | None) -> QuerySet[Project]:
    if project_id is not None:
        return Project.objects.filter(pk=project_id)
    return Project.objects.filter(**{OWN[name]: ""} if name in OWN else {}).order_by("pk")


def _turn(project: Project, name: str, *, due_at: datetime, now: datetime) -> bool:
    with transaction.atomic():
        row, is_new = ScheduleRun.objects.get_or_create(project=project, name=name, due_at=due_at, defaults={"at": now})
        if not is_new:
            return False
        row.why_not = _why_not(project, name, now) or ""
        if not row.why_not:
            row.job = jobs.start(SCHEDULES[name].kind, project)
        row.save(update_fields=["why_not", "job"])
    return row.job is not None


def _why_not(project: Project, name: str, now: datetime) -> str | None:
    found = SCHEDULES[name]
    if project.jobs.filter(kind=found.kind, state__in=jobs.ACTIVE).exists():
        return "The job before is still under way."
    asked = import_string(found.why_not) if found.why_not else None
    answer: str | None = asked(project, now) if asked is not None else None
    return answer[:300] if answer else None


def trigger(project: Project, name: str, *, by: User | None, now: datetime) -> Job:
    """Start a scheduled job now because a person asks, whether schedules are on or off.

    Raises:
        Invalid: there is no such schedule. Conflict: there is nothing to start; the message says why.
    """
    if name not in SCHEDULES:
        raise Invalid(f"There is no scheduled job {name}.", fields={"job": f"Expected {', '.join(SCHEDULES)}."})
    why_not = _why_not(project, name, now)
    if why_not is not None:
        raise Conflict(why_not)
    with transaction.atomic():
        job = jobs.start(SCHEDULES[name].kind, project, options={"asked": True}, by=by)
        ScheduleRun.objects.create(project=project, name=name, at=now, by=by, job=job)
        audit.record(project, by, "schedule.trigger", name)
    return job


def _forget(name: str, *, now: datetime) -> None:
    """Turns of long ago go, with the jobs that are done; of each project the newest stays."""
    newest = ScheduleRun.objects.filter(name=name).values("project").annotate(last=Max("pk")).values("last")
    old = ScheduleRun.objects.filter(name=name, at__lt=now - KEPT_FOR).exclude(pk__in=newest)
    done = list(old.filter(job__state=Job.State.DONE).values_list("job", flat=True)[:1000])
    kind = SCHEDULES[name].kind
    with transaction.atomic():
        old.delete()
        Job.objects.filter(pk__in=done, kind=kind, subject_id=None).delete()


# ------------------------------------------------------------------------------------------------ what is shown
@dataclass(frozen=True)
class Standing:
    """A schedule of one project: when it comes next, and what came of its newest turn."""

    name: str
    title: str
    does: str
    cron: str
    is_own: bool
    next_at: datetime | None  # None: schedules are off, or no worker has set them up yet
    newest: ScheduleRun | None

    @property
    def is_active(self) -> bool:
        """Whether its newest job is under way."""
        return self.newest is not None and self.newest.job is not None and self.newest.job.state in jobs.ACTIVE


def standing(projects: Sequence[Project]) -> Mapping[int, list[Standing]]:
    """The schedules of some projects, by the project's id."""
    rows = dict(Row.objects.filter(name__startswith=PREFIX).values_list("name", "next_run"))
    ids = [project.pk for project in projects]
    newest = (
        ScheduleRun.objects.filter(project__in=ids).values("project", "name").annotate(last=Max("pk")).values("last")
    )
    found = {
        (run.project_id, run.name): run
        for run in ScheduleRun.objects.filter(pk__in=newest).select_related("job__project", "by")
    }
    return {project.pk: [_standing(project, name, rows, found) for name in SCHEDULES] for project in projects}


def _standing(
    project: Project, name: str, rows: Mapping[str, Any], found: Mapping[tuple[int, str], ScheduleRun]
) -> Standing:
    is_own = name in OWN and bool(getattr(project, OWN[name]))
    row = f"{PREFIX}{name}:{project.pk}" if is_own else f"{PREFIX}{name}"
    what = SCHEDULES[name]
    return Standing(
        name=name, title=what.title, does=what.does, cron=cron_of(name, project), is_own=is_own,
        next_at=rows.get(row) if is_on() else None, newest=found.get((project.pk, name)),
    )  # fmt: skip


def turns(project: Project, *, limit: int = 30) -> list[ScheduleRun]:
    """The newest turns of all schedules that started something or had a reason worth telling."""
    told = Q(name="evaluation") | Q(job__isnull=False)
    return list(project.schedule_runs.filter(told).select_related("job", "by").order_by("-pk")[:limit])


def is_on() -> bool:
    """Whether schedules start anything by themselves."""
    return bool(settings.ENABLE_SCHEDULER)
