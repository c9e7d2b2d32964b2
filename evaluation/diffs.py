"""Two answers beside each other: what only one of them holds, by words, by lines or by JSON keys.

Texts come from models and are shown escaped; a part is text with a mark, never markup.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

MODES = ("words", "lines", "json", "off")
# It takes time with the square of the parts: longer texts are compared by lines, and the longest not at all.
MOST_WORDS, MOST_LINES, MOST_KEYS = 1_500, 1_500, 1_500
_WORDS = re.compile(r"\s+|\w+|[^\w\s]")
_LINES = re.compile(r"[^\n]*\n|[^\n]+")


@dataclass(frozen=True)
class Part:
    """A piece of one side's text; `only`: the other side does not have it."""

    text: str
    only: bool = False


@dataclass(frozen=True)
class Diff:
    """Both texts whole, in parts. `mode`: how they were compared, which is another than asked where that cannot be."""

    left: tuple[Part, ...]
    right: tuple[Part, ...]
    mode: str


def compare(left: str, right: str, *, mode: str = "words") -> Diff:
    """Mark what differs.

    Args:
        mode: "words"; "lines"; "json": each value with its way to it, keys in one order, so that spaces and the order
            of keys do not matter; "off". What is no JSON is compared by words, what is too long by words by lines.
    """
    if mode == "json":
        pairs = _flat(left), _flat(right)
        if pairs[0] is not None and pairs[1] is not None and max(map(len, pairs)) <= MOST_KEYS:  # type: ignore[arg-type]  # neither is None
            return _diff(pairs[0], pairs[1], mode)
        mode = "words"
    if mode == "words":
        words = _WORDS.findall(left), _WORDS.findall(right)
        if max(map(len, words)) <= MOST_WORDS:
            return _diff(*words, mode)
        mode = "lines"
    if mode == "lines":
        lines = _LINES.findall(left), _LINES.findall(right)
        if max(map(len, lines)) <= MOST_LINES:
            return _diff(*lines, mode)
    return Diff((Part(left),) if left else (), (Part(right),) if right else (), "off")


def _diff(left: Sequence[str], right: Sequence[str], mode: str) -> Diff:
    steps = SequenceMatcher(None, left, right, autojunk=False).get_opcodes()
    mine = [Part("".join(left[a:b]), only=kind != "equal") for kind, a, b, _, _ in steps if b > a]
    theirs = [Part("".join(right[a:b]), only=kind != "equal") for kind, _, _, a, b in steps if b > a]
    return Diff(tuple(mine), tuple(theirs), mode)


def _flat(text: str) -> list[str] | None:
    """Lines `a.b[0]: value`, by key; None where the text is no JSON object or list."""
    try:
        found = json.loads(text)
        return [f"{way}: {json.dumps(value, ensure_ascii=False)}\n" for way, value in _leaves(found, None)]
    except (ValueError, RecursionError):
        return None


def _leaves(value: Any, way: str | None) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key in sorted(value):
            yield from _leaves(value[key], key if way is None else f"{way}.{key}")
    elif isinstance(value, list) and value:
        for index, inner in enumerate(value):
            yield from _leaves(inner, f"{way or ''}[{index}]")
    elif way is not None or isinstance(value, dict | list):
        yield "(all)" if way is None else way, value
    else:
        raise ValueError("a single value is no document")
