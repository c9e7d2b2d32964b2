"""Which format a file has, and what reads it."""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from agentopt.lib.errors import Invalid
from ingestion.formats import fields, helicone, langfuse, litellm, openai, otlp, portkey, table, transcript, usage
from ingestion.values import RawRecord

Reader = Callable[[bytes], Sequence[RawRecord]]
"""What one row holds: usually one call, in some formats several, none where a row tells of something else."""
READERS: dict[str, Reader] = {
    "portkey": portkey.read,
    "openai": openai.read,
    "langfuse": langfuse.read,
    "helicone": helicone.read,
    "litellm": litellm.read,
    "otlp": otlp.read,
    "transcript": transcript.read,
    "usage": usage.read,
    "table": table.read,
    "csv": table.read,
    "parquet": table.read,
}
GROWTH = {"transcript": 8}
"""How many times the bytes of its rows the calls of a format come to, about: each repeats what came before it."""
_SIGNS = {
    "portkey": """ai_org ai_model req_units res_units response_time is_success response_status_code _id metrics
        request_url prompt_slug""",
    "openai": "custom_id body latency_ms latency_s duration_ms cost_usd conversation_id session_id",
    "langfuse": """traceId startTime endTime completionStartTime modelParameters usageDetails costDetails promptName
        parentObservationId promptVersion statusMessage timeToFirstToken calculatedTotalCost providedModelName htmlPath
        observationId dataType completion_start_time model_parameters usage_details cost_details project_id
        parent_observation_id prompt_name prompt_version status_message time_to_first_token
        provided_model_name total_cost observation_id data_type observations bookmarked""",
    "helicone": """request_id request_created_at request_body response_body response_id response_created_at
        response_status request_path request_user_id request_properties request_model response_model model_override
        helicone_user delay_ms signed_body_url prompt_cache_read_tokens cache_reference_id costUSD target_url""",
    "litellm": """custom_llm_provider model_group response_cost call_type request_tags end_user model_map_information
        hidden_params error_str error_information cache_key cache_hit spend proxy_server_request startTime endTime
        completionStartTime api_base saved_cache_cost requester_ip_address model_parameters request_duration_ms""",
    "otlp": "resourceSpans",
    "transcript": "message_meta trajectory_id agent_model user_model reward tools_ref policy_ref termination",
}
SIGNS = {name: frozenset(words.split()) for name, words in _SIGNS.items()}
"""Keys that tell a format from the others. The format with most of them wins, the earlier one among equals."""


def detect(first_lines: Sequence[bytes]) -> str:
    """Name the format by the keys of the first lines that can be read.

    Raises:
        Invalid: no line looks like a log in a format we know.
    """
    rows = [_decoded(line) for line in first_lines]
    seen = {key for row in rows for key in row}
    signs = {name: len(seen & keys) for name, keys in SIGNS.items()}
    if "request" in seen or "body" in seen:
        # only these two keep bodies there; without any sign the plain form is meant
        plain = "table" if any(_is_text(row.get("request")) for row in rows) else "openai"
        return "portkey" if signs["portkey"] > signs["openai"] else plain
    best = max((name for name in signs if name != "openai"), key=lambda name: signs[name])
    told = {table.field_of(key) for key in seen}
    if signs[best] and not (signs[best] == 1 and told & table.ASKED and told & table.SAID):
        return best
    if "messages" in seen and not told & {"answer", "response"}:
        return "transcript"
    lowered = {key.strip().lower() for key in seen}
    if (
        lowered & set(usage.TIMES)
        and lowered & {*usage.INPUTS, *usage.OUTPUTS}
        and not told & (table.ASKED | {"answer"})
    ):
        return "usage"
    if told & table.ASKED or {"model", "output_tokens"} <= told:
        return "table"
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


def _decoded(line: bytes) -> Mapping[str, msgspec.Raw]:
    try:
        return fields.decode(line, dict[str, msgspec.Raw])
    except fields.Unreadable:
        return {}


def _is_text(raw: msgspec.Raw | None) -> bool:
    """As CSV and Parquet keep bodies; an empty text tells nothing."""
    return raw is not None and bytes(raw).startswith(b'"') and fields.plain(raw) != ""
