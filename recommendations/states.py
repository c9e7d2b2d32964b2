"""The states of a recommendation and which may follow which: one table, for pages, API, admin and jobs. Pure."""

from collections.abc import Mapping
from datetime import datetime

NEW, SEEN, OUT_OF_DATE = "new", "seen", "out_of_date"
ACKNOWLEDGED, DISMISSED, POSTPONED = "acknowledged", "dismissed", "postponed"
WATCHING, CONFIRMED, REVERSED = "watching", "confirmed", "reversed"
STATES = (NEW, SEEN, ACKNOWLEDGED, DISMISSED, POSTPONED, WATCHING, CONFIRMED, REVERSED, OUT_OF_DATE)
_DECISIONS = {ACKNOWLEDGED, DISMISSED, POSTPONED}

# A person decides (acknowledged, dismissed, postponed) and opens (seen); all else is seen in logs, prices and the
# calendar. The switch itself happens outside, so a watch starts whatever was decided, even after the end.
ALLOWED: Mapping[str, frozenset[str]] = {
    NEW: frozenset({SEEN, *_DECISIONS, WATCHING, OUT_OF_DATE}),
    SEEN: frozenset({*_DECISIONS, WATCHING, OUT_OF_DATE}),
    ACKNOWLEDGED: frozenset({*_DECISIONS, WATCHING, OUT_OF_DATE}),
    DISMISSED: frozenset({*_DECISIONS, WATCHING}),
    POSTPONED: frozenset({NEW, *_DECISIONS, WATCHING, OUT_OF_DATE}),
    WATCHING: frozenset({CONFIRMED, REVERSED}),
    CONFIRMED: frozenset({REVERSED}),
    REVERSED: frozenset({WATCHING}),
    OUT_OF_DATE: frozenset({WATCHING}),
}
MEANINGS: Mapping[str, str] = {
    NEW: "nobody has opened it yet",
    SEEN: "somebody has opened it",
    ACKNOWLEDGED: "somebody means to follow it",
    DISMISSED: "somebody decided against it, with a reason",
    POSTPONED: "it waits until a day",
    WATCHING: "the logs show the recommended model taking over; the promise is being checked",
    CONFIRMED: "the follow-up found that the promise holds",
    REVERSED: "the traffic went back to the model before",
    OUT_OF_DATE: "what it rests on has changed",
}
WAITING = frozenset({NEW, SEEN})
"""States that wait for a person."""
EXPIRING = frozenset(state for state, following in ALLOWED.items() if OUT_OF_DATE in following)


def may(was: str, state: str) -> bool:
    """Whether one state may follow another."""
    return state in ALLOWED[was]


def now_in(state: str, *, until: datetime | None, expires_at: datetime, now: datetime) -> str:
    """The state at a moment, of the one written last: a day that was waited for, and the end, need no job to come."""
    if state == POSTPONED and until is not None and until <= now:
        state = NEW
    # what a person acknowledged stands as their plan until a job finds that it has ended
    if state in (NEW, SEEN) and expires_at <= now:
        return OUT_OF_DATE
    return state


def words(state: str) -> str:
    """A state as people read it."""
    return state.replace("_", " ")
