"""Quiet hours by hand, and as a property."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projects.notifications.quiet import Quiet

NIGHT = Quiet(time(22), time(7), "Europe/Berlin")


@pytest.mark.parametrize(
    ("moment", "end"),
    [
        ("2026-11-23T12:00+00:00", "2026-11-23T12:00+00:00"),
        ("2026-11-23T21:00+00:00", "2026-11-24T06:00+00:00"),  # 22:00 there, the first quiet moment
        ("2026-11-24T05:59+00:00", "2026-11-24T06:00+00:00"),
        ("2026-11-24T06:00+00:00", "2026-11-24T06:00+00:00"),  # 7:00 there: over
        ("2026-10-24T21:00+00:00", "2026-10-25T06:00+00:00"),  # the night of 25 hours: 7:00 is 6:00 UTC by then
        ("2026-03-28T22:00+00:00", "2026-03-29T05:00+00:00"),  # the night of 23
    ],
)
def test_a_night_ends_by_the_clock_on_the_wall(moment: str, end: str) -> None:
    assert NIGHT.end(datetime.fromisoformat(moment)) == datetime.fromisoformat(end)


def test_hours_within_a_day() -> None:
    lunch = Quiet(time(12), time(13), "UTC")

    assert lunch.end(datetime(2026, 1, 1, 12, 30, tzinfo=UTC)) == datetime(2026, 1, 1, 13, tzinfo=UTC)
    assert lunch.end(datetime(2026, 1, 1, 13, tzinfo=UTC)) == datetime(2026, 1, 1, 13, tzinfo=UTC)


@given(
    st.datetimes(min_value=datetime(2020, 1, 1), max_value=datetime(2030, 1, 1), timezones=st.just(UTC)),
    st.tuples(st.times(), st.times()).filter(lambda pair: pair[0] != pair[1]),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"]),
)
def test_the_end_is_never_before_nor_more_than_a_day_after(
    moment: datetime, hours: tuple[time, time], zone: str
) -> None:
    end = Quiet(*hours, zone).end(moment)

    assert moment <= end <= moment + timedelta(hours=26)
    if end != moment:
        assert end.astimezone(ZoneInfo(zone)).date() >= moment.astimezone(ZoneInfo(zone)).date()
