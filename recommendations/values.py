"""Plain values of a recommendation."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Saving:
    """What a month costs now and would cost, in US dollars; the interval is central 95 %."""

    monthly_calls: float
    now_usd: float
    then_usd: float
    saving_usd: float
    low_usd: float
    high_usd: float
