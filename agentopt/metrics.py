"""/metrics in Prometheus' text form, read from the database at each visit: counters of processes would not add up."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db.models import Count, Min, Sum
from django.http import HttpRequest, HttpResponse, HttpResponseNotFound
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.views.decorators.http import require_safe
from django_q.models import OrmQ

from agentopt.lib.money import NANO
from evaluation.models import Charge
from ingestion.models import Batch
from projects import supervisor
from projects.models import Channel, Job, NoticeDelivery

TEXT_FORM = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True)
class Metric:
    """One metric with its values by labels."""

    name: str
    kind: str  # gauge or counter
    help: str
    values: Iterable[tuple[Mapping[str, str], float]] = field(default_factory=list)

    def lines(self) -> list[str]:
        """The metric as lines of the text form."""
        head = [f"# HELP agentopt_{self.name} {self.help}", f"# TYPE agentopt_{self.name} {self.kind}"]
        return head + [f"agentopt_{self.name}{_labels(labels)} {value:.17g}" for labels, value in self.values]


def _labels(labels: Mapping[str, str]) -> str:
    def quoted(text: str) -> str:
        return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

    return "{" + ",".join(f'{name}="{quoted(value)}"' for name, value in labels.items()) + "}" if labels else ""


@login_not_required
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Figures for a monitor that shows METRICS_TOKEN as its bearer token; without that setting there is no page."""
    given = request.headers.get("Authorization", "").removeprefix("Bearer ")
    if not settings.METRICS_TOKEN or not constant_time_compare(given, settings.METRICS_TOKEN):
        return HttpResponseNotFound("No metrics here.\n", content_type="text/plain")
    lines = [line for metric in read(timezone.now()) for line in metric.lines()]
    return HttpResponse("\n".join(lines) + "\n", content_type=TEXT_FORM)


def read(now: datetime) -> list[Metric]:
    """All metrics; a value that is not known is left out."""
    due = OrmQ.objects.filter(lock__lte=now).aggregate(n=Count("pk"), oldest=Min("lock"))
    seen = supervisor.last_seen()
    jobs = Job.objects.values_list("kind", "state").annotate(n=Count("pk")).order_by("kind", "state")
    notices = NoticeDelivery.objects.values_list("state").annotate(n=Count("pk")).order_by("state")
    calls = Batch.objects.values_list("project__slug").annotate(n=Sum("added")).order_by("project__slug")
    spent = (
        Charge.objects.values_list("project__slug", "kind")
        .annotate(nanousd=Sum("nanousd"), n=Sum("calls"))
        .order_by("project__slug", "kind")
    )
    money = [({"project": slug, "kind": kind}, nanousd, n) for slug, kind, nanousd, n in spent]
    age = (now - due["oldest"]).total_seconds() if due["oldest"] else 0.0
    return [
        Metric("queue_due", "gauge", "Deliveries of the queue that are due.", [({}, due["n"])]),
        Metric("queue_oldest_seconds", "gauge", "Age of the oldest that is due.", [({}, age)]),
        Metric(
            "worker_seen_seconds", "gauge", "Since a worker was last seen; absent: never.",
            [({}, (now - seen).total_seconds())] if seen else [],
        ),
        Metric("jobs", "gauge", "Jobs by kind and state.", [({"kind": k, "state": s}, n) for k, s, n in jobs]),
        Metric("notices", "gauge", "Deliveries of notices by state.", [({"state": s}, n) for s, n in notices]),
        Metric(
            "channels_failing", "gauge", "Channels that notices do not reach.",
            [({}, Channel.objects.exclude(failing_since=None).filter(enabled=True).count())],
        ),
        Metric("calls_ingested_total", "counter", "Calls taken in.", [({"project": s}, n or 0) for s, n in calls]),
        Metric(
            "spent_usd_total", "counter", "US dollars spent on model calls with a known price.",
            [(labels, nanousd / float(NANO)) for labels, nanousd, _ in money],
        ),
        Metric("model_calls_total", "counter", "Requests to models, retries included.", [(m[0], m[2]) for m in money]),
    ]  # fmt: skip
