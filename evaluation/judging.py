"""Put answers before the panel and store its verdicts.

Blind: a judge's request carries no name of the model that answered. A failed answer is not judged, since the decision
knows what it counts; an answer that a judge could not score stays unscored, with its reason.
"""

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet

from agentopt.lib.crypto import keyed_hash
from evaluation import adaptation, budget, calls, offers, replay, ruling, writing
from evaluation.claims import Claims
from evaluation.judges import rubric
from evaluation.judges.base import WITHOUT_REPLY, Case, Reference, Unscored
from evaluation.judges.base import Verdict as Reading
from evaluation.models import Candidate, Evaluation, Judge, JudgeVersion, Replay, Seat, Verdict
from evaluation.repeating import Baseline, Repeating
from ingestion.catalog import pricing
from ingestion.gateway import ChatRequest, ChatSession
from ingestion.gateway.errors import GatewayDown, Rejected
from ingestion.values import Price, Usage
from projects.models import Project

# An unreadable reply is asked for once more, with another seed; HTTP repeats count too, so this bounds what one costs.
MOST_CALLS = 2
# A judge that could not be reached is tried again whenever the run goes on, up to so many requests.
MOST_CALLS_UNAVAILABLE = 12
_CHARACTERS_PER_TOKEN = 4  # rough, only to keep the cap
_REPLY_TOKENS = 200

# A verdict that no further call would change: scored, copied, or asked often enough.
SETTLED = (
    Q(score__isnull=False)
    | Q(source__in=(Verdict.Source.CACHED, Verdict.Source.RULE))
    | Q(reason=Unscored.UNAVAILABLE)
    | Q(calls__gte=MOST_CALLS)
)
_TO_RETRY = Q(reason=Unscored.UNAVAILABLE, source=Verdict.Source.CALLED, calls__lt=MOST_CALLS_UNAVAILABLE)


@dataclass(frozen=True)
class Place:
    """Where a verdict belongs; `stored` is the unscored row that is asked for once more.

    `attempt` is 1 where a reply came and could not be read; a judge out of reach has yet to make its first.
    """

    replay_id: int
    seat_id: int
    repetition: int
    stored: int | None = None
    attempt: int = 0
    against: int | None = None  # the other answer, where two are compared

    @property
    def stood_first(self) -> bool | None:
        """Of a pair: whether the judge reads this answer first; odd repetitions are those with both swapped."""
        return None if self.against is None else bool(self.repetition % 2)

    @property
    def turn(self) -> int:
        """Which repetition of the question it is; both orders of a pair are one."""
        return self.repetition if self.against is None else self.repetition // 2


@dataclass(frozen=True)
class _Question:
    """One request that several places may wait for."""

    key: str
    seat_id: int
    attempt: int


def cache_key(project: Project, seat: Seat, judged: Case, *, repetition: int) -> str:
    """Keyed hash over answer, question, version of the rubric, judge model and repetition."""
    question: dict[str, Any] = {
        "judge": seat.judge.model,
        "version": seat.version.text_hash,
        "messages": judged.messages,
        "answer": judged.answer,
        "reference": judged.reference,
        "repetition": repetition,
        **({} if judged.second is None else {"second": judged.second}),
    }
    return keyed_hash(project.hash_key, json.dumps(question, sort_keys=True, ensure_ascii=False))


def deciding(seats: "QuerySet[Seat]") -> "QuerySet[Seat]":
    """Of a panel's seats those that the decision reads; who compares two answers, settles or is shown is not."""
    counted = seats.filter(counts_as__in=(Judge.CountsAs.QUALITY, Judge.CountsAs.GUARD))
    return counted.exclude(judge__form=JudgeVersion.Form.PAIR)


def answers(evaluation: Evaluation, candidates: Sequence[Candidate], *, rows: int) -> "QuerySet[Replay]":
    """Answers that the panel judges among the first rows, in sampling order."""
    first = Replay.objects.filter(sample__evaluation=evaluation, sample__position__lt=rows, candidate__in=candidates)
    found = first.filter(_judged(evaluation.repeating(), rows), status=Replay.Status.ANSWERED)
    return found.order_by("sample__position", "candidate__position", "repetition")


def _judged(repeating: Repeating, rows: int) -> Q:
    """Which answers are judged: all of the candidates; of the model in production what counts, and what is repeated."""
    of_candidates = Q(candidate__position__gt=0)
    if repeating.baseline == Baseline.REPLAYED:
        return of_candidates | Q(repetition__gt=0)
    if repeating.repetitions == 1:
        return of_candidates | Q(repetition=0)
    drawn = [position for position in range(rows) if repeating.is_drawn(position)]
    return of_candidates | Q(repetition=0) | Q(sample__position__in=drawn)


def waiting(
    evaluation: Evaluation, candidates: Sequence[Candidate], *, rows: int, seats: Sequence[Seat], again: bool = False
) -> list[Place]:
    """Verdicts that are lacking among the first rows, in sampling order.

    Args:
        again: also those that a judge out of reach left unscored.
    """
    # an answer whose prompt was removed can no longer be judged
    judged = list(
        answers(evaluation, candidates, rows=rows)
        .filter(sample__record__removed__isnull=True)
        .values_list("pk", "sample_id", "sample__position", "candidate__position", "repetition")
    )
    # by evaluation, not by a list of answers: SQLite takes 32,766 parameters at most
    there = Verdict.objects.filter(replay__sample__evaluation=evaluation, replay__sample__position__lt=rows)
    settled = SETTLED & ~_TO_RETRY if again else SETTLED
    done = set(there.filter(settled).values_list("replay_id", "judge_id", "version_id", "repetition"))
    open_rows = {
        (row.replay_id, row.judge_id, row.version_id, row.repetition): (row.pk, int(row.reason != Unscored.UNAVAILABLE))
        for row in there.exclude(settled)
    }
    baseline: dict[int, int] = {}
    for pk, sample, _, candidate, _ in judged:
        if candidate == 0:
            baseline.setdefault(sample, pk)  # the first of its answers that are judged
    found = []
    for pk, sample, position, candidate, turn in judged:
        for seat in seats:
            is_pair = not turn and _compares(seat, position=position, candidate=candidate)
            other = baseline.get(sample) if is_pair else None
            if other is None and seat.judge.form == JudgeVersion.Form.PAIR:
                continue
            for repetition in range(seat.repeats if other is None else 2 * seat.repeats):
                key = (pk, seat.judge_id, seat.version_id, repetition)
                if key not in done:
                    stored, attempt = open_rows.get(key, (None, 0))
                    found.append(Place(pk, seat.pk, repetition, stored, attempt, other))
    return found


def _compares(seat: Seat, *, position: int, candidate: int | None) -> bool:
    """Whether a seat compares this answer with the baseline's: on the first prompts only, as it decides nothing."""
    return seat.judge.form == JudgeVersion.Form.PAIR and position < budget.PAIRS and bool(candidate)


@dataclass
class _Run:
    """One pass over waiting places, in one thread; the claims keep other processes from the same questions."""

    evaluation: Evaluation
    seats: Mapping[int, Seat]
    prices: Mapping[str, Price]
    limits: calls.Limits
    claims: Claims
    forms: Mapping[str, str]  # by judge model: how its reply is asked for
    rules: ruling.Rules
    pending: dict[str, list[Place]] = field(default_factory=dict)
    elsewhere: int = 0  # places whose question another process is asking

    def asks(self, places: Sequence[Place]) -> Iterator[calls.Ask[_Question] | None]:
        return calls.in_chunks(places, self._chunk, self.limits)

    def _chunk(self, places: Sequence[Place]) -> list[calls.Ask[_Question]]:
        """Sort a chunk into what a rule says, what was judged before, what is being asked, and what is new."""
        wanted = {pk for place in places for pk in (place.replay_id, place.against) if pk is not None}
        rows = {row.pk: row for row in Replay.objects.filter(pk__in=wanted).select_related("sample__record__body")}
        ruled = {place: self.rules.say(self.seats[place.seat_id], rows[place.replay_id]) for place in places}
        self._write([self._ruled(place, said) for place, said in ruled.items() if said is not None])
        cases = {place: _case(place, rows) for place, said in ruled.items() if said is None}
        keyed = [(place, self._key(place, judged)) for place, judged in cases.items()]
        # claimed first: a verdict is stored before its claim is freed, so the look that follows misses none
        ours = self.claims.take({key for _, key in keyed if key not in self.pending})
        known = self._judged_before([key for _, key in keyed])
        self.claims.free(known)
        self._write([self._copy(place, known[key]) for place, key in keyed if key in known])
        new = []
        for place, key in keyed:
            if key in known:
                continue
            if key not in self.pending and key not in ours:
                self.elsewhere += 1
                continue
            if key not in self.pending:
                new.append(self._ask(place, key, judged=cases[place]))
            self.pending.setdefault(key, []).append(place)
        return new

    def _ruled(self, place: Place, said: Reading) -> Verdict:
        row = self._row(place, source=Verdict.Source.RULE, cache_key="")
        row.score, row.reason, row.explanation, row.cost_nanousd = said.score, said.reason, said.explanation, 0
        return row

    def _key(self, place: Place, judged: Case) -> str:
        return cache_key(self.evaluation.project, self.seats[place.seat_id], judged, repetition=place.turn)

    def _judged_before(self, keys: Collection[str]) -> dict[str, Verdict]:
        """The oldest settled verdict on each question, of any evaluation of this project."""
        if not keys:
            return {}
        rows = Verdict.objects.filter(
            SETTLED,
            replay__sample__evaluation__project=self.evaluation.project,
            cache_key__in=set(keys),
            source=Verdict.Source.CALLED,
        ).exclude(reason__in=WITHOUT_REPLY)
        return {row.cache_key: row for row in rows.order_by("-pk")}

    def _ask(self, place: Place, key: str, *, judged: Case) -> calls.Ask[_Question]:
        seat = self.seats[place.seat_id]
        attempt = place.attempt
        form = self.forms.get(seat.judge.model, "")
        body = rubric.body(seat.version, judged, repetition=place.turn, attempt=attempt, form=form)
        # a judge may need what a candidate needs; only its own answer matters to the key
        sent = adaptation.adapt(body, adaptation.Target(seat.judge.model)).body
        request = ChatRequest(
            model=seat.judge.model,
            body=sent,
            trace_id=f"agentopt-{self.evaluation.pk}-j{seat.pk}-{place.repetition}-{attempt}-{key[:12]}",
            metadata={"agentopt": "judge", "evaluation": str(self.evaluation.pk), "rubric": seat.judge.rubric},
            timeout_s=settings.CALL_TIMEOUT_S,
            provider=seat.judge.model.removeprefix("@").partition("/")[0],
        )
        return calls.Ask(_Question(key, seat.pk, attempt), request, self._estimate(seat, body))

    def _estimate(self, seat: Seat, body: Mapping[str, Any]) -> int | None:
        price = self.prices.get(seat.judge.model)
        asked = sum(len(message["content"]) for message in body["messages"]) // _CHARACTERS_PER_TOKEN
        return pricing.cost_nanousd(Usage(asked, _REPLY_TOKENS, None), price) if price is not None else None

    def cost(self, finished: calls.Finished[_Question]) -> int | None:
        """What a call adds to the bill; an error has told no usage."""
        model = self.seats[finished.about.seat_id].judge.model
        return replay.cost_of(finished.reply, self.prices.get(model))

    def store(self, batch: list[calls.Finished[_Question]]) -> None:
        """Write what came back; places with the same answer share the verdict, and one of them the bill."""
        rows: list[Verdict] = []
        for finished in batch:
            places = self.pending.pop(finished.about.key, [])
            if not places:
                continue
            first = self._finished(places[0], finished)
            rows.append(first)
            if first.reason != Unscored.UNAVAILABLE and (first.score is not None or finished.about.attempt):
                rows += [self._copy(place, first) for place in places[1:]]  # else they wait for the second attempt
        self._write(rows)
        self.claims.free(finished.about.key for finished in batch)

    def store_held(self, held: Sequence[calls.Finished[_Question]]) -> None:
        """Calls that failed by our fault while others went through. Without a connection they stay waiting."""
        self.store([finished for finished in held if not isinstance(finished.error, GatewayDown)])

    def _finished(self, place: Place, finished: calls.Finished[_Question]) -> Verdict:
        seat, reply = self.seats[finished.about.seat_id], finished.reply
        if reply is None:
            reading, cost = Reading(None, self._why(finished, seat)), None
        else:
            reading = rubric.read(seat.version, reply.text, finish_reason=reply.finish_reason, refusal=reply.refusal)
            cost = replay.cost_of(reply, self.prices.get(seat.judge.model))
        row = self._row(place, source=Verdict.Source.CALLED, cache_key=finished.about.key)
        row.score, row.reason, row.explanation = reading.score, reading.reason, reading.explanation
        if reply is not None:
            row.input_tokens, row.output_tokens = reply.usage.input_tokens, reply.usage.output_tokens
        if row.score is not None and place.stood_first:
            row.score = 1 - row.score  # the judge told how far the second is better
        row.cost_nanousd, row.paid_nanousd, row.calls = cost, cost or 0, max(1, finished.calls)
        row.simulated = bool(getattr(reply if reply is not None else finished.error, "simulated", False))
        return row

    def _why(self, finished: calls.Finished[_Question], seat: Seat) -> Unscored:
        """A refused request may be refused for the reply form alone, so it is made once more without."""
        had_form = bool(self.forms.get(seat.judge.model)) and not finished.about.attempt
        return Unscored.REJECTED if had_form and isinstance(finished.error, Rejected) else Unscored.UNAVAILABLE

    def _copy(self, place: Place, known: Verdict) -> Verdict:
        row = self._row(place, source=Verdict.Source.CACHED, cache_key=known.cache_key)
        row.score, row.reason, row.explanation = known.score, known.reason, known.explanation
        if row.score is not None and place.stood_first != known.stood_first:
            row.score = 1 - row.score  # the same two texts, with the parts of the two changed
        row.cost_nanousd, row.simulated = known.cost_nanousd, known.simulated
        row.input_tokens, row.output_tokens = known.input_tokens, known.output_tokens
        return row

    def _write(self, rows: Sequence[Verdict]) -> None:
        """Store new verdicts and second attempts; where another worker was faster with a new one, its row stays."""
        if not rows:
            return
        self.limits.stored += len(rows)
        with transaction.atomic():
            new = [row for row in rows if row.pk is None]
            writing.insert_new(new)
            _rewrite([row for row in rows if row.pk is not None])

    def _row(self, place: Place, *, source: str, cache_key: str) -> Verdict:
        seat = self.seats[place.seat_id]
        return Verdict(
            pk=place.stored,
            replay_id=place.replay_id,
            judge_id=seat.judge_id,
            version_id=seat.version_id,
            repetition=place.repetition,
            against_id=place.against,
            stood_first=place.stood_first,
            source=source,
            cache_key=cache_key,
        )


def judge_waiting(
    evaluation: Evaluation,
    candidates: Sequence[Candidate],
    *,
    rows: int,
    session: ChatSession,
    limits: calls.Limits,
    now: Callable[[], datetime],
) -> calls.Ended[Any]:
    """Have every answer among the first rows judged by every seat; what it cannot finish stays waiting.

    Two passes: the second asks once more where the first reply could not be read.

    Args:
        candidates: the baseline is among them: its answers are judged by the same panel.
        rows: of the sampling order.
        limits: see calls.Limits.
    """
    seats = {seat.pk: seat for seat in evaluation.seats.select_related("judge", "version").order_by("pk")}
    ended: calls.Ended[Any] = calls.Ended(calls.End.DONE)
    with Claims(evaluation.project, now) as claims:
        prices = replay.read_prices(evaluation.project, now=now())
        forms = reply_forms(evaluation.project, {seat.judge.model for seat in seats.values()}, now=now())
        run = _Run(evaluation, seats, prices, limits, claims, forms, ruling.Rules(list(seats.values())))
        limits.beat = claims.beating(limits.beat)
        for turn in range(MOST_CALLS):
            while True:
                places = waiting(evaluation, candidates, rows=rows, seats=list(seats.values()), again=turn == 0)
                if not places:
                    return ended
                run.elsewhere, run.pending = 0, {}
                ended = _pass(run, places, session=session)
                if ended.end != calls.End.DONE:
                    return ended
                if not run.elsewhere:
                    break
                if (end := calls.wait(limits)) is not None:
                    return calls.Ended(end)
    return ended


def _pass(run: _Run, places: Sequence[Place], *, session: ChatSession) -> calls.Ended[Any]:
    """Ask what nobody else is asking."""
    limits = run.limits
    limits.to_do, limits.stored = len(places), 0
    if not limits.beat():
        return calls.Ended(calls.End.STOPPED)
    ended = calls.send(session, run.asks(places), store=run.store, cost=run.cost, limits=limits)
    if ended.end == calls.End.DONE:
        run.store_held(ended.held)
    return ended


def reply_forms(project: Project, models: Collection[str], *, now: datetime) -> dict[str, str]:
    """How each judge model's reply is asked for: as the catalogue says that it can be held to."""
    known = offers.read(project, today=now.date(), listed=None)
    return {
        offer.name: "json_schema" if offer.json_schema else "json_object"
        for offer in known
        if offer.name in models and (offer.json_schema or offer.json_mode)
    }


def _case(place: Place, rows: Mapping[int, Replay]) -> Case:
    """What a judge is shown for a place: one answer, or two in this place's order."""
    row, other = rows[place.replay_id], rows.get(place.against or 0)
    first, second = (row, other) if place.stood_first or other is None else (other, row)
    request = replay.logged_body(getattr(row.sample.record, "body", None)) or {"messages": []}
    known = Reference.of(row.sample.reference)
    known = known and known.beside(*(one.answer for one in (first, second) if one is not None))
    return rubric.case(request, _said(first), reference=known, second=None if second is None else _said(second))


def _said(row: Replay) -> dict[str, Any]:
    return {"role": "assistant", "content": row.answer, "tool_calls": row.tool_calls}


def _rewrite(rows: Sequence[Verdict]) -> None:
    """Put second attempts in the place of the first; calls, tokens and money of both add up."""
    before = {row.pk: row for row in Verdict.objects.filter(pk__in=[row.pk for row in rows])}
    for row in rows:
        first = before.get(row.pk)
        if first is None:
            continue
        for name in ("input_tokens", "output_tokens"):
            setattr(row, name, _both(first, row, name))
        row.calls += first.calls
        row.paid_nanousd += first.paid_nanousd
        row.created_at = first.created_at
    fields = ["score", "reason", "explanation", "source", "input_tokens", "output_tokens", "cost_nanousd",
              "paid_nanousd", "calls", "simulated"]  # fmt: skip
    Verdict.objects.bulk_update([row for row in rows if row.pk in before], fields)


def _both(first: Verdict, second: Verdict, name: str) -> int | None:
    """Tokens of two attempts; None where one of their replies told none. An attempt without a reply took none."""
    told = [getattr(row, name) for row in (first, second)]
    silent = [
        tokens is None and row.reason not in WITHOUT_REPLY for row, tokens in zip((first, second), told, strict=True)
    ]
    known = [tokens for tokens in told if tokens is not None]
    return None if any(silent) or not known else sum(known)
