"""How many calls go to one provider at once: up a little with each answer, down to half when it says "too many".

Additive increase, multiplicative decrease, as in TCP (Chiu & Jain 1989); a Retry-After closes the lane for that long.
Everything happens on one event loop.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

LONGEST_CLOSED_S = 60.0  # whoever waits longer is told the reason by a call of its own


@dataclass
class Road:
    """All lanes of a session: at most so many calls at once in all. A call that waits in its lane holds no room."""

    most: int
    busy: int = 0
    lanes: "deque[Lane]" = field(default_factory=deque)

    def wake(self) -> None:
        """Give what room there is to the lanes in turn."""
        self.lanes.rotate(-1)
        for lane in list(self.lanes):
            if self.busy >= self.most:
                return
            lane.wake(at_most=self.most - self.busy)


@dataclass
class Lane:
    """The calls to one provider.

    Args:
        now: the loop's clock.
        most: calls at once when the provider limits nothing.
        road: shared with the lanes of other providers; None: a road of its own.
    """

    now: Callable[[], float]
    most: int
    road: Road | None = None
    limit: float = field(init=False)
    busy: int = 0
    _opens_at: float = 0.0
    _cut_at: float = -1.0
    _waiting: "deque[asyncio.Future[None]]" = field(default_factory=deque)

    def __post_init__(self) -> None:
        self.limit = float(self.most)
        self._road = self.road or Road(self.most)
        self._road.lanes.append(self)

    @property
    def is_limited(self) -> bool:
        """Whether it lets fewer calls in than it would if nobody limited anything."""
        return int(self.limit) < self.most or self.now() < self._opens_at

    async def enter(self) -> None:
        """Wait for room; first come, first served."""
        while not self._has_room():
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                self._road.wake()  # the turn may have been given to us already
                raise
        self.busy += 1
        self._road.busy += 1

    def leave(self) -> None:
        """Give the room back."""
        self.busy -= 1
        self._road.busy -= 1
        self._road.wake()

    def answered(self) -> None:
        """A call went through: one more at once after a whole round of such."""
        self.limit = min(float(self.most), self.limit + 1 / self.limit)

    def limited(self, *, began: float, retry_after_s: float | None) -> None:
        """A call of that beginning met a 429. Calls sent before the last cut tell nothing new."""
        now = self.now()
        if began >= self._cut_at:
            self.limit = max(1.0, min(self.limit, float(self.busy)) / 2)
            self._cut_at = now
        closed_s = min(retry_after_s or 0.0, LONGEST_CLOSED_S)
        if now + closed_s > self._opens_at:
            self._opens_at = now + closed_s
            # a little later: a timer may fire a moment early
            asyncio.get_running_loop().call_at(self._opens_at + 0.01, self._road.wake)

    def _has_room(self) -> bool:
        is_open = self.now() >= self._opens_at
        return is_open and self.busy < int(self.limit) and self._road.busy < self._road.most

    def wake(self, *, at_most: int) -> None:
        """Wake as many as there is room for; each looks again for itself."""
        room = min(int(self.limit) - self.busy, at_most) if self.now() >= self._opens_at else 0
        while room > 0 and self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                room -= 1
