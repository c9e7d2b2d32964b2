"""When did a model take over? Shares of traffic by day, against the share it had before. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from agentopt.lib import intervals

CLEARLY = 0.10  # points of share above what it had before
LEAST_CALLS = 20
SPAN = timedelta(days=7)  # quiet projects: so many days are taken together
_Z = 2.5758  # 99 %
_Z_BACK = 1.96


@dataclass(frozen=True)
class Day:
    """The calls of one day of a use case, and those that the model served."""

    on: date
    calls: int
    served: int


def began(days: Sequence[Day], *, before: float) -> date | None:
    """The first day from which on the model clearly serves more than before; None: it does not.

    Clearly: of the next 20 calls or more, within seven days, the Wilson interval (99 %) of its share lies more than
    10 points above `before`.

    Args:
        days: in order; days without calls may be absent.
        before: its share of the calls when it was recommended, in [0, 1].
    """
    for at, day in enumerate(days):
        if not day.served:
            continue
        calls, served = _until_enough(days[at:])
        if calls >= LEAST_CALLS and intervals.wilson(served, calls, z=_Z).low > before + CLEARLY:
            return day.on
    return None


def is_back(days: Sequence[Day], *, before: float) -> bool:
    """Whether the newest calls (20 or more, within seven days) clearly are served as before again.

    Clearly: the share is not above what would have begun a watch, and its Wilson interval (95 %) ends within 20 points.
    """
    calls, served = _until_enough(list(reversed(days)))
    if calls < LEAST_CALLS or served / calls > before + CLEARLY:
        return False
    return intervals.wilson(served, calls, z=_Z_BACK).high < before + 2 * CLEARLY


def _until_enough(days: Sequence[Day]) -> tuple[int, int]:
    """Calls and served calls of whole days from the first one on, until there are enough."""
    calls = served = 0
    for day in days:
        if abs(day.on - days[0].on) >= SPAN or calls >= LEAST_CALLS:
            break
        calls += day.calls
        served += day.served
    return calls, served
