"""The sentence that asks a question: fields of an address to requests of the analytics vocabulary."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django import forms

from agentopt.lib.forms import StyledForm

LIMIT = 1000  # rows of an answer
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
RANGES = {
    "24h": ("last 24 hours", DAY),
    "7d": ("last 7 days", 7 * DAY),
    "30d": ("last 30 days", 30 * DAY),
    "90d": ("last 90 days", 90 * DAY),
}
DEFAULT_RANGE = "30d"
KINDS = {
    "time": "Over time",
    "percentiles": "Percentiles",
    "distribution": "Distribution",
    "correlation": "Correlation",
    "clustering": "Use cases",
}
GROUPS = {
    "": "nothing",
    "use_case": "use case",
    "model": "model",
    "provider": "provider",
    "prompt_version": "prompt version",
    "status": "status",
}


@dataclass(frozen=True)
class Measure:
    """One figure to show: the question behind it, and how it reads."""

    label: str
    metric: str
    ask: Mapping[str, Any]
    additive: bool = False  # whether groups add up to the whole

    @property
    def quantile(self) -> str:
        """The quantile it is, as answers name it; "" for an aggregate."""
        return f"{self.ask['quantiles'][0]:g}" if "quantiles" in self.ask else ""


def _aggregate(label: str, metric: str, aggregate: str, *, additive: bool = False) -> Measure:
    return Measure(label, metric, {"kind": "aggregation", "metric": metric, "aggregate": aggregate}, additive)


def _quantile(label: str, metric: str, quantile: float) -> Measure:
    return Measure(label, metric, {"kind": "percentiles", "metric": metric, "quantiles": [quantile]})


MEASURES = {
    "calls": _aggregate("calls", "calls", "count", additive=True),
    "spend": _aggregate("spend", "cost", "sum", additive=True),
    "cost": _aggregate("mean cost", "cost", "mean"),
    "p95": _quantile("p95 latency", "latency", 0.95),
    "p50": _quantile("p50 latency", "latency", 0.5),
    "p99": _quantile("p99 latency", "latency", 0.99),
    "first": _quantile("p95 time to first token", "first_token", 0.95),
    "in": _aggregate("input tokens", "input_tokens", "sum", additive=True),
    "out": _aggregate("output tokens", "output_tokens", "sum", additive=True),
    "failed": _aggregate("failed share", "failed", "rate"),
    "refused": _aggregate("refused share", "refused", "rate"),
}
DEFAULT_MEASURE = "p95"
CORRELATED = ("latency", "cost", "input_tokens", "output_tokens")


class QuestionForm(StyledForm):
    """All in the address; what is wrong or absent becomes the default, and the page says so."""

    kind = forms.ChoiceField(choices=list(KINDS.items()), required=False, widget=forms.RadioSelect)
    metric = forms.ChoiceField(
        label="Metric", required=False, choices=[(name, one.label) for name, one in MEASURES.items()]
    )
    by = forms.ChoiceField(label="Group", required=False, choices=list(GROUPS.items()))
    per = forms.ChoiceField(label="Window", required=False, choices=[("day", "day"), ("hour", "hour")])
    status = forms.ChoiceField(
        label="Filter by status", required=False,
        choices=[("", "any status"), *((name, f"status is {name}") for name in ("ok", "refused", "failed"))],
    )  # fmt: skip
    model = forms.ChoiceField(label="Filter by model", required=False)
    range = forms.ChoiceField(
        label="Time range", required=False, choices=[(name, text) for name, (text, _) in RANGES.items()]
    )
    exact = forms.BooleanField(required=False, widget=forms.HiddenInput)

    def __init__(self, data: Any, *, models: Sequence[str]) -> None:
        super().__init__(data)
        field = self.fields["model"]
        assert isinstance(field, forms.ChoiceField)  # noqa: S101
        field.choices = [("", "any model"), *((name, f"model is {name}") for name in models)]
        self.full_clean()
        defaults = {"kind": "time", "metric": DEFAULT_MEASURE, "per": "day", "range": DEFAULT_RANGE}
        asked = {name: value for name, value in self.cleaned_data.items() if value}
        self.asked: dict[str, Any] = {**defaults, **asked}
        # the controls show what is answered, also where the address says nothing or something wrong
        self.data = {**self.asked, "exact": "1" if self.asked.get("exact") else ""}

    @property
    def kind_chosen(self) -> str:
        """A key of KINDS."""
        return str(self.asked["kind"])

    @property
    def measure(self) -> Measure:
        """What is shown."""
        return MEASURES[self.asked["metric"]]

    @property
    def group(self) -> str:
        """What it is split by; "" for nothing."""
        return str(self.asked.get("by", ""))

    @property
    def unit(self) -> str:
        """The bucket of time: hours only where they fit into one answer."""
        return "hour" if self.asked["per"] == "hour" and RANGES[self.asked["range"]][1] <= 7 * DAY else "day"

    def window(self, now: datetime) -> tuple[datetime, datetime]:
        """[since, until) on borders of the unit in UTC; the last bucket is still filling."""
        return self._last(RANGES[self.asked["range"]][1], now)

    def _last(self, span: timedelta, now: datetime) -> tuple[datetime, datetime]:
        until = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0) + HOUR
        if self.unit == "day":
            until = (until - HOUR).replace(hour=0) + DAY
        return until - span, until

    def range_within(self, proposal: Mapping[str, Any] | None, now: datetime) -> str:
        """The longest range of the page that lies within the window of a proposal; "" where none does."""
        if proposal is None or proposal.get("since") is None:
            return ""
        since = datetime.fromisoformat(proposal["since"])
        fits = [
            name
            for name, (_, span) in RANGES.items()
            if span < RANGES[self.asked["range"]][1] and self._last(span, now)[0] >= since
        ]
        return fits[-1] if fits else ""

    def common(self, now: datetime) -> dict[str, Any]:
        """What all questions of the page share, as JSON values."""
        since, until = self.window(now)
        filters = {name: [self.asked[name]] for name in ("status", "model") if self.asked.get(name)}
        exact = {"exact": True} if self.asked.get("exact") else {}
        return {"since": _iso(since), "until": _iso(until), **({"filters": filters} if filters else {}), **exact}

    def question(self, now: datetime) -> dict[str, Any]:
        """The question that the page's table answers, as JSON values without the project."""
        kind, common = self.kind_chosen, self.common(now)
        by = [self.group] if self.group else []
        if kind == "time":
            return {**self.measure.ask, "group_by": by, "limit": LIMIT, **common}
        if kind == "percentiles":
            return {"kind": kind, "metric": self.measured, "group_by": by, "limit": LIMIT, **common}
        if kind == "correlation":
            return {"kind": kind, "metrics": list(CORRELATED), **common}
        return {"kind": kind, "metric": self.measured, **common}

    @property
    def measured(self) -> str:
        """The figure of a call that kinds other than "over time" are about."""
        metric = self.measure.metric
        return metric if metric not in ("calls", "failed", "refused") else "latency"


def _iso(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
