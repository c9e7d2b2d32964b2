"""One pull at a time for each workspace of a gateway: bursts of exports make the gateway fail them.

The kernel holds the turn, by a locked file in DATA_DIR, so a process that is killed gives it back at once. Between
machines the leases of jobs, and a look at exports under way, do the same less strictly.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from django.conf import settings
from django.utils.crypto import salted_hmac

from ingestion.gateway.base import Endpoint

WAIT_FIRST_S, WAIT_MAX_S = 0.1, 5.0


@contextmanager
def turn(endpoint: Endpoint, *, deadline: float | None, waiting: Callable[[], object]) -> Iterator[bool]:
    """Wait until nobody else pulls from this workspace; False: the deadline on the monotonic clock came first.

    `waiting` is called at least every five seconds; it may raise to stop.
    """
    with os.fdopen(os.open(_file(endpoint), os.O_WRONLY | os.O_CREAT, 0o600), "w") as held:
        wait_s = WAIT_FIRST_S
        while not _taken(held):
            waiting()
            if deadline is not None and time.monotonic() + wait_s >= deadline:
                yield False
                return
            time.sleep(wait_s)
            wait_s = min(2 * wait_s, WAIT_MAX_S)
        yield True


def _file(endpoint: Endpoint) -> Path:
    """Named by a keyed hash: a workspace is its address and its key, and neither is told."""
    folder = Path(settings.DATA_DIR) / "turns"
    folder.mkdir(mode=0o700, exist_ok=True)
    workspace = f"{endpoint.control_url} {endpoint.api_key}"
    return folder / salted_hmac("ingestion.turns", workspace, algorithm="sha256").hexdigest()[:32]


def _taken(held: IO[str]) -> bool:
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
