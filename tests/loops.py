"""Coroutines in tests that have no loop of their own."""

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


def run_alone(body: Coroutine[Any, Any, T]) -> T:
    """Run on a loop in a thread of its own: in this one the loop of the browser tests may run already."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, body).result()
