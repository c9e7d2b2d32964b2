"""/metrics in Prometheus' text form, read from the database at each visit: counters of processes would not add up."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric


@dataclass(frozen=True)
class Figures:
    """What stands in the database at a moment, as prometheus-client asks a collector for it."""

    now: datetime

    def collect(self) -> Iterator["Metric"]:
        """All metrics; a value that is not known is left out."""
        from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily  # brings an HTTP server

        kinds = {"gauge": GaugeMetricFamily, "counter": CounterMetricFamily}
        for kind, name, says, values in _read(self.now):
            found = list(values)
            metric = kinds[kind](f"agentopt_{name}", says, labels=list(found[0][0]) if found else [])
            for labels, value in found:
                metric.add_metric(list(labels.values()), value)
            yield metric


@login_not_required
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Figures for a monitor that shows METRICS_TOKEN as its bearer token; without that setting there is no page."""
    given = request.headers.get("Authorization", "").removeprefix("Bearer ")
    if not settings.METRICS_TOKEN or not constant_time_compare(given, settings.METRICS_TOKEN):
        return HttpResponseNotFound("No metrics here.\n", content_type="text/plain")
    from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest  # as above

    return HttpResponse(generate_latest(Figures(timezone.now())), content_type=CONTENT_TYPE_PLAIN_0_0_4)


def _read(now: datetime) -> list[tuple[str, str, str, Iterable[tuple[Mapping[str, str], float]]]]:
    """Kind, name, help, and values by labels, which all values of a metric have alike."""
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
        ("gauge", "queue_due", "Deliveries of the queue that are due.", [({}, due["n"])]),
        ("gauge", "queue_oldest_seconds", "Age of the oldest that is due.", [({}, age)]),
        (
            "gauge", "worker_seen_seconds", "Since a worker was last seen; absent: never.",
            [({}, (now - seen).total_seconds())] if seen else [],
        ),
        ("gauge", "jobs", "Jobs by kind and state.", [({"kind": k, "state": s}, n) for k, s, n in jobs]),
        ("gauge", "notices", "Deliveries of notices by state.", [({"state": s}, n) for s, n in notices]),
        (
            "gauge", "channels_failing", "Channels that notices do not reach.",
            [({}, Channel.objects.exclude(failing_since=None).filter(enabled=True).count())],
        ),
        ("counter", "calls_ingested", "Calls taken in.", [({"project": s}, n or 0) for s, n in calls]),
        (
            "counter", "spent_usd", "US dollars spent on model calls with a known price.",
            [(labels, nanousd / float(NANO)) for labels, nanousd, _ in money],
        ),
        ("counter", "model_calls", "Requests to models, retries included.", [(m[0], m[2]) for m in money]),
    ]  # fmt: skip
