"""The catalogue of metrics: what each counts, in which unit, and which way is better."""

from dataclasses import dataclass
from typing import Literal, get_args

Measure = Literal[
    "cost", "source_cost", "latency", "first_token", "input_tokens", "output_tokens", "cached_tokens",
    "cache_write_tokens", "reasoning_tokens",
]  # fmt: skip
"""Metrics that are a figure of each call."""
MetricName = Literal["calls", Measure, "failed", "refused"]
Aggregate = Literal["count", "sum", "mean", "min", "max", "rate"]
MEASURES: tuple[str, ...] = get_args(Measure)


@dataclass(frozen=True)
class Metric:
    """A figure of one call: an integer column, in 1/`scale` of the unit; without a column, a count or a share."""

    name: str
    title: str
    unit: str
    better: str | None  # "lower", "higher"; None: neither
    column: str = ""
    scale: int = 1

    @property
    def aggregates(self) -> tuple[Aggregate, ...]:
        """What can be asked of it; the first is the default."""
        if self.column:
            return ("sum", "mean", "min", "max", "count")
        return ("rate", "count") if self.unit == "share" else ("count",)

    def shown(self, amount: int) -> float | int:
        """A stored whole number in the metric's unit; the float is formed here and nowhere before."""
        return amount if self.scale == 1 else amount / self.scale


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
        Metric("cache_write_tokens", "Tokens written to a cache", "tokens", None, "cache_write_tokens"),
        Metric("reasoning_tokens", "Reasoning tokens", "tokens", None, "reasoning_tokens"),
        Metric("failed", "Failed calls", "share", "lower"),
        Metric("refused", "Refused answers", "share", "lower"),
    )
}
