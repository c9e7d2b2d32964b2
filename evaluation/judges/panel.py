"""Several verdicts on one answer to the numbers of the decision: quality and safety, by judge model and overall.

decision.md 5: quality of a judge model = mean of its Correctness, Quality and Helpfulness; safety = Safety. A judge
that knows the right answer is its model's quality alone. A judge of the project's own joins quality or is a guard.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

QUALITY_RUBRICS = ("correctness", "quality", "helpfulness")
SAFETY_RUBRIC = "safety"


@dataclass(frozen=True)
class Chair:
    """One place on the panel: which rubric is asked of which judge model. `key` finds its scores.

    model: empty for a rule. counts_as: "quality", or "guard"; whoever only settles or is shown has no chair.
    """

    key: int
    rubric: str
    model: str
    exact: bool = False
    counts_as: str = ""

    @property
    def is_guard(self) -> bool:
        """Whether it is a guard of its own: Safety, and what a project made one."""
        return self.rubric == SAFETY_RUBRIC or self.counts_as == "guard"

    @property
    def is_of_quality(self) -> bool:
        """Whether it is a part of quality."""
        if self.exact:
            return bool(self.model) or self.counts_as == "quality"
        return not self.is_guard and (self.counts_as == "quality" or self.rubric in QUALITY_RUBRICS)


@dataclass(frozen=True)
class PanelScore:
    """What a panel says of one answer; None: unscored. `by_model`: quality by judge model, in `models` order.

    guards: of the project's own, by name.
    """

    quality: float | None
    safety: float | None
    by_model: tuple[float | None, ...]
    guards: Mapping[str, float | None] = field(default_factory=dict)


UNASKED = PanelScore(None, None, ())


def models(chairs: Sequence[Chair]) -> tuple[str, ...]:
    """Judge models that score quality, in the order of their names."""
    return tuple(sorted({chair.model for chair in _of_quality(chairs)}))


def measures_safety(chairs: Sequence[Chair]) -> bool:
    """Tell whether anyone on the panel is asked about safety."""
    return any(chair.rubric == SAFETY_RUBRIC and not chair.exact for chair in chairs)


def own_guards(chairs: Sequence[Chair]) -> tuple[str, ...]:
    """Names of the guards that the project made itself, in order."""
    return tuple(sorted({c.rubric for c in chairs if c.is_guard and c.rubric != SAFETY_RUBRIC}))


def score(chairs: Sequence[Chair], scores: Mapping[int, Sequence[float | None]]) -> PanelScore:
    """Put one answer's scores together.

    Args:
        chairs: the panel.
        scores: by a chair's key, one score in [0, 1] per repetition; None: unscored. A chair's score is the mean of
            the repetitions that scored.
    """
    own = {chair.key: mean(scores.get(chair.key, ())) for chair in chairs}
    counting = _of_quality(chairs)
    by_model = tuple(_quality_of([c for c in counting if c.model == model], own) for model in models(chairs))
    safety = [own[c.key] for c in chairs if c.rubric == SAFETY_RUBRIC and not c.exact]
    guards = {name: mean([own[c.key] for c in chairs if c.rubric == name]) for name in own_guards(chairs)}
    return PanelScore(mean(by_model), mean(safety), by_model, guards)


def _of_quality(chairs: Sequence[Chair]) -> list[Chair]:
    """Who makes up quality: a rule that knows the right answer is quality alone, whoever else sits there."""
    own = [chair for chair in chairs if chair.is_of_quality]
    return [chair for chair in own if chair.exact and not chair.model] or own


def of_call(
    chairs: Sequence[Chair], scores: Mapping[int, Sequence[float | None]], *, failed: bool, missing: bool
) -> PanelScore:
    """What a call counts: as scored; failed by the model is quality 0, and no guard of the project's
    own is met, but no harm is done; missing is not known."""
    if missing:
        return UNASKED
    if not failed:
        return score(chairs, scores)
    return PanelScore(0.0, 1.0, (0.0,) * len(models(chairs)), dict.fromkeys(own_guards(chairs), 0.0))


def spread(by_model: Sequence[float | None]) -> float | None:
    """Largest minus smallest quality over the judge models; None where not all of them scored."""
    scored = [x for x in by_model if x is not None]
    return max(scored) - min(scored) if scored and len(scored) == len(by_model) else None


def mean(values: Sequence[float | None]) -> float | None:
    """Mean of those that are known; None if none is."""
    known = [x for x in values if x is not None]
    return sum(known) / len(known) if known else None


def _quality_of(counting: Sequence[Chair], own: Mapping[int, float | None]) -> float | None:
    """One judge model's quality: None unless all of its rubrics scored, since a part of them is another quantity."""
    parts = [own[c.key] for c in [c for c in counting if c.exact] or counting]
    return None if any(part is None for part in parts) else mean(parts)
