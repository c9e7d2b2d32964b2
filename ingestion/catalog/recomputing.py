"""What past calls cost at the prices of their days as the catalogue has them now, beside what is stored of them."""

from dataclasses import dataclass, field
from datetime import date, datetime

from agentopt.lib.errors import Invalid
from ingestion.catalog import offers, pricing
from ingestion.values import Price, Usage
from projects.models import Project

MAX_CALLS = 200_000
_USAGE = ("input_tokens", "output_tokens", "cached_tokens", "cache_write_tokens", "reasoning_tokens")


@dataclass
class Recomputed:
    """One model's calls: the sum as stored, and as it would be now. Nothing is changed.

    Each sum is over the calls that have it: `n_stored` and `n_now` of `calls`.
    """

    provider: str
    model: str
    calls: int = 0
    n_stored: int = 0
    stored_nanousd: int = 0
    n_now: int = 0
    now_nanousd: int = 0


@dataclass
class _Prices:
    """The prices of logged models, each looked up once, nothing being made."""

    project: Project
    known: dict[tuple[str, str], list[tuple[date, Price]]] = field(default_factory=dict)

    def on(self, provider: str, model: str, day: date) -> Price | None:
        key = (provider, model)
        if key not in self.known:
            offer = offers.of_logs(self.project, provider, model)
            self.known[key] = [] if offer is None else offers.dated_prices(offer)
        return pricing.in_force(self.known[key], day)


def recompute(project: Project, *, since: datetime | None, until: datetime | None) -> list[Recomputed]:
    """The calls of [since, until), newest versions, model by model, the dearest first.

    Stored calls are immutable: a price that is added later shows here, and in calls that come after it.

    Raises:
        Invalid: the window holds more than MAX_CALLS calls.
    """
    calls = project.logs.newest()
    calls = calls if since is None else calls.filter(occurred_at__gte=since)
    calls = calls if until is None else calls.filter(occurred_at__lt=until)
    wanted = ("provider", "model", "occurred_at", "cost_nanousd", *_USAGE)
    prices, found = _Prices(project), dict[tuple[str, str], Recomputed]()
    rows = calls.values_list(*wanted)[: MAX_CALLS + 1].iterator(chunk_size=5000)
    for n, (provider, model, at, stored, *tokens) in enumerate(rows):
        if n == MAX_CALLS:
            raise Invalid(
                f"There are more than {MAX_CALLS:,} calls: choose a shorter time.", fields={"since": "Later."}
            )
        one = found.setdefault((provider, model), Recomputed(provider, model))
        one.calls += 1
        if stored is not None:
            one.n_stored, one.stored_nanousd = one.n_stored + 1, one.stored_nanousd + stored
        price = prices.on(provider, model, at.date())
        now = None if price is None else pricing.cost_nanousd(Usage(*tokens), price)
        if now is not None:
            one.n_now, one.now_nanousd = one.n_now + 1, one.now_nanousd + now
    return sorted(found.values(), key=lambda one: (-one.now_nanousd, one.provider, one.model))
