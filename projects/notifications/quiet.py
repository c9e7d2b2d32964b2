"""Quiet hours: when a notice may go out. Pure."""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo


@dataclass(frozen=True)
class Quiet:
    """Hours of every day, [from, until) by the clock of a zone; `until` before `from` goes past midnight."""

    since: time
    until: time
    zone: str

    def end(self, moment: datetime) -> datetime:
        """The moment itself, or the end of the quiet hours it falls into."""
        local = moment.astimezone(ZoneInfo(self.zone))
        clock = local.time()
        overnight = self.until <= self.since
        is_quiet = (clock >= self.since or clock < self.until) if overnight else self.since <= clock < self.until
        if not is_quiet:
            return moment
        day = local.date() + timedelta(days=1 if overnight and clock >= self.since else 0)
        # by the clock, not by adding hours: a night may have 23 or 25 of them
        end = datetime.combine(day, self.until, tzinfo=ZoneInfo(self.zone)).astimezone(UTC)
        return max(end, moment)
