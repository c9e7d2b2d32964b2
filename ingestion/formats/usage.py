"""Usage: a time, input tokens and output tokens, without texts; other short fields become metadata.

Rows without an id that say the same are different calls: many happen in one moment.
"""

from typing import Any

from ingestion.formats import calls, fields
from ingestion.formats.bodies import MODEL_LIMIT
from ingestion.values import RawRecord

TIMES = ("ts", "timestamp", "time", "created_at", "occurred_at", "start_time")
INPUTS = ("input_tokens", "prompt_tokens", "contexttokens")
OUTPUTS = ("output_tokens", "completion_tokens", "generatedtokens")
COSTS = ("cost_usd", "cost")
IDS = ("id", "request_id")
_KNOWN = {*TIMES, *INPUTS, *OUTPUTS, *COSTS, *IDS, "model", "provider"}


def read(line: bytes) -> tuple[RawRecord]:
    """Read one row: one call.

    Raises:
        Unreadable: with a code of `formats.fields` or no_time, no_tokens.
    """
    given = {name.strip().lower(): value for name, value in fields.decode(line, dict[str, Any]).items()}
    time = _first(given, TIMES)
    occurred_at = fields.moment(given.get(time), time)
    if occurred_at is None:
        raise fields.Unreadable("no_time", "The row tells no time.")
    input_tokens = _tokens(given, INPUTS)
    output_tokens = _tokens(given, OUTPUTS)
    if input_tokens is None and output_tokens is None:
        raise fields.Unreadable("no_tokens", "The row tells neither input nor output tokens.")
    cost = _first(given, COSTS)
    source_id = fields.text(given.get(_first(given, IDS)), "id", limit=calls.ID_LIMIT)
    return (
        RawRecord(
            source_id=source_id or None,
            trace_key=None,
            occurred_at=occurred_at,
            provider=fields.text(given.get("provider"), "provider", limit=calls.PROVIDER_LIMIT),
            model=fields.text(given.get("model"), "model", limit=MODEL_LIMIT),
            status="ok",
            request="",
            response="",
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            source_cost_nanousd=fields.cost_nanousd(given.get(cost), cost, cents=False),
            obstacle="no_body",
            counted=not source_id,
            metadata=fields.metadata({name: value for name, value in given.items() if name not in _KNOWN}),
        ),
    )


def _first(given: dict[str, Any], names: tuple[str, ...]) -> str:
    """The first of the names that stands in the row with a value."""
    return next((name for name in names if given.get(name) not in (None, "")), "")


def _tokens(given: dict[str, Any], names: tuple[str, ...]) -> int | None:
    name = _first(given, names)
    return fields.tokens(given.get(name), name)
