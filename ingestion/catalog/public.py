"""Public prices of hosted models: the only module that knows genai-prices."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

SINCE = date(2020, 1, 1)
"""First day of a public price. The source dates few: today's also stands for older calls, and the row says so."""

PROVIDERS = {
    "vertex-ai": "google",
    "bedrock": "aws",
    "azure-openai": "azure",
    "mistral-ai": "mistral",
    "together-ai": "together",
}
"""Portkey's names of providers to those of the source, where they differ."""


@dataclass(frozen=True)
class PublicPrice:
    """US dollars per million tokens, and what else the source knows."""

    input_usd_per_m: Decimal
    output_usd_per_m: Decimal
    cached_input_usd_per_m: Decimal | None
    context_window: int | None
    family: str
    source: str


def look_up(provider: str, model: str, day: date) -> PublicPrice | None:
    """A model's standard price on a day; None where the source does not know it.

    A provider's own name for a connection (`openai-prod`) is read by its first word. Without a provider the model's
    name decides. Prices that hold for long prompts only are left out.
    """
    # slow to import, and needed by imports of logs only
    from genai_prices import __version__, data_snapshot

    known = PROVIDERS.get(provider, provider)
    for provider_id in dict.fromkeys((known, known.split("-", maxsplit=1)[0])):
        try:
            snapshot = data_snapshot.get_snapshot()
            found, info = snapshot.find_provider_model(model.rpartition("/")[2], None, provider_id or None, None)
            break
        except LookupError:
            continue
    else:
        return None
    prices = info.get_prices(datetime.combine(day, time(), UTC))
    given, said = _base(prices.input_mtok), _base(prices.output_mtok)
    if given is None or said is None:
        return None
    source = f"genai-prices {__version__}, {found.id}/{info.id}, read {day}; start of validity not recorded"
    return PublicPrice(given, said, _base(prices.cache_read_mtok), info.context_window, found.id, source)


def _base(price: Any) -> Decimal | None:
    """The price of the first tier, where it depends on the length."""
    price = getattr(price, "base", price)
    return None if price is None else Decimal(price)
