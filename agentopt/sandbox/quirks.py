"""Rows as an export may hold them: each oddity the real service has shown, on demand and seeded by the row's id."""

import json
from collections.abc import Sequence
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

from agentopt.sandbox import faults as trouble
from agentopt.sandbox.faults import Fault

LATE = timedelta(minutes=3)  # how long after its moment a call may reach the log


def struck(row: dict[str, Any], kind: str, faults: Sequence[Fault], *, seed: int) -> bool:
    """Whether a row has an oddity."""
    return trouble.strike(faults, str(row["id"]), attempt=0, seed=seed, kinds=(kind,)) is not None


def is_there(row: dict[str, Any], at: datetime, *, now: datetime, faults: Sequence[Fault], seed: int) -> bool:
    """Whether a call of `at` has reached the log by now."""
    return now >= at + LATE or not struck(row, "row-late", faults, seed=seed)


def bend(row: dict[str, Any], faults: Sequence[Fault], *, seed: int) -> dict[str, Any]:
    """Return a row with the oddities that strike it; the row itself stays as it is."""
    kinds = [fault.kind for fault in faults if fault.kind in _BENT and struck(row, fault.kind, faults, seed=seed)]
    bent = deepcopy(row) if kinds else row
    for kind in kinds:
        _BENT[kind](bent)
    return bent


def _iso_date(row: dict[str, Any]) -> None:
    text = row["created_at"].split(" (")[0]
    row["created_at"] = datetime.strptime(text, "%a %b %d %Y %H:%M:%S GMT%z").astimezone(UTC).isoformat()


def _no_body(row: dict[str, Any]) -> None:
    """As with `debug: false`: units, cost and latency remain."""
    del row["request"], row["response"]


def _float_units(row: dict[str, Any]) -> None:
    for name in ("req_units", "res_units", "total_units", "response_time"):
        row[name] = float(row[name])


def _number_success(row: dict[str, Any]) -> None:
    row["is_success"] = int(row["is_success"])


def _no_success(row: dict[str, Any]) -> None:
    del row["is_success"]


def _unpriced(row: dict[str, Any]) -> None:
    row["cost"] = 0


def _label_trace(row: dict[str, Any]) -> None:
    row["trace_id"] = f"run {row['trace_id'][:4]} / step"


def _streamed(row: dict[str, Any]) -> None:
    """The chunks of a stream in place of a completion."""
    whole = row["response"]
    if not isinstance(whole, dict) or not whole.get("choices"):
        return
    row["request"]["stream"] = True
    base = {name: whole[name] for name in ("id", "created", "model")} | {"object": "chat.completion.chunk"}
    choice = whole["choices"][0]
    calls = choice["message"].get("tool_calls") or ()
    delta = {key: value for key, value in choice["message"].items() if key != "tool_calls"}
    if calls:
        delta["tool_calls"] = [{"index": index, **call} for index, call in enumerate(calls)]
    row["response"] = [
        base | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]},
        base | {"choices": [{"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}]},
        base | {"choices": [], "usage": whole["usage"]},
    ]


def _text_response(row: dict[str, Any]) -> None:
    row["response"] = json.dumps(row["response"])


def _null_response(row: dict[str, Any]) -> None:
    row["response"] = None


def _live_fields(row: dict[str, Any]) -> None:
    row["prompt_id"], row["prompt_version_id"], row["cache_status"] = "p-1", "7", "MISS"


_BENT = {
    "row-iso-date": _iso_date,
    "row-no-body": _no_body,
    "row-float-units": _float_units,
    "row-number-success": _number_success,
    "row-no-success": _no_success,
    "row-unpriced": _unpriced,
    "row-label-trace": _label_trace,
    "row-streamed": _streamed,
    "row-text-response": _text_response,
    "row-null-response": _null_response,
    "row-live-fields": _live_fields,
}
