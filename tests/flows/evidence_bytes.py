"""The evidence of copies of one study as bytes: equal wherever the same was measured."""

from typing import Any

from evaluation.models import Evaluation
from ingestion.models import LogRecord
from recommendations import evidence, inputs
from recommendations.reproduction import canonical

# of each copy: its seed, digests and examples (keys of rows), when it was asked, how long a call took
OWN = ("drawn", "examples", "until", "latency_us", "seed")


def bytes_of(evaluation: Evaluation) -> str:
    """Inputs and evidence in canonical form, with logged calls by the id that their source gave them."""
    # anew from its row: what other processes wrote is part of it
    given = inputs.read(Evaluation.objects.get(pk=evaluation.pk), agent="the agent")
    names = dict(LogRecord.objects.filter(project=evaluation.project).values_list("pk", "source_id"))
    return canonical(named([given, evidence.document(given)], names))


def named(document: Any, names: dict[int, str]) -> Any:
    """A document without what belongs to one copy only."""
    if isinstance(document, list):
        return [named(one, names) for one in document]
    if not isinstance(document, dict):
        return document
    known = {key: named(value, names) for key, value in document.items()}
    if "record" in known:
        known["record"] = names[known["record"]]
    if "samples" in known:
        known["samples"] = [names[pk] for pk in known["samples"]]
    return {key: value for key, value in known.items() if key not in OWN}
