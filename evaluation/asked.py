"""How an evaluation asked its models, and what that shows beside the verdicts: stability, drift of latency, tool calls.

Figures are counted from rows, without numpy: pages read them.
"""

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median, variance
from typing import Any

from django.db.models import Q

from agentopt.lib import intervals
from agentopt.lib.intervals import Interval
from evaluation import adaptation, scores, tool_calls
from evaluation.judges import panel
from evaluation.models import Candidate, Evaluation, Replay
from evaluation.tool_calls import Match

_Z = intervals.normal_quantile(intervals.LEVEL)
_S = 1_000_000


@dataclass(frozen=True)
class Moved:
    """A median difference of seconds between two calls on the same prompts, with its 95 % interval by ranks.

    low, high: None where the prompts are too few for an interval (fewer than six).
    """

    n: int
    before_s: float  # median of the first calls
    after_s: float
    difference_s: float  # median of the differences, second minus first
    low_s: float | None
    high_s: float | None


@dataclass(frozen=True)
class Stability:
    """How alike a model's answers to one prompt are. None: nothing was scored twice."""

    prompts: int  # with two answers or more
    same: Interval  # share of prompts whose answers are all equal, tool calls included
    scored: int  # prompts with two scored answers or more
    variance: float | None  # of quality within a prompt, the mean over prompts
    distance: float | None  # mean absolute difference of quality between two answers to a prompt


@dataclass(frozen=True)
class ToolCalls:
    """Tool calls of first answers against those of the log, where either calls a tool."""

    prompts: int
    agrees: int
    by_match: Mapping[str, int]


@dataclass(frozen=True)
class Arm:
    """A model and how it was asked."""

    name: str
    position: int
    answers: int
    stability: Stability | None  # None: no prompt was asked twice
    tools: ToolCalls | None  # None: no tool is called, or it is the model in production
    adapted: Mapping[str, int]  # by code
    first_token_s: float | None  # median, of calls that were streamed
    n_first_tokens: int
    beside: Moved | None  # latency against the model in production, both called


@dataclass(frozen=True)
class Asked:
    """The conditions, the models, and how the latency of the model in production moved since its log."""

    conditions: Mapping[str, Any]
    repetitions: int
    baseline_answers: str
    arms: tuple[Arm, ...]
    drift: Moved | None  # None: it was not called again


_COLUMNS = ("pk", "sample_id", "candidate_id", "repetition", "source", "status", "answer_hash", "tool_calls",
            "latency_us", "first_token_us", "adapted")  # fmt: skip
_Rows = Mapping[int, Sequence[Any]]  # by sample


def read(evaluation: Evaluation) -> Asked:
    """What was asked and what came of it so far."""
    arms = evaluation.candidates.filter(position__isnull=False).select_related("offer").order_by("position")
    by_arm: dict[int, dict[int, list[Any]]] = {}
    rows = Replay.objects.filter(sample__evaluation=evaluation, candidate__position__gte=0, again=False)
    for row in rows.order_by("repetition").values_list(*_COLUMNS, named=True):
        by_arm.setdefault(row.candidate_id, {}).setdefault(row.sample_id, []).append(row)
    repeating = evaluation.repeating()
    seats = scores.seats_of(evaluation) if repeating.repetitions > 1 else []
    judged = scores.read(evaluation, seats, only=_repeated(by_arm)) if seats else {}
    chairs = scores.chairs_of(seats)
    quality = {pk: panel.score(chairs, own).quality for pk, own in judged.items()}
    first = next(iter(arms), None)
    logged = by_arm.get(first.pk, {}) if first else {}
    return Asked(
        conditions=evaluation.conditions,
        repetitions=repeating.repetitions,
        baseline_answers=repeating.baseline.value,
        arms=tuple(_arm(arm, by_arm.get(arm.pk, {}), logged, quality) for arm in arms),
        drift=moved([(a, b) for own in logged.values() if (a := _latency(own, called=False)) and (b := _latency(own))]),
    )


def _repeated(by_arm: Mapping[int, _Rows]) -> Q:
    """Verdicts on prompts that a model answered more than once."""
    return Q(replay__sample__in={pk for rows in by_arm.values() for pk, own in rows.items() if len(own) > 1})


def _called(rows: Sequence[Any]) -> list[Any]:
    return [row for row in rows if row.source != Replay.Source.LOGGED]


def _latency(rows: Sequence[Any], *, called: bool = True) -> float | None:
    """Mean seconds of answered calls, or of the logged one."""
    wanted = [row for row in rows if (row.source != Replay.Source.LOGGED) == called]
    known = [row.latency_us / _S for row in wanted if row.status == Replay.Status.ANSWERED and row.latency_us]
    return sum(known) / len(known) if known else None


def moved(pairs: Sequence[tuple[float, float]]) -> Moved | None:
    """Compare calls in pairs; None where there is none."""
    if not pairs:
        return None
    differences = sorted(after - before for before, after in pairs)
    ends = intervals.ranks(len(differences), 0.5)
    low, high = (differences[ends[0] - 1], differences[ends[1] - 1]) if ends else (None, None)
    before, after = (median(one[side] for one in pairs) for side in (0, 1))
    return Moved(len(pairs), before, after, median(differences), low, high)


def _arm(arm: Candidate, rows: _Rows, logged: _Rows, quality: Mapping[int, float | None]) -> Arm:
    called = [row for own in rows.values() for row in _called(own)]
    starts = [row.first_token_us / _S for row in called if row.first_token_us]
    codes = Counter(code for row in called for code in adaptation.read(row.adapted))
    beside = [(a, b) for pk, own in rows.items() if (a := _latency(logged.get(pk, ()))) and (b := _latency(own))]
    return Arm(
        name=arm.offer.name,
        position=arm.position or 0,
        answers=len(called),
        stability=_stability([_called(own) for own in rows.values()], quality),
        tools=_tools(rows, logged) if arm.position else None,
        adapted=dict(sorted(codes.items())),
        first_token_s=median(starts) if starts else None,
        n_first_tokens=len(starts),
        beside=moved(beside) if arm.position else None,
    )


def _stability(prompts: Sequence[Sequence[Any]], quality: Mapping[int, float | None]) -> Stability | None:
    answered = [[row for row in own if row.status == Replay.Status.ANSWERED] for own in prompts]
    twice = [own for own in answered if len(own) > 1]
    if not twice:
        return None
    same = sum(all(_is_same(own[0], row) for row in own[1:]) for own in twice)
    scored = [known for own in twice if len(known := [x for row in own if (x := quality.get(row.pk)) is not None]) > 1]
    distances = [abs(a - b) for own in scored for a, b in itertools.combinations(own, 2)]
    return Stability(
        prompts=len(twice),
        same=intervals.wilson(same, len(twice), z=_Z),
        scored=len(scored),
        variance=sum(variance(own) for own in scored) / len(scored) if scored else None,
        distance=sum(distances) / len(distances) if distances else None,
    )


def _is_same(one: Any, other: Any) -> bool:
    return one.answer_hash == other.answer_hash and tool_calls.compare(one.tool_calls, other.tool_calls).agrees


def _tools(rows: _Rows, logged: _Rows) -> ToolCalls | None:
    found: Counter[str] = Counter()
    for pk, own in rows.items():
        base = next((row for row in logged.get(pk, ()) if row.source == Replay.Source.LOGGED), None)
        if base is not None and own[0].status == Replay.Status.ANSWERED:
            found[tool_calls.compare(base.tool_calls, own[0].tool_calls).match] += 1
    found.pop(Match.NONE, None)
    agrees = found[Match.SAME] + found[Match.REORDERED]
    return ToolCalls(sum(found.values()), agrees, dict(sorted(found.items()))) if found else None
