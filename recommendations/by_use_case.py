"""The leader within each use case as lines of the page, and what that says of a mixed move. Pure.

Findings, shrunk and flagged by Holm over the use cases (evaluation.statistics.use_cases), are no verdicts: the decision
is for the agent as a whole unless the project asked to decide by use case.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentopt.lib import charts, wording

Evidence = Mapping[str, Any]
LEANS = 0.75  # standard errors from no difference: enough for a word, far from a verdict
_WIDTH = 2 * 1.96


@dataclass(frozen=True)
class Line:
    """One use case."""

    name: str
    finding: str
    tone: str
    prompts: int
    difference: str
    interval: str
    chance_worse: float
    range: charts.Range


def margin(evidence: Evidence) -> float:
    """How much worse quality may get; 0 where it was no condition."""
    bars = [check["bar"] for check in evidence["checks"] if check["metric"] == "quality" and check["kind"] == "margin"]
    return -bars[0] if bars else 0.0


def lines(evidence: Evidence) -> list[Line]:
    """The use cases with most prompts first; none where there were too few to tell them apart."""
    rows: Sequence[Mapping[str, Any]] = evidence.get("use_cases") or ()
    if not rows:
        return []
    edge = -margin(evidence)
    ends = [end for row in rows for end in (row["low"], row["high"])]
    scale = charts.Scale.of(ends, edge=edge)
    return [_line(row, scale) for row in sorted(rows, key=lambda row: (-row["prompts"], row["use_case"]))]


def _line(row: Mapping[str, Any], scale: charts.Scale) -> Line:
    finding, tone = _finding(row)
    difference = wording.signed(row["estimate"])
    interval = f"({wording.signed(row['low'])} to {wording.signed(row['high'])})"
    told = f"{row['use_case']}: quality {finding}, {difference} {interval}"
    bar = charts.range_bar(
        told, scale, estimate=row["estimate"], low=row["low"], high=row["high"], tone=tone if tone != "open" else "ctx"
    )
    return Line(
        name=row["use_case"] or "not told apart",
        finding=finding,
        tone=tone,
        prompts=row["prompts"],
        difference=difference,
        interval=interval,
        chance_worse=row["chance_worse"],
        range=bar,
    )


def _finding(row: Mapping[str, Any]) -> tuple[str, str]:
    if row["worse"]:
        return "worse than allowed", "bad"
    error = (row["high"] - row["low"]) / _WIDTH
    lean = row["estimate"] / error if error else 0.0
    if lean <= -LEANS:
        return "leans worse", "warn"
    return ("leans better", "ok") if lean >= LEANS else ("about the same", "open")


def worse(evidence: Evidence) -> list[str]:
    """Use cases in which the leader is worse than the margin allows, at chance > 0.9 after Holm."""
    return [row["use_case"] for row in evidence.get("use_cases") or () if row["worse"]]


def mixed(evidence: Evidence) -> str:
    """“X for most, stay for refunds” where the findings say so; empty where they do not, or nothing is recommended."""
    outcome, names = evidence["outcome"], worse(evidence)
    known = len(evidence.get("use_cases") or ())
    if not outcome["recommended"] or not names or len(names) == known:
        return ""
    stay = f"stay with {evidence['question']['baseline']} for {_and(names)}"
    return f"Mixed: {outcome['recommended']} for the rest, {stay}, where quality is worse than your margin allows."


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
