"""Who asks which question right now, so that workers that share an evaluation pay for each of them once.

A claim is a row with an end: it is renewed while its process lives, and free again soon after that one was killed.
"""

import uuid
from collections.abc import Callable, Collection, Iterable
from datetime import datetime, timedelta
from itertools import chain
from types import TracebackType
from typing import Self

from django.db import connection

from evaluation.models import Claim
from projects.models import Project

LEASE = timedelta(seconds=12)
_RENEW_EVERY = timedelta(seconds=3)
# New, our own, or of a process that is gone: three things in one statement, so nobody comes in between.
_TAKE = """
    INSERT INTO evaluation_claim (project_id, key, holder, until) VALUES {}
    ON CONFLICT (project_id, key) DO UPDATE SET holder = excluded.holder, until = excluded.until
    WHERE evaluation_claim.holder = %s OR evaluation_claim.until < %s
    RETURNING key
"""


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
        now, until = map(connection.ops.adapt_datetimefield_value, (at := self._now(), at + LEASE))
        # in one order, or two processes that take the same ones would wait for each other
        rows = [(self._project.pk, key, self._holder, until) for key in sorted(set(keys))]
        with connection.cursor() as cursor:
            places = ", ".join(["(%s, %s, %s, %s)"] * len(rows))
            cursor.execute(_TAKE.format(places), [*chain.from_iterable(rows), self._holder, now])
            ours = {key for (key,) in cursor.fetchall()}
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
