"""The one retry policy: what is sent again, when, and how often. The SDK's own is switched off."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from ingestion.gateway.errors import BadAnswer, CallFailed, RateLimited

ATTEMPTS = 4
# nothing is paid for a 429, and each one teaches the lane; the deadline ends it sooner or later
ATTEMPTS_WHEN_LIMITED = 10
# an answer that is none may have been paid for, and is rarely better the third time
ATTEMPTS_AFTER_BAD_ANSWER = 2
WAIT_INITIAL_S = 0.5
WAIT_MAX_S = 8.0
WAIT_JITTER_S = 0.5


@dataclass(frozen=True)
class Patience:
    """Says of each failure whether to try again (True), when exactly (seconds), or not (False).

    `now` is a monotonic clock in seconds and `deadline` a moment on it.
    """

    now: Callable[[], float]
    deadline: float

    def __call__(self, error: Exception) -> bool | float:
        if not isinstance(error, CallFailed) or not error.retryable:
            return False
        if isinstance(error, BadAnswer):
            return error.calls < ATTEMPTS_AFTER_BAD_ANSWER
        if not isinstance(error, RateLimited):
            return error.calls < ATTEMPTS
        if error.retry_after_s is not None:
            # waiting for what cannot come in time would only hide the reason behind a time-out
            in_time = self.now() + error.retry_after_s < self.deadline
            jitter_s = random.uniform(0, WAIT_JITTER_S)  # noqa: S311  # or all that were told to wait come back at once
            return error.retry_after_s + jitter_s if in_time else False
        return True
