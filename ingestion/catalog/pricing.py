"""Usage and price to nano-dollars."""

from collections.abc import Iterable
from datetime import date

from agentopt.lib import money
from ingestion.values import Price, Usage


def cost_nanousd(usage: Usage, price: Price) -> int | None:
    """What a call costs at a price; None where a token count is unknown.

    Unknown cached tokens count as none cached: the cost is then an upper bound. The three parts are rounded half up
    to a nano-dollar, one by one, so sums do not depend on order.
    """
    if usage.input_tokens is None or usage.output_tokens is None:
        return None
    cached = min(usage.cached_tokens or 0, usage.input_tokens)
    cached_price = price.input_nanousd if price.cached_input_nanousd is None else price.cached_input_nanousd
    return (
        money.token_cost_nanousd(usage.input_tokens - cached, price.input_nanousd)
        + money.token_cost_nanousd(cached, cached_price)
        + money.token_cost_nanousd(usage.output_tokens, price.output_nanousd)
    )


def in_force(prices: Iterable[tuple[date, Price]], day: date) -> Price | None:
    """The newest price that was valid on a day; None before the first."""
    valid = [(since, price) for since, price in prices if since <= day]
    return max(valid, key=lambda entry: entry[0])[1] if valid else None
