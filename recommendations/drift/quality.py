"""Judged answers of production as conversations of their own: one observation for each judged call.

Verdicts come later than calls and in bursts, so they are tested as they arrive: by row number, not by the time of the
call. The judges in force count, each with its newest version: another rubric or another judge model is another scale,
and starts a new reference at the first call that all of them judged.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.db.models import Max

from projects.models import Project
from recommendations.models import ProductionVerdict

if TYPE_CHECKING:
    from recommendations.drift.columns import Observations


@dataclass(frozen=True)
class Scored:
    """All judged calls of a project by the judges in force; `fresh`: those whose last verdict came after `taken`."""

    everything: Observations
    fresh: Observations
    newest: int  # number of the last verdict
    panel: list[list[int]]  # judge and version of its rubric, of those that count
    first_at: datetime


def scored(project: Project, *, taken: int = 0, until: datetime | None = None) -> Scored | None:
    """The calls judged before a moment; None where no verdict counts."""
    from recommendations.drift import columns

    rows = ProductionVerdict.objects.filter(project=project, score__isnull=False)
    if until is not None:
        rows = rows.filter(at__lt=until)
    rows = rows.filter(judge__active=True)
    panel = sorted(map(list, rows.order_by().values_list("judge").annotate(one=Max("version"))))
    names = ("pk", "record", "record__occurred_at", "record__model", "record__prompt_version", "score",
             "record__assignment__use_case", "judge", "version")  # fmt: skip
    counted = [row for row in rows.order_by("pk").values_list(*names) if list(row[7:]) in panel]
    if not counted:
        return None
    first_at = max(min(row[2] for row in counted if row[7] == judge) for judge, _ in panel)
    found = [row for row in counted if row[2] >= first_at]
    calls: dict[int, list[Any]] = defaultdict(list)
    for row in found:
        calls[row[1]].append(row)
    everything = _as_observations(list(calls.values()))
    fresh = _as_observations([of for of in calls.values() if of[-1][0] > taken]) if calls else columns.empty()
    return Scored(everything, fresh, found[-1][0], panel, first_at)


def _as_observations(calls: Sequence[Sequence[Any]]) -> Observations:
    """One observation a call, the mean over its judges, in order of the calls."""
    import numpy as np

    from recommendations.drift import columns
    from recommendations.drift.columns import Observations

    if not calls:
        return columns.empty()
    ordered = sorted(calls, key=lambda of: (of[0][2], of[0][1]))
    n = len(ordered)
    texts = [tuple(dict.fromkeys(of[0][place] for of in ordered)) for place in (3, 4)]
    unknown = np.full(n, np.nan)
    return Observations(
        at_s=np.array([int(of[0][2].timestamp()) for of in ordered], np.int64),
        calls=np.ones(n, np.int64),
        latency_s=unknown,
        cost_usd=unknown,
        tokens=unknown,
        failed=np.zeros(n),
        refused=unknown,
        quality=np.array([sum(row[5] for row in of) / len(of) for of in ordered]),
        model=np.array([texts[0].index(of[0][3]) for of in ordered], np.int64),
        prompt_version=np.array([texts[1].index(of[0][4]) for of in ordered], np.int64),
        use_case=np.array([of[0][6] or 0 for of in ordered], np.int64),
        texts=(texts[0], texts[1]),
    )
