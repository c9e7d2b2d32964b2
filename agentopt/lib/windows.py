"""Half-open time windows and their splitting."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise


@dataclass(frozen=True, order=True)
class Window:
    """The moments from `since` on and before `until`, both aware.

    Raises:
        ValueError: a moment without a zone, or an empty window.
    """

    since: datetime
    until: datetime

    def __post_init__(self) -> None:
        if self.since.tzinfo is None or self.until.tzinfo is None:
            raise ValueError("a window needs moments with a zone")
        if self.since >= self.until:
            raise ValueError("a window ends after it starts")

    @property
    def length(self) -> timedelta:
        """From start to end."""
        return self.until - self.since

    def parts(self, n: int) -> list["Window"]:
        """Cut into at most `n` windows of about equal length, in order, that touch and cover exactly this one.

        Cuts lie whole seconds after the start, as that is how fine some sources tell time; a short window gives fewer.
        """
        seconds = int(self.length.total_seconds())
        cuts = sorted({seconds * part // n for part in range(1, n)} - {0})
        borders = [self.since, *(self.since + timedelta(seconds=cut) for cut in cuts), self.until]
        return [Window(*pair) for pair in pairwise(borders) if pair[0] < pair[1]]
