"""Changes to what is ingested: take pushed rows, pull from the gateway, check a connection."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from django.utils import timezone

from agentopt.lib.errors import Invalid
from ingestion import erasure, retention, rollups, store, usecases, values
from ingestion.catalog import loader
from ingestion.formats import detection
from ingestion.gateway import Gateway, open_gateway
from ingestion.models import Batch
from projects import jobs
from projects.models import Job, Project, User
from projects.services import mark_connection

LOOKED_AT_LINES = 20
MAX_PUSHED_ROWS = 1000


def push(project: Project, rows: Sequence[Any], *, format: str | None = None) -> list[values.PushedRow]:  # noqa: A002
    """Store rows given as JSON values, or as their bytes; the answer says of each what became of it (`index` from 0).

    Raises:
        Invalid: no rows, more than 1000, or none in a format we know.
    """
    if not 1 <= len(rows) <= MAX_PUSHED_ROWS:
        raise Invalid(f"Give 1 to {MAX_PUSHED_ROWS} rows.", fields={"records": f"Expected 1 to {MAX_PUSHED_ROWS}."})
    lines = [row if isinstance(row, bytes) else msgspec.json.encode(row) for row in rows]
    outcomes: list[values.PushedRow] = []
    store.append(
        project,
        list(enumerate(lines)),
        format=format or _format_of(lines),
        source=Batch.Source.PUSH,
        label="push",
        simulated=False,
        now=timezone.now(),
        outcomes=outcomes.append,
    )
    rollups.ask(project)
    usecases.start_if_due(project)
    return outcomes


def _format_of(rows: Sequence[bytes]) -> str:
    """By the first rows; where they are junk, by all of them."""
    try:
        return detection.detect(rows[:LOOKED_AT_LINES])
    except Invalid:
        return detection.detect(rows)


def start_sync(
    project: Project, *, since: datetime | None = None, until: datetime | None = None, by: User | None = None
) -> Job:
    """Queue a pull of logs, or return the one that is waiting or running.

    Raises:
        Invalid: no gateway is configured, or the window is empty.
    """
    open_gateway(project.connection)
    if since and until and since >= until:
        raise Invalid("There is no time between start and end.", fields={"since": "Expected a moment before `until`."})
    active = project.jobs.filter(kind="sync", state__in=jobs.ACTIVE).order_by("pk").first()
    ends = {name: at.isoformat() for name, at in (("since", since), ("until", until)) if at is not None}
    return active or jobs.start("sync", project, options=ends, by=by)


@dataclass(frozen=True)
class ConnectionCheck:
    """What a gateway said: how many models it lists, and whether it is a sandbox."""

    n_models: int
    simulated: bool


def check_connection(project: Project, gateway: Gateway) -> ConnectionCheck:
    """Ask the gateway for its models; they become offers of the project.

    Raises:
        CallFailed: one of its children, each with what to do about it.
    """
    models = gateway.models()
    loader.learn(models, project)
    mark_connection(project.connection, simulated=gateway.simulated)
    return ConnectionCheck(len(models), gateway.simulated)


def remove_bodies(project: Project, *, days: int, by: User | None) -> Job:
    """Queue the removal of bodies of calls older than some days.

    Raises:
        Invalid: that is no age.
    """
    removal = retention.open_by_age(project, days=days, now=timezone.now(), by=by)
    return jobs.start("retention", project, subject_id=removal.pk, by=by)


def erase_person(project: Project, asked: erasure.Asked, *, by: User | None) -> Job:
    """Queue the erasure of one person's calls.

    Raises:
        NotFound: nothing of this project holds the value.
    """
    removal = retention.open_erasure(project, asked, by=by)
    return jobs.start("retention", project, subject_id=removal.pk, by=by)
