"""Models and prompt versions that were never seen before. Pure."""

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from recommendations.drift.columns import NAMES, Observations

ENOUGH = 20  # conversations before a new name is told
SETTLES = timedelta(days=7)  # names of the first week are the usual ones
MOST_NAMES = 300  # beyond, names are no versions but marks of single requests
TAKES_OVER = 0.5


@dataclass(frozen=True)
class Event:
    """A name that is new. `took_over`: it serves most of the conversations of the window."""

    dimension: str
    name: str
    first_at: datetime
    n: int
    told_before: bool
    took_over: bool


def notice(seen: dict[str, Any], found: Observations, *, since: datetime) -> tuple[dict[str, Any], list[Event]]:
    """Bring what was seen up to a window; return it with what is new in it.

    Args:
        seen: by dimension, name to [moment of the first conversation, conversations, state]; states are usual, new,
            told and renewed.
        since: where watching began.
    """
    after: dict[str, Any] = {dimension: dict(seen.get(dimension, {})) for dimension in NAMES}
    events = []
    for dimension in NAMES:
        words, codes = found.named(dimension), getattr(found, dimension)
        counts = Counter(codes.tolist())
        names = after[dimension]
        for code, n in sorted(counts.items()):
            name = words[code]
            if not name or (name not in names and len(names) >= MOST_NAMES):
                continue
            first = datetime.fromtimestamp(int(found.at_s[codes == code][0]), UTC)
            usual = first - since < SETTLES
            at, before, state = names.get(name, [first.isoformat(), 0, "usual" if usual else "new"])
            names[name] = [at, before + n, state]
            took_over = n >= ENOUGH and n >= TAKES_OVER * len(found)
            if (state == "new" and before + n >= ENOUGH) or (state == "told" and took_over):
                events.append(
                    Event(dimension, name, datetime.fromisoformat(at), before + n, state == "told", took_over)
                )
                names[name][2] = "renewed" if took_over else "told"
    return after, events


def between(seen: dict[str, Any], since: datetime, until: datetime) -> list[dict[str, Any]]:
    """Names first seen in [since, until), for what an alert says of related changes."""
    out = []
    for dimension in NAMES:
        for name, (at, n, state) in seen.get(dimension, {}).items():
            if state != "usual" and since <= datetime.fromisoformat(at) < until:
                out.append({"kind": f"new_{dimension}", "name": name, "at": at, "n": n})
    return sorted(out, key=lambda one: str(one["at"]))
