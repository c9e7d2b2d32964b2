"""Which format a file has, and what reads it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from agentopt.lib.errors import Invalid
from ingestion.formats import openai, portkey, transcript, usage
from ingestion.values import RawRecord

Reader = Callable[[bytes], Sequence[RawRecord]]
"""What one row holds: usually one call, in some formats several, none where a row tells of something else."""
READERS: dict[str, Reader] = {
    "portkey": portkey.read,
    "openai": openai.read,
    "transcript": transcript.read,
    "usage": usage.read,
}
_SIGNS = {
    "portkey": """ai_org ai_model req_units res_units response_time is_success response_status_code _id metrics
        request_url prompt_slug""",
    "openai": "custom_id body latency_ms latency_s duration_ms cost_usd conversation_id session_id",
    "transcript": "message_meta trajectory_id agent_model user_model reward tools_ref policy_ref termination",
}
SIGNS = {name: frozenset(words.split()) for name, words in _SIGNS.items()}
"""Keys that tell a format from the others. The format with most of them wins, the earlier one among equals."""


def detect(first_lines: Sequence[bytes]) -> str:
    """Name the format by the keys of the first lines that can be read.

    Raises:
        Invalid: no line looks like a log in a format we know.
    """
    seen: set[str] = set()
    for line in first_lines:
        seen |= _keys(line)
    signs = {name: len(seen & keys) for name, keys in SIGNS.items()}
    best = max(signs, key=lambda name: signs[name])
    if "request" in seen or "body" in seen:
        # bodies stand in both; without any sign the plain form is meant
        return best if signs[best] > signs["openai"] else "openai"
    if signs[best]:
        return best
    if "messages" in seen:
        return "transcript"
    lowered = {key.strip().lower() for key in seen}
    if lowered & set(usage.TIMES) and lowered & {*usage.INPUTS, *usage.OUTPUTS}:
        return "usage"
    raise Invalid(
        f"This is no log in a format we know: {_described(seen)}. Name it with --format: {', '.join(READERS)}.",
        fields={"format": f"Expected one of {', '.join(READERS)}."},
    )


def _described(seen: set[str]) -> str:
    if not seen:
        return "its first rows are no JSON objects"
    names = [key[:30] for key in sorted(seen)[:8]]
    return f"its rows have {', '.join(names)}{' and more' if len(seen) > len(names) else ''}"


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
        found: Mapping[str, Any] = msgspec.json.decode(line, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return set()
    return set(found)
