"""Pulls a project's logs in children that kill themselves with signal 9 at seeded points, then once to the end.

python -m tests.flows.sync_victim PROJECT_PK SINCE NOW SEED...
Prints how many children died. A child per seed; a point is the nth statement to the database or beat of the pull.
"""

import os
import random
import signal
import sys
from datetime import datetime
from typing import Any

import django

MOST_TICKS = 60


def main(project_pk: int, since: datetime, now: datetime, seeds: list[int]) -> None:
    """Fork once all is imported: to start anew takes longer than to pull."""
    django.setup()
    import portkey_ai  # noqa: F401 — loaded before the fork, so that no child spends seconds on it
    from django.db import connections

    from ingestion import store, sync

    sync.MAX_ROWS, sync.POLL_FIRST_S, sync.POLL_MAX_S = 60, 0.01, 0.01
    store.CHUNK_ROWS.update(sqlite=20, postgresql=20)
    deaths = 0
    for seed in [*seeds, None]:
        connections.close_all()
        child = os.fork()
        if child == 0:
            _pull(project_pk, since=since, now=now, seed=seed)
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        deaths += os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    sys.stdout.write(f"{deaths}\n")
    sys.exit(0 if status == 0 else 1)


def _pull(project_pk: int, *, since: datetime, now: datetime, seed: int | None) -> None:
    from django.db import connection

    from ingestion import sync
    from ingestion.gateway import open_gateway
    from projects.models import Project

    left = -1 if seed is None else random.Random(seed).randrange(1, MOST_TICKS)  # noqa: S311 - no secret

    def tick(**_told: object) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def count(execute: Any, *statement: Any) -> Any:
        tick()
        done = execute(*statement)
        tick()
        return done

    project = Project.objects.get(pk=project_pk)
    with connection.execute_wrapper(count):
        sync.pull(project, since=since, until=None, gateway=open_gateway(project.connection), now=now, beat=tick)


if __name__ == "__main__":
    main(
        int(sys.argv[1]), datetime.fromisoformat(sys.argv[2]), datetime.fromisoformat(sys.argv[3]),
        [int(text) for text in sys.argv[4:]],
    )  # fmt: skip
