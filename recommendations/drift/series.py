"""What is watched: metrics, their views and how people read them. No numpy, as pages read it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from agentopt.lib import wording

MOST_PARTS = 6


@dataclass(frozen=True)
class Metric:
    """One thing to watch. `column`: of the observations; `worse`: the direction nobody wants, "" for neither."""

    label: str
    column: str
    views: tuple[Literal["share", "rank", "size"], ...]
    worse: str
    unit: str = ""
    failures_are_worst: bool = False


METRICS: Mapping[str, Metric] = {
    "latency": Metric("latency", "latency_s", ("rank", "size"), "rise", unit="s", failures_are_worst=True),
    "cost": Metric("cost", "cost_usd", ("rank", "size"), "rise", unit="$"),
    "tokens": Metric("tokens", "tokens", ("rank", "size"), "rise", unit="tokens"),
    "errors": Metric("error rate", "failed", ("share",), "rise"),
    "refusals": Metric("refusal rate", "refused", ("share",), "rise"),
    "mix": Metric("share of a use case", "use_case", ("share",), ""),
    "quality": Metric("judged quality", "quality", ("share",), "fall"),
}
VIEWS = {"share": "share", "rank": "typical call", "size": "bill and slow tail"}
DEFAULT_RULES = tuple(METRICS)


def view_name(metric: str, view: str) -> str:
    """How people call a view: the typical call, the bill or the slow tail; "" where there is only one."""
    if view == "rank":
        return "typical call"
    if view == "size":
        return {"latency": "slow tail", "cost": "bill"}.get(metric, "total")
    return ""


def said(metric: str, value: float | None) -> str:
    """A level as people read it: 2.41 s, $0.0042, 512 tokens, 3.1 %."""
    if value is None:
        return wording.DASH
    unit = METRICS[metric].unit
    if unit == "s":
        return f"{value:.2f} s"
    if unit == "$":
        return wording.dollars(value)
    if unit:
        return f"{value:,.0f} {unit}"
    return wording.score(value) if metric == "quality" else wording.percent(value)
