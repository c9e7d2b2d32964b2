"""Integer nano-dollars: sums do not depend on order, and both databases give the same bytes."""

from decimal import ROUND_HALF_EVEN, Decimal

NANO = 1_000_000_000
TOKENS_PER_PRICE = 1_000_000


def nanousd(usd: Decimal | float | str) -> int:
    """US dollars to nano-dollars, rounded half to even; a float is read by its shortest decimal form."""
    return int((Decimal(str(usd)) * NANO).to_integral_value(ROUND_HALF_EVEN))


def usd(amount_nanousd: int | None) -> Decimal | None:
    """Nano-dollars to exact decimal US dollars; None stays None."""
    return None if amount_nanousd is None else Decimal(amount_nanousd) / NANO


def cents_to_nanousd(cents: Decimal | float | str) -> int:
    """US cents, the unit of Portkey's costs, to nano-dollars."""
    return int((Decimal(str(cents)) * (NANO // 100)).to_integral_value(ROUND_HALF_EVEN))


def token_cost_nanousd(tokens: int, price_nanousd: int) -> int:
    """Cost of tokens at a price per million tokens, rounded half up to a nano-dollar."""
    return (tokens * price_nanousd + TOKENS_PER_PRICE // 2) // TOKENS_PER_PRICE
