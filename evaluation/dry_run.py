"""An own judge tried on a few logged answers before it is put in force: what it says, and what that costs."""

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from django.conf import settings

from agentopt.lib.errors import Conflict, GatewayError
from evaluation import adaptation, judging, receivers, references, replay
from evaluation.judges import rubric, versions
from evaluation.judges.base import Case, Reference, Unscored
from evaluation.library import OwnJudge
from evaluation.models import Charge, JudgeVersion
from evaluation.purse import Purse, Settled
from ingestion.catalog import pricing
from ingestion.formats import bodies
from ingestion.gateway import ChatReply, ChatRequest, Gateway
from ingestion.models import LogRecord
from ingestion.values import Price, Usage
from projects.models import Privacy, Project

CASES = 5
_READ = 200  # newest calls that the cases are chosen from
_TIMEOUT_S = 30.0  # a person waits for the page
_CHARACTERS_PER_TOKEN, _REPLY_TOKENS = 4, 200


@dataclass(frozen=True)
class Tried:
    """What the judge said of one logged answer. Money in nano-dollars; None: not known."""

    record: int
    asked: str
    answer: str
    score: float | None  # in [0, 1]
    on_scale: float | None  # as the judge gave it
    reason: str
    explanation: str
    cost_nanousd: int | None


@dataclass(frozen=True)
class DryRun:
    """What a dry run said and took; cost_nanousd None: no price is known for the judge's model."""

    cases: tuple[Tried, ...]
    cost_nanousd: int | None
    calls: int
    simulated: bool


@dataclass(frozen=True)
class _Material:
    record: int
    case: Case


def estimate(project: Project, wanted: OwnJudge, *, now: datetime) -> int | None:
    """What a dry run of this judge is expected to cost; None: no price is known, or there is nothing to try it on."""
    price = replay.read_prices(project, now=now).get(wanted.model)
    parts = [_estimate(version_of(wanted), one.case, price) for one in _materials(project)]
    return sum(part or 0 for part in parts) if parts and price is not None else None


def run(project: Project, wanted: OwnJudge, *, gateway: Gateway, now: Callable[[], datetime]) -> DryRun:
    """Ask the judge about up to five logged answers, once each; nothing of it is stored but what it cost.

    Raises:
        Invalid: the judge makes no sense. Conflict: there is no answer to try it on, or a cap has no room.
    """
    wanted.check()
    if project.privacy == Privacy.HASHED:
        raise Conflict("This project keeps prompts and answers as hashes only, so there is nothing to show a judge.")
    barred = receivers.barred(project, [wanted.model])
    if barred is not None:
        raise Conflict(barred.text)
    materials = _materials(project)
    if not materials:
        raise Conflict("There is no logged answer to try the judge on: import or push some calls first.")
    version, price = version_of(wanted), replay.read_prices(project, now=now()).get(wanted.model)
    form = judging.reply_forms(project, {wanted.model}, now=now()).get(wanted.model, "")
    estimates = [_estimate(version, one.case, price) or 0 for one in materials]
    answers: list[ChatReply | GatewayError] = []
    with Purse(project, None, now, block=len(materials), kind=Charge.Kind.VERDICTS) as purse:
        if not all(purse.take(amount) for amount in estimates):
            raise Conflict("The project's cap of this month has no room for a dry run.")
        try:
            with gateway.chat(in_flight=len(materials)) as session:
                waiting = [
                    session.submit(_request(wanted, rubric.body(version, one.case, repetition=0, form=form), place))
                    for place, one in enumerate(materials)
                ]
                answers = [_result(future) for future in waiting]
        finally:
            purse.settle([_settled(e, a, price) for e, a in zip(estimates, answers, strict=False)])
    cases = tuple(_tried(version, one, a, price) for one, a in zip(materials, answers, strict=True))
    costs = [case.cost_nanousd for case in cases if case.cost_nanousd is not None]
    return DryRun(
        cases=cases,
        cost_nanousd=sum(costs) if costs or price is not None else None,
        calls=sum(_calls(answer) for answer in answers),
        simulated=any(bool(getattr(answer, "simulated", False)) for answer in answers),
    )


def version_of(wanted: OwnJudge) -> JudgeVersion:
    """The version that would be stored."""
    return versions.draft(wanted.name, wanted.text, lowest=wanted.lowest, highest=wanted.highest)


def _materials(project: Project) -> list[_Material]:
    """The newest answers of as many conversations that still have their bodies."""
    rows = project.logs.newest().filter(obstacle="", status=LogRecord.Status.OK, removed__isnull=True)
    rows = rows.select_related("body").order_by("-occurred_at", "-pk")
    found: dict[int, _Material] = {}
    for row in rows[:_READ].iterator(chunk_size=20):
        body, answer = replay.logged_body(getattr(row, "body", None)), None
        if row.trace_id in found or body is None:
            continue
        answer = bodies.answer_of(row.body.response)
        if not answer.given:
            continue
        known = Reference.of(references.of_metadata(row.metadata if isinstance(row.metadata, dict) else {}))
        said = {"role": "assistant", "content": answer.text or "", "tool_calls": list(answer.tool_calls)}
        found[row.trace_id] = _Material(row.pk, rubric.case(body, said, reference=known))
        if len(found) == CASES:
            break
    return list(found.values())


def _request(wanted: OwnJudge, body: dict[str, Any], place: int) -> ChatRequest:
    return ChatRequest(
        model=wanted.model,
        body=adaptation.adapt(body, adaptation.Target(wanted.model)).body,
        trace_id=f"agentopt-dry-{place}",
        metadata={"agentopt": "judge", "rubric": wanted.name},
        timeout_s=min(_TIMEOUT_S, settings.CALL_TIMEOUT_S),
        provider=wanted.model.removeprefix("@").partition("/")[0],
    )


def _result(future: "Future[ChatReply]") -> ChatReply | GatewayError:
    try:
        return future.result()
    except GatewayError as error:
        return error


def _estimate(version: JudgeVersion, judged: Case, price: Price | None) -> int | None:
    body = rubric.body(version, judged, repetition=0)
    asked = sum(len(message["content"]) for message in body["messages"]) // _CHARACTERS_PER_TOKEN
    return pricing.cost_nanousd(Usage(asked, _REPLY_TOKENS, None), price) if price is not None else None


def _settled(estimated: int, answer: ChatReply | GatewayError, price: Price | None) -> Settled:
    reply = answer if isinstance(answer, ChatReply) else None
    cost = replay.cost_of(reply, price)
    return Settled(estimated, cost or 0, _calls(answer), is_unpriced=reply is not None and cost is None)


def _calls(answer: ChatReply | GatewayError) -> int:
    return int(getattr(answer, "calls", 0))


def _tried(version: JudgeVersion, one: _Material, answer: ChatReply | GatewayError, price: Price | None) -> Tried:
    asked = next((text for role, text in reversed(one.case.messages) if role == "user"), "")
    said = partial(Tried, one.record, asked, one.case.answer)
    if isinstance(answer, GatewayError):
        return said(score=None, on_scale=None, reason=Unscored.UNAVAILABLE, explanation="", cost_nanousd=None)
    read = rubric.read(version, answer.text, finish_reason=answer.finish_reason, refusal=answer.refusal)
    on_scale = None if read.score is None else version.lowest + read.score * (version.highest - version.lowest)
    return said(
        score=read.score, on_scale=on_scale, reason=read.reason, explanation=read.explanation,
        cost_nanousd=replay.cost_of(answer, price),
    )  # fmt: skip
