"""Public prices of hosted models: the only module that knows genai-prices."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

SINCE = date(2020, 1, 1)
"""First day of a price whose start is not recorded. Today's also stands for older calls, and the row says so."""

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
    """US dollars per million tokens from a day on."""

    since: date
    input_usd_per_m: Decimal
    output_usd_per_m: Decimal
    cached_input_usd_per_m: Decimal | None
    cache_write_usd_per_m: Decimal | None
    reasoning_usd_per_m: Decimal | None
    source: str


@dataclass(frozen=True)
class PublicModel:
    """A model's prices by day, the first one first, and what else the source knows."""

    prices: tuple[PublicPrice, ...]
    context_window: int | None
    source: str


def look_up(provider: str, model: str, day: date) -> PublicModel | None:
    """A model's standard prices as read on a day; None where the source does not know it.

    A provider's own name for a connection (`openai-prod`) is read by its first word. Without a provider the model's
    name decides. Of prices that depend on the length of a prompt the first step counts, of those that depend on the
    hour the dearest; each such row says so. Prices of batches and of faster service are left out.
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
    source = f"genai-prices {__version__}, {found.id}/{info.id}, read {day}"
    prices = tuple(price for since in _days(info.prices) if (price := _on(info, since, source=source)) is not None)
    return PublicModel(prices, info.context_window, source) if prices else None


def _days(prices: Any) -> list[date]:
    """The days on which a price begins."""
    conditions = [one.constraint for one in prices] if isinstance(prices, list) else []
    return [SINCE, *sorted({one.start_date for one in conditions if hasattr(one, "start_date")})]


def _on(info: Any, since: date, *, source: str) -> PublicPrice | None:
    by_hour = [info.get_prices(datetime.combine(since, time(), UTC) + timedelta(hours=hour)) for hour in range(24)]
    known = [one for one in by_hour if _base(one.input_mtok) is not None and _base(one.output_mtok) is not None]
    if not known:
        return None
    prices = max(known, key=lambda one: (_base(one.input_mtok), _base(one.output_mtok)))
    said = [source]
    if since == SINCE:
        said.append("start of validity not recorded")
    if any(one != prices for one in known):
        said.append("dearest hour of the day")
    if hasattr(prices.input_mtok, "tiers"):
        said.append(f"up to {prices.input_mtok.tiers[0].start:,} tokens")
    return PublicPrice(
        since=since,
        input_usd_per_m=_base(prices.input_mtok) or Decimal(0),
        output_usd_per_m=_base(prices.output_mtok) or Decimal(0),
        cached_input_usd_per_m=_base(prices.cache_read_mtok),
        cache_write_usd_per_m=_base(prices.cache_write_mtok),
        reasoning_usd_per_m=_base(getattr(prices, "reasoning_mtok", None)),
        source="; ".join(said),
    )


def _base(price: Any) -> Decimal | None:
    """The price of the first step, where it depends on the length."""
    price = getattr(price, "base", price)
    return None if price is None else Decimal(price)
