"""Log lines: names and numbers, never the words of an error."""

import json
import logging
import sys

from agentopt.lib.errors import Invalid
from agentopt.lib.logs import JsonFormatter


def line_of(error: Exception) -> dict[str, object]:
    prompt = "my card is 4111"
    try:
        raise error from ValueError(prompt)
    except type(error):
        record = logging.LogRecord("app", logging.ERROR, __file__, 1, "it failed", (), sys.exc_info())
    text = JsonFormatter().format(record)
    assert "4111" not in text
    assert "\n" not in text
    line: dict[str, object] = json.loads(text)
    return line


def test_an_error_is_named_and_placed_but_not_quoted() -> None:
    line = line_of(KeyError("4111 1111"))

    assert (line["event"], line["error"], line["cause"], line["level"]) == (
        "it failed",
        "KeyError",
        "ValueError",
        "error",
    )
    assert str(line["where"]).endswith("line_of']")


def test_an_error_of_ours_has_its_code() -> None:
    assert line_of(Invalid("The card 4111 is no model."))["error_code"] == "invalid"
