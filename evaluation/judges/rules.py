"""Judges without a model: each reads one answer by a rule, costs nothing and always says the same."""

import json
import math
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from agentopt.lib import patterns
from agentopt.lib.errors import Invalid
from evaluation import tool_calls
from evaluation.judges.base import Reference, Unscored, Verdict
from ingestion import refusals

FILTERED = ("content_filter", "refusal")  # as finish_reason: whoever runs the model declined in its place
LONGEST = 1_000_000
_NAMED = 3  # patterns and errors that an explanation names at most


class Rule(StrEnum):
    """The rules there are."""

    REFUSAL = "refusal"
    SCHEMA = "schema"
    EXACT_MATCH = "exact_match"
    NORMALIZED_MATCH = "normalized_match"
    TOOL_CALLS = "tool_call_match"
    REQUIRED = "required_patterns"
    FORBIDDEN = "forbidden_patterns"
    LENGTH = "length"


SAID = {
    Rule.REFUSAL: "1 where the answer does what was asked, 0 where it declines. English only.",
    Rule.SCHEMA: "1 where the answer is JSON that fits the schema the request demands, 0 where it is not.",
    Rule.EXACT_MATCH: "1 where the answer is the reference, letter by letter.",
    Rule.NORMALIZED_MATCH: "1 where it is the reference but for case, accents, punctuation and spaces.",
    Rule.TOOL_CALLS: "The share of the expected tool calls that were made with the same arguments, none beside.",
    Rule.REQUIRED: "The share of your patterns that the answer holds.",
    Rule.FORBIDDEN: "1 where the answer holds none of your patterns, 0 where it holds one.",
    Rule.LENGTH: "1 where the answer is no shorter and no longer than you say, in characters.",
}
# What may settle a case before a model is asked, and nothing else: who is equal to the reference is correct, and a
# text that breaks the demanded form is of no use to the program that reads it.
_SETTLES = {
    Rule.EXACT_MATCH: ("correctness", 1.0),
    Rule.NORMALIZED_MATCH: ("correctness", 1.0),
    Rule.TOOL_CALLS: ("correctness", 1.0),
    Rule.SCHEMA: ("quality", 0.0),
}
SETTLING = frozenset(_SETTLES)
_BY_REFERENCE = (Rule.EXACT_MATCH, Rule.NORMALIZED_MATCH, Rule.TOOL_CALLS)
EXACT = frozenset(_BY_REFERENCE)  # rules that know the right answer


@dataclass(frozen=True)
class Given:
    """What a rule may read of a case: the request's last question and form, the answer, and what is known right."""

    asked: str
    answer: str
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    finish_reason: str = ""
    refused: bool | None = None  # as it was told when the answer came; None: not told
    response_format: Mapping[str, Any] | None = None
    reference: Reference | None = None


# ------------------------------------------------------------------------------------------------ as it always was
def refused(messages: Sequence[tuple[str, str]], answer: str, *, finish_reason: str = "", refusal: str = "") -> bool:
    """Tell whether an answer declines what was asked: the same rule that reads the logs, so that both arms meet one.

    Args:
        messages: (role, text) of the conversation; the last user message is what was asked.
        answer: the text of the answer; an empty one declines nothing.
        finish_reason: as the gateway says.
        refusal: what the model declined with, where the provider says so apart from the text.
    """
    if refusal or finish_reason in FILTERED:
        return True
    asked = next((text for role, text in reversed(messages) if role == "user"), "")
    return refusals.refused(asked, answer)


def answered(*, failed: bool, was_refused: bool | None) -> float:
    """1 − refused or failed, the guard `answered` of the decision."""
    return 0.0 if failed or was_refused else 1.0


# ------------------------------------------------------------------------------------------------ scoring
def score(rule: Rule, settings: Mapping[str, Any], given: Given) -> Verdict:
    """Score one answer in [0, 1]; unscored where the rule has nothing to go by in this case.

    Args:
        settings: as `check` returned them.
    """
    return _SCORERS[rule](settings, given)


def settled(rule: Rule, verdict: Verdict) -> tuple[str, float] | None:
    """Rubric and score that a rule's verdict settles, so that no model need be asked; None: it settles nothing."""
    found = _SETTLES.get(rule)
    return found if found is not None and verdict.score is not None and verdict.score == found[1] else None


def _refusal(_: Mapping[str, Any], given: Given) -> Verdict:
    declined = given.refused
    if declined is None:
        declined = given.finish_reason in FILTERED or refusals.refused(given.asked, given.answer)
    return Verdict(0.0, "", "It declines.") if declined else Verdict(1.0, "", "It does not decline.")


def _schema(_: Mapping[str, Any], given: Given) -> Verdict:
    kind = (given.response_format or {}).get("type")
    if kind not in ("json_schema", "json_object") or (given.tool_calls and not given.answer):
        return _not_applicable("The request demands no JSON.")
    try:
        found = json.loads(given.answer)
    except (ValueError, RecursionError):
        return Verdict(0.0, "", "It is no JSON.")
    schema = schema_of(given.response_format)
    if schema is None:
        is_object = kind == "json_schema" or isinstance(found, dict)
        return Verdict(float(is_object), "", "It is JSON." if is_object else "It is JSON, and no object.")
    return _against(schema, found)


def schema_of(response_format: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """The JSON schema that a request demands; None: it demands none."""
    form = (response_format or {}).get("json_schema")
    schema = form.get("schema") if isinstance(form, Mapping) else None
    return schema if isinstance(schema, Mapping) else None


def _against(schema: Mapping[str, Any], found: object) -> Verdict:
    """Nothing outside the schema is fetched, and expressions within it are not run: they could take for ever."""
    import jsonschema  # here: it takes a tenth of a second, and most projects demand no schema
    from jsonschema import validators
    from referencing import Registry

    if '"patternProperties"' in json.dumps(schema):
        return _not_applicable("The schema holds patternProperties, which are not checked.")
    validator = validators.extend(jsonschema.Draft202012Validator, {"pattern": None})
    try:
        errors = [error.message for error in validator(schema, registry=Registry()).iter_errors(found)]
    except Exception as error:  # noqa: BLE001  # a schema is a stranger's: whatever breaks, it cannot be checked
        return _not_applicable(f"The schema itself cannot be used ({type(error).__name__}).")
    if not errors:
        return Verdict(1.0, "", "It fits the schema.")
    named = "; ".join(error[:200] for error in errors[:_NAMED])
    return Verdict(0.0, "", f"It breaks the schema {len(errors)} time{'' if len(errors) == 1 else 's'}: {named}")


def _exact(_: Mapping[str, Any], given: Given) -> Verdict:
    return _matched(given, str)


def _normalized(_: Mapping[str, Any], given: Given) -> Verdict:
    return _matched(given, normalized)


def _matched(given: Given, form: Callable[[str], str]) -> Verdict:
    if given.reference is None or given.reference.answer is None:
        return _not_applicable("No right answer is known.")
    same = form(given.answer.strip()) == form(given.reference.answer.strip())
    return Verdict(float(same), "", "It is the reference." if same else "It is not the reference.")


def normalized(text: str) -> str:
    """Text without case, accents, punctuation and doubled spaces; signs that change a number stay."""
    # letters of other shapes, such as a bold 𝐀, have a case only once they are plain
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    plain = "".join(char for char in plain if not unicodedata.combining(char))
    plain = re.sub(r"(?<=\d),(?=\d{3}\b)", "", plain)  # 1,000 is 1000
    kept = (char if _matters(char, plain[i + 1 : i + 2]) else " " for i, char in enumerate(plain))
    return " ".join("".join(kept).split())


def _matters(char: str, following: str) -> bool:
    return char.isalnum() or char in "%$€£°" or (char in ".-" and following.isdigit())


def _tool_calls(_: Mapping[str, Any], given: Given) -> Verdict:
    if given.reference is None or given.reference.tool_calls is None:
        return _not_applicable("No tool call is known to be expected.")
    found = tool_calls.compare(given.reference.tool_calls, given.tool_calls)
    if found.agrees:
        return Verdict(1.0, "", "The expected calls were made." if found.logged else "No call was due, none was made.")
    share = found.shared / max(found.logged, found.given)  # a call too many is as wrong as one too few
    return Verdict(share, "", f"{found.shared} of {found.logged} expected calls, {found.given} made.")


def _required(settings: Mapping[str, Any], given: Given) -> Verdict:
    found = patterns.compiled(settings["patterns"], field="patterns")
    lacking = [name for name, pattern in found if not pattern.search(given.answer)]
    said = f"Lacking: {', '.join(lacking[:_NAMED])}." if lacking else "It holds all that is required."
    return Verdict(1 - len(lacking) / len(found), "", said)


def _forbidden(settings: Mapping[str, Any], given: Given) -> Verdict:
    found = patterns.compiled(settings["patterns"], field="patterns")
    held = [name for name, pattern in found if pattern.search(given.answer)]
    said = f"It holds: {', '.join(held[:_NAMED])}." if held else "It holds nothing forbidden."
    return Verdict(float(not held), "", said)


def _length(settings: Mapping[str, Any], given: Given) -> Verdict:
    if given.tool_calls and not given.answer:
        return _not_applicable("It is a tool call without text.")
    n = len(given.answer)
    fits = settings["least"] <= n <= settings["most"]
    return Verdict(float(fits), "", f"{n:,} characters.")


def _not_applicable(why: str) -> Verdict:
    return Verdict(None, Unscored.NOT_APPLICABLE, why)


_SCORERS: dict[Rule, Callable[[Mapping[str, Any], Given], Verdict]] = {
    Rule.REFUSAL: _refusal,
    Rule.SCHEMA: _schema,
    Rule.EXACT_MATCH: _exact,
    Rule.NORMALIZED_MATCH: _normalized,
    Rule.TOOL_CALLS: _tool_calls,
    Rule.REQUIRED: _required,
    Rule.FORBIDDEN: _forbidden,
    Rule.LENGTH: _length,
}


# ------------------------------------------------------------------------------------------------ settings
def check(rule: Rule, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return a rule's settings in their full form.

    Raises:
        Invalid: an unknown setting, or one that makes no sense.
    """
    known = {Rule.REQUIRED: {"patterns"}, Rule.FORBIDDEN: {"patterns"}, Rule.LENGTH: {"least", "most"}}
    allowed = known.get(rule, set())
    unknown = sorted(set(settings) - allowed)
    if unknown:
        said = f"There is no such setting of {rule}."
        raise Invalid(f"{', '.join(unknown)}: {said}", fields=dict.fromkeys(unknown, said))
    if rule in (Rule.REQUIRED, Rule.FORBIDDEN):
        return {"patterns": _checked_patterns(settings.get("patterns"))}
    return _checked_lengths(settings) if rule is Rule.LENGTH else {}


def _checked_patterns(given: object) -> list[dict[str, str]]:
    if not isinstance(given, list) or not given:
        said = "Expected at least one pattern with a name."
        raise Invalid(said, fields={"patterns": said})
    return [{"name": name, "pattern": one.pattern} for name, one in patterns.compiled(given, field="patterns")]


def _checked_lengths(settings: Mapping[str, Any]) -> dict[str, Any]:
    least, most = settings.get("least", 0), settings.get("most", LONGEST)
    for name, value in (("least", least), ("most", most)):
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise Invalid(f"{name}: expected a number of characters.", fields={name: "Expected a whole number."})
    if not 0 <= least <= most <= LONGEST:
        said = f"Expected 0 ≤ least ≤ most ≤ {LONGEST}."
        raise Invalid(f"The lengths make no sense: {said}", fields={"most": said})
    return {"least": int(least), "most": int(most)}
