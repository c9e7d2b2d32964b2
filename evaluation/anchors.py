"""Drift of the judge itself: a fixed set of answers that every judge of the project scores.

The answers never change, so where their scores move, the judge moved and not the agent. The set is drawn once, from the
first evaluation that ends; a judge model or a wording that is new to it scores all of it, and the change has a figure.
"""

import itertools
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import transaction

from agentopt.lib.errors import BudgetExceeded, Conflict, GatewayError
from evaluation import accuracy, adaptation, judging, receivers, replay, scores
from evaluation.accuracy import Wording
from evaluation.judges import panel, rubric
from evaluation.judges.base import Case, Reference, Unscored
from evaluation.judges.base import Verdict as Reading
from evaluation.models import Anchor, AnchorVerdict, Charge, Evaluation, Judge, JudgeVersion, Replay, Seat, Verdict
from evaluation.purse import Purse, Settled
from evaluation.statistics import labeling
from ingestion.catalog import pricing
from ingestion.gateway import ChatReply, ChatRequest, ChatSession, Gateway
from ingestion.gateway.errors import AuthRefused, GatewayDown, RateLimited
from ingestion.values import Price, Usage
from projects import jobs
from projects.models import Privacy, Project

if TYPE_CHECKING:
    from evaluation.statistics.judge_shift import JudgeShift

ANCHORS = 30
_AT_ONCE = 10
_CHARACTERS_PER_TOKEN, _REPLY_TOKENS = 4, 200
_EVALUATIONS = 20


@dataclass(frozen=True)
class JudgeChange:
    """Evaluations before and after judged by different panels, and what that does to the score of the same answers."""

    evaluation: Evaluation  # the first one judged by the new panel
    before: tuple[Wording, ...]
    after: tuple[Wording, ...]
    shift: "JudgeShift"

    @property
    def was(self) -> str:
        """The old panel in words."""
        return "; ".join(f"{one.model} ({one.text})" for one in self.before)

    @property
    def now(self) -> str:
        """The new panel in words."""
        return "; ".join(f"{one.model} ({one.text})" for one in self.after)

    @property
    def kind(self) -> str:
        """What changed: the judge models, or only the wording of what they are asked."""
        same = {one.model for one in self.before} == {one.model for one in self.after}
        return "wording" if same else "model"


@dataclass(frozen=True)
class Lacking:
    """A score that the set lacks, of a judge in use."""

    anchor: Anchor
    judge: Judge
    version: JudgeVersion


# ------------------------------------------------------------------------------------------------ the set
def keep(evaluation: Evaluation) -> bool:
    """Draw the project's set out of an evaluation that has ended, where there is none; tell whether scores lack.

    Answers are spread over what the panel said, from worst to best, of all models alike.
    """
    project = evaluation.project
    if project.privacy == Privacy.HASHED:
        return False  # what was asked is not stored, so no later judge could be shown it
    if not project.anchors.exists():
        _draw(evaluation)
    _copy_known(project)
    return bool(lacking(project))


def follow(evaluation: Evaluation) -> None:
    """Have workers judge the set where a judge is new to it: its doing must not be read as the agent's."""
    if keep(evaluation):
        jobs.start("anchors", evaluation.project)


def _draw(evaluation: Evaluation) -> None:
    seats = scores.seats_of(evaluation)
    chairs, judged = scores.chairs_of(seats), scores.read(evaluation, seats)
    there = Replay.objects.filter(
        pk__in=judged, status=Replay.Status.ANSWERED, sample__record__removed__isnull=True
    ).values_list("pk", flat=True)  # fmt: skip
    quality = {str(pk): panel.score(chairs, judged[pk]).quality for pk in there}
    known = {key: value for key, value in quality.items() if value is not None}
    drawn = labeling.order(known, seed=evaluation.project_id)[:ANCHORS]
    with transaction.atomic():
        Project.objects.select_for_update(no_key=True).get(pk=evaluation.project_id)
        if not evaluation.project.anchors.exists():
            Anchor.objects.bulk_create(
                Anchor(project=evaluation.project, replay_id=int(key), position=place)
                for place, key in enumerate(drawn)
            )


def _seats(project: Project) -> list[Seat]:
    """The judges in use: those of the newest evaluation that ask a model about one answer."""
    newest = project.evaluations.order_by("-number").first()
    seats = scores.seats_of(newest) if newest is not None else []
    return [seat for seat in seats if seat.judge.model and seat.version.form == JudgeVersion.Form.ANSWER]


def lacking(project: Project) -> list[Lacking]:
    """Scores that the judges in use have not given; an answer whose prompt was removed can no longer be judged."""
    there = project.anchors.filter(replay__sample__record__removed__isnull=True).order_by("position")
    anchors = list(there.select_related("replay__sample__record__body"))
    known = AnchorVerdict.objects.filter(anchor__project=project)
    done = set(known.values_list("anchor_id", "judge_id", "version_id"))
    return [
        Lacking(anchor, seat.judge, seat.version)
        for seat in _seats(project)
        for anchor in anchors
        if (anchor.pk, seat.judge_id, seat.version_id) not in done
    ]


def _copy_known(project: Project) -> None:
    """Take over what evaluations paid for: scores of the very same answers."""
    by_replay = {anchor.replay_id: anchor for anchor in project.anchors.all()}
    rows = Verdict.objects.filter(judging.SETTLED, replay__in=by_replay, repetition=0, against=None)
    AnchorVerdict.objects.bulk_create(
        (
            AnchorVerdict(
                anchor=by_replay[row.replay_id], judge_id=row.judge_id, version_id=row.version_id, score=row.score,
                reason=row.reason, cost_nanousd=row.cost_nanousd, simulated=row.simulated,
            )
            for row in rows.order_by("pk")
        ),
        ignore_conflicts=True,
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------ judging it
def rejudge(
    project: Project,
    *,
    gateway: Gateway,
    now: Callable[[], datetime],
    deadline: float,
    beat: Callable[..., object],
) -> bool:
    """Have the judges in use score what they have not; False: the time is over, and it goes on where it stopped.

    Raises:
        BudgetExceeded: the project's cap of the month has no room. GatewayError: nothing can be asked now.
        Conflict: a judge's provider may not receive prompts.
    """
    _copy_known(project)
    todo = lacking(project)
    barred = receivers.barred(project, {one.judge.model for one in todo})
    if barred is not None:
        raise Conflict(barred.text)
    prices = replay.read_prices(project, now=now())
    forms = judging.reply_forms(project, {one.judge.model for one in todo}, now=now())
    with Purse(project, None, now, block=_AT_ONCE, kind=Charge.Kind.VERDICTS) as purse, gateway.chat(
        in_flight=_AT_ONCE
    ) as session:  # fmt: skip
        asker = _Asker(session, purse, prices, forms)
        for done in range(0, len(todo), _AT_ONCE):
            if time.monotonic() > deadline:
                return False
            beat(done=done, total=len(todo), message=f"{done} of {len(todo)} anchors judged")
            asker.ask(todo[done : done + _AT_ONCE])
    beat(done=len(todo), total=len(todo), message=f"{len(todo)} anchors judged")
    return True


@dataclass
class _Asker:
    """Asks for a few scores at a time; each batch is stored with what it cost."""

    session: ChatSession
    purse: Purse
    prices: Any
    forms: dict[str, str]

    def ask(self, batch: Sequence[Lacking]) -> None:
        cases = [_case(one.anchor.replay) for one in batch]
        estimates = [self._estimate(one, case) for one, case in zip(batch, cases, strict=True)]
        if not all(self.purse.take(amount) for amount in estimates):
            raise BudgetExceeded("The project's cap of this month has no room to judge the anchors.")
        sent = [self.session.submit(self._request(one, case)) for one, case in zip(batch, cases, strict=True)]
        answers = [_result(future) for future in sent]
        ours = next((a for a in answers if isinstance(a, GatewayDown | AuthRefused | RateLimited)), None)
        rows = [
            self._row(one, answer)
            for one, answer in zip(batch, answers, strict=True)
            if not isinstance(answer, GatewayDown | AuthRefused | RateLimited)
        ]
        settled = [
            self._settled(one, estimate, answer)
            for one, estimate, answer in zip(batch, estimates, answers, strict=True)
        ]
        self.purse.settle(settled, store=lambda: AnchorVerdict.objects.bulk_create(rows, ignore_conflicts=True))
        if ours is not None:
            raise ours

    def _price(self, one: Lacking) -> Price | None:
        price: Price | None = self.prices.get(one.judge.model)
        return price

    def _estimate(self, one: Lacking, case: Case) -> int:
        body, price = rubric.body(one.version, case, repetition=0), self._price(one)
        asked = sum(len(message["content"]) for message in body["messages"]) // _CHARACTERS_PER_TOKEN
        return (pricing.cost_nanousd(Usage(asked, _REPLY_TOKENS, None), price) if price is not None else None) or 0

    def _request(self, one: Lacking, case: Case) -> ChatRequest:
        model = one.judge.model
        body = rubric.body(one.version, case, repetition=0, form=self.forms.get(model, ""))
        return ChatRequest(
            model=model,
            body=adaptation.adapt(body, adaptation.Target(model)).body,
            trace_id=f"agentopt-anchor-{one.anchor.pk}-{one.judge.pk}-{one.version.pk}",
            metadata={"agentopt": "judge", "rubric": one.judge.rubric},
            timeout_s=settings.CALL_TIMEOUT_S,
            provider=model.removeprefix("@").partition("/")[0],
        )

    def _row(self, one: Lacking, answer: ChatReply | GatewayError) -> AnchorVerdict:
        reading = Reading(None, Unscored.UNAVAILABLE)
        if isinstance(answer, ChatReply):
            said, ended = answer.text, answer.finish_reason
            reading = rubric.read(one.version, said, finish_reason=ended, refusal=answer.refusal)
        reply = answer if isinstance(answer, ChatReply) else None
        return AnchorVerdict(
            anchor=one.anchor, judge=one.judge, version=one.version, score=reading.score, reason=reading.reason,
            cost_nanousd=replay.cost_of(reply, self._price(one)), simulated=bool(getattr(answer, "simulated", False)),
        )  # fmt: skip

    def _settled(self, one: Lacking, estimate: int, answer: ChatReply | GatewayError) -> Settled:
        reply = answer if isinstance(answer, ChatReply) else None
        cost = replay.cost_of(reply, self._price(one))
        unpriced = reply is not None and cost is None
        return Settled(estimate, cost or 0, int(getattr(answer, "calls", 0)), is_unpriced=unpriced)


def _result(future: "Future[ChatReply]") -> ChatReply | GatewayError:
    try:
        return future.result()
    except GatewayError as error:
        return error


def _case(row: Replay) -> Case:
    request = replay.logged_body(getattr(row.sample.record, "body", None)) or {"messages": []}
    said = {"role": "assistant", "content": row.answer, "tool_calls": row.tool_calls}
    return rubric.case(request, said, reference=Reference.of(row.sample.reference))


def check(project: Project) -> None:
    """Raise Conflict where there is nothing to judge."""
    if not project.anchors.exists():
        raise Conflict("There are no anchors yet: they are drawn from the first evaluation that ends.")
    if not lacking(project):
        raise Conflict("The judges in use have scored every anchor.")


# ------------------------------------------------------------------------------------------------ what changed
def changes(project: Project) -> list[JudgeChange]:
    """Where one evaluation was judged by another panel than the one before, the newest first."""
    rows = list(project.evaluations.order_by("-number")[:_EVALUATIONS])
    panels = [(evaluation, accuracy.wordings(evaluation)) for evaluation in rows]
    anchors = list(project.anchors.order_by("position").values_list("pk", flat=True))
    return [
        _change(anchors, old, new)
        for (new, after), (old, before) in itertools.pairwise(panels)
        if before and after and before != after
    ]


def _change(anchors: Sequence[int], old: Evaluation, new: Evaluation) -> JudgeChange:
    from evaluation.statistics import judge_shift  # brings numpy and scipy

    shift = judge_shift.compare(_scored(anchors, old), _scored(anchors, new))
    return JudgeChange(new, accuracy.wordings(old), accuracy.wordings(new), shift)


def _scored(anchors: Sequence[int], evaluation: Evaluation) -> list[float | None]:
    """Quality of each anchor by the panel of an evaluation; None: not scored by all of a model's rubrics."""
    seats = scores.seats_of(evaluation)
    chairs, by_judge = scores.chairs_of(seats), {(seat.judge_id, seat.version_id): seat.pk for seat in seats}
    found: dict[int, dict[int, list[float | None]]] = {pk: {} for pk in anchors}
    rows = AnchorVerdict.objects.filter(anchor__in=anchors)
    for anchor, judge, version, score in rows.values_list("anchor_id", "judge_id", "version_id", "score"):
        if (judge, version) in by_judge:
            found[anchor][by_judge[judge, version]] = [score]
    return [panel.score(chairs, found[pk]).quality for pk in anchors]
