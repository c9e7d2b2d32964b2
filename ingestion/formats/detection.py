"""Which format a file has, and what reads it."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from agentopt.lib.errors import Invalid
from ingestion.formats import openai, portkey
from ingestion.values import RawRecord

Reader = Callable[[bytes], Sequence[RawRecord]]
"""What one row holds: usually one call, in some formats several."""
READERS: dict[str, Reader] = {"portkey": portkey.read, "openai": openai.read}
_PORTKEY = {"ai_org", "ai_model", "req_units", "res_units", "response_time", "is_success", "response_status_code"}
_PORTKEY |= {"_id", "metrics", "request_url", "prompt_slug"}
_OPENAI = {"custom_id", "body", "latency_ms", "latency_s", "duration_ms", "cost_usd", "conversation_id", "session_id"}


def detect(first_lines: Sequence[bytes]) -> str:
    """Name the format by the keys of the first lines that can be read; "openai" where bodies stand without any of them.

    Raises:
        Invalid: no line looks like a log in a format we know.
    """
    seen: set[str] = set()
    for line in first_lines:
        seen |= _keys(line)
    if len(seen & _PORTKEY) > len(seen & _OPENAI):
        return "portkey"
    if "request" in seen or "body" in seen:
        return "openai"
    raise Invalid(
        f"This is no log in a format we know. Name it with --format: {', '.join(READERS)}.",
        fields={"format": f"Expected one of {', '.join(READERS)}."},
    )


def reader(name: str) -> Reader:
    """What reads one row of a format.

    Raises:
        Invalid: there is no such format.
    """
    if name not in READERS:
        raise Invalid(
            f"There is no format {name!r}: expected one of {', '.join(READERS)}.",
            fields={"format": f"Expected one of {', '.join(READERS)}."},
        )
    return READERS[name]


def _keys(line: bytes) -> set[str]:
    try:
        found: Any = msgspec.json.decode(line, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return set()
    return set(found)
