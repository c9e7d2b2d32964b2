"""Plain values of an evaluation: offers and choices, what is asked for, what it will cost."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from agentopt.lib.money import NANO
from evaluation.repeating import Baseline, Repeating

LOW_COVERAGE = 0.2  # share of the traffic that is no part of a result, above which the result carries a warning
JUDGE_SD = 0.025  # of a quality difference, shared by all judges: until a panel has accuracy cards that say it fits
NEARLY_ALL = 0.9  # a failed call has no cost, in the log as in the sample


@dataclass(frozen=True)
class Reason:
    """Something said about a model or a run: a stable code, a sentence, and the numbers in it."""

    code: str
    text: str
    numbers: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As it is stored and sent: {code, text, ...numbers}."""
        return {"code": self.code, "text": self.text, **self.numbers}


@dataclass(frozen=True)
class Offer:
    """A model that can be called, as of one day. None: not known. Prices are nano-dollars per million tokens."""

    pk: int | None
    name: str  # what the gateway takes
    model: str  # what logs call it
    provider: str = ""
    family: str = ""
    retires_on: date | None = None
    context_window: int | None = None
    output_limit: int | None = None
    tools: bool | None = None
    json_mode: bool | None = None
    vision: bool | None = None
    parallel_tools: bool | None = None
    json_schema: bool | None = None
    reasoning: bool | None = None
    seed: bool | None = None
    streaming: bool | None = None
    languages: tuple[str, ...] | None = None  # it is made for
    latency_p95_s: float | None = None  # as this project measured it in earlier runs
    input_nanousd: int | None = None
    output_nanousd: int | None = None
    cached_input_nanousd: int | None = None
    cache_write_nanousd: int | None = None
    reasoning_nanousd: int | None = None
    priced_on: date | None = None
    listed: bool | None = None  # by the gateway; None: the gateway gave no list


@dataclass(frozen=True)
class Choice:
    """A model with the reasons why it was kept or pruned, and what is said about it beside."""

    offer: Offer
    kept: bool
    rank: int | None  # 1 is tried first; None: pruned
    reasons: tuple[Reason, ...]  # of pruning; all that apply
    notes: tuple[Reason, ...]
    cost_per_call_nanousd: int | None  # expected, from the traffic's mean lengths and today's price

    def to_json(self) -> dict[str, Any]:
        """One model of Evaluation.selection["models"]."""
        return {
            "offer": self.offer.pk,
            "name": self.offer.name,
            "provider": self.offer.provider,
            "family": self.offer.family,
            "kept": self.kept,
            "rank": self.rank,
            "reasons": [reason.to_json() for reason in self.reasons],
            "notes": [note.to_json() for note in self.notes],
            "cost_per_call_nanousd": self.cost_per_call_nanousd,
        }


@dataclass(frozen=True)
class EvaluationRequest:
    """What a person or program asks for; None: the default.

    Args:
        candidates: gateway names; None: all that the gateway lists and nothing speaks against.
        sample: s, plans for at most 3·s prompts per candidate.
        limit: prompts per candidate at most, directly.
        seed: of the sampling order.
        max_cost_usd: hard cap, in place of the project's.
        max_calls: hard cap on requests, retries included, in place of the instance's.
        replay_baseline: also call the baseline on every prompt, to compare latency.
        baseline_answers: where the baseline's figures come from, one of repeating.Baseline; None: as `replay_baseline`.
        repetitions: answers of each model to one prompt of five, to see how stable they are.
        allow_same_family: a judge may be of a family that it judges; the evaluation carries the mark.
        baseline: model in production as the logs call it; None: the one with most calls.
        records: ids of LogRecord that the population is narrowed to.
        use_case: name of the only one to draw from.
        prompt_version: the only version of the agent's prompt to draw from, as the logs tell it.
        error_share: of the error budget that this run may spend.
        noise: the model in production against itself: how far fresh answers differ from logged ones by chance alone.
    """

    candidates: tuple[str, ...] | None = None
    sample: int | None = None
    limit: int | None = None
    seed: int | None = None
    max_cost_usd: Decimal | None = None
    max_calls: int | None = None
    replay_baseline: bool = False
    allow_same_family: bool = False
    baseline_answers: str | None = None
    repetitions: int = 1
    use_case: str | None = None
    prompt_version: str | None = None
    error_share: float = 1.0
    noise: bool = False
    baseline: str | None = None
    records: Sequence[int] | None = None

    def repeating(self, seed: int) -> Repeating:
        """How often each prompt is put to each model."""
        usual = Baseline.BESIDE if self.replay_baseline else Baseline.LOGGED
        told = Baseline(self.baseline_answers) if self.baseline_answers else usual
        return Repeating(self.repetitions, told, seed)


@dataclass(frozen=True)
class Prompt:
    """A logged call of the baseline that can be replayed. None: not known."""

    pk: int
    source_id: str
    conversation: int
    use_case: str
    answered: float  # 0: failed or refused
    cost_nanousd: int | None


@dataclass(frozen=True)
class LeftOut:
    """Calls that cannot be replayed, for one reason, with ids of some.

    cost_share: of the spend of all calls, where that is known.
    """

    code: str
    label: str
    calls: int
    cost_share: float | None
    examples: tuple[int, ...] = ()


@dataclass(frozen=True)
class Population:
    """The baseline's calls within the window [since, until): what can be replayed and what cannot."""

    model: str
    provider: str
    since: datetime | None
    until: datetime
    calls: int
    conversations: int  # of the prompts
    prompts: tuple[Prompt, ...]  # by source id
    left_out: tuple[LeftOut, ...]
    mean_latency_s: float | None
    simulated: bool
    sampled: bool = False  # the window holds more calls than are read: all counts are of a repeatable sample

    def baseline_means(self) -> dict[str, float]:
        """Means over all prompts by metric; cost in US dollars, over those with a cost where nearly all have one."""
        means: dict[str, float] = {}
        costs = [prompt.cost_nanousd for prompt in self.prompts if prompt.cost_nanousd is not None]
        if self.prompts:
            means["answered"] = sum(prompt.answered for prompt in self.prompts) / len(self.prompts)
        if costs and len(costs) >= NEARLY_ALL * len(self.prompts):
            means["cost"] = sum(costs) / len(costs) / NANO
        return means

    def to_json(self) -> dict[str, Any]:
        """As it is stored in Evaluation.population."""
        return {
            "model": self.model,
            "provider": self.provider,
            "since": None if self.since is None else self.since.isoformat(),
            "until": self.until.isoformat(),
            "calls": self.calls,
            "conversations": self.conversations,
            "replayable": len(self.prompts),
            "sampled": self.sampled,
            "left_out": [asdict(left) for left in self.left_out],
            "baseline": self.baseline_means(),
        }


@dataclass(frozen=True)
class Panelist:
    """A judge as the forecast needs it."""

    model: str
    rubric: str
    repeats: int
    exact: bool
    family: str
    prompt_tokens: int  # of the rubric's instructions, estimated
    offer: Offer | None  # None: the catalogue does not know the judge model
    compares: bool = False  # two answers in both orders, on the first prompts


@dataclass(frozen=True)
class Forecast:
    """What a run will take. Money in nano-dollars; None: not known, and `unknown` says why."""

    replay_calls_expected: int
    replay_calls_at_most: int
    judge_calls_expected: int
    judge_calls_at_most: int
    prompts_expected: int
    prompts_at_most: int
    tokens_expected: int | None
    replay_tokens_expected: int | None
    judge_tokens_expected: int | None
    cost_expected_nanousd: int | None
    cost_unlearned_nanousd: int | None  # before what earlier runs cost moved it: what the next ones learn from
    cost_low_nanousd: int | None
    cost_high_nanousd: int | None
    cost_p10_nanousd: int | None  # the 80 % interval
    cost_p90_nanousd: int | None
    learned_from: int  # earlier runs of the project
    cap_nanousd: int
    cap_calls: int | None
    minutes_expected: float
    providers: tuple[str, ...]
    detectable_difference: float | None
    unknown: tuple[Reason, ...]
    notes: tuple[Reason, ...]

    def to_json(self) -> dict[str, Any]:
        """As it is stored in Evaluation.forecast."""
        return {
            **asdict(self),
            "providers": list(self.providers),
            "unknown": [reason.to_json() for reason in self.unknown],
            "notes": [note.to_json() for note in self.notes],
        }
