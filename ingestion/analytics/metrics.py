"""The catalogue of metrics: what each counts, in which unit, and which way is better."""

from dataclasses import dataclass

from django.db.models import Q

from ingestion.analytics import requests

COUNT, MEAN, RATE = "count", "mean", "rate"


@dataclass(frozen=True)
class Metric:
    """A figure of one call: an integer column, in 1/`scale` of the unit, or a condition (`hit` among `known`)."""

    name: str
    title: str
    unit: str
    better: str | None  # "lower", "higher"; None: neither
    column: str | None = None
    scale: int = 1
    hit: Q | None = None
    known: Q | None = None

    @property
    def aggregates(self) -> tuple[str, ...]:
        """What can be asked of it; the first is the default."""
        return requests.NOT_MEASURED.get(self.name, requests.MEASURES)


METRICS = {
    metric.name: metric
    for metric in (
        Metric("calls", "Calls", "calls", None),
        Metric("cost", "Cost", "usd", "lower", "cost_nanousd", 10**9),
        Metric("source_cost", "Cost as the source says", "usd", "lower", "source_cost_nanousd", 10**9),
        Metric("latency", "Latency", "s", "lower", "latency_us", 10**6),
        Metric("first_token", "Time to first token", "s", "lower", "first_token_us", 10**6),
        Metric("input_tokens", "Input tokens", "tokens", None, "input_tokens"),
        Metric("output_tokens", "Output tokens", "tokens", None, "output_tokens"),
        Metric("cached_tokens", "Cached tokens", "tokens", None, "cached_tokens"),
        Metric("failed", "Failed calls", "share", "lower", hit=Q(status="failed"), known=Q()),
        Metric("refused", "Refused answers", "share", "lower", hit=Q(refused=True), known=Q(refused__isnull=False)),
    )
}
