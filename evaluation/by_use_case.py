"""The leader within each use case as lines of the page, and what that says of a mixed move. Pure.

Findings, shrunk and flagged by Holm over the use cases (evaluation.statistics.use_cases), are no verdicts: the decision
is for the agent as a whole unless the project asked to decide by use case. Beside them stand the plain figures
(evaluation.breakdown), which evidence of an earlier schema lacks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from agentopt.lib import charts, wording
from agentopt.lib.wording import DASH

Evidence = Mapping[str, Any]
LEANS = 0.75  # standard errors from no difference: enough for a word, far from a verdict
MOST_SMALL = 2  # use cases without a finding that still have a line of their own
_WIDTH = 2 * 1.96


@dataclass(frozen=True)
class Line:
    """One use case."""

    name: str
    use_case: str  # as the log has it; "": none
    finding: str
    tone: str
    share: str
    prompts: int
    measured: str
    difference: str
    interval: str
    range: charts.Range | None
    moved: str  # better, same, worse
    saving: str
    saving_interval: str
    about: str = ""  # what it holds, where it is several


def margin(evidence: Evidence) -> float:
    """How much worse quality may get; 0 where it was no condition."""
    bars = [check["bar"] for check in evidence["checks"] if check["metric"] == "quality" and check["kind"] == "margin"]
    return -bars[0] if bars else 0.0


def lines(evidence: Evidence) -> list[Line]:
    """The use cases with most prompts first, those too small for a finding as one; none where all is one use case."""
    found: Sequence[Mapping[str, Any]] = evidence.get("use_cases") or ()
    plain: Sequence[Mapping[str, Any]] = evidence.get("by_use_case") or ()
    findings = {row["use_case"]: row for row in found}
    ends = [end for row in found for end in (row["low"], row["high"])]
    scale = charts.Scale.of(ends, edge=-margin(evidence))
    if not plain:
        rows = sorted(found, key=lambda row: (-row["prompts"], row["use_case"]))
        return [_line({}, row, row["use_case"], scale) for row in rows]
    small = [row for row in plain if row["use_case"] not in findings]
    lines = [_line(row, findings.get(row["use_case"]), row["use_case"], scale) for row in plain if row not in small]
    if findings and len(small) > MOST_SMALL:
        return [*lines, _together(small, scale)]
    return [*lines, *(_line(row, None, row["use_case"], scale) for row in small)]


def _together(rows: Sequence[Mapping[str, Any]], scale: charts.Scale) -> Line:
    """Use cases with too few prompts as one line; no interval, as they are not one use case."""
    dollars = [row["saving_usd"] for row in rows]
    counts = {name: sum(row[name] for row in rows) for name in ("share", "scored", "better", "same", "worse")}
    scored = [row for row in rows if row["scored"]]
    means = {
        name: sum(row[name] * row["scored"] for row in scored) / counts["scored"] if scored else None
        for name in ("now", "then")
    }
    whole = {**counts, **means, "saving_usd": None if None in dollars else sum(dollars)}
    name = f"{len(rows)} smaller use cases"
    return replace(_line(whole, None, name, scale), use_case="", about=", ".join(row["use_case"] for row in rows))


def _line(plain: Mapping[str, Any], row: Mapping[str, Any] | None, name: str, scale: charts.Scale) -> Line:
    finding, tone = _finding(row) if row else ("too few to tell", "open")
    difference = interval = ""
    bar = None
    if row:
        difference = wording.signed(row["estimate"])
        interval = f"({wording.signed(row['low'])} to {wording.signed(row['high'])})"
        told = f"{name}: quality {finding}, {difference} {interval}"
        bar = charts.range_bar(
            told, scale, estimate=row["estimate"], low=row["low"], high=row["high"],
            tone=tone if tone != "open" else "ctx",
        )  # fmt: skip
    return Line(
        name=name or "not told apart",
        use_case=name,
        finding=finding,
        tone=tone,
        share=wording.percent(plain.get("share"), 0),
        prompts=row["prompts"] if row else plain["scored"],
        measured=_measured(plain),
        difference=difference or DASH,
        interval=interval,
        range=bar,
        moved=" · ".join(f"{plain[kind]:,}" for kind in ("better", "same", "worse")) if plain.get("scored") else DASH,
        saving=_dollars(plain.get("saving_usd")),
        saving_interval=_ends(plain),
    )


def _measured(plain: Mapping[str, Any]) -> str:
    if plain.get("now") is None:
        return ""
    return f"{wording.score(plain['now'])} → {wording.score(plain['then'])}"


def _dollars(usd: float | None) -> str:
    """Whole from 100 on, cents below; what is less than a cent keeps four digits."""
    if usd is None or 0 < abs(usd) < 0.01:
        return wording.dollars(usd)
    return wording.dollars(usd, 0 if abs(usd) >= 100 else 2)


def _ends(plain: Mapping[str, Any]) -> str:
    if plain.get("low_usd") is None:
        return ""
    return f"({_dollars(plain['low_usd'])} to {_dollars(plain['high_usd'])})"


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
    stay = f"stay with {evidence['question']['baseline']} for {wording.listed(names)}"
    return f"Mixed: {outcome['recommended']} for the rest, {stay}, where quality is worse than your margin allows."
