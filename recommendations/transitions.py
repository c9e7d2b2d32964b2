"""Move recommendations from state to state: each step is a row and an audit entry, and only allowed ones happen."""

from datetime import datetime

from django.db import IntegrityError, transaction

from agentopt.lib.errors import Conflict
from projects import audit
from projects.models import User
from recommendations import states
from recommendations.models import Recommendation, Transition


def newest(recommendation: Recommendation) -> Transition | None:
    """The last step, or None where none was taken; rows that are prefetched are not asked for again."""
    if _are_there(recommendation):
        return max(recommendation.transitions.all(), key=lambda step: step.number, default=None)
    return recommendation.transitions.select_related("by").order_by("-number").first()


def history(recommendation: Recommendation) -> list[Transition]:
    """All steps, the newest first; prefetched ones are not asked for again."""
    if _are_there(recommendation):
        return sorted(recommendation.transitions.all(), key=lambda step: -step.number)
    return list(recommendation.transitions.select_related("by").order_by("-number"))


def _are_there(recommendation: Recommendation) -> bool:
    return "transitions" in getattr(recommendation, "_prefetched_objects_cache", {})


def state_of(recommendation: Recommendation, *, now: datetime, last: Transition | None = None) -> str:
    """The state at a moment; `last`: the newest step, where the caller has it."""
    step = last or newest(recommendation)
    return states.now_in(
        step.state if step else states.NEW,
        until=step.until if step else None,
        expires_at=recommendation.expires_at,
        now=now,
    )


def step(
    recommendation: Recommendation,
    state: str,
    *,
    by: User | None,
    now: datetime,
    why: str = "",
    code: str = "",
    until: datetime | None = None,
) -> Transition:
    """Take a step.

    Raises:
        Conflict: it is not allowed from the state it is in, or somebody else took one at the same time.
    """
    last = newest(recommendation)
    was = state_of(recommendation, now=now, last=last)
    # the calendar may be ahead of the rows: what has ended by its date is noted as ended first
    if was == states.OUT_OF_DATE and state == states.OUT_OF_DATE and (last is None or last.state != state):
        was = last.state if last else states.NEW
    if not states.may(was, state):
        allowed = ", ".join(states.words(one) for one in states.STATES if one in states.ALLOWED[was]) or "nothing"
        raise Conflict(
            f"Recommendation {recommendation.pk} is {states.words(was)}, so it cannot become {states.words(state)}: "
            f"what may follow is {allowed}."
        )
    try:
        with transaction.atomic():
            made = Transition.objects.create(
                recommendation=recommendation, number=(last.number if last else 0) + 1, was=was, state=state, code=code,
                why=why, until=until, by=by, at=now,
            )  # fmt: skip
            audit.record(
                recommendation.project,
                by,
                f"recommendation.{state}",
                f"recommendation {recommendation.pk}",
                before={"state": was},
                after={"state": state, **({"code": code} if code else {}), **({"why": why} if why else {})},
            )
    except IntegrityError:
        raise Conflict(
            f"Recommendation {recommendation.pk} was changed by somebody else just now: look at it again."
        ) from None
    getattr(recommendation, "_prefetched_objects_cache", {}).pop("transitions", None)
    return made


def see(recommendation: Recommendation, *, by: User | None, now: datetime) -> None:
    """Note who opened it first; a program's look does not count, and one that was opened stays as it is."""
    if by is None or state_of(recommendation, now=now) != states.NEW:
        return
    try:
        step(recommendation, states.SEEN, by=by, now=now)
    except Conflict:  # of two who opened it at once, one was first
        return
