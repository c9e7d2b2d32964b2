"""Who asks which question right now, so that workers that share an evaluation pay for each of them once.

A claim is a row with an end: it is renewed while its process lives, and free again soon after that one was killed.
"""

import uuid
from collections.abc import Callable, Collection, Iterable
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self

from evaluation import writing
from evaluation.models import Claim
from projects.models import Project

LEASE = timedelta(seconds=12)
_RENEW_EVERY = timedelta(seconds=3)


class Claims:
    """The claims of one process at work; use as a context manager, whose end frees what is still held.

    Args:
        project: whose questions they are; two evaluations may have the same.
        now: a clock.
    """

    def __init__(self, project: Project, now: Callable[[], datetime]) -> None:
        self._project, self._now = project, now
        self._holder = uuid.uuid4().hex
        self._held: set[str] = set()
        self._renewed_at = now()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.free(set(self._held))

    def take(self, keys: Collection[str]) -> set[str]:
        """Claim these questions and return those that are ours; the others are being asked by somebody else."""
        if not keys:
            return set()
        now = self._now()
        there = Claim.objects.filter(project=self._project, key__in=keys)
        for dead in there.filter(until__lt=now).values_list("pk", flat=True):
            Claim.objects.filter(pk=dead, until__lt=now).delete()
        until = now + LEASE
        # in one order, or two processes that take the same ones would wait for each other
        rows = [Claim(project=self._project, key=key, holder=self._holder, until=until) for key in sorted(set(keys))]
        writing.insert_new(rows)
        ours = set(there.filter(holder=self._holder).values_list("key", flat=True))
        self._held |= ours
        return ours

    def free(self, keys: Iterable[str]) -> None:
        """Let go of questions that are answered, or that will not be asked."""
        held = sorted(self._held.intersection(keys))
        self._held.difference_update(held)
        for start in range(0, len(held), 500):
            part = held[start : start + 500]
            Claim.objects.filter(project=self._project, holder=self._holder, key__in=part).delete()

    def beating(self, beat: Callable[[], bool]) -> Callable[[], bool]:
        """Return a beat that renews what is held, too."""

        def alive() -> bool:
            now = self._now()
            if self._held and now - self._renewed_at >= _RENEW_EVERY:
                self._renewed_at = now
                Claim.objects.filter(project=self._project, holder=self._holder).update(until=now + LEASE)
            return beat()

        return alive
