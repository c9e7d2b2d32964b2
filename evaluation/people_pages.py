"""What the labeling page and the page of accuracy cards show, in words."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agentopt.lib import judge_form
from agentopt.lib.wording import interval, score, signed
from evaluation import accuracy, anchors, labels, replay
from evaluation.labels import Pair, Queue
from evaluation.models import Evaluation, Replay, Verdict
from evaluation.statistics import agreement, fitness, labeling
from evaluation.statistics.fitness import Fitness
from projects.models import Project, User

TONES = {Fitness.FIT: "ok", Fitness.UNKNOWN: "warn", Fitness.UNFIT: "bad"}
VERDICTS = {Fitness.FIT: "fit", Fitness.UNKNOWN: "not known", Fitness.UNFIT: "unfit"}
_CSS = {"user": "user", "assistant": "model", "tool": "tool"}
LEFT, RIGHT = "left", "right"


# ------------------------------------------------------------------------------------------------ labeling
@dataclass(frozen=True)
class Message:
    """One message of the prompt. Text from logs: untrusted."""

    role: str
    text: str
    css: str


@dataclass(frozen=True)
class Answer:
    """One of two answers, without a name."""

    side: str
    text: str


@dataclass(frozen=True)
class Revealed:
    """The pair that was labeled last: now the names may be seen."""

    position: int
    rows: list[tuple[str, float, float | None]]  # model, the person's score, the judges' mean
    agrees: bool | None  # the judges prefer the same answer; None: they did not score both


@dataclass(frozen=True)
class LabelPage:
    """The pair to label now, or why there is none, and how far people are."""

    queue: Queue
    pair: Pair | None
    messages: list[Message]
    answers: list[Answer]
    revealed: Revealed | None
    passed: str
    others: str
    is_picked: bool  # the person chose the case, and may have seen who wrote what
    criterion: str = labeling.CRITERION
    words: tuple[tuple[float, str], ...] = tuple((i * labels.STEP, word) for i, word in enumerate(labels.WORDS))


def sides(rater: str, pair: Pair) -> tuple[int, int]:
    """Keys of the left and the right answer: mixed by chance, and the same whenever this person sees the pair."""
    coin = hashlib.sha256(f"side {rater} {pair.key}".encode()).digest()[0] & 1
    return (pair.candidate, pair.baseline) if coin else (pair.baseline, pair.candidate)


def label_page(
    evaluation: Evaluation,
    person: User,
    *,
    case: int | None,
    passed: Sequence[int],
    saved: int | None,
    is_picked: bool,
) -> LabelPage:
    """The next pair of the queue for a person, or the one that is asked for.

    Args:
        case: position of a case that the person picked.
        passed: positions that the person put off.
        saved: position of the case that was labeled last.
        is_picked: the person chose the case, so may have seen who wrote what.
    """
    queue = labels.queue(evaluation, labels.rater_of(person))
    by_position = {pair.position: pair for pair in queue.order}
    off = [by_position[position].key for position in passed if position in by_position]
    pair = by_position.get(case) if case is not None else queue.next(passed=off)
    messages, answers = _shown(pair, queue.rater) if pair is not None else ([], [])
    last = by_position.get(saved) if saved is not None else None
    return LabelPage(
        queue=queue,
        pair=pair,
        messages=messages,
        answers=answers,
        revealed=_revealed(last, queue.rater) if last is not None else None,
        passed=",".join(map(str, passed)),
        is_picked=is_picked,
        others=",".join(map(str, [*passed, *([pair.position] if pair else [])])),
    )


def _shown(pair: Pair, rater: str) -> tuple[list[Message], list[Answer]]:
    rows = Replay.objects.select_related("sample__record__body").in_bulk([pair.baseline, pair.candidate])
    body = replay.logged_body(getattr(rows[pair.baseline].sample.record, "body", None)) or {"messages": []}
    messages = []
    for message in body["messages"]:
        if isinstance(message, Mapping):
            role = str(message.get("role", "user"))
            messages.append(Message(role, judge_form.render_message(message), _CSS.get(role, "")))
    answers = [
        Answer(side, judge_form.render_message({"content": row.answer, "tool_calls": row.tool_calls}))
        for side, row in zip((LEFT, RIGHT), (rows[pk] for pk in sides(rater, pair)), strict=True)
    ]
    return messages, answers


def _revealed(pair: Pair, rater: str) -> Revealed | None:
    """What the person said beside what the judges did; None where the person did not label it."""
    rows = Replay.objects.select_related("candidate__offer").in_bulk([pair.baseline, pair.candidate])
    said = {
        label.replay_id: label.score
        for label in rows[pair.baseline]
        .candidate.evaluation.project.labels.filter(replay__in=rows, rater=rater)
        .order_by("pk")
    }
    if len(said) < 2:
        return None
    judged = _judged(list(rows))
    lines = [
        (rows[pk].candidate.offer.name, said[pk], judged.get(pk)) for pk in (pair.baseline, pair.candidate)
    ]  # fmt: skip
    own = fitness.preference(said[pair.candidate], said[pair.baseline], step=labels.STEP)
    theirs = fitness.preference(judged.get(pair.candidate), judged.get(pair.baseline), step=labels.STEP)
    return Revealed(pair.position, lines, None if theirs is None else own == theirs)


def _judged(replays: Sequence[int]) -> dict[int, float]:
    """Mean score over the judges of quality, for the eye: the card reads what the decision reads."""
    rows = Verdict.objects.filter(replay__in=replays, against=None, score__isnull=False)
    found: dict[int, list[float]] = {}
    for pk, value in rows.exclude(judge__rubric="safety").order_by("pk").values_list("replay_id", "score"):
        found.setdefault(pk, []).append(float(value or 0.0))
    return {pk: sum(values) / len(values) for pk, values in found.items()}


# ------------------------------------------------------------------------------------------------ cards
@dataclass(frozen=True)
class CardView:
    """An accuracy card in words."""

    model: str
    wording: str
    is_current: bool
    about: str
    verdict: str
    tone: str
    why: str
    n: int
    raw: str
    base_rate: float | None
    kappa: float | None
    kappa_range: str
    no_kappa: str
    bias: float | None
    bias_range: str
    to_settle: int | None
    categories: tuple[str, ...]
    rows: list[tuple[str, tuple[int, ...]]]


@dataclass(frozen=True)
class AccuracyPage:
    """All cards, how people agree, and the evaluation whose pairs wait for labels."""

    cards: list[CardView]
    people: accuracy.People
    people_kappa: str
    no_people_kappa: str
    rule: str
    evaluation: Evaluation | None
    changes: list["ChangeView"]
    anchors: int
    lacking: int  # scores of anchors that the judges in use have not given
    simulated: bool  # some of what was judged comes from a sandbox


@dataclass(frozen=True)
class ChangeView:
    """A change of the judges in words."""

    evaluation: Evaluation
    was: str
    now: str
    text: str
    tone: str


def accuracy_page(project: Project) -> AccuracyPage:
    """The cards of a project's judges."""
    found = accuracy.report(project)
    kappa = found.people.preference
    tried = project.evaluations.filter(candidates__position__gt=0, candidates__replays__isnull=False)
    return AccuracyPage(
        cards=[_card(one) for one in found.cards],
        people=found.people,
        people_kappa="" if kappa.value is None else f"{score(kappa.value, 2)} {interval(kappa, 'score:2')}",
        no_people_kappa=agreement.REASONS.get(kappa.why, ""),
        rule=fitness.RULE,
        evaluation=tried.order_by("-number").distinct().first(),
        changes=[_change(one) for one in anchors.changes(project)],
        anchors=project.anchors.count(),
        lacking=len(anchors.lacking(project)),
        simulated=project.evaluations.filter(simulated=True).exists(),
    )


def _change(one: anchors.JudgeChange) -> ChangeView:
    """What a change of judges does to the same answers: never the agent's doing."""
    found, moved = one.shift, one.shift.shift
    if moved is None:
        text = "The same answers were not scored by both, so what the change does is not known."
        return ChangeView(one.evaluation, one.was, one.now, text, "warn")
    figure = f"{signed(moved.estimate)} {interval(moved)} on {found.n} answers that never changed"
    texts = {
        "same": (f"It scores alike: {figure}.", "ok"),
        "moved": (f"The judge moved, not the agent: {figure}.", "bad"),
        "unknown": (f"Whether it scores alike is not known: {figure}.", "warn"),
    }
    return ChangeView(one.evaluation, one.was, one.now, *texts[found.verdict])


def _card(one: accuracy.JudgeCard) -> CardView:
    card, table = one.card, one.card.table
    return CardView(
        model=one.wording.model or "rules",
        wording=one.wording.text,
        is_current=one.is_current,
        about=one.about,
        verdict=VERDICTS[card.fitness],
        tone=TONES[card.fitness],
        why=card.text,
        n=card.n,
        raw="" if table.raw is None else f"{score(table.raw.estimate, 2)} {interval(table.raw, 'score:2')}",
        base_rate=table.base_rate,
        kappa=card.kappa.value,
        kappa_range=interval(card.kappa, "score:2"),
        no_kappa=agreement.REASONS.get(card.kappa.why, ""),
        bias=None if one.bias is None else one.bias.estimate,
        bias_range="" if one.bias is None else interval(one.bias),
        to_settle=card.to_settle,
        categories=table.categories,
        rows=[(name, tuple(counts)) for name, counts in zip(table.categories, table.counts, strict=True)],
    )
