"""/healthz and /readyz, and the checks behind the second: `doctor` runs them too."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.http import require_safe
from django_q.models import OrmQ

from agentopt.lib.database import MIGRATE, waiting
from projects import supervisor

LATE = timedelta(seconds=120)


@dataclass(frozen=True)
class Finding:
    """How one part is; `mend` says what to do where it is not well."""

    name: str
    ok: bool
    says: str
    mend: str = ""


def well(name: str, says: str, mend: str = "") -> Finding:
    """A part that works; `mend` may still say what would make it better."""
    return Finding(name, ok=True, says=says, mend=mend)


def ill(name: str, says: str, mend: str) -> Finding:
    """A part that does not."""
    return Finding(name, ok=False, says=says, mend=mend)


def database() -> Finding:
    """Whether the database answers, and on SQLite whether its journal lets readers and a writer work at once."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA journal_mode" if connection.vendor == "sqlite" else "SELECT version()")
            answer = str(cursor.fetchone()[0])
    except DatabaseError as error:
        return ill("database", f"does not answer ({type(error).__name__})", "Check DATABASE_URL.")
    if connection.vendor == "sqlite" and answer not in ("wal", "memory"):
        return ill("database", f"journal mode {answer}", "Put DATA_DIR on a local disk: WAL needs one.")
    return well("database", f"{connection.vendor} ({answer.partition(',')[0][:60]})")


def migrations() -> Finding:
    """Whether the tables are those of this version."""
    if n_waiting := waiting():
        return ill("migrations", f"{n_waiting} not applied", MIGRATE)
    return well("migrations", "all applied")


def queue() -> Finding:
    """Whether due work is taken."""
    now = timezone.now()
    oldest = OrmQ.objects.filter(lock__lte=now).order_by("lock").values_list("lock", flat=True).first()
    if oldest is not None and now - oldest > LATE:
        seconds = round((now - oldest).total_seconds())
        return ill("queue", f"work waits for {seconds} s", "Start `python manage.py run_worker`.")
    return well("queue", "nothing waits for long")


def worker() -> Finding:
    """Whether background work is looked after."""
    seen = supervisor.last_seen()
    mend = "Start `python manage.py run_worker`, and keep it running beside the site."
    if seen is None:
        return ill("worker", "never seen", mend)
    if timezone.now() - seen > LATE:
        return ill("worker", f"last seen {seen:%F %T} UTC", mend)
    return well("worker", "running")


CHECKS: tuple[Callable[[], Finding], ...] = (database, migrations, queue, worker)


def findings() -> list[Finding]:
    """All checks in order; after a database that does not answer, or tables that are missing, the rest is left out."""
    found = []
    for check in CHECKS:
        found.append(check())
        if not found[-1].ok and check in (database, migrations):
            break
    return found


@login_not_required
@require_safe
def healthz(_request: HttpRequest) -> HttpResponse:
    """The process is up."""
    return HttpResponse("ok\n", content_type="text/plain")


@login_not_required
@require_safe
def readyz(_request: HttpRequest) -> HttpResponse:
    """Whether the instance can do its work: 200, or 503 with the parts that are not well."""
    found = findings()
    body = {"ready": all(one.ok for one in found), "checks": {one.name: "ok" if one.ok else one.says for one in found}}
    return JsonResponse(body, status=200 if body["ready"] else 503)
