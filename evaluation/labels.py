"""What people said of answers: store it, find what counts, and say which pair should be labeled next.

A label follows its answer: the same text to the same logged call is labeled once, whatever evaluation it stands in.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Max, Q

from agentopt.lib.errors import Invalid, NotFound
from evaluation import scores
from evaluation.judges import panel
from evaluation.models import Candidate, Evaluation, HumanLabel, Replay
from evaluation.statistics import labeling
from evaluation.statistics.fitness import LEAST_LABELS
from projects.models import Project, User

WORDS = ("useless", "poor", "fair", "good", "excellent")
STEP = 1 / (len(WORDS) - 1)
SHARED_PAIRS = LEAST_LABELS  # so many pairs are put before a second person
MOST_AT_ONCE = 1000


@dataclass(frozen=True)
class Said:
    """One person's score of one answer, as it is taken in."""

    replay: Replay
    score: float
    harmful: bool | None = None


@dataclass(frozen=True)
class Newest:
    """The label that counts of one rater on one answer."""

    record: int
    replay: int
    answer_hash: str
    rater: str
    score: float
    harmful: bool | None
    stands_in: int = 0  # the same answer in the evaluation that was asked about


@dataclass(frozen=True)
class Pair:
    """Two answers to one prompt, the baseline's and a candidate's."""

    position: int  # of the sample
    baseline: int  # keys of replays
    candidate: int

    @property
    def key(self) -> str:
        return f"{self.baseline} {self.candidate}"

    @property
    def token(self) -> str:
        """Names the pair without telling which answer is whose, as the keys of rows would: they grow with time."""
        return hashlib.sha256(f"pair {self.key}".encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Queue:
    """Pairs of one candidate, and how far people are."""

    candidate: Candidate
    order: tuple[Pair, ...]
    by_pair: Mapping[str, frozenset[str]]  # who labeled both answers
    rater: str

    @property
    def done(self) -> int:
        """Pairs that anybody labeled."""
        return sum(bool(raters) for raters in self.by_pair.values())

    @property
    def mine(self) -> int:
        return sum(self.rater in raters for raters in self.by_pair.values())

    @property
    def shared(self) -> int:
        """Pairs that two people or more labeled."""
        return sum(len(raters) > 1 for raters in self.by_pair.values())

    def next(self, *, passed: Iterable[str] = ()) -> Pair | None:
        """The pair that this person labels next; None: there is nothing left for them.

        Every second one is a pair that somebody else labeled, until enough have two people.

        Args:
            passed: keys of pairs that the person put off.
        """
        off = set(passed)
        left = [pair for pair in self.order if self.rater not in self.by_pair[pair.key] and pair.key not in off]
        fresh = [pair for pair in left if not self.by_pair[pair.key]]
        second = [pair for pair in left if len(self.by_pair[pair.key]) == 1]
        if second and self.shared < SHARED_PAIRS and (self.mine % 2 or not fresh):
            return second[0]
        return fresh[0] if fresh else None


def rater_of(user: User) -> str:
    """A person of this instance as the key of a rater."""
    return f"person {user.pk}"


# ------------------------------------------------------------------------------------------------ store
def add(
    project: Project, said: Sequence[Said], *, rater: str, source: str, blind: bool, left: int | None = None
) -> list[HumanLabel]:
    """Add what one person said of some answers at one sitting; earlier labels stay, and no longer count.

    Args:
        rater: as `rater_of` names a person, or any name that a program gives.
        left: key of the answer that stood left, where two stood side by side.

    Raises:
        Invalid: a score outside [0, 1], nothing at all, too much, or an answer that failed.
    """
    wrong = next((one for one in said if not 0 <= one.score <= 1), None)
    if wrong is not None:
        raise Invalid("A score lies outside 0 to 1.", fields={"score": "Expected a number from 0 to 1."})
    if not said or len(said) > MOST_AT_ONCE:
        raise Invalid(f"Expected 1 to {MOST_AT_ONCE} labels.", fields={"labels": f"Expected 1 to {MOST_AT_ONCE}."})
    if any(one.replay.status != Replay.Status.ANSWERED for one in said):
        raise Invalid("Only an answer can be labeled: a call that failed has none.", fields={"answer": "It failed."})
    pair = [one.replay.pk for one in said] if len(said) == 2 else []
    with transaction.atomic():
        return HumanLabel.objects.bulk_create(
            HumanLabel(
                project=project,
                replay=one.replay,
                answer_hash="" if one.replay.tool_calls else one.replay.answer_hash,
                shown_with_id=next((pk for pk in pair if pk != one.replay.pk), None) if left is not None else None,
                stood_left=None if left is None else one.replay.pk == left,
                blind=blind,
                score=one.score,
                harmful=one.harmful,
                source=source,
                rater=rater[:100],
            )
            for one in said
        )


def find(project: Project, asked: Sequence[Mapping[str, Any]]) -> list[Replay]:
    """The answers that a program names by evaluation, case and model, in its order.

    Raises:
        Invalid: there is no such answer; `fields` names the first one.
    """
    rows = Replay.objects.filter(
        sample__evaluation__project=project, repetition=0,
        sample__evaluation__number__in={one["evaluation"] for one in asked},
        sample__position__in={one["case"] for one in asked},
    ).select_related("candidate__offer", "sample__evaluation")  # fmt: skip
    known = {(row.sample.evaluation.number, row.sample.position, row.candidate.offer.name): row for row in rows}
    found = []
    for place, one in enumerate(asked):
        row = known.get((one["evaluation"], one["case"], one["model"]))
        if row is None:
            text = f"Evaluation {one['evaluation']} has no answer of {one['model']} to case {one['case']}."
            raise Invalid(text, fields={f"labels.{place}": "There is no such answer."})
        found.append(row)
    return found


# ------------------------------------------------------------------------------------------------ what counts
def newest(project: Project, *, until: datetime | None = None) -> list[Newest]:
    """The labels that count: of one rater on one answer the last one, of those made before a moment."""
    rows = HumanLabel.objects.filter(project=project)
    if until is not None:
        rows = rows.filter(created_at__lt=until)
    found: dict[tuple[object, ...], Newest] = {}
    fields = ("replay__sample__record_id", "replay_id", "answer_hash", "rater", "score", "harmful")
    for record, replay, answer_hash, rater, score, harmful in rows.order_by("pk").values_list(*fields):
        one = Newest(record, replay, answer_hash, rater, score, harmful)
        found[record, answer_hash or replay, rater] = one
    return list(found.values())


def last(records: Sequence[int]) -> int | None:
    """Number of the newest label on answers to these logged calls."""
    found = HumanLabel.objects.filter(replay__sample__record__in=records).aggregate(last=Max("pk"))
    return found["last"]  # type: ignore[no-any-return]  # of an aggregate the stubs know nothing


def of_evaluation(
    evaluation: Evaluation, *, until: datetime | None = None, counting: Sequence[Newest] | None = None
) -> dict[tuple[int, int], dict[str, Newest]]:
    """What each rater said of the answers of an evaluation, by (sample, candidate).

    Labels of the same answer count, whatever evaluation they were made in.

    Args:
        until: only labels made before count.
        counting: what `newest` gave, where it is known.
    """
    counting = newest(evaluation.project, until=until) if counting is None else counting
    if not counting:
        return {}
    by_replay: dict[int, list[Newest]] = defaultdict(list)
    by_text: dict[tuple[int, str], list[Newest]] = defaultdict(list)
    for label in counting:
        by_replay[label.replay].append(label)
        if label.answer_hash:
            by_text[label.record, label.answer_hash].append(label)
    records = {label.record for label in counting}
    rows = Replay.objects.filter(sample__evaluation=evaluation, repetition=0, again=False)
    fields = ("pk", "sample_id", "candidate_id", "sample__record_id", "answer_hash", "tool_calls")
    found: dict[tuple[int, int], dict[str, Newest]] = {}
    for pk, sample, candidate, record, answer_hash, tool_calls in rows.filter(
        sample__record__in=records, status=Replay.Status.ANSWERED
    ).values_list(*fields):
        same = by_text.get((record, answer_hash), []) if answer_hash and not tool_calls else []
        said = {one.rater: replace(one, stands_in=pk) for one in (*same, *by_replay.get(pk, ()))}
        if said:
            found[sample, candidate] = said
    return found


def agreed(said: Mapping[str, Newest]) -> float:
    """People's score of an answer: the mean over raters, in the order of their names."""
    return sum(said[rater].score for rater in sorted(said)) / len(said)


# ------------------------------------------------------------------------------------------------ the queue
def subject(evaluation: Evaluation) -> Candidate:
    """The candidate whose pairs matter: the one that leads, or the one tried furthest.

    Raises:
        NotFound: there is no candidate.
    """
    tried = evaluation.candidates.filter(position__gt=0).select_related("offer").order_by("position")
    leader = (evaluation.outcome or {}).get("leader")
    rows = {candidate.pk: candidate for candidate in tried}
    if not rows:
        raise NotFound("This evaluation has no candidate, so there is nothing to label.")
    if leader in rows:
        return rows[leader]
    states = (Candidate.State.PASSED, Candidate.State.TRYING, Candidate.State.NOT_SHOWN, Candidate.State.DROPPED)
    return min(rows.values(), key=lambda one: (states.index(one.state) if one.state in states else 9, one.position))


def queue(evaluation: Evaluation, rater: str) -> Queue:
    """The pairs of an evaluation in the order in which they should be labeled: see statistics.labeling."""
    candidate = subject(evaluation)
    pairs = _pairs(evaluation, candidate)
    judged = _judged(evaluation, candidate)
    order = labeling.order({pair.key: judged.get(pair.position) for pair in pairs}, seed=_seed(evaluation))
    by_key = {pair.key: pair for pair in pairs}
    said = of_evaluation(evaluation)
    samples = dict(evaluation.samples.values_list("position", "pk"))
    first = evaluation.candidates.get(position=0).pk
    both = {
        pair.key: frozenset(said.get((samples[pair.position], first), {}))
        & frozenset(said.get((samples[pair.position], candidate.pk), {}))
        for pair in pairs
    }
    return Queue(candidate, tuple(by_key[key] for key in order), both, rater)


def pair_at(evaluation: Evaluation, position: int) -> Pair:
    """The pair of one case.

    Raises:
        NotFound: a side of it has no answer, or what was asked is no longer stored.
    """
    found = next((pair for pair in _pairs(evaluation, subject(evaluation)) if pair.position == position), None)
    if found is None:
        raise NotFound("This case has no two answers that could be labeled.")
    return found


def answers_of(pair: Pair) -> list[Replay]:
    """Both answers, the baseline's first."""
    rows = Replay.objects.in_bulk([pair.baseline, pair.candidate])
    return [rows[pair.baseline], rows[pair.candidate]]


def _seed(evaluation: Evaluation) -> int:
    """Of the project, so that a later evaluation of the same pairs keeps their order as far as it can."""
    return int.from_bytes(hashlib.sha256(f"labels {evaluation.project_id}".encode()).digest()[:4], "big")


def _pairs(evaluation: Evaluation, candidate: Candidate) -> list[Pair]:
    """Pairs whose prompt and both answers are still there."""
    rows = Replay.objects.filter(
        sample__evaluation=evaluation, repetition=0, status=Replay.Status.ANSWERED, again=False,
        sample__record__removed__isnull=True,
    ).order_by("sample__position")  # fmt: skip
    own = dict(rows.filter(candidate=candidate).values_list("sample__position", "pk"))
    base = dict(rows.filter(candidate__position=0).values_list("sample__position", "pk"))
    return [Pair(position, base[position], pk) for position, pk in own.items() if position in base]


def _judged(evaluation: Evaluation, candidate: Candidate) -> dict[int, float]:
    """Judged difference of each sample, as the decision reads it."""
    seats = scores.seats_of(evaluation)
    chairs, said = scores.chairs_of(seats), scores.read(evaluation, seats)
    rows = Replay.objects.filter(sample__evaluation=evaluation, repetition=0, status=Replay.Status.ANSWERED)
    sides: dict[int, dict[bool, float]] = defaultdict(dict)
    own = rows.filter(Q(candidate=candidate) | Q(candidate__position=0))
    for pk, position, of in own.values_list("pk", "sample__position", "candidate_id"):
        quality = panel.score(chairs, said.get(pk, {})).quality
        if quality is not None:
            sides[position][of == candidate.pk] = quality
    return {position: both[True] - both[False] for position, both in sides.items() if len(both) == 2}
