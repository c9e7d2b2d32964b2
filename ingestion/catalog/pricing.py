"""Usage and price to nano-dollars."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from agentopt.lib import money
from ingestion.values import Price, Usage


@dataclass(frozen=True)
class Line:
    """Tokens of one kind at their price; prices are nano-dollars per million tokens."""

    kind: str
    tokens: int
    price_nanousd: int
    cost_nanousd: int


def lines(usage: Usage, price: Price) -> tuple[Line, ...] | None:
    """What a call costs, kind by kind; None where its input or output tokens are unknown.

    Cached, cache-written and reasoning tokens stand apart from the rest of what they are part of; where the source does
    not tell them, they count as the rest. Without a price of their own they cost what the rest does.
    """
    found = _parts(usage, price)
    if found is None:
        return None
    return tuple(
        Line(kind, tokens, each, money.token_cost_nanousd(tokens, each)) for kind, tokens, each in found if tokens
    )


def cost_nanousd(usage: Usage, price: Price) -> int | None:
    """What a call costs at a price; None where a token count is unknown.

    The sum of `lines`, each rounded half up to a nano-dollar: sums do not depend on order, and a receipt adds up.
    """
    found = _parts(usage, price)
    if found is None:
        return None
    return sum(money.token_cost_nanousd(tokens, each) for _, tokens, each in found if tokens)


def _parts(usage: Usage, price: Price) -> tuple[tuple[str, int, int], ...] | None:
    """Kind, tokens and price of each part, also of those without tokens."""
    if usage.input_tokens is None or usage.output_tokens is None:
        return None
    cached = min(usage.cached_tokens or 0, usage.input_tokens)
    written = min(usage.cache_write_tokens or 0, usage.input_tokens - cached)
    reasoning = min(usage.reasoning_tokens or 0, usage.output_tokens)
    return (
        ("In", usage.input_tokens - cached - written, price.input_nanousd),
        ("In, cached", cached, _or(price.cached_input_nanousd, price.input_nanousd)),
        ("In, written to cache", written, _or(price.cache_write_nanousd, price.input_nanousd)),
        ("Out", usage.output_tokens - reasoning, price.output_nanousd),
        ("Out, reasoning", reasoning, _or(price.reasoning_nanousd, price.output_nanousd)),
    )


def _or(own: int | None, otherwise: int) -> int:
    """A price of its own, which may be 0, or that of the rest."""
    return otherwise if own is None else own


def deviation(cost_nanousd: int | None, source_nanousd: int | None) -> float | None:
    """How far our cost lies above the source's own, as a share of it; None where one is unknown.

    0 from a source means that it has no price, so nothing can be compared with it.
    """
    if cost_nanousd is None or not source_nanousd:
        return None
    return (cost_nanousd - source_nanousd) / source_nanousd


def in_force(prices: Iterable[tuple[date, Price]], day: date) -> Price | None:
    """The newest price that was valid on a day, of several from the same day the last; None before the first."""
    valid = [(since, price) for since, price in prices if since <= day]
    return max(reversed(valid), key=lambda entry: entry[0])[1] if valid else None
