"""Tool calls are compared by what they ask for, not by how they are written."""

from typing import Any

import pytest

from evaluation.tool_calls import Match, compare


def call(name: str, arguments: Any = "{}", *, number: int = 1) -> dict[str, Any]:
    return {"id": f"call_{number}", "type": "function", "function": {"name": name, "arguments": arguments}}


FIND, SEND = call("find", '{"id": 1, "deep": {"a": [1, 2]}}'), call("send", '{"to": "x"}')


@pytest.mark.parametrize(
    ("logged", "given", "match", "shared"),
    [
        ([], [], Match.NONE, 0),
        ([FIND], [call("find", '{ "deep":{"a":[1.0,2]},"id":1.0 }', number=9)], Match.SAME, 1),
        ([FIND], [call("find", {"id": 1, "deep": {"a": [1, 2]}})], Match.SAME, 1),
        ([call("now", "")], [call("now", None)], Match.SAME, 1),
        ([FIND, SEND], [SEND, FIND], Match.REORDERED, 2),
        ([FIND], [call("find", '{"id": 1, "deep": {"a": [2, 1]}}')], Match.OTHER_ARGUMENTS, 0),
        ([call("flag", '{"on": true}')], [call("flag", '{"on": 1}')], Match.OTHER_ARGUMENTS, 0),
        ([FIND, FIND], [FIND, SEND], Match.OTHER_TOOLS, 1),
        ([FIND, FIND], [FIND], Match.OTHER_TOOLS, 1),
        ([FIND], [], Match.LACKING, 0),
        ([], [FIND], Match.UNASKED, 0),
        ([{"function": None}], [{}], Match.SAME, 1),
    ],
)
def test_calls_are_the_same_if_they_ask_for_the_same(logged: Any, given: Any, match: Match, shared: int) -> None:
    found = compare(logged, given)

    assert (found.match, found.shared, found.logged, found.given) == (match, shared, len(logged), len(given))
    assert found.agrees == (match in (Match.NONE, Match.SAME, Match.REORDERED))


def test_arguments_that_are_no_json_are_counted_and_compared_as_text() -> None:
    broken = call("find", '{"id": ')

    assert compare([broken], [broken]).match == Match.SAME
    assert compare([FIND], [broken]).match == Match.OTHER_ARGUMENTS
    assert compare([FIND], [broken]).unreadable == 1
    assert compare([], [call("find", "[" * 100_000)]).unreadable == 1
