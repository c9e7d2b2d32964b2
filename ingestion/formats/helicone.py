"""Helicone: rows of its request query and of its export tool, with bodies or without."""

from collections.abc import Mapping
from typing import Any

import msgspec

from ingestion.formats import assembly, bodies, calls, fields, rows
from ingestion.formats.bodies import MODEL_LIMIT
from ingestion.formats.calls import Told
from ingestion.formats.rows import Row
from ingestion.values import RawRecord, Usage

_NO_ID = "00000000-0000-0000-0000-000000000000"
_SESSION = "Helicone-Session-Id"


def read(line: bytes) -> tuple[RawRecord]:
    """Read one row: one call. Bodies behind `signed_body_url` are not fetched.

    Raises:
        Unreadable: with a code of `formats.fields`, or no_call, no_model.
    """
    row = rows.read(line)
    if not any(row.raw(name) for name in ("request_id", "response_id", "request_created_at")):
        raise fields.Unreadable("no_call", "Expected a request of Helicone, with request_id and request_created_at.")
    return (calls.build(_told(row), _body(row, "request_body"), _body(row, "response_body")),)


def _body(row: Row, name: str) -> msgspec.Raw:
    """A body; `{}` stands for one that was not exported."""
    found = row.plain(name) if bytes(row.raw(name))[:1] == b'"' else None
    if isinstance(found, str) and found.startswith('{""') and not found.startswith('{"":'):
        # the export tool doubles the quotes of JSON in CSV twice
        undoubled = msgspec.Raw(found.replace('""', '"').encode(errors="replace"))
        return undoubled if fields.plain(undoubled) is not None else row.raw(name)
    body = assembly.inner(row.raw(name))
    return fields.NO_RAW if bytes(body) == b"{}" else body


def _told(row: Row) -> Told:
    properties = {**row.object("properties"), **row.object("request_properties")}
    status = _status(row)
    return Told(
        source_id=row.text("request_id", "response_id", limit=calls.ID_LIMIT),
        trace_key=fields.text(properties.get(_SESSION), _SESSION, limit=calls.ID_LIMIT),
        occurred_at=row.moment("request_created_at", "response_created_at"),
        provider=row.text("provider", limit=calls.PROVIDER_LIMIT).lower(),
        model=row.text("model_override", "request_model", "response_model", "model", limit=MODEL_LIMIT),
        url=row.text("target_url", "request_path", limit=2000),
        succeeded=None if status is None else 200 <= status < 400,
        status_code=status if status is not None and 100 <= status <= 599 else None,
        usage=_usage(row),
        cost_nanousd=row.cost_nanousd("costUSD", "cost_usd", "cost"),
        latency_us=row.duration_us("delay_ms", "latency", "latency_ms", unit_us=1000),
        first_token_us=row.duration_us("time_to_first_token", unit_us=1000),
        prompt_version=_prompt_version(row),
        metadata=fields.metadata({**properties, **_metadata(row)}),
    )


def _status(row: Row) -> int | None:
    """Helicone writes numbers below 0 for calls that never got an answer: timed out, canceled, refused by a rule."""
    found = row.plain("response_status", "status")
    try:
        return int(float(found)) if isinstance(found, int | float | str) else None
    except (ValueError, OverflowError):
        raise fields.Unreadable("wrong_type", "response_status: expected a number.") from None


def _usage(row: Row) -> Usage:
    given, said = row.tokens("prompt_tokens"), row.tokens("completion_tokens")
    if not given and not said:
        given = said = None  # 0 and 0: nothing was counted
    return Usage(
        given,
        said,
        bodies.at_most(row.tokens("prompt_cache_read_tokens"), given),
        bodies.at_most(row.tokens("prompt_cache_write_tokens"), given),
        bodies.at_most(row.tokens("reasoning_tokens"), said),
    )


def _prompt_version(row: Row) -> str:
    name = row.text("prompt_id", limit=calls.VERSION_LIMIT)
    version = row.text("prompt_version", limit=calls.VERSION_LIMIT)
    return "@".join(part for part in (name, version) if part)[: calls.VERSION_LIMIT]


def _metadata(row: Row) -> dict[str, Any]:
    found = row.metadata("country_code", "feedback_rating")
    user = row.plain("request_user_id", "helicone_user", "user_id")
    cached = row.plain("cache_reference_id")
    scores = {
        f"score_{name}": value.get("value") if isinstance(value, Mapping) else value
        for name, value in row.object("scores").items()
    }
    found |= {"user_id": user} if user is not None else {}
    found |= {"cache_hit": True} if isinstance(cached, str) and cached != _NO_ID else {}
    return {**scores, **found}
