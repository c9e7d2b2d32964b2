"""What a call cost, line by line: tokens times the price of its day, beside what its source says."""

from dataclasses import dataclass
from datetime import date

from ingestion.catalog import offers, pricing
from ingestion.models import LogRecord
from ingestion.values import usage_of
from projects.models import Project


@dataclass(frozen=True)
class Receipt:
    """The lines of one call and the day from which their price was valid."""

    lines: tuple[pricing.Line, ...]
    valid_from: date


def receipt(project: Project, record: LogRecord) -> Receipt | None:
    """How the cost of a call came about; None where it is the source's, or unknown."""
    if not record.cost_is_ours:
        return None
    offer = offers.find(project, record.provider, record.model)
    dated = [] if offer is None else offers.dated_prices(offer)
    valid = [entry for entry in dated if entry[0] <= record.occurred_at.date()]
    if not valid:
        return None
    since, price = max(reversed(valid), key=lambda entry: entry[0])
    found = pricing.lines(usage_of(record), price)
    # a price added later must not explain a cost that was computed before it
    explains = found is not None and sum(line.cost_nanousd for line in found) == record.cost_nanousd
    return Receipt(found, since) if found is not None and explains else None


def deviation(record: LogRecord) -> float | None:
    """How far our own figure lies above the source's, as a share of it; None where there are not both."""
    return pricing.deviation(record.cost_nanousd, record.source_cost_nanousd) if record.cost_is_ours else None
