"""The hard caps while calls are made: shared by all who spend for a project, whatever their process or machine.

Nobody sends a call without room for it. Room is taken under a lock, a block at a time, as a row that everybody sees;
what a call cost replaces the room it had, in the transaction that stores its answer. So a cap can be passed only by
what the calls in flight cost above their estimates, and by those of a process killed before it could store them.
"""

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet, Sum

from evaluation.budget import Amount, Cap, Shortage, grant
from evaluation.models import Charge, Evaluation, Hold
from projects.models import Project

# A call in flight ends within its time-out, so room that was not renewed for longer belongs to a process that is gone.
_GRACE = timedelta(seconds=60)
_LOOK_AGAIN_S = 0.05
NOTHING = Amount(0, 0)


@dataclass(frozen=True)
class Settled:
    """A call that is over; what is not known of its cost counts nothing."""

    estimate_nanousd: int  # what it had room for
    cost_nanousd: int
    calls: int  # HTTP requests, retries included
    is_unpriced: bool = False  # it was answered, and no price or usage is known


def month_of(moment: datetime) -> datetime:
    """First moment of its calendar month, UTC."""
    return moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def caps_of(project: Project, evaluation: Evaluation | None, *, now: datetime) -> list[Cap]:
    """The caps in force, with what was spent and what is held under each; inside the lock nobody holds more meanwhile.

    Holds are read before charges: calls that are settled in between then count twice for a moment, never not at all.
    """
    holds = Hold.objects.filter(project=project, until__gt=now)
    held = _sum(holds)
    held_here = held if evaluation is None else _sum(holds.filter(evaluation=evaluation))
    month = Charge.objects.filter(project=project, at__gte=month_of(now))
    caps = [Cap("month", project.monthly_cap_nanousd, project.monthly_call_cap, spent=_sum(month), held=held)]
    if evaluation is not None:
        # as stored, not as read when the run began: a person may have raised it
        own = Evaluation.objects.values_list("cap_nanousd", "cap_calls").get(pk=evaluation.pk)
        mine = Charge.objects.filter(evaluation=evaluation)
        caps.append(Cap("evaluation", *own, spent=_sum(mine), held=held_here))
    return caps


def as_it_ended(evaluation: Evaluation, shortage: Shortage, *, now: datetime) -> Shortage:
    """A shortage with what was spent once the calls that were in flight had come back."""
    caps = caps_of(evaluation.project, evaluation, now=now)
    spent = next(cap.spent for cap in caps if cap.code == shortage.code)
    return replace(shortage, spent=spent.nanousd if shortage.unit == "dollars" else spent.calls)


def lock(project: Project) -> Project:
    """Lock a project's money until the transaction ends; SQLite's transactions hold the write lock anyway."""
    return Project.objects.select_for_update(no_key=True).get(pk=project.pk)


def charge(
    project: Project, settled: Sequence[Settled], *, kind: str, at: datetime, evaluation: Evaluation | None = None
) -> None:
    """Write down what calls cost; nothing where none was sent."""
    calls = sum(one.calls for one in settled)
    cost = sum(one.cost_nanousd for one in settled)
    if not calls and not cost:
        return
    unpriced = sum(one.is_unpriced for one in settled)
    Charge.objects.create(
        project=project, evaluation=evaluation, kind=kind, nanousd=cost, calls=calls, unpriced=unpriced, at=at
    )


@dataclass
class Purse:
    """Room of one process under the caps of one evaluation, or of the project alone; a context manager.

    Args:
        block: for how many calls room is taken at once where there is plenty.
        wait_s: how long it waits for room that others hold.
    """

    project: Project
    evaluation: Evaluation | None
    now: Callable[[], datetime]
    block: int
    wait_s: float = 2.0
    kind: str = Charge.Kind.REPLAYS
    shortage: Shortage | None = None  # why the last call was refused
    is_short: bool = False  # the caps had less room left than a block
    _holder: str = field(default_factory=lambda: uuid.uuid4().hex)
    _held: Amount = NOTHING
    _open: Amount = NOTHING  # estimates of the calls in flight

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Give back what is left, unless a transaction that broke makes that impossible: then it runs out by itself."""
        if not transaction.get_connection().needs_rollback:
            Hold.objects.filter(holder=self._holder).delete()
        self._held = self._open = NOTHING

    def take(self, estimate_nanousd: int | None) -> bool:
        """Take room for one more call; False: a cap does not allow it, and `shortage` says which."""
        one = Amount(estimate_nanousd or 0, 1)
        wanted = self._open.plus(one)
        if not wanted.fits(self._held) and not self._grow(wanted, one):
            return False
        self._open = wanted
        return True

    def settle(self, settled: Sequence[Settled], store: Callable[[], object] | None = None) -> None:
        """Store answers and charge for their calls, all or nothing."""
        now = self.now()
        freed = Amount(sum(one.estimate_nanousd for one in settled), len(settled))
        spent = Amount(sum(one.cost_nanousd for one in settled), sum(one.calls for one in settled))
        still = self._open.minus(freed)
        # freed room serves the next calls; what was spent is charged instead, and never held as well
        left = self._held.minus(spent).at_least(still)
        with transaction.atomic():
            if store is not None:
                store()
            charge(self.project, settled, kind=self.kind, at=now, evaluation=self.evaluation)
            self._write(left, now)
        self._open, self._held = still, left

    def _grow(self, wanted: Amount, one: Amount) -> bool:
        until = time.monotonic() + self.wait_s
        while True:
            now = self.now()
            with transaction.atomic():
                caps = caps_of(lock(self.project), self.evaluation, now=now)
                got = grant(caps, need=wanted.minus(self._held), want=one.times(self.block))
                if isinstance(got, Amount):
                    self._write(self._held.plus(got), now)
            if isinstance(got, Amount):
                self._held = self._held.plus(got)
                self.is_short = not one.times(self.block).fits(got)
                return True
            if not self._may_change(got, caps) or time.monotonic() >= until:
                self.shortage = got
                return False
            time.sleep(_LOOK_AGAIN_S)

    def _may_change(self, shortage: Shortage, caps: Sequence[Cap]) -> bool:
        """Whether others hold room that they may give back."""
        held = next(cap.held for cap in caps if cap.code == shortage.code)
        return shortage.spent < shortage.cap and not held.fits(self._held)

    def _write(self, held: Amount, now: datetime) -> None:
        until = now + timedelta(seconds=settings.CALL_TIMEOUT_S) + _GRACE
        said = {"nanousd": held.nanousd, "calls": held.calls, "until": until}
        if not Hold.objects.filter(holder=self._holder).update(**said):
            Hold.objects.create(holder=self._holder, project=self.project, evaluation=self.evaluation, **said)


def _sum(rows: "QuerySet[Charge] | QuerySet[Hold]") -> Amount:
    found = rows.aggregate(nanousd=Sum("nanousd"), calls=Sum("calls"))
    return Amount(int(found["nanousd"] or 0), int(found["calls"] or 0))
