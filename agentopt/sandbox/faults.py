"""What goes wrong on demand: seeded by what was sent, so that the same run fails in the same places."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from agentopt.sandbox.chance import share

KINDS = ("429", "500", "timeout", "html", "empty", "prose", "slow-stream", "disconnect", "form")
CONTROL_KINDS = ("export-401", "export-402", "export-403", "export-429", "export-500", "export-html", "export-timeout")
EXPORT_KINDS = (
    *CONTROL_KINDS,
    "export-failed", "export-stopped", "export-stuck", "export-gone", "export-unknown-status", "export-malformed",
    "export-expired", "export-broken", "export-no-range", "export-gzip", "export-encoded", "export-short",
    "row-late", "row-iso-date", "row-no-body", "row-float-units", "row-number-success", "row-no-success",
    "row-unpriced", "row-label-trace", "row-streamed", "row-text-response", "row-null-response", "row-live-fields",
)  # fmt: skip
_FORCED = {"fault-slow": "timeout", "fault-slow-stream": "slow-stream"}
_FLAKY = re.compile(r"fault-flaky-(\d+)")


@dataclass(frozen=True)
class Fault:
    """One kind of trouble and the share of calls it strikes."""

    kind: str
    rate: float


def parse(text: str) -> Fault:
    """Read KIND:RATE.

    Raises:
        ValueError: the kind is not known, or the rate is not a number from 0 to 1.
    """
    kind, _, rate = text.partition(":")
    if kind not in KINDS + EXPORT_KINDS:
        raise ValueError(f"{kind!r} is not one of {', '.join(KINDS + EXPORT_KINDS)}")
    try:
        value = float(rate)
    except ValueError as error:
        raise ValueError(f"{text!r}: expected KIND:RATE, for example 429:0.1") from error
    if not 0 <= value <= 1:
        raise ValueError(f"{text!r}: the rate must lie between 0 and 1")
    return Fault(kind, value)


def strike(faults: Sequence[Fault], key: str, *, attempt: int, seed: int, kinds: Sequence[str] = KINDS) -> str | None:
    """Return the kind of trouble that meets this attempt at a call, or None."""
    for fault in faults:
        if fault.kind in kinds and share(seed, fault.kind, key, attempt) < fault.rate:
            return fault.kind
    return None


def forced(model: str, *, attempt: int) -> str | None:
    """Return the kind of trouble that a model's name asks for: fault-KIND, or fault-flaky-N which fails N times."""
    flaky = _FLAKY.fullmatch(model)
    if flaky:
        return "500" if attempt < int(flaky.group(1)) else None
    kind = _FORCED.get(model, model.removeprefix("fault-"))
    return kind if model.startswith("fault-") and kind in KINDS else None
