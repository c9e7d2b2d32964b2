"""Send waiting samples to candidates and store what they answer.

A request goes out as it was logged, with the model replaced. It is known by a keyed hash of all that changes its
answer, so the same question is paid once: over evaluations, over samples that are alike, and over restarts.
"""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from django.conf import settings
from django.db import transaction

from agentopt.lib import judge_form
from agentopt.lib.crypto import keyed_hash
from agentopt.lib.errors import GatewayError
from evaluation import adaptation, calls, offers, writing
from evaluation.claims import Claims
from evaluation.judges import rules
from evaluation.models import Candidate, Evaluation, Replay, Sample
from evaluation.values import Offer
from ingestion.catalog import pricing
from ingestion.gateway import ChatReply, ChatRequest, ChatSession
from ingestion.gateway.errors import AuthRefused, BadAnswer, GatewayDown, RateLimited, Rejected, TimedOut
from ingestion.gateway.replies import FILTER_CODES
from ingestion.models import LogBody
from ingestion.values import Price, Usage, usage_of
from projects.models import Project

# What does not change an answer: how it travels, who asks, and what the provider keeps of it.
_NO_MATTER = ("stream", "stream_options", "user", "safety_identifier", "prompt_cache_key", "metadata", "store",
              "service_tier")  # fmt: skip
_CHARACTERS_PER_TOKEN = 4  # rough, only to keep the cap
# Paid, and the model's own doing: asking again would buy the same. Other failures may pass, so they are asked again.
LASTING_FAILURES = ("empty", "cut_off")
NO_BODY = "no_body"
_TOO_LONG = ("context_length_exceeded", "string_above_max_length")
_COPIED = ("status", "reason", "message", "answer", "tool_calls", "answer_hash", "finish_reason", "refused",
           "input_tokens", "output_tokens", "cached_tokens", "cache_write_tokens", "reasoning_tokens", "cost_nanousd",
           "latency_us", "first_token_us", "simulated", "adapted")  # fmt: skip


@dataclass(frozen=True)
class Place:
    """Where an answer belongs."""

    sample_id: int
    candidate_id: int
    repetition: int


@dataclass(frozen=True)
class _Logged:
    """What is told of a sampled call beside its request."""

    position: int
    input_tokens: int | None
    output_tokens: int | None


@dataclass(frozen=True)
class _Question:
    """One request that several places may wait for."""

    key: str
    name: str  # gateway name of the model
    messages: tuple[tuple[str, str], ...] = field(repr=False)
    trace_id: str
    adapted: str = ""


@dataclass(frozen=True)
class _Outcome:
    """How a call is read: status, code and, if it was one, the refusal."""

    status: str
    reason: str = ""
    refused: bool | None = None


def read_prices(project: Project, *, now: datetime) -> dict[str, Price]:
    """Prices in force today by gateway name; a model without one is absent."""
    return _prices(offers.read(project, today=now.date(), listed=None))


def _prices(priced: Iterable[Offer]) -> dict[str, Price]:
    return {
        offer.name: Price(
            offer.input_nanousd,
            offer.output_nanousd,
            offer.cached_input_nanousd,
            offer.cache_write_nanousd,
            offer.reasoning_nanousd,
        )
        for offer in priced
        if offer.input_nanousd is not None and offer.output_nanousd is not None
    }


def cost_of(reply: ChatReply | None, price: Price | None) -> int | None:
    """Nano-dollars of a call at the price of its day; None where usage or price is not known."""
    if reply is None or price is None:
        return None
    return pricing.cost_nanousd(usage_of(reply.usage), price)


def logged_body(record_body: LogBody | None) -> dict[str, Any] | None:
    """Return the request as it was logged, streams too, without the model; None where nothing can be asked again.

    Seed and temperature stay as logged: adding some would replay another request than the one in production.
    """
    return _body(None if record_body is None else record_body.request)


def _body(request: str | None) -> dict[str, Any] | None:
    try:
        body = json.loads(request) if request is not None else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(body, dict) or not isinstance(body.get("messages"), list) or not body["messages"]:
        return None
    return {name: value for name, value in body.items() if name != "model"}


def cache_key(project: Project, model: str, body: Mapping[str, Any], *, repetition: int) -> str:
    """Keyed hash over all that changes an answer, and nothing else: model, body as it is sent, repetition."""
    asked = {name: value for name, value in body.items() if name not in _NO_MATTER}
    question = {"model": model, "body": asked, "repetition": repetition}
    return keyed_hash(project.hash_key, json.dumps(question, sort_keys=True, ensure_ascii=False, separators=(",", ":")))


def waiting(evaluation: Evaluation, candidates: Sequence[Candidate], *, rows: int) -> list[Place]:
    """Places without an answer among the first rows, in sampling order."""
    samples = evaluation.samples.filter(position__lt=rows).order_by("position").values_list("pk", "position")
    repeating = evaluation.repeating()
    rows_there = Replay.objects.filter(sample__evaluation=evaluation, candidate__in=candidates, again=False)
    there = set(rows_there.values_list("sample_id", "candidate_id", "repetition"))
    # repetition 0 of the baseline is its logged answer, whose latency was measured under other conditions
    return [
        Place(sample, candidate.pk, repetition)
        for sample, position in samples
        for candidate in candidates
        for repetition in (repeating.of_candidate if candidate.position else repeating.of_baseline)(position)
        if (sample, candidate.pk, repetition) not in there
    ]


@dataclass
class _Run:
    """One pass over waiting places, in one thread; the claims keep other processes from the same questions."""

    evaluation: Evaluation
    candidates: Mapping[int, Candidate]
    offers: Mapping[str, Offer]
    limits: calls.Limits
    claims: Claims
    again: dict[Place, Replay]  # failures that are asked again
    pending: dict[str, list[Place]] = field(default_factory=dict)
    elsewhere: int = 0  # places whose question another process is asking

    @cached_property
    def prices(self) -> Mapping[str, Price]:
        return _prices(self.offers.values())

    def asks(self, places: Sequence[Place]) -> Iterator[calls.Ask[_Question] | None]:
        return calls.in_chunks(places, self._chunk, self.limits)

    def _chunk(self, places: Sequence[Place]) -> list[calls.Ask[_Question]]:
        """Sort a chunk into what cannot be asked, what was answered before, what is being asked, and what is new."""
        wanted = Sample.objects.filter(pk__in={place.sample_id for place in places})
        # columns, not rows: to make objects of a call and its body takes longer than to read them
        rows = wanted.values_list(
            "pk", "position", "record__input_tokens", "record__output_tokens", "record__body__request"
        )
        samples = {pk: _Logged(position, given, said) for pk, position, given, said, _ in rows}
        bodies = {pk: _body(request) for pk, *_, request in rows}
        lost = [place for place in places if bodies[place.sample_id] is None]
        asked = [(place, self._adapted(place, body)) for place in places if (body := bodies[place.sample_id])]
        keyed = [(place, adapted, self._key(place, adapted.body)) for place, adapted in asked]
        # claimed first: an answer is stored before its claim is freed, so the look that follows misses none
        ours = self.claims.take({key for _, _, key in keyed if key not in self.pending})
        known = self._answered_before([key for _, _, key in keyed])
        self.claims.free(known)
        found = [self._copy(place, known[key]) for place, _, key in keyed if key in known]
        self._insert([*found, *(self._row(p, status=Replay.Status.MISSING, reason=NO_BODY) for p in lost)])
        new = []
        for place, adapted, key in keyed:
            if key in known:
                continue
            if key not in self.pending and key not in ours:
                self.elsewhere += 1
                continue
            if key not in self.pending:
                new.append(self._ask(place, key, sample=samples[place.sample_id], adapted=adapted))
            self.pending.setdefault(key, []).append(place)
        return new

    def _adapted(self, place: Place, body: Mapping[str, Any]) -> adaptation.Adapted:
        name = self.candidates[place.candidate_id].offer.name
        known = self.offers.get(name)
        return adaptation.adapt(body, adaptation.Target(name, known.output_limit if known else None))

    def _key(self, place: Place, body: Mapping[str, Any]) -> str:
        name = self.candidates[place.candidate_id].offer.name
        return cache_key(self.evaluation.project, name, body, repetition=self._draw(place))

    def _draw(self, place: Place) -> int:
        """Which of a model's answers to this prompt it is. That in the log is number 0 of the model in production."""
        is_itself = self.evaluation.kind == Evaluation.Kind.NOISE and self.candidates[place.candidate_id].position
        return place.repetition + int(bool(is_itself))

    def _answered_before(self, keys: Collection[str]) -> dict[str, Replay]:
        """The oldest paid answer to each question, of any evaluation of this project."""
        if not keys:
            return {}
        rows = Replay.objects.filter(
            sample__evaluation__project=self.evaluation.project, cache_key__in=set(keys), source=Replay.Source.CALLED
        )
        lasting = [
            row
            for row in rows.order_by("-pk")
            if row.status == Replay.Status.ANSWERED or row.reason in LASTING_FAILURES
        ]
        return {row.cache_key: row for row in lasting}

    def _ask(self, place: Place, key: str, *, sample: "_Logged", adapted: adaptation.Adapted) -> calls.Ask[_Question]:
        name = self.candidates[place.candidate_id].offer.name
        trace = f"agentopt-{self.evaluation.pk}-{sample.position}-{place.candidate_id}-{place.repetition}-{key[:8]}"
        messages = tuple(
            (str(message.get("role", "user")), judge_form.render_message(message))
            for message in adapted.body["messages"]
            if isinstance(message, dict)
        )
        request = ChatRequest(
            model=name,
            body=adapted.body,
            trace_id=trace,
            metadata={
                "agentopt": "replay",
                "evaluation": str(self.evaluation.pk),
                "repetition": str(self._draw(place)),
            },
            timeout_s=settings.CALL_TIMEOUT_S,
            provider=self.offers[name].provider if name in self.offers else "",
        )
        question = _Question(key, name, messages, trace, adaptation.written(adapted.codes))
        return calls.Ask(question, request, self._estimate(sample, messages, name=name))

    def _estimate(self, sample: "_Logged", messages: Sequence[tuple[str, str]], *, name: str) -> int | None:
        """What the call may cost, from the logged lengths; None without a price."""
        price = self.prices.get(name)
        asked = sum(len(text) for _, text in messages) // _CHARACTERS_PER_TOKEN
        known = Usage(sample.input_tokens or asked, sample.output_tokens or asked, None)
        return pricing.cost_nanousd(known, price) if price is not None else None

    def cost(self, finished: calls.Finished[_Question]) -> int | None:
        """What a call adds to the bill; an error has told no usage."""
        return cost_of(finished.reply, self.prices.get(finished.about.name))

    def store(self, batch: list[calls.Finished[_Question]]) -> None:
        """Write what came back; places that asked the same share the answer, and one of them the bill."""
        rows: list[Replay] = []
        for finished in batch:
            places = self.pending.pop(finished.about.key, [])
            if not places:
                continue
            first = self._finished(places[0], finished)
            rows += [first, *(self._copy(place, first) for place in places[1:])]
        self._insert(rows)
        self.claims.free(finished.about.key for finished in batch)

    def store_held(self, held: Sequence[calls.Finished[_Question]]) -> None:
        """Calls that failed by our fault while others went through: missing. Without a connection they stay waiting."""
        self.store([finished for finished in held if not isinstance(finished.error, GatewayDown)])

    def _finished(self, place: Place, finished: calls.Finished[_Question]) -> Replay:
        if finished.reply is None:
            outcome = read_error(finished.error)
            message = str(finished.error)[:300]
            return self._row(
                place,
                status=outcome.status,
                reason=outcome.reason,
                refused=outcome.refused,
                message=message,
                source=Replay.Source.CALLED,
                cache_key=finished.about.key,
                calls=finished.calls,
                trace_id=finished.about.trace_id,
                adapted=finished.about.adapted,
                simulated=bool(getattr(finished.error, "simulated", False)),
            )
        return self._answered(place, finished.reply, question=finished.about)

    def _answered(self, place: Place, reply: ChatReply, *, question: _Question) -> Replay:
        outcome = read_reply(reply, question.messages)
        cost = cost_of(reply, self.prices.get(question.name))
        text = reply.text or reply.refusal or ""
        return self._row(
            place,
            status=outcome.status,
            reason=outcome.reason,
            refused=outcome.refused,
            source=Replay.Source.CALLED,
            cache_key=question.key,
            answer=text,
            tool_calls=list(reply.tool_calls),
            answer_hash=keyed_hash(self.evaluation.project.hash_key, text) if text else "",
            finish_reason=reply.finish_reason[:30],
            input_tokens=reply.usage.input_tokens,
            output_tokens=reply.usage.output_tokens,
            cached_tokens=reply.usage.cached_tokens,
            cache_write_tokens=reply.usage.cache_write_tokens,
            reasoning_tokens=reply.usage.reasoning_tokens,
            cost_nanousd=cost,
            paid_nanousd=cost or 0,
            latency_us=reply.latency_us,
            first_token_us=reply.first_token_us,
            calls=reply.calls,
            trace_id=question.trace_id,
            adapted=question.adapted,
            simulated=reply.simulated,
        )

    def _copy(self, place: Place, known: Replay) -> Replay:
        fields = {name: getattr(known, name) for name in _COPIED}
        return self._row(place, **fields, source=Replay.Source.CACHED, cache_key=known.cache_key)

    def _insert(self, rows: Sequence[Replay]) -> None:
        """Another worker may have been faster: its row stays, ours is dropped. A failure asked again gives way."""
        if not rows:
            return
        before = []
        for row in rows:
            failed = self.again.pop(Place(row.sample_id, row.candidate_id, row.repetition), None)
            if failed is not None:
                row.calls += failed.calls  # what was sent stays counted
                before.append(failed.pk)
        with transaction.atomic():
            if before:
                Replay.objects.filter(pk__in=before, again=True).delete()
            writing.insert_new(rows)
        self.limits.stored += len(rows)

    def _row(self, place: Place, *, status: str, source: str = Replay.Source.CALLED, **fields: Any) -> Replay:
        return Replay(
            sample_id=place.sample_id,
            candidate_id=place.candidate_id,
            repetition=place.repetition,
            status=status,
            source=source,
            **fields,
        )


def run_waiting(
    evaluation: Evaluation,
    candidates: Sequence[Candidate],
    *,
    rows: int,
    session: ChatSession,
    limits: calls.Limits,
    now: Callable[[], datetime],
) -> calls.Ended[Any]:
    """Answer every waiting sample among the first rows; what it cannot finish stays waiting.

    Args:
        candidates: the baseline among them is called only where the evaluation replays it.
        rows: of the sampling order.
        limits: see calls.Limits.
    """
    with Claims(evaluation.project, now) as claims:
        limits.beat = claims.beating(limits.beat)
        while True:
            run = _Run(evaluation, {row.pk: row for row in candidates}, {}, limits, claims, _again(evaluation))
            ended = _pass(run, waiting(evaluation, candidates, rows=rows), session=session, now=now)
            if ended.end != calls.End.DONE or not run.elsewhere:
                return ended
            if (end := calls.wait(limits)) is not None:
                return calls.Ended(end)


def _pass(run: _Run, places: Sequence[Place], *, session: ChatSession, now: Callable[[], datetime]) -> calls.Ended[Any]:
    """Ask what nobody else is asking."""
    limits = run.limits
    limits.to_do, limits.stored = len(places), 0
    if not limits.beat():
        return calls.Ended(calls.End.STOPPED)
    if places:
        priced = offers.read(run.evaluation.project, today=now().date(), listed=None)
        run.offers = {offer.name: offer for offer in priced}
    ended = calls.send(session, run.asks(places), store=run.store, cost=run.cost, limits=limits)
    if ended.end == calls.End.DONE:
        run.store_held(ended.held)
    return ended


def _again(evaluation: Evaluation) -> dict[Place, Replay]:
    rows = Replay.objects.filter(sample__evaluation=evaluation, again=True)
    return {Place(row.sample_id, row.candidate_id, row.repetition): row for row in rows}


def read_reply(reply: ChatReply, messages: Sequence[tuple[str, str]]) -> _Outcome:
    """Say what a completed call is: an answer, a refusal, or a failure of the model."""
    text = reply.text or reply.refusal or ""
    filtered = reply.finish_reason in rules.FILTERED
    if not text.strip() and not reply.tool_calls and not filtered:
        return _Outcome(Replay.Status.FAILED, "cut_off" if reply.finish_reason == "length" else "empty")
    declined = rules.refused(messages, text, finish_reason=reply.finish_reason, refusal=reply.refusal or "")
    return _Outcome(Replay.Status.ANSWERED, "", declined)


def read_error(error: GatewayError | None) -> _Outcome:
    """Say whose failure an error is: the model's counts against it, ours leaves the cell missing (decision.md 1)."""
    code = getattr(error, "provider_code", "")
    if isinstance(error, Rejected) and code in _TOO_LONG:
        return _Outcome(Replay.Status.FAILED, "context_length_exceeded")
    if isinstance(error, Rejected | BadAnswer) and code in FILTER_CODES:
        return _Outcome(Replay.Status.ANSWERED, "content_filter", refused=True)
    for kind, reason in ((TimedOut, "timed_out"), (BadAnswer, "bad_answer"), (GatewayDown, "server_error")):
        if isinstance(error, kind):
            return _Outcome(Replay.Status.FAILED, reason)
    if isinstance(error, RateLimited):
        return _Outcome(Replay.Status.MISSING, "rate_limited")
    if isinstance(error, AuthRefused):
        return _Outcome(Replay.Status.MISSING, "not_allowed")
    return _Outcome(Replay.Status.MISSING, _REJECTIONS.get(getattr(error, "upstream_status", None) or 0, "rejected"))


_REJECTIONS = {404: "not_found", 400: "bad_request", 422: "bad_request"}
