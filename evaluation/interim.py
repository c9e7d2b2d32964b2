"""What a run that stands still has shown so far, and what is missing; it is no result and recommends nothing."""

from dataclasses import dataclass
from typing import Any

from evaluation.models import Candidate, Evaluation, Look

_STOPPED = (Evaluation.State.AT_CAP, Evaluation.State.PAUSED, Evaluation.State.FAILED)


@dataclass(frozen=True)
class Interim:
    """The candidate looked at last with its conditions; no candidate: nobody was looked at yet."""

    candidate: str | None
    prompts: int
    limit: int
    shown: tuple[str, ...]
    missing: tuple[str, ...]
    text: str

    def to_json(self) -> dict[str, Any]:
        """As the API shows it."""
        return {
            "candidate": self.candidate,
            "prompts": self.prompts,
            "limit": self.limit,
            "shown": list(self.shown),
            "missing": list(self.missing),
            "text": self.text,
        }


def read(evaluation: Evaluation) -> Interim | None:
    """The interim result of a run that stopped before its end; None: it runs, or it has a result."""
    if evaluation.state not in _STOPPED or evaluation.outcome is not None:
        return None
    tests = evaluation.looks.filter(ranking=False).select_related("candidate__offer")
    live = tests.filter(candidate__state=Candidate.State.TRYING).order_by("-prompts").first()
    look = live or tests.order_by("-candidate__position", "-prompts").first()
    if look is None:
        text = "Nothing can be said yet: no candidate was looked at. Nothing is recommended."
        return Interim(None, 0, evaluation.limit, (), (), text)
    return _of(evaluation, look)


def _of(evaluation: Evaluation, look: Look) -> Interim:
    name = look.candidate.offer.name
    shown = tuple(_name(one) for one in look.conditions if one["shown"])
    missing = tuple(_name(one) for one in look.conditions if not one["shown"])
    said = f"shown: {', '.join(shown) or 'nothing'}; not shown: {', '.join(missing) or 'nothing'}"
    left = max(0, evaluation.limit - look.prompts)
    text = (
        f"So far {name} on {look.prompts} prompts, {said}. Nothing is recommended: all conditions must be shown. "
        f"Going on, it may be looked at on up to {left} more prompts; the plan stays, so it is the same run."
    )
    return Interim(name, look.prompts, evaluation.limit, shown, missing, text)


def _name(condition: dict[str, Any]) -> str:
    metric, kind = condition["metric"], condition["kind"]
    return str(metric) if kind in ("margin", metric) else f"{metric} {kind}"
