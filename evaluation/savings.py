"""Promised and realised savings: volume times the difference of mean cost per call."""

from dataclasses import dataclass

DAYS_A_MONTH = 365.25 / 12


@dataclass(frozen=True)
class Saving:
    """What a month costs now and would cost, in US dollars; the interval is central 95 %."""

    monthly_calls: float
    now_usd: float
    then_usd: float
    saving_usd: float
    low_usd: float
    high_usd: float


def monthly_calls(calls: int, *, days: float) -> float:
    """Calls a month at the rate of a window of `days` days.

    Raises:
        ValueError: if the window has no length.
    """
    if days <= 0:
        raise ValueError(f"days: {days}, expected more than 0")
    return calls * DAYS_A_MONTH / days


def promised(calls_a_month: float, *, now_usd: float, then_usd: float, interval: tuple[float, float]) -> Saving:
    """The saving a month, from mean costs per call and the interval of their difference (now minus then)."""
    low, high = interval
    return _saving(calls_a_month, now_usd, then_usd, low_usd=calls_a_month * low, high_usd=calls_a_month * high)


def realised(calls_a_month: float, *, now_usd: float, then_usd: float, share: tuple[float, float]) -> Saving:
    """The saving a month of calls that were moved, from mean costs per call and the interval of the share saved."""
    low, high = share
    now = calls_a_month * now_usd
    return _saving(calls_a_month, now_usd, then_usd, low_usd=now * low, high_usd=now * high)


def _saving(calls_a_month: float, now_usd: float, then_usd: float, *, low_usd: float, high_usd: float) -> Saving:
    """Of a month: costs are per call, the ends of the interval of the month."""
    return Saving(
        monthly_calls=calls_a_month,
        now_usd=calls_a_month * now_usd,
        then_usd=calls_a_month * then_usd,
        saving_usd=calls_a_month * (now_usd - then_usd),
        low_usd=low_usd,
        high_usd=high_usd,
    )
