"""Tool calls of an answer against those of the log: names, arguments by JSON value, order. Nothing is executed."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Match(StrEnum):
    """How two answers' tool calls compare, the best first."""

    NONE = "none"  # neither calls a tool
    SAME = "same"
    REORDERED = "reordered"  # calls of one answer run side by side: as good as the same, and told apart
    OTHER_ARGUMENTS = "other_arguments"  # the same tools
    OTHER_TOOLS = "other_tools"
    LACKING = "lacking"  # the log calls a tool, the answer none
    UNASKED = "unasked"  # the other way round


@dataclass(frozen=True)
class Compared:
    """What was found: `shared` of the calls `logged` and `given` are equal; `unreadable` arguments are no JSON."""

    match: Match
    shared: int
    logged: int
    given: int
    unreadable: int

    @property
    def agrees(self) -> bool:
        """Whether the same tools are called with the same arguments, in whatever order."""
        return self.match in (Match.NONE, Match.SAME, Match.REORDERED)


def compare(logged: Sequence[Mapping[str, Any]], given: Sequence[Mapping[str, Any]]) -> Compared:
    """Compare the tool calls of two answers to one request, in the form of chat completions.

    Arguments are equal as JSON values: spaces and the order of keys do not matter, 1 is 1.0, and true is not 1. Ids of
    calls are no part of them. Arguments that are no JSON are compared as text.
    """
    ours, theirs = [_call(call) for call in logged], [_call(call) for call in given]
    rest = list(ours)
    shared = 0
    for call in theirs:
        if call in rest:
            rest.remove(call)
            shared += 1
    unreadable = sum(not _is_readable(_function(call).get("arguments")) for call in given)
    return Compared(_match(ours, theirs, shared=shared), shared, len(ours), len(theirs), unreadable)


def _match(ours: list[tuple[str, str]], theirs: list[tuple[str, str]], *, shared: int) -> Match:
    if not ours or not theirs:
        return Match.LACKING if ours else Match.UNASKED if theirs else Match.NONE
    if ours == theirs:
        return Match.SAME
    if shared == len(ours) == len(theirs):
        return Match.REORDERED
    names = [sorted(name for name, _ in calls) for calls in (ours, theirs)]
    return Match.OTHER_ARGUMENTS if names[0] == names[1] else Match.OTHER_TOOLS


def _call(call: Mapping[str, Any]) -> tuple[str, str]:
    function = _function(call)
    return str(function.get("name") or ""), _canonical(function.get("arguments"))


def _function(call: Mapping[str, Any]) -> Mapping[str, Any]:
    found = call.get("function")
    return found if isinstance(found, Mapping) else {}


def _canonical(arguments: object) -> str:
    """Arguments as one text for each JSON value; without any, as an empty object."""
    if arguments is None or arguments == "":
        arguments = {}
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except (ValueError, RecursionError):
            return f"no JSON: {arguments}"
    return json.dumps(_plain(arguments), sort_keys=True)


def _plain(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value


def _is_readable(arguments: object) -> bool:
    return not _canonical(arguments).startswith("no JSON: ")
