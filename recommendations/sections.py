"""Evidence to the sections of a recommendation's page: rows of text and places of bars, nothing computed anew. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agentopt.lib import charts, wording
from agentopt.lib.wording import DASH, MINUS, THIN
from evaluation import conditions
from recommendations.engine import LEFT_OUT

Evidence = Mapping[str, Any]
STATES = {
    "baseline": ("in production", "info"),
    "recommended": ("recommended", "ok"),
    "not_shown": ("not shown", "warn"),
    "dropped": ("dropped", "bad"),
    "dropped_at_ranking": ("dropped at ranking", "open"),
    "not_reached": ("not tested", "open"),
}
CODES = {
    "all_conditions_shown": "all checks are shown",
    "no_candidate_likely": "unlikely to pass",
    "too_many_unscored": "too many answers could not be scored",
    "judges_disagree": "the judges disagree about it",
    "judge_unfit": "a judge of it is unfit",
    "too_few_conversations": "too few conversations",
    "evidence_too_weak": "not shown within the limit of prompts",
    "too_few_prompts": "too few prompts",
}


# ------------------------------------------------------------------------------------------------ the verdict
@dataclass(frozen=True)
class Verdict:
    """The two figures beside the sentence, each with why it is missing if it is."""

    confidence: float | None
    threshold: float
    filled: str  # length of the gauge, in percent
    needed: str  # place of its mark
    enough: bool
    set_by: str
    saving: Mapping[str, Any] | None
    digits: int | None  # of its dollars: whole ones from 100 on
    saving_label: str
    saving_why: str


def verdict(evidence: Evidence) -> Verdict:
    """Confidence against what is needed, and dollars a month."""
    outcome, saving = evidence["outcome"], evidence.get("saving") or {"unknown": "cost_unknown"}
    stated = outcome["confidence"]
    known = "saving_usd" in saving
    why = {
        "cost_unknown": "Costs are unknown: a call lacks its tokens or a price.",
        "volume_unknown": "The calls span less than a day, which says nothing of a month.",
    }
    return Verdict(
        confidence=stated,
        threshold=outcome["threshold"],
        filled=f"{100 * (stated or 0):.1f}%",
        needed=f"{100 * outcome['threshold']:.1f}%",
        enough=stated is not None and stated >= outcome["threshold"],
        set_by=_set_by(evidence),
        saving=saving if known else None,
        digits=0 if known and abs(saving["saving_usd"]) >= 100 else None,
        saving_label=_saving_label(outcome, saving) if known else "Saving a month",
        saving_why="" if known else why[saving["unknown"]] if outcome["leader"] else "No candidate was tested.",
    )


def _saving_label(outcome: Mapping[str, Any], saving: Mapping[str, Any]) -> str:
    if saving["saving_usd"] < 0:
        return "Dearer a month"
    return "Saving a month" if outcome["recommended"] else "At stake a month"


def _set_by(evidence: Evidence) -> str:
    """Which checks hold the confidence where it is."""
    checks, outcome = evidence["checks"], evidence["outcome"]
    open_ones = [check["metric"].replace("_", " ") for check in checks if check["verdict"] != "shown"]
    if not outcome["recommended"] and open_ones:
        plural = "s" if len(open_ones) > 1 else ""
        return f"Held back by {conditions.number(len(open_ones))} check{plural}: {', '.join(open_ones)}."
    weakest = conditions.weakest(evidence)
    if not outcome["recommended"] or weakest is None:
        return ""
    return f"Set by the weakest check, {weakest['metric'].replace('_', ' ')}."


# ------------------------------------------------------------------------------------------------ four tiles
@dataclass(frozen=True)
class Tile:
    """One figure of the candidate against the model in production."""

    metric: str
    label: str
    value: str
    unit: str = ""
    change: str = ""
    rest: str = ""
    tone: str = ""
    why: str = ""


def tiles(evidence: Evidence) -> list[Tile]:
    """Cost, quality, latency, answered of the leader; empty without one."""
    leader = evidence["outcome"]["leader"]
    arms = {arm["name"]: arm for arm in evidence["candidates"]}
    if leader is None or leader not in arms:
        return []
    now, then = arms[evidence["question"]["baseline"]], arms[leader]
    return [
        _cost(evidence["estimates"].get("cost")),
        _of_check(evidence, "quality", title="Quality, judge score"),
        _latency(evidence["estimates"].get("latency"), now["latency_p95_s"], then["latency_p95_s"]),
        _of_check(evidence, "answered", title="Answered"),
    ]


def _cost(found: Mapping[str, Any] | None) -> Tile:
    title = "Cost per 1,000 calls"
    if found is None or found["then"] is None:
        return Tile("cost", title, DASH, why="Costs are unknown: a call lacks its tokens or a price.")
    now, then = 1000 * found["now"], 1000 * found["then"]
    change = wording.dollars(then - now) if then < now else f"+{wording.dollars(then - now)}"
    share = wording.percent(-found["estimate"], 0)
    share = share if share.startswith(MINUS) else f"+{share}"
    tone = "good" if found["low"] > 0 else "bad" if found["high"] < 0 else ""
    low, high = (wording.signed(-100 * found[end], 0) for end in ("high", "low"))
    return Tile(
        "cost", title, wording.dollars(then), change=f"{change} ({share})", tone=tone,
        rest=f"({low} to {high}{THIN}%) from {wording.dollars(now)}",
    )  # fmt: skip


def _latency(found: Mapping[str, Any] | None, now: Any, then: Any) -> Tile:
    title = "Latency p95"
    if found is None or now is None or then is None:
        why = "The model in production was not called again beside the candidates, so latency cannot be compared."
        return Tile("latency", title, DASH, why=why)
    in_ms = min(now["value"], then["value"]) < 0.1  # of hundredths of a second the difference would look wrong
    factor, digits, unit = (1000, 0, "ms") if in_ms else (1, 2, "s")
    before, after = factor * now["value"], factor * then["value"]
    tone = "good" if found["low"] > 0 else "bad" if found["high"] < 0 else ""
    ends = f"({wording.percent(found['low'], 0)} to {wording.percent(found['high'], 0)})"
    return Tile(
        "latency",
        title,
        f"{after:.{digits}f}",
        unit,
        change=f"{wording.signed(after - before, digits)} {unit}",
        rest=f"from {before:.{digits}f}; on average {wording.percent(found['estimate'], 0)} {ends} saved",
        tone=tone,
    )


def _of_check(evidence: Evidence, metric: str, *, title: str) -> Tile:
    check = next((one for one in evidence["checks"] if one["metric"] == metric and one["kind"] == "margin"), None)
    if check is None or check["then"] is None:
        return Tile(metric, title, DASH, why=LEFT_OUT.get(f"{metric}_not_measured", f"{title} was not measured."))
    value = conditions.level(metric, check["then"])
    unit = "%" if metric in conditions.SHARES else ""
    return Tile(
        metric,
        title,
        value.removesuffix(f"{THIN}%"),
        unit,
        change=conditions.difference(metric, check["estimate"]),
        rest=f"{conditions.span(metric, check['low'], check['high'])} from {conditions.level(metric, check['now'])}",
        tone="good" if check["low"] > 0 else "bad" if check["high"] < 0 else "",
    )


# ------------------------------------------------------------------------------------------------ candidates
@dataclass(frozen=True)
class CandidateRow:
    """One arm as a line of the table."""

    name: str
    position: int  # its column; 0: the model in production
    token: str
    state: str
    tone: str
    picked: bool
    prompts: int
    cost: str
    quality: str
    interval: str
    latency: str
    chance: str
    why: str


def tokens(evidence: Evidence) -> dict[str, str]:
    """A series for each arm."""
    return charts.series(arm["name"] for arm in evidence["candidates"])


def candidates(evidence: Evidence) -> list[CandidateRow]:
    """The leader first, then the others as they were ranked, the model in production last."""
    token, leader = tokens(evidence), evidence["outcome"]["leader"]
    arms = sorted(evidence["candidates"], key=lambda arm: (arm["state"] == "baseline", arm["name"] != leader))
    place = {arm["name"]: position for position, arm in enumerate(evidence["candidates"])}
    return [_candidate_row(arm, token=token[arm["name"]], leader=leader, position=place[arm["name"]]) for arm in arms]


def _candidate_row(arm: Mapping[str, Any], *, token: str, leader: str | None, position: int) -> CandidateRow:
    state, tone = STATES[arm["state"]]
    if arm["name"] == leader and arm["state"] != "recommended":
        state = f"{state}, came nearest"
    quality, cost, latency = arm["quality"], arm["cost_per_1000_usd"], arm["latency_p95_s"]
    return CandidateRow(
        name=arm["name"],
        position=position,
        token=token,
        state=state,
        tone=tone,
        picked=arm["state"] == "recommended",
        prompts=arm["prompts"],
        cost=wording.amount(cost["value"]) if cost else DASH,
        quality=wording.score(quality["value"]) if quality else DASH,
        interval=f"({wording.score(quality['low'])} to {wording.score(quality['high'])})" if quality else "",
        latency=f"{latency['value']:.2f}" if latency else DASH,
        chance=wording.probability(arm["chance"]),
        why=_why(arm),
    )


def _why(arm: Mapping[str, Any]) -> str:
    if arm["state"] == "baseline":
        return "answers as logged"
    if arm["state"] == "not_reached":
        return "not tested after the ranking" if arm["difference"] else "not called"
    parts = [CODES.get(arm.get("code", ""), "")]
    if arm["difference"] and arm["state"] != "recommended":
        found = arm["difference"]
        parts.append(f"quality {wording.signed(found['value'])} {wording.interval(found)}")
    return "; ".join(part for part in parts if part)


# ------------------------------------------------------------------------------------------------ what it rests on
def left_out(evidence: Evidence) -> list[str]:
    """What the decision could not know, as sentences."""
    return [LEFT_OUT.get(code, code.replace("_", " ")) for code in evidence["left_out"]]


def prices(evidence: Evidence, provenance: Mapping[str, Any]) -> list[str]:
    """Of the model in production and the one recommended or nearest: dollars a million tokens, and since when."""
    wanted = (evidence["question"]["baseline"], evidence["outcome"]["leader"])
    return [
        f"{one['model']} {_per_million(one['input_nanousd_per_million'])} in, "
        f"{_per_million(one['output_nanousd_per_million'])} out a million tokens since {one['valid_from']}"
        for one in provenance.get("prices", ())
        if one["model"] in wanted
    ]


def _per_million(nanousd: int | None) -> str:
    return wording.dollars(wording.nano(nanousd))


def versions(evidence: Evidence, provenance: Mapping[str, Any]) -> str:
    """What computed it, for which goal, with which wording of the rubrics."""
    rubrics = sorted({(seat["rubric"], seat["version"][:8]) for seat in evidence["judges"]["panel"]})
    said = [f"agentopt {provenance.get('agentopt', 'of an earlier release')}"]
    said += [f"{name} {provenance[name]}" for name in ("numpy", "scipy") if name in provenance]
    if "goal_version" in evidence["question"]:
        said.append(f"goal {evidence['question']['goal_version']}")
    return "; ".join([", ".join(said), *([", ".join(f"{name} {text}" for name, text in rubrics)] if rubrics else [])])


def judge_models(evidence: Evidence) -> list[tuple[str, str]]:
    """Each judge model with its rubrics."""
    rubrics: dict[str, list[str]] = {}
    for seat in evidence["judges"]["panel"]:
        rubrics.setdefault(seat["model"] or "rules", []).append("exact" if seat["exact"] else seat["rubric"])
    return [(model, ", ".join(names)) for model, names in rubrics.items()]


def judge_fitness(evidence: Evidence, *, judge_sd: float | None, unlabeled_sd: float) -> str:
    """How far people's labels let the judges be trusted when the evaluation was opened; "" where nobody judged.

    Args:
        judge_sd: error of a quality difference that the decision allowed for; None: not known.
        unlabeled_sd: what it allows for where labels say nothing.
    """
    unfit = evidence["judges"].get("unfit") or []
    if unfit:
        return f"Unfit by the labels of people: {', '.join(unfit)}."
    if not evidence["judges"]["panel"] or judge_sd is None:
        return ""
    allowed = f"an error of {judge_sd:g} that all share is allowed for."
    if judge_sd == 0:
        return "They know the right answer."
    if judge_sd < unlabeled_sd:
        return f"Fit by the labels of people; {allowed}"
    return f"How far they agree with people is not known; {allowed}"
