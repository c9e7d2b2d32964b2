"""When a model took over, and when the traffic went back."""

from datetime import date, timedelta

from recommendations import takeover
from recommendations.takeover import Day

MONDAY = date(2026, 6, 1)


def days(*counts: tuple[int, int]) -> list[Day]:
    """Days from Monday on, each with its calls and those served."""
    return [Day(MONDAY + timedelta(at), calls, served) for at, (calls, served) in enumerate(counts)]


def test_a_full_switch_begins_on_its_first_day() -> None:
    assert takeover.began(days((100, 0), (100, 0), (100, 95), (100, 100)), before=0.0) == MONDAY + timedelta(2)


def test_a_few_calls_of_a_trial_are_no_switch() -> None:
    assert takeover.began(days((200, 4), (200, 6), (200, 3)), before=0.0) is None


def test_what_it_served_before_counts_for_nothing() -> None:
    assert takeover.began(days((200, 60), (200, 62)), before=0.3) is None
    assert takeover.began(days((200, 60), (200, 120)), before=0.3) == MONDAY + timedelta(1)


def test_quiet_days_are_taken_together_up_to_a_week() -> None:
    assert takeover.began(days(*[(4, 0)] * 3, *[(4, 4)] * 6), before=0.0) == MONDAY + timedelta(3)
    assert takeover.began(days(*[(1, 1)] * 9), before=0.0) is None


def test_traffic_that_went_back_is_told_from_a_dip() -> None:
    assert takeover.is_back(days((100, 100), (100, 0)), before=0.0)
    assert not takeover.is_back(days((100, 100), (100, 60)), before=0.0)
    assert not takeover.is_back(days((100, 100), (5, 0)), before=0.0)  # five calls tell nothing
    assert not takeover.is_back([], before=0.0)
