"""Roll-ups: the figures of each hour and day by group, kept up to the logs; what dashboards read instead of calls.

Whoever writes calls, or what roll-ups say of them, marks their hours in the same transaction. `refresh` makes marked
hours anew from the calls themselves, so late calls, new versions and new use cases end up right, and a rebuild gives
the same bytes.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from django.db import connection

from projects.models import Project

_MARKS_A_STATEMENT = 200


def mark(project_id: int, hours: Iterable[datetime]) -> None:
    """Say that the roll-ups of these hours are older than the calls; part of the caller's transaction.

    Args:
        hours: any moments within them, aware; one a hour is enough, and cheapest.
    """
    found = sorted({hour.astimezone(UTC).replace(minute=0, second=0, microsecond=0) for hour in hours})
    kept = [connection.ops.adapt_datetimefield_value(hour) for hour in found]
    with connection.cursor() as cursor:
        # in order of time: two writers that mark the same hours must not wait for each other
        for start in range(0, len(kept), _MARKS_A_STATEMENT):
            chunk = kept[start : start + _MARKS_A_STATEMENT]
            places = ",".join(["(%s,%s,1)"] * len(chunk))
            cursor.execute(
                # a count instead of a mere row: a refresh that is under way sees that the hour was marked again
                f"INSERT INTO ingestion_dirtyhour (project_id, hour, marks) VALUES {places} "  # noqa: S608
                "ON CONFLICT (project_id, hour) DO UPDATE SET marks = ingestion_dirtyhour.marks + 1",
                [value for hour in chunk for value in (project_id, hour)],
            )


def refresh(project: Project, *, beat: Callable[..., object] | None = None, deadline: float | None = None) -> int:
    """Make marked hours anew from the calls, day by day, each day in one transaction.

    Safe to kill, to repeat, and to run twice at once: a mark goes only with the roll-up that covers it.

    Args:
        beat: called after each day with `done=`, the days made; may raise to stop.
        deadline: of `time.monotonic()`; what is left stays marked.

    Returns:
        The watermark: every batch up to this number is in the roll-ups.
    """
    raise NotImplementedError


def rebuild(project: Project, *, beat: Callable[..., object] | None = None) -> int:
    """Throw away a project's roll-ups and make all anew: the same bytes."""
    raise NotImplementedError


def watermark(project: Project) -> int:
    """Every batch up to this number is in the roll-ups."""
    raise NotImplementedError


def read(
    project: Project,
    since: datetime | None = None,
    until: datetime | None = None,
    *,
    groups: Sequence[str] = (),
    filters: Mapping[str, Sequence[Any]] | None = None,
    sketches: Sequence[str] = (),
    products: bool = False,
) -> Any:
    """The figures of [since, until) by group, merged over time and over use cases merged by hand.

    Args:
        since: on the hour, as is `until`; None: without that end.
        groups: of day, hour, provider, model, prompt_version, use_case (id or None), status (ok, failed, refused).
        filters: the values of those fields (not of day and hour) that count; an empty one leaves a field free.
        sketches: metrics whose quantiles are wanted: cost, latency, first_token, input_tokens, output_tokens.
        products: whether correlations are wanted.

    Raises:
        Invalid: a window off the hour, an unknown group or filter.
    """
    raise NotImplementedError
