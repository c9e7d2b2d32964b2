"""Schedules, channels and what arrived, in the browser: with all that can stand on these pages."""

from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta

import pytest
from django.utils import timezone

from agentopt.schedules import SCHEDULES
from projects import scheduling
from projects.models import Channel, Job, Project, ScheduleRun
from projects.notifications import addresses, outbox, send
from tests.browser import checks

Inspect = Callable[..., list[str]]
SAID = "p95 latency of dim-1 rose from 2.4 s to 4.1 s since 2026-11-20 14:00, by 71 % (52 to 93)."


@pytest.fixture
def told(project: Project) -> Channel:
    """Channels of each form, one of them failing, with deliveries in every state."""
    quiet = {"quiet_from": time(22), "quiet_until": time(7), "timezone": "Europe/Berlin"}
    addresses.add(project, form="email", name="The whole team", address="team@example.com", by=None, **quiet)
    addresses.add(project, form="chat", name="room", address="https://chat.example.com/hooks/" + "x" * 90, by=None)
    hook = addresses.add(
        project, form="webhook", name="on call " + "w" * 60, address="http://127.0.0.1:9/hook", by=None
    ).channel
    for n in range(3):
        send(project, "alert", {"sentence": SAID, "path": "/", "number": n, "metric": "p95 latency"})
    send(project, "alert_resolved", {"sentence": "Alert 1 is over.", "path": "/"})
    hook.deliveries.filter(state="waiting").update(state="failed", attempts=8, error="The receiver answered 503.")
    outbox.send_test(hook, now=timezone.now)
    Channel.objects.filter(pk=hook.pk).update(failing_since=timezone.now() - timedelta(hours=3))
    return hook


@pytest.fixture
def turns(project: Project) -> None:
    """Turns with a job that is done, one that failed, one under way, and one that started nothing."""
    scheduling.install()
    due = datetime(2026, 11, 22, 2, tzinfo=UTC)
    for name in ("sync", "rollups", "digest"):
        scheduling.run(name, due_at=due)
    for name, state, said in (
        ("evaluation", "done", "Evaluation 4 is started. A price changed: corvus-medium, lumen-flash and 4 more."),
        ("evaluation", "done", "Not started: The cap per month of $25.00 is used up."),
        ("judging", "failed", ""),
        ("retention", "running", "120 bodies removed"),
    ):
        kind = SCHEDULES[name].kind
        failed = {"error_code": "gateway_down", "error": "The gateway does not answer."} if state == "failed" else {}
        job = Job.objects.create(kind=kind, project=project, state=state, message=said, **failed)
        ScheduleRun.objects.create(project=project, name=name, due_at=due - timedelta(days=job.pk), at=due, job=job)


def test_the_page_of_notices_is_sound(project: Project, told: Channel, as_owner: None, inspect: Inspect) -> None:
    wrong = inspect(f"/p/{project.slug}/settings/notices/", name="notices")

    assert not wrong, checks.listed(wrong)


def test_the_page_of_a_channel_is_sound(project: Project, told: Channel, as_owner: None, inspect: Inspect) -> None:
    wrong = inspect(f"/p/{project.slug}/settings/notices/{told.pk}/", name="channel")

    assert not wrong, checks.listed(wrong)


def test_the_page_of_schedules_is_sound(project: Project, turns: None, as_owner: None, inspect: Inspect) -> None:
    wrong = inspect(f"/p/{project.slug}/settings/schedules/", name="schedules")

    assert not wrong, checks.listed(wrong)
