"""One recommendation as a document: Markdown for people, made of the evidence by code alone. Pure.

No prompt and no answer stands in it. Names come from logs and catalogues, so they are written as text, never as marks.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from agentopt.lib import wording
from evaluation import by_use_case, conditions
from recommendations import explain, sections

Evidence = Mapping[str, Any]
_MARKS = re.compile(r"([\\`*_{}\[\]<>()#+!|~])")


def markdown(document: Mapping[str, Any]) -> str:
    """The document of `selectors.document` as Markdown: the same state, the same text."""
    evidence: Evidence = document["evidence"]
    parts = [
        _head(document, evidence),
        _table("Figures", ("", "Then", "Change", ""), _tiles(evidence)),
        _table("Decided use case by use case", ("Use case", "Verdict", "Confidence"), _study(document)),
        _table("Checks", ("Check", "Verdict", "Difference (95 %)", "Required", "p"), _checks(evidence)),
        _noise(document),
        _table(
            "Use cases",
            ("Use case", "Finding", "Share", "Prompts", "Quality", "Difference (95 %)", "Saving a month (95 %)"),
            _use_cases(evidence),
        ),
        _table(
            "Candidates",
            ("Model", "Outcome", "Prompts", "$ per 1,000", "Quality (95 %)", "Why"),
            _candidates(evidence),
        ),
        _table("What would change it", ("Changed", "Then"), _changes(evidence)),
        _list("What this rests on", _basis(document, evidence)),
        _list("Where it stands", _states(document)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def text(value: object) -> str:
    """A value as Markdown shows it: on one line, with nothing in it that Markdown or HTML would read as a mark."""
    return _MARKS.sub(r"\\\1", " ".join(str(value).split()))


def _head(document: Mapping[str, Any], evidence: Evidence) -> str:
    lines = [f"# {text(explain.headline(evidence))}"]
    kind = "Recommended" if evidence["outcome"]["recommended"] else "NO RECOMMENDATION"
    simulated = " Simulated: models, prices and answers come from a sandbox." if document["simulated"] else ""
    lines.append(
        f"{kind}. Recommendation {document['id']} of {text(evidence['question']['agent'])}, from evaluation "
        f"{evidence['question']['evaluation']}, made {document['created_at'][:10]}.{simulated}"
    )
    lines.append(text(" ".join(sentence for sentence in explain.lead(evidence) if sentence)))
    saving = evidence.get("saving") or {}
    if "saving_usd" in saving:
        ends = f"{explain.dollars(saving['low_usd'])} to {explain.dollars(saving['high_usd'])}"
        lines.append(
            f"{sections.verdict(evidence).saving_label}: **{explain.dollars(saving['saving_usd'])}** ({ends}, 95 %) at "
            f"{wording.count(saving['monthly_calls'])} calls a month."
        )
    return "\n\n".join(lines)


def _tiles(evidence: Evidence) -> Iterable[Sequence[str]]:
    for tile in sections.tiles(evidence):
        yield tile.label, f"{tile.value} {tile.unit}".strip(), tile.change, tile.why or tile.rest


def _checks(evidence: Evidence) -> Iterable[Sequence[str]]:
    found = conditions.table(evidence)
    for row in found.rows if found else ():
        yield row.name, row.verdict, f"{row.difference} {row.interval}", row.required, row.p


def _noise(document: Mapping[str, Any]) -> str:
    """What chance alone moves; nothing where it was not measured."""
    floor = document["noise_floor"]
    rows = [one for one in floor["metrics"] if one["text"]] if floor else []
    if not rows:
        return ""
    names = (one["metric"].replace("_", " ").capitalize() for one in rows)
    table = _table(
        "By chance",
        ("Measure", "Difference (95 %)", "Prompts"),
        [(name, one["text"], wording.count(one["prompts"])) for name, one in zip(names, rows, strict=True)],
    )
    return (
        f"{table}\n\nThe noise floor: {text(document['baseline'])} against itself on {wording.count(floor['prompts'])} "
        f"prompts, evaluation {floor['evaluation']}. A difference within it says little."
    )


def _study(document: Mapping[str, Any]) -> Iterable[Sequence[str]]:
    found = document.get("study")
    for part in found["parts"] if found else ():
        stay = "not decided yet" if part["is_open"] else f"stay with {document['baseline']}"
        move = f"move to {part['recommended']}" if part["recommended"] else stay
        yield part["use_case"], move, wording.confidence(part["confidence"])


def _use_cases(evidence: Evidence) -> Iterable[Sequence[str]]:
    for row in by_use_case.lines(evidence):
        saving = f"{row.saving} {row.saving_interval}".strip()
        difference = f"{row.difference} {row.interval}".strip()
        yield row.name, row.finding, row.share, wording.count(row.prompts), row.measured, difference, saving


def _candidates(evidence: Evidence) -> Iterable[Sequence[str]]:
    for row in sections.candidates(evidence):
        yield row.name, row.state, wording.count(row.prompts), row.cost, f"{row.quality} {row.interval}", row.why


def _changes(evidence: Evidence) -> Iterable[Sequence[str]]:
    for change in explain.changes(evidence):
        yield change.changed, change.then


def _basis(document: Mapping[str, Any], evidence: Evidence) -> Iterable[str]:
    question, coverage, outcome = evidence["question"], evidence["coverage"], evidence["outcome"]
    since = f"{question['since'][:10]} to " if question["since"] else "all until "
    yield (
        f"Calls, {since}{question['until'][:10]}: {wording.count(coverage['calls'])} in "
        f"{wording.count(coverage['conversations'])} conversations, {wording.count(coverage['replayable'])} of them "
        "can be replayed."
        + (f" Of prompt version {question['prompt_version']} only." if question.get("prompt_version") else "")
    )
    yield f"Prompts that decided: {wording.count(outcome['prompts'])} of at most {wording.count(question['limit'])}."
    if question.get("detectable_difference"):
        yield (
            f"The plan could show a quality difference of {wording.score(question['detectable_difference'])} with "
            "80 % chance."
        )
    judges = "; ".join(f"{model} ({rubrics})" for model, rubrics in sections.judge_models(evidence))
    yield f"Judges: {judges or 'none'}."
    yield f"Prices: {'; '.join(sections.prices(evidence, document['provenance'])) or 'none known'}."
    spend = evidence["spend"]
    if spend["answers"]:
        yield (
            f"Cost: {wording.dollars(spend['replays_usd'])} for {wording.count(spend['answers'])} answers, "
            f"{wording.dollars(spend['judges_usd'])} for {wording.count(spend['verdicts'])} verdicts."
        )
    yield f"Versions: {sections.versions(evidence, document['provenance'])}."
    yield from sections.left_out(evidence)


def _states(document: Mapping[str, Any]) -> Iterable[str]:
    yield f"State: {document['state'].replace('_', ' ')}; at most until {document['expires_at'][:10]}."
    for step in document["transitions"]:
        why = f": {step['why']}" if step["why"] else ""
        yield f"{step['at'][:16]} {step['state'].replace('_', ' ')} by {step['by'] or 'a program'}{why}"
    following = document.get("follow_up")
    if following:
        yield f"Follow-up since {following['switched_at'][:10]}: {following['verdict'].replace('_', ' ')}."
    yield f"Evidence {document['evidence_hash'][:12]}; recomputed by: python manage.py reproduce {document['id']}"


def _table(title: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    body = [f"| {' | '.join(text(cell) for cell in row)} |" for row in rows]
    if not body:
        return ""
    return "\n".join([f"## {title}", "", f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}", *body])


def _list(title: str, items: Iterable[str]) -> str:
    return "\n".join([f"## {title}", "", *(f"- {text(item)}" for item in items)])
