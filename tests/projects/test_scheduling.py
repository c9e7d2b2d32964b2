"""Recurring jobs: rows of the queue, turns that start once, turns by hand, and what is shown."""

from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone
from django_q.models import Schedule
from pytest_django import Settings

from agentopt.lib.errors import Conflict, Invalid
from agentopt.schedules import JOBS, SCHEDULES, JobKind
from agentopt.schedules import Schedule as Recurring
from projects import scheduling, services
from projects.models import AuditEntry, Job, Project, ScheduleRun, User

pytestmark = pytest.mark.django_db
DUE = datetime(2026, 11, 22, 2, tzinfo=UTC)


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> None:
    """A schedule whose job counts to nothing."""
    monkeypatch.setitem(JOBS, "counting", JobKind("tests.projects.counting.count", "Counting"))
    once = Recurring("counting", "Counting", "counts", cron="0 * * * *")
    monkeypatch.setitem(SCHEDULES, "counting", once)


def other(owner: User) -> Project:
    return services.create_project("Other agent", owner=owner)


def test_installing_makes_a_row_of_each_schedule_and_nothing_the_second_time() -> None:
    now = timezone.now()

    first, second = scheduling.install(), scheduling.install()

    assert sorted(first) == sorted(SCHEDULES)
    assert second == []
    row = Schedule.objects.get(name="agentopt:digest")
    assert (row.cron, row.next_run.time()) == ("0 7 * * *", time(7))
    assert timedelta(0) < row.next_run - now <= timedelta(days=1, minutes=1)


def test_a_turn_that_was_missed_is_kept_when_the_worker_comes_back() -> None:
    scheduling.install()
    missed = timezone.now() - timedelta(days=3)
    Schedule.objects.filter(name="agentopt:digest").update(next_run=missed)

    scheduling.install()

    assert Schedule.objects.get(name="agentopt:digest").next_run == missed


def test_a_changed_cron_and_a_schedule_that_is_no_more_are_put_right(monkeypatch: pytest.MonkeyPatch) -> None:
    scheduling.install()
    monkeypatch.setitem(SCHEDULES, "sync", Recurring("sync", "Log sync", "pulls", cron="15 * * * *"))
    monkeypatch.delitem(SCHEDULES, "rollups")

    changed = scheduling.install()

    assert sorted(changed) == ["rollups", "sync"]
    assert Schedule.objects.get(name="agentopt:sync").cron == "15 * * * *"
    assert not Schedule.objects.filter(name="agentopt:rollups").exists()


def test_a_turn_that_is_delivered_twice_starts_one_job_of_each_project(
    owner: User, project: Project, counting: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    other(owner)
    monkeypatch.setattr("projects.scheduling.jobs.start", _queued)

    started = [scheduling.run("counting", due_at=DUE) for _ in range(2)]

    assert started == [2, 0]
    assert Job.objects.filter(kind="counting").count() == 2
    assert ScheduleRun.objects.filter(due_at=DUE).count() == 2


def _queued(kind: str, project: Project) -> Job:
    return Job.objects.create(kind=kind, project=project)


def test_a_turn_waits_for_the_job_before(project: Project, counting: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("projects.scheduling.jobs.start", _queued)
    scheduling.run("counting", due_at=DUE)

    started = scheduling.run("counting", due_at=DUE + timedelta(hours=1))

    assert started == 0
    newest = ScheduleRun.objects.latest("pk")
    assert newest.why_not == "The job before is still under way."


def test_the_fault_of_one_project_does_not_stop_the_others(
    owner: User, project: Project, counting: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = other(owner)

    def start(kind: str, of: Project) -> Job:
        if of == project:
            raise RuntimeError
        return _queued(kind, of)

    monkeypatch.setattr("projects.scheduling.jobs.start", start)

    assert scheduling.run("counting", due_at=DUE) == 1
    assert ScheduleRun.objects.get().project == second


def test_why_nothing_started_is_kept(project: Project) -> None:
    for name in ("sync", "rollups", "digest"):
        scheduling.run(name, due_at=DUE)

    assert dict(ScheduleRun.objects.values_list("name", "why_not")) == {
        "sync": "No gateway is configured.",
        "rollups": "All figures are up to date.",
        "digest": "Nothing waits for a daily letter.",
    }


def test_a_turn_by_hand_starts_the_job_whether_schedules_are_on_or_off(
    project: Project, owner: User, settings: Settings
) -> None:
    settings.ENABLE_SCHEDULER = False

    job = scheduling.trigger(project, "retention", by=owner, now=timezone.now())

    run = ScheduleRun.objects.get()
    assert (job.kind, job.created_by, job.state) == ("retention", owner, "done")
    assert (run.job, run.by, run.due_at) == (job, owner, None)
    assert AuditEntry.objects.filter(action="schedule.trigger", user=owner, target="retention").exists()
    with pytest.raises(Invalid):
        scheduling.trigger(project, "weather", by=owner, now=timezone.now())
    with pytest.raises(Conflict, match="up to date"):
        scheduling.trigger(project, "rollups", by=owner, now=timezone.now())


def test_turns_of_long_ago_go_and_the_newest_of_each_project_stays(project: Project) -> None:
    for days in (90, 60, 45):
        at = DUE - timedelta(days=days)
        ScheduleRun.objects.create(
            project=project, name="retention", due_at=at, at=at,
            job=Job.objects.create(kind="retention", project=project, state="done"),
        )  # fmt: skip

    scheduling._forget("retention", now=DUE)

    assert [run.due_at for run in ScheduleRun.objects.all()] == [DUE - timedelta(days=45)]
    assert Job.objects.count() == 1


@pytest.mark.parametrize(
    ("cron", "is_one"),
    [("0 2 * * 0", True), ("*/5 * * * *", True), ("0 2 * *", False), ("@daily", False), ("61 * * * *", False),
     ("0 0 31 2 *", False), ("0 0 * * * *", False)],
)  # fmt: skip
def test_a_cron_has_five_fields_and_comes_round(cron: str, is_one: bool) -> None:
    assert scheduling.is_cron(cron) is is_one


def test_the_command_says_what_it_set_up(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("install_schedules")
    call_command("install_schedules", "--json")

    out = capsys.readouterr().out
    assert "pulls new calls from the gateway" in out
    assert '"changed": []' in out


# ------------------------------------------------------------------------------------------------ API
def test_the_status_tells_each_schedule_of_the_projects_someone_sees(
    project: Project, reader: User, stranger: User, client_of: Callable[[User], Client]
) -> None:
    scheduling.install()
    scheduling.run("sync", due_at=DUE)

    seen = client_of(reader).get("/api/v1/scheduler/status").json()
    nothing = client_of(stranger).get("/api/v1/scheduler/status").json()

    (mine,) = seen["projects"]
    sync = next(one for one in mine["jobs"] if one["name"] == "sync")
    assert seen["enabled"] is True
    assert mine["project"] == "support-agent"
    assert sync["cron"] == "7 * * * *"
    assert sync["next_at"] is not None
    assert sync["newest"]["why_not"] == "No gateway is configured."
    assert sync["newest"]["job"] is None
    assert nothing["projects"] == []


def test_a_trigger_answers_with_the_job_to_poll(
    project: Project, member: User, client_of: Callable[[User], Client]
) -> None:
    client = client_of(member)

    answer = client.post(
        "/api/v1/scheduler/trigger", {"job": "retention", "project": project.pk}, content_type="application/json"
    )

    assert answer.status_code == 202
    job = client.get(answer.json()["job"]["url"]).json()
    assert (job["kind"], job["state"]) == ("retention", "done")
    wrong = client.post(
        "/api/v1/scheduler/trigger", {"job": "weather", "project": "support-agent"}, content_type="application/json"
    )
    assert wrong.status_code == 400
    assert "retention" in wrong.json()["error"]["fields"]["job"]


def test_the_status_of_many_projects_asks_no_more_questions(
    owner: User,
    project: Project,
    client_of: Callable[[User], Client],
    django_assert_max_num_queries: Any,
) -> None:
    for _ in range(5):
        other(owner)
    for name in SCHEDULES:
        scheduling.run(name, due_at=DUE)

    client = client_of(owner)

    with django_assert_max_num_queries(8):
        assert client.get("/api/v1/scheduler/status").status_code == 200


# ------------------------------------------------------------------------------------------------ page
def test_the_page_shows_each_schedule_with_what_came_of_it(
    project: Project, reader: User, client_of: Callable[[User], Client]
) -> None:
    scheduling.run("sync", due_at=DUE)

    page = client_of(reader).get("/p/support-agent/settings/schedules/").content.decode()

    assert "not started: No gateway is configured." in page
    assert "No worker was ever seen" in page
    assert "Run now" not in page


def test_a_member_starts_a_job_on_the_page_and_is_told_when_there_is_nothing_to_do(
    project: Project, member: User, client_of: Callable[[User], Client]
) -> None:
    client = client_of(member)

    done = client.post("/p/support-agent/settings/schedules/retention/run/", follow=True).content.decode()
    nothing = client.post("/p/support-agent/settings/schedules/rollups/run/", follow=True).content.decode()

    assert "Retention is started." in done
    assert "Nothing was started. All figures are up to date." in nothing


def test_an_owner_sets_what_production_judging_may_cost(
    project: Project, owner: User, client_of: Callable[[User], Client]
) -> None:
    client = client_of(owner)

    given = {"evaluation_cron": "", "judging_per_day": "50", "judging_cap_usd": "3.50"}
    client.post("/p/support-agent/settings/schedules/", given)
    wrong = client.post("/p/support-agent/settings/schedules/", {"evaluation_cron": "every day"})

    project.refresh_from_db()
    assert (project.judging_per_day, project.judging_cap_nanousd) == (50, 3_500_000_000)
    assert wrong.status_code == 422
    assert "Expected five cron fields" in wrong.content.decode()


def test_schedules_over_the_api_of_a_project(
    project: Project, owner: User, client_of: Callable[[User], Client]
) -> None:
    client = client_of(owner)

    answer = client.patch(
        "/api/v1/projects/support-agent",
        {"schedule": {"judging_per_day": 20, "judging_cap_usd": "1.25"}, "caps": {"monthly_usd": "10"}},
        content_type="application/json",
    )

    assert answer.json()["schedule"] == {"evaluation_cron": "", "judging_per_day": 20, "judging_cap_usd": 1.25}
    assert answer.json()["caps"]["monthly_usd"] == 10
