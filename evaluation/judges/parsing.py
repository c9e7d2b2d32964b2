"""Strict reading of what a judge wrote: one JSON object with an explanation and a score, or unscored with a code.

Nothing is searched for inside prose: a number that happens to stand there may come out of the answer that was judged.
"""

import json
import re
from typing import Any

from evaluation.judges.base import Scale, Unscored, Verdict
from ingestion import refusals

_FENCED = re.compile(r"```(?:json)?[ \t]*\r?\n(.*?)\r?\n?```", re.DOTALL)
_LONGEST_EXPLANATION = 4000


def read(text: str, *, scale: Scale, finish_reason: str = "stop", refusal: str | None = None) -> Verdict:
    """Read a judge's reply.

    Args:
        text: all that the judge wrote; a fence of ```json around the object is tolerated, anything else is not.
        scale: where the score must lie; its ends are scores, too.
        finish_reason: as the gateway says; `length` explains an object that breaks off.
        refusal: what the judge model declined with, where the provider says so apart from the text.
    """
    bare = text.strip()
    cut = finish_reason == "length"
    if refusal or finish_reason == "content_filter":
        return Verdict(None, Unscored.REFUSED)
    if not bare:
        return Verdict(None, Unscored.TRUNCATED if cut else Unscored.EMPTY)
    fenced = _FENCED.fullmatch(bare)
    inner = fenced[1].strip() if fenced else bare
    try:
        found = json.loads(inner, object_pairs_hook=_once, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return Verdict(None, Unscored.TRUNCATED if cut else _kind_of_junk(inner))
    return _score(found, scale)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a name that stands twice: which of two scores is meant is not ours to choose."""
    out = dict(pairs)
    if len(out) != len(pairs):
        raise ValueError("a name stands twice")
    return out


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not JSON")


def _kind_of_junk(text: str) -> Unscored:
    if text.startswith(("{", "[", "```")):
        return Unscored.NOT_JSON
    return Unscored.REFUSED if refusals.classify("", text).label == "refuse" else Unscored.PROSE


def _score(found: Any, scale: Scale) -> Verdict:
    if not isinstance(found, dict) or set(found) != {"explanation", "score"}:
        return Verdict(None, Unscored.PROSE if isinstance(found, str) else Unscored.NOT_JSON)
    explanation, score = found["explanation"], found["score"]
    if not isinstance(explanation, str) or isinstance(score, bool) or not isinstance(score, int | float):
        return Verdict(None, Unscored.NOT_JSON)
    explanation = explanation[:_LONGEST_EXPLANATION]
    try:
        fits = scale.holds(score)
    except OverflowError:  # an integer too large for a float
        fits = False
    return Verdict(scale.share(score), "", explanation) if fits else Verdict(None, Unscored.OUT_OF_RANGE, explanation)
