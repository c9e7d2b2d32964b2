"""One evaluation from wherever it stands to its end: ask the decision what it wants, replay, judge, ask again.

There is no state beside the rows: killed at any moment and called again, it goes on where the rows end.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import structlog
from django.conf import settings
from django.db import transaction

from agentopt.lib.errors import Conflict
from evaluation import budget, calls, comparison, judging, ledger, purse, receivers, replay
from evaluation.budget import Shortage
from evaluation.calls import End
from evaluation.models import Candidate, Charge, Evaluation
from evaluation.purse import Purse
from evaluation.statistics.decision import Outcome, Wanted
from evaluation.values import Reason
from ingestion.gateway import ChatSession, Gateway

log = structlog.get_logger(__name__)
State = Evaluation.State
_RUNS = (State.QUEUED, State.RUNNING)


class Beat(Protocol):
    """Says that the work lives and how far it is; may raise to stop it."""

    def __call__(self, *, done: int, total: int, message: str) -> object: ...


def advance(
    evaluation: Evaluation,
    *,
    gateway: Gateway,
    now: Callable[[], datetime],
    deadline: float,
    beat: Beat,
) -> bool:
    """Bring an evaluation forward until its end, a stop, or the deadline.

    Args:
        gateway: asked only when something is wanted that no row holds.
        deadline: of time.monotonic(); after it nothing more is sent, the calls in flight are awaited and stored.
        beat: called several times a second. What it raises is raised again when nothing is in flight any more.

    Returns:
        True: it stands still; its state says why (done, at_cap, paused, cancelled …). False: call again.

    Raises:
        GatewayError: the gateway could not be reached again and again; the evaluation is paused and can be resumed.
    """
    if not _begin(evaluation, now=now()):
        return True
    said = comparison.measure(evaluation)
    if isinstance(said, Wanted):
        barred = receivers.barred_of(evaluation)
        if barred is not None:  # the list may have changed since it was opened
            return _pause(evaluation, barred)
        block = 4 * settings.MAX_CONCURRENT_CALLS
        with (
            Purse(evaluation.project, evaluation, now, block=block) as own,
            gateway.chat(in_flight=settings.MAX_CONCURRENT_CALLS) as session,
        ):
            limits = _limits(evaluation, own, deadline=deadline)
            end = _Driver(evaluation, session, limits, own, beat, now).drive(said)
        return _stand_still(evaluation, end, shortage=own.shortage, now=now())
    finish(evaluation, said, now=now())
    return True


def finish(evaluation: Evaluation, outcome: Outcome, *, now: datetime) -> None:
    """Write what the decision said, unless a person ended the evaluation meanwhile."""
    fields = {
        "state": State.DONE,
        "outcome": comparison.outcome_json(evaluation, outcome),
        "reason": outcome.code,
        "message": "",
        "ended_at": now,
        "simulated": ledger.is_simulated(evaluation),
    }
    with transaction.atomic():
        # the state first: of two workers that come to the end at once, one writes
        if Evaluation.objects.filter(pk=evaluation.pk, state=State.RUNNING).update(**fields):
            comparison.store(evaluation, outcome)
    evaluation.refresh_from_db()
    log.info("evaluation ended", evaluation=evaluation.pk, code=outcome.code)


def _begin(evaluation: Evaluation, *, now: datetime) -> bool:
    """Mark it as running; False when a person stopped it or it has ended."""
    going = Evaluation.objects.filter(pk=evaluation.pk, state__in=_RUNS)
    begun = going.update(state=State.RUNNING, reason="", message="", ended_at=None)
    Evaluation.objects.filter(pk=evaluation.pk, started_at=None, state=State.RUNNING).update(started_at=now)
    evaluation.refresh_from_db()
    return bool(begun)


def _limits(evaluation: Evaluation, purse: Purse, *, deadline: float) -> calls.Limits:
    return calls.Limits(
        cap_nanousd=evaluation.cap_nanousd,
        spent_nanousd=ledger.spent_nanousd(evaluation),
        deadline=deadline,
        beat=lambda: True,
        concurrency=settings.MAX_CONCURRENT_CALLS,
        purse=purse,
    )


@dataclass
class _Driver:
    """Measures what is wanted until there is an outcome or a reason to stop."""

    evaluation: Evaluation
    session: ChatSession
    limits: calls.Limits
    purse: Purse
    beat: Beat
    now: Callable[[], datetime]
    total: int = 0  # prompts that a candidate may be asked at most

    def drive(self, said: Wanted) -> "calls.Ended[Any]":
        """Return why it stopped; DONE: there is an outcome, and it is stored."""
        columns, self.total = comparison.columns_of(self.evaluation), comparison.total_of(self.evaluation)
        wanted: Outcome | Wanted = said
        while isinstance(wanted, Wanted):
            arms = [columns[0], *(columns[column] for column in wanted.columns)]
            comparison.note(self.evaluation, wanted)
            self._mark(wanted, arms[1:])
            title = _title(wanted, arms[1:])
            ended = self._measure(wanted, arms, title=title)
            if ended.end != End.DONE:
                return ended
            before, wanted = wanted, comparison.measure(self.evaluation)
            if wanted == before and not ended.held:
                raise Conflict("The evaluation cannot go on: what the decision wants cannot be measured.")
            if wanted == before:  # nothing but calls without a connection is left
                return calls.Ended(End.UNREACHABLE, ended.held, ended.error)
        finish(self.evaluation, wanted, now=self.now())
        return calls.Ended(End.DONE)

    def _measure(self, wanted: Wanted, arms: list[Candidate], *, title: str) -> "calls.Ended[Any]":
        answers = len(arms[1:]) * (wanted.rows - wanted.first)
        so_far = _so_far(wanted, self.total)
        self.limits.beat = self._alive(title, "answers", total=answers, said=so_far)
        self.purse.kind = Charge.Kind.REPLAYS
        replayed = replay.run_waiting(
            self.evaluation, arms, rows=wanted.rows, session=self.session, limits=self.limits, now=self.now
        )
        if replayed.end != End.DONE:
            return replayed
        self.limits.beat = self._alive(title, "prompts judged", total=wanted.rows - wanted.first, said=so_far)
        self.purse.kind = Charge.Kind.VERDICTS
        judged = judging.judge_waiting(
            self.evaluation, arms, rows=wanted.rows, session=self.session, limits=self.limits, now=self.now
        )
        return calls.Ended(judged.end, (*replayed.held, *judged.held), judged.error or replayed.error)

    def _alive(self, title: str, what: str, *, total: int, said: str) -> Callable[[], bool]:
        """Tell how far the step is, as a share of what waited when it began; False when a person stopped it."""

        def alive() -> bool:
            left = max(0, self.limits.to_do - self.limits.stored)
            done = total - round(total * left / self.limits.to_do) if self.limits.to_do else total
            self.beat(done=done, total=total, message=f"{title}: {done} of {total} {what}{said}")
            return Evaluation.objects.filter(pk=self.evaluation.pk, state=State.RUNNING).exists()

        return alive

    def _mark(self, wanted: Wanted, arms: list[Candidate]) -> None:
        """Show who is being tried."""
        if wanted.first == 0 and len(arms) > 1:
            return
        Candidate.objects.filter(pk=arms[0].pk).update(state=Candidate.State.TRYING)


def _title(wanted: Wanted, arms: list[Candidate]) -> str:
    if wanted.first == 0 and len(arms) > 1:
        return f"Ranking {len(arms)} candidates"
    return f"Trying {arms[0].offer.name}"


def _so_far(wanted: Wanted, total: int) -> str:
    """Prompts used and at most, and the state of each condition at the last look at the candidate being tried."""
    look = next((one for one in reversed(wanted.looks) if not one.ranking and one.column in wanted.columns), None)
    used = f"; up to prompt {wanted.rows} of at most {total}"
    if look is None:
        return used
    shown = ", ".join(one.metric for one in look.conditions if one.shown)
    open_ones = ", ".join(one.metric for one in look.conditions if not one.shown)
    states = [f"shown: {shown}"] if shown else []
    return "; ".join([used, *states, *([f"not yet: {open_ones}"] if open_ones else [])])


def _pause(evaluation: Evaluation, why: Reason) -> bool:
    running = Evaluation.objects.filter(pk=evaluation.pk, state=State.RUNNING)
    running.update(state=State.PAUSED, reason=why.code, message=why.text)
    evaluation.refresh_from_db()
    return True


def _stand_still(
    evaluation: Evaluation, ended: "calls.Ended[Any]", *, shortage: Shortage | None, now: datetime
) -> bool:
    """Say in the evaluation why it stopped; False when it only needs another slice."""
    if ended.end == End.DEADLINE:
        return False
    running = Evaluation.objects.filter(pk=evaluation.pk, state=State.RUNNING)
    simulated = ledger.is_simulated(evaluation)
    if ended.end == End.AT_CAP:
        evaluation.refresh_from_db(fields=["cap_nanousd", "cap_calls"])
        spent = ledger.spent_nanousd(evaluation)
        met = shortage and purse.as_it_ended(evaluation, shortage, now=now)
        stop = budget.stop_of(met, spent_nanousd=spent, cap_nanousd=evaluation.cap_nanousd)
        running.update(state=State.AT_CAP, reason=stop.code, message=stop.text, ended_at=now, simulated=simulated)
    if ended.end == End.UNREACHABLE:
        running.update(state=State.PAUSED, reason="gateway", message=str(ended.error)[:300], simulated=simulated)
    evaluation.refresh_from_db()
    if ended.end == End.UNREACHABLE and ended.error is not None:
        raise ended.error
    return True
