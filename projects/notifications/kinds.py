"""What a notice can be about, and the closed vocabulary of what it may say.

A notice leaves the instance, so nothing of prompts and answers belongs in it: figures, names of models and metrics,
sentences that code made of these, and an address of this site where a person who may see it finds the rest. Names of
use cases are left out as well: those that were found are made of words of prompts.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

NOW, DIGEST, OFF = "now", "digest", "off"
WHEN = {NOW: "at once", DIGEST: "in the daily letter", OFF: "not at all"}
SENTENCE, NAME, NUMBER, MOMENT, PATH = "sentence", "name", "number", "moment", "path"
_LONGEST = {SENTENCE: 400, NAME: 160, PATH: 300}
_ALWAYS = {"sentence": SENTENCE, "path": PATH}


@dataclass(frozen=True)
class Kind:
    """A kind of notice: its title, what it may say beside `sentence` and `path`, and when it goes out unless said."""

    title: str
    when: str
    fields: Mapping[str, str] = field(default_factory=dict)
    internal: bool = False  # always at once, and no choice of a channel


KINDS: dict[str, Kind] = {
    "alert": Kind("Drift alert", NOW, {"number": NUMBER, "metric": NAME, "direction": NAME, "since": MOMENT}),
    "alert_resolved": Kind("Alert is over", DIGEST, {"number": NUMBER, "metric": NAME}),
    "recommendation": Kind(
        "New recommendation", NOW,
        {"number": NUMBER, "outcome": NAME, "candidate": NAME, "baseline": NAME, "confidence": NUMBER,
         "saving_usd_per_month": NUMBER},
    ),
    "recommendation_expired": Kind("Recommendation out of date", DIGEST, {"number": NUMBER, "reason": NAME}),
    "follow_up": Kind("Verdict on a switch", NOW, {"number": NUMBER, "verdict": NAME}),
    "evaluation_stopped": Kind("Evaluation stopped", NOW, {"number": NUMBER, "state": NAME, "code": NAME}),
    "evaluation_held": Kind("Scheduled evaluation not started", DIGEST, {"code": NAME}),
    "sync_failed": Kind("Log sync failed", NOW, {"code": NAME}),
    "model_retires": Kind("Model is about to retire", DIGEST, {"model": NAME, "retires": MOMENT}),
    "channel_failed": Kind("Notices do not arrive", NOW, {"channel": NAME}),
    "test": Kind("Test", NOW, internal=True),
    "digest": Kind("Daily letter", NOW, {"count": NUMBER}, internal=True),
}  # fmt: skip
CHOSEN = {name: kind for name, kind in KINDS.items() if not kind.internal}


def checked(kind: str, context: Mapping[str, Any]) -> dict[str, Any]:
    """The context as it is stored: JSON values on one line each, cut to what a notice may carry.

    Raises:
        ValueError: an unknown kind or field, a value of another type, or no sentence or path: a mistake of the caller.
    """
    if kind not in KINDS:
        raise ValueError(f"there is no notice {kind!r}; expected one of {', '.join(KINDS)}")
    fields = {**_ALWAYS, **KINDS[kind].fields}
    strange = sorted(set(context) - set(fields))
    missing = sorted(set(_ALWAYS) - set(context))
    if strange or missing:
        raise ValueError(f"a notice {kind!r} takes {', '.join(fields)}: unknown {strange}, missing {missing}")
    return {name: _clean(name, fields[name], value) for name, value in context.items() if value is not None}


def _clean(name: str, what: str, value: Any) -> Any:
    if what == NUMBER:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError(f"{name}: expected a number")
        return value
    if what == MOMENT:
        if not isinstance(value, datetime) or value.tzinfo is None:
            raise ValueError(f"{name}: expected an aware moment")
        return value.astimezone(UTC).isoformat()
    if not isinstance(value, str):
        raise ValueError(f"{name}: expected a text")  # noqa: TRY004 — all mistakes of a caller are of one kind
    if what == PATH and not (value.startswith("/") and not value.startswith("//")):
        raise ValueError(f"{name}: expected an address within the site")
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in value).split())
    most = _LONGEST[what]
    return line if len(line) <= most else f"{line[: most - 1]}…"
