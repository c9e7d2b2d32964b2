"""What a call cost, line by line: tokens times the price of its day."""

from dataclasses import dataclass
from datetime import date

from agentopt.lib import money
from ingestion.catalog import offers
from ingestion.models import LogRecord
from projects.models import Project


@dataclass(frozen=True)
class Line:
    """Tokens of one kind at their price; prices are nano-dollars per million tokens."""

    kind: str
    tokens: int
    price_nanousd: int
    cost_nanousd: int


@dataclass(frozen=True)
class Receipt:
    """The lines of one call and the day from which their price was valid."""

    lines: tuple[Line, ...]
    valid_from: date


def receipt(project: Project, record: LogRecord) -> Receipt | None:
    """How the cost of a call came about; None where it is the source's, or unknown."""
    if not record.cost_is_ours or record.input_tokens is None or record.output_tokens is None:
        return None
    offer = offers.find(project, record.provider, record.model)
    dated = [] if offer is None else offers.dated_prices(offer)
    valid = [entry for entry in dated if entry[0] <= record.occurred_at.date()]
    if not valid:
        return None
    since, price = max(valid, key=lambda entry: entry[0])
    cached = min(record.cached_tokens or 0, record.input_tokens)
    cached_price = price.input_nanousd if price.cached_input_nanousd is None else price.cached_input_nanousd
    kinds = [
        ("In", record.input_tokens - cached, price.input_nanousd),
        ("In, cached", cached, cached_price),
        ("Out", record.output_tokens, price.output_nanousd),
    ]
    lines = tuple(
        Line(kind, tokens, each, money.token_cost_nanousd(tokens, each)) for kind, tokens, each in kinds if tokens
    )
    # a price added later must not explain a cost that was computed before it
    return Receipt(lines, since) if sum(line.cost_nanousd for line in lines) == record.cost_nanousd else None
