"""The noise floor: the model in production against itself, its logged answers against fresh ones.

Whatever differs there is chance (of sampling, of judges, of the day): a difference to a candidate below it says little.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from evaluation import conditions, selectors
from evaluation.models import Evaluation
from evaluation.selectors import Metric


@dataclass(frozen=True)
class Floor:
    """What was measured, by metric, and by which evaluation."""

    number: int
    prompts: int
    metrics: Mapping[str, Metric]

    def to_json(self) -> dict[str, Any]:
        """As API and exports give it; `text` is what the checks say of it, empty where they hold no such difference."""
        return {
            "evaluation": self.number,
            "prompts": self.prompts,
            "metrics": [
                {**asdict(one), "unit": _unit(name), "text": conditions.by_chance(name, asdict(one))}
                for name, one in self.metrics.items()
            ],
        }


def _unit(metric: str) -> str:
    """Of the difference: of shares or of scores, both in [0, 1]; of cost and latency the share saved."""
    if metric in ("cost", "latency"):
        return "share saved"
    return "share" if metric in conditions.SHARES else "score"


def floor(evaluation: Evaluation) -> Floor | None:
    """The newest noise floor of the model that this evaluation holds candidates against; None: never measured."""
    if evaluation.kind == Evaluation.Kind.NOISE:
        return None
    own = evaluation.candidates.filter(position=0).values("offer")[:1]
    found = evaluation.project.evaluations.filter(
        kind=Evaluation.Kind.NOISE, state=Evaluation.State.DONE, candidates__position=0, candidates__offer__in=own
    )
    newest = found.order_by("-number").first()
    if newest is None:
        return None
    rows = newest.comparisons.filter(use_case="", candidate__position=1).order_by("metric")
    metrics = {row.metric: selectors.metric(row) for row in rows}
    return Floor(newest.number, max((one.prompts for one in metrics.values()), default=0), metrics)
