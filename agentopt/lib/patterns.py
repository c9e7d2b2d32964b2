"""Regular expressions that people give: compiled, and refused where they could match for ever or everything."""

import re
from collections.abc import Mapping, Sequence
from re import _constants as op  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any

from agentopt.lib.errors import Invalid

MAX_PATTERNS = 20
MAX_PATTERN_CHARACTERS = 200
MAX_NAME_CHARACTERS = 40
MAX_BOUNDED_REPEAT = 20
MAX_OPEN_REPEATS = 2


def compiled(patterns: Sequence[Mapping[str, Any]], *, field: str) -> tuple[tuple[str, re.Pattern[str]], ...]:
    """Compile `[{"name", "pattern"}]`, in order.

    Refused: more than 20, one name twice, longer than 200 characters, no regular expression, one that matches the empty
    text, and one that could backtrack without end (a repeat within a repeat, a choice or a back reference within or
    beside one, more than two open-ended repeats).

    Raises:
        Invalid: `fields` names `field`, and the pattern in it.
    """
    if len(patterns) > MAX_PATTERNS:
        raise Invalid(f"At most {MAX_PATTERNS} patterns.", fields={field: f"At most {MAX_PATTERNS}."})
    found = tuple(_compiled(index, entry, field) for index, entry in enumerate(patterns))
    names = [name for name, _ in found]
    for name in names:
        if names.count(name) > 1:
            raise _bad(name, "a name of its own for each pattern", field)
    return found


def _compiled(index: int, entry: Mapping[str, Any], field: str) -> tuple[str, re.Pattern[str]]:
    if not isinstance(entry, Mapping):
        raise _bad(str(index + 1), "an object with name and pattern", field)
    name, pattern = entry.get("name"), entry.get("pattern")
    if not isinstance(name, str) or not re.fullmatch(rf"[\w .-]{{1,{MAX_NAME_CHARACTERS}}}", name):
        raise _bad(
            str(index + 1), f"a name of 1 to {MAX_NAME_CHARACTERS} letters, digits, spaces, dots or dashes", field
        )
    if not isinstance(pattern, str) or not 1 <= len(pattern) <= MAX_PATTERN_CHARACTERS:
        raise _bad(name, f"a regular expression of 1 to {MAX_PATTERN_CHARACTERS} characters", field)
    try:
        expression = re.compile(pattern)
        tree = _parser.parse(pattern)
    except (re.error, RecursionError, OverflowError):
        raise _bad(name, "a regular expression of Python's re module", field) from None
    if expression.match("") or all(expression.search(one) for one in " a0"):
        raise _bad(name, "a pattern that does not match everything or nothing", field)
    if _open_repeats(tree, inside=False) > MAX_OPEN_REPEATS:
        raise _bad(name, "no repeats or choices within repeats, and at most two open-ended repeats", field)
    return name, expression


def _bad(name: str, expected: str, field: str) -> Invalid:
    said = f"{name}: expected {expected}."
    return Invalid(f"Pattern {said}", fields={field: said})


def _open_repeats(tree: Any, *, inside: bool) -> int:
    """Open-ended repeats of a parsed pattern; a nesting that could take exponential time counts as too many."""
    found = 0
    for code, argument in tree:
        if code in (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT):
            _low, high, body = argument
            wide = high == op.MAXREPEAT or high > MAX_BOUNDED_REPEAT
            if inside and high > 1:
                return MAX_OPEN_REPEATS + 1
            found += int(wide) + _open_repeats(body, inside=inside or high > 1)
        elif code in (op.GROUPREF, op.GROUPREF_EXISTS, op.ASSERT, op.ASSERT_NOT):
            return MAX_OPEN_REPEATS + 1
        elif code is op.BRANCH:
            found += MAX_OPEN_REPEATS + 1 if inside else sum(_open_repeats(x, inside=inside) for x in argument[1])
        elif code is op.SUBPATTERN:
            found += _open_repeats(argument[-1], inside=inside)
    return found
