"""Plain values of a project: its goal, and the settings in force."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from agentopt.lib.errors import Invalid

METRICS = ("quality", "cost", "latency")
GUARDS = ("quality", "safety", "answered", "stability")
LIMITS = ("quality", "safety", "answered", "latency_p95_s", "cost_per_call_usd")


@dataclass(frozen=True)
class Goal:
    """What a project wants of a model.

    Margins and gains of quality are in score points of [0, 1], scales of cost and latency in shares saved.
    """

    weights: Mapping[str, float] = field(default_factory=lambda: {"quality": 0.4, "cost": 0.4, "latency": 0.2})
    scales: Mapping[str, float] = field(default_factory=lambda: {"quality": 0.10, "cost": 0.50, "latency": 0.50})
    margins: Mapping[str, float] = field(default_factory=lambda: dict.fromkeys(GUARDS, 0.05))
    limits: Mapping[str, float] = field(default_factory=dict)
    min_gain: float = 0.10

    def __post_init__(self) -> None:
        wrong = {
            **_outside("weights", self.weights, METRICS, 0, 1),
            **_outside("scales", self.scales, METRICS, 1e-6, 1e6),
        }
        wrong |= {
            **_outside("margins", self.margins, GUARDS, 0.001, 1),
            **_outside("limits", self.limits, LIMITS, 0, 1e6),
        }
        if not wrong and sum(self.weights.values()) <= 0:
            wrong["weights"] = "At least one weight must be above 0."
        if not 0 <= self.min_gain <= 10:
            wrong["min_gain"] = "Expected a number from 0 to 10."
        if wrong:
            raise Invalid(
                "The goal does not make sense: " + " ".join(f"{k}: {v}" for k, v in wrong.items()), fields=wrong
            )

    @classmethod
    def from_json(cls, terms: Mapping[str, Any]) -> Self:
        """Read stored or given terms; what is absent has its default.

        Raises:
            Invalid: an unknown name, or a value outside its range.
        """
        unknown = set(terms) - {"weights", "scales", "margins", "limits", "min_gain"}
        if unknown:
            raise Invalid(
                "The goal has unknown terms.", fields=dict.fromkeys(sorted(unknown), "There is no such term.")
            )
        return cls(**terms)

    def to_json(self) -> dict[str, Any]:
        """The terms as they are stored."""
        return asdict(self)


def _outside(name: str, terms: object, known: tuple[str, ...], low: float, high: float) -> dict[str, str]:
    if not isinstance(terms, Mapping):
        return {name: "Expected names and numbers."}
    out: dict[str, str] = {}
    for key, value in terms.items():
        if key not in known:
            out[f"{name}.{key}"] = f"Expected one of {', '.join(known)}."
        elif isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            out[f"{name}.{key}"] = f"Expected a number from {low:g} to {high:g}."
    return out


@dataclass(frozen=True)
class Effective:
    """The settings in force for a project: its own where given, else the instance's."""

    replay_sample_size: int
    confidence_threshold: float
    judge_disagreement_threshold: float
    max_evaluation_cost_nanousd: int
