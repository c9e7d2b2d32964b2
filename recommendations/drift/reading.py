"""Calls out of the database as closed conversations, an hour or a day at a time. The narrow rows only, no bodies."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.db import connection

from agentopt.lib.windows import Window
from ingestion import cubes
from ingestion.rollup_rows import COLUMNS, Reader
from projects.models import Project

if TYPE_CHECKING:
    from ingestion.cubes import Rows
    from recommendations.drift.columns import Calls, Observations

BACK = timedelta(hours=2)  # a conversation without a pause that lasts longer counts by its last part
_SECONDS = {
    "sqlite": "CAST(strftime('%%s', r.occurred_at) AS integer)",
    "postgresql": "extract(epoch FROM r.occurred_at)::int8",
}


def conversations(project: Project, window: Window) -> tuple[Observations, int]:
    """The conversations that closed in a window, and how many calls were read for them.

    Reads two hours before, for conversations that were under way, and half an hour after, for those that go on: a
    conversation counts where its last call lies, so windows that touch count each exactly once.
    """
    from recommendations.drift import columns

    reader = Reader(project, more=("r.trace_id", _SECONDS[connection.vendor]))
    gap = timedelta(seconds=columns.GAP_S)
    chunks = list(reader.chunks(window.since - BACK, window.until + gap))
    if not chunks:
        return columns.empty(), 0
    calls = _calls(chunks, _standing(project))
    found = columns.group(calls).between(_s(window.since), _s(window.until))
    return found, int(calls.trace.size)


def _standing(project: Project) -> dict[int, int]:
    """The use case that stands for each merged one."""
    merged = project.use_cases.filter(merged_into__isnull=False).values_list("pk", "merged_into")
    return {pk: into for pk, into in merged if into is not None}


def _s(at: datetime) -> float:
    return at.timestamp()


def _calls(chunks: list[Rows], standing: dict[int, int]) -> Calls:
    import numpy as np

    from recommendations.drift.columns import FIGURES, Calls

    texts = [tuple(dict.fromkeys(w for one in chunks for w in one.texts[place])) for place in (1, 2)]
    codes = []
    for place, row in ((1, cubes.MODEL), (2, cubes.PROMPT_VERSION)):
        number = {word: n for n, word in enumerate(texts[place - 1])}
        codes.append(np.concatenate([np.array([number[w] for w in one.texts[place]])[one.keys[row]] for one in chunks]))
    keys = np.concatenate([one.keys for one in chunks], axis=1)
    amounts = np.concatenate([one.figures for one in chunks], axis=1).astype(np.float64)
    told = keys[cubes.TOLD]
    for bit in range(len(COLUMNS)):
        amounts[bit, told >> bit & 1 == 0] = np.nan
    of = {name: amounts[place] for place, name in enumerate(COLUMNS)}
    status = keys[cubes.STATUS]
    figures = np.full((len(FIGURES), told.size), np.nan)
    ok = status != 1
    figures[0] = np.where(ok, of["latency_us"] / 1e6, np.nan)  # a failure's time tells nothing of an answer
    figures[1] = of["cost_nanousd"] / 1e9
    figures[2] = of["input_tokens"] + of["output_tokens"]
    figures[3] = ~ok
    figures[4] = np.where(ok & (told >> cubes.TELLS_REFUSAL & 1 > 0), status == 2, np.nan)
    use_case = keys[cubes.USE_CASE].copy()
    for merged, into in standing.items():
        use_case[use_case == merged] = into
    return Calls(
        trace=np.concatenate([one.more[0] for one in chunks]),
        at_s=np.concatenate([one.more[1] for one in chunks]),
        figures=figures,
        model=codes[0],
        prompt_version=codes[1],
        use_case=use_case,
        texts=(texts[0], texts[1]),
    )
