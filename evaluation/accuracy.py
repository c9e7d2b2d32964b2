"""How far each judge agrees with the people of a project: one card for each judge model and wording of its rubrics.

What is compared is what the decision reads: which of two answers is the better one, by the judge model's quality and by
people's.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from agentopt.lib.intervals import Interval
from evaluation import labels, scores
from evaluation.judges import panel
from evaluation.labels import STEP, Newest
from evaluation.models import Evaluation, Seat
from evaluation.statistics import agreement, fitness
from evaluation.statistics.agreement import Coefficient
from evaluation.statistics.fitness import Card, Fitness
from projects.models import Project

_EVALUATIONS = 20  # the newest ones are read; older answers are seldom judged by a panel still in use
_SHORT = 8
HARMFUL, SAFE = "harmful", "safe"


@dataclass(frozen=True)
class Wording:
    """A judge model as it was asked: its rubrics with the versions of their texts."""

    model: str
    rubrics: tuple[tuple[str, str], ...]  # name, short hash of the version

    @property
    def text(self) -> str:
        return ", ".join(f"{name} {version}" for name, version in self.rubrics)


@dataclass(frozen=True)
class JudgeCard:
    """A card, whose it is, and by how much the judge's differences lie above people's."""

    wording: Wording
    card: Card
    bias: Interval | None  # mean of (judge's difference − people's); None with fewer than two pairs
    is_current: bool  # it sat in the newest evaluation

    @property
    def about(self) -> str:
        """What is compared: which of two answers is better, or whether one could do harm."""
        return "safety" if [name for name, _ in self.wording.rubrics] == [panel.SAFETY_RUBRIC] else "quality"

    @property
    def versions(self) -> dict[str, str]:
        """Short hash of the version by rubric."""
        return dict(self.wording.rubrics)


@dataclass(frozen=True)
class People:
    """How far people agree with each other on the same pairs."""

    raters: int
    labels: int
    answers: int
    pairs: int  # with a label of both answers
    shared: int  # pairs of two raters
    preference: Coefficient  # kappa of two raters, each pair by its first two
    alpha: Coefficient  # of scores, over all raters


@dataclass(frozen=True)
class Report:
    """All cards of a project."""

    cards: tuple[JudgeCard, ...]
    people: People

    def fitness(self, wording: Wording) -> Fitness:
        """The verdict on a judge as it is asked; not known without a card."""
        found = next((one.card.fitness for one in self.cards if one.wording == wording), None)
        return found or Fitness.UNKNOWN

    def unfit(self, wordings: Sequence[Wording]) -> tuple[int, ...]:
        """Places among these of judges whose card says unfit."""
        return tuple(place for place, one in enumerate(wordings) if self.fitness(one) is Fitness.UNFIT)


@dataclass(frozen=True)
class _Judged:
    """One labeled pair and what a judge model made of it."""

    judge: tuple[float | None, float | None]  # baseline, candidate
    people: tuple[float, float]


def wordings(evaluation: Evaluation) -> tuple[Wording, ...]:
    """The judge models of an evaluation's quality as they are asked, in the order of `scores_by_judge`."""
    seats = scores.seats_of(evaluation)
    chairs = scores.chairs_of(seats)
    seated = list(zip(seats, chairs, strict=True))
    return tuple(Wording(model, _versions(seated, model)) for model in panel.models(chairs))


def _versions(seated: Sequence[tuple[Seat, panel.Chair]], model: str) -> tuple[tuple[str, str], ...]:
    """What a judge model of quality is asked, by rubric."""
    own = [seat for seat, chair in seated if chair.model == model and panel.models([chair])]
    return tuple(sorted((seat.judge.rubric, seat.version.text_hash[:_SHORT]) for seat in own))


def _seated(evaluation: Evaluation) -> frozenset[Wording]:
    seats = scores.seats_of(evaluation)
    return frozenset(Wording(s.judge.model, ((s.judge.rubric, s.version.text_hash[:_SHORT]),)) for s in seats)


def freeze(evaluation: Evaluation) -> None:
    """Put what the cards say of its judges into the policy of an evaluation that is being opened.

    A label that comes later changes the next evaluation, never this one's outcome. Judges of two families or more
    that are all fit carry the smaller judge error (decision.md 1).
    """
    own = wordings(evaluation)
    if not own or not evaluation.project.labels.exists():
        return
    from evaluation.statistics import policy as policies  # brings numpy

    found = report(evaluation.project)
    policy = dict(evaluation.policy)
    policy["unfit"] = list(found.unfit(own))
    if policy["judge_sd"]:  # 0: the judges are exact, and no card says more
        families = {seat.judge.family for seat in evaluation.seats.select_related("judge") if seat.judge.family}
        fit = [found.fitness(one) is Fitness.FIT for one in own]
        kind = policies.judge_kind(exact=[False] * len(own), fit=fit, families=len(families))
        policy["judge_sd"] = policies.judge_sd_of(kind)
    evaluation.policy = policy
    evaluation.save(update_fields=["policy"])


def unfit_names(evaluation: Evaluation) -> list[str]:
    """Judge models that an evaluation's policy holds to be unfit."""
    places = evaluation.policy.get("unfit") or ()
    return [one.model for place, one in enumerate(wordings(evaluation)) if place in places] if places else []


def report(project: Project, *, until: datetime | None = None) -> Report:
    """The cards of all judges with labels, the current ones first, and how people agree.

    Args:
        until: only labels made before count.
    """
    labeled: dict[Wording, dict[object, _Judged]] = defaultdict(dict)
    newest: frozenset[Wording] = frozenset()
    seated: frozenset[Wording] = frozenset()  # each rubric by itself
    pairs: dict[object, tuple[Mapping[str, Newest], Mapping[str, Newest]]] = {}
    harm: _Harm = defaultdict(dict)
    counting = labels.newest(project, until=until)
    recent = project.evaluations.order_by("-number")[:_EVALUATIONS] if counting else ()
    for evaluation in recent:
        if not seated:
            newest, seated = frozenset(wordings(evaluation)), _seated(evaluation)
        _collect(evaluation, counting, labeled=labeled, pairs=pairs)
        _collect_harm(evaluation, counting, harm)
    people = _people(counting, pairs)
    for one in newest:
        labeled.setdefault(one, {})  # a judge in use without labels has a card that says so
    cards = [_card(one, list(judged.values()), people, is_current=one in newest) for one, judged in labeled.items()]
    for one, answers in harm.items():
        words, truth = zip(*answers.values(), strict=True)
        cards.append(JudgeCard(one, fitness.card(words, truth, categories=(HARMFUL, SAFE)), None, one in seated))
    cards.sort(key=lambda one: (not one.is_current, one.wording.model, one.wording.rubrics))
    return Report(tuple(cards), people)


_Harm = dict[Wording, dict[object, tuple[str | None, str]]]  # by answer: the judge's word, people's


def _collect_harm(evaluation: Evaluation, counting: Sequence[Newest], harm: _Harm) -> None:
    """Add the answers of which people said whether they could do harm; a safety score below one half says so, too."""
    said = labels.of_evaluation(evaluation, counting=[one for one in counting if one.harmful is not None])
    seats = [seat for seat in scores.seats_of(evaluation) if seat.judge.rubric == panel.SAFETY_RUBRIC]
    if not said or not seats:
        return
    judged = scores.read(evaluation, seats)
    for own in said.values():
        one = next(iter(own.values()))
        people = HARMFUL if 2 * sum(bool(each.harmful) for each in own.values()) >= len(own) else SAFE
        for seat in seats:
            score = panel.mean(judged.get(one.stands_in, {}).get(seat.pk, ()))
            word = None if score is None else HARMFUL if score < 0.5 else SAFE
            wording = Wording(seat.judge.model, ((seat.judge.rubric, seat.version.text_hash[:_SHORT]),))
            harm[wording].setdefault((one.record, one.answer_hash or one.replay), (word, people))


def _collect(
    evaluation: Evaluation,
    counting: Sequence[Newest],
    *,
    labeled: dict[Wording, dict[object, _Judged]],
    pairs: dict[object, tuple[Mapping[str, Newest], Mapping[str, Newest]]],
) -> None:
    """Add the labeled pairs of one evaluation; the same answers of a later evaluation were added before."""
    said = labels.of_evaluation(evaluation, counting=counting)
    if not said:
        return
    seats, judges = scores.seats_of(evaluation), wordings(evaluation)
    chairs, judged = scores.chairs_of(seats), scores.read(evaluation, seats)
    first = evaluation.candidates.get(position=0).pk
    for (sample, candidate), own in said.items():
        base = said.get((sample, first), {})
        both = sorted(set(base) & set(own))
        if candidate == first or not both:
            continue
        key = tuple(sorted((one.record, one.answer_hash or str(one.replay)) for one in (base[both[0]], own[both[0]])))
        pairs.setdefault(key, (base, own))
        people = tuple(sum(each[rater].score for rater in both) / len(both) for each in (base, own))
        by_model = [panel.score(chairs, judged.get(each[both[0]].stands_in, {})).by_model for each in (base, own)]
        for judge, was, now in zip(judges, *by_model, strict=True):
            labeled[judge].setdefault(key, _Judged((was, now), (people[0], people[1])))


def _card(wording: Wording, judged: Sequence[_Judged], people: People, *, is_current: bool) -> JudgeCard:
    said = [fitness.preference(one.judge[1], one.judge[0], step=STEP) for one in judged]
    truth = [fitness.preference(one.people[1], one.people[0], step=STEP) for one in judged]
    card = fitness.card(said, truth, among_people=people.preference, categories=fitness.PREFERENCES)
    apart = [
        (one.judge[1] - one.judge[0]) - (one.people[1] - one.people[0])
        for one in judged
        if one.judge[0] is not None and one.judge[1] is not None
    ]
    return JudgeCard(wording, card, _mean(apart), is_current)


def _mean(values: Sequence[float]) -> Interval | None:
    import numpy as np

    from evaluation.statistics import intervals

    found = intervals.mean(np.array(values, float), np.arange(len(values)))
    return found and Interval(*found)


def _people(
    counting: Sequence[Newest], pairs: Mapping[object, tuple[Mapping[str, Newest], Mapping[str, Newest]]]
) -> People:
    first, second = [], []
    shared = 0
    for base, own in pairs.values():
        both = sorted(set(base) & set(own))
        if len(both) > 1:
            shared += 1
            said = [fitness.preference(own[rater].score, base[rater].score, step=STEP) for rater in both[:2]]
            first.append(said[0])
            second.append(said[1])
    answers: dict[object, list[float]] = defaultdict(list)
    for label in counting:
        answers[label.record, label.answer_hash or label.replay].append(label.score)
    return People(
        raters=len({label.rater for label in counting}),
        labels=len(counting),
        answers=len(answers),
        pairs=len(pairs),
        shared=shared,
        preference=agreement.kappa(agreement.confusion(first, second, categories=fitness.PREFERENCES)),
        alpha=agreement.alpha(list(answers.values()), scale="interval"),
    )
