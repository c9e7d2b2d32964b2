"""Pulling logs from the sandbox, and from a gateway that behaves as it should not."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from agentopt.lib.errors import Invalid
from agentopt.sandbox.server import Sandbox, running
from ingestion import store, sync
from ingestion.gateway import errors
from ingestion.models import LogRecord, SyncRun
from ingestion.sync import ExportFailed
from projects import jobs
from projects.models import Job, Project
from tests.ingestion.gateway.fake import Answer, Handler, serving
from tests.ingestion.pulls import NOW, Killed, connect, exporting, held_files, pull, row

pytestmark = pytest.mark.usefixtures("impatient")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with running(now=NOW) as server:
        yield server


# ------------------------------------------------------------------------------------------------ the sandbox
def test_logs_of_the_sandbox_come_in_once_and_are_marked_as_simulated(project: Project, sandbox: Sandbox) -> None:
    connect(project, sandbox.url)

    first = pull(project)
    second = pull(project)

    assert first.finished
    assert first.added == project.logs.count() > 10
    assert (second.added, second.set_aside) == (0, 0)
    assert first.simulated
    project.connection.refresh_from_db()
    assert project.connection.simulated
    assert all(batch.simulated for batch in project.batches.all())


def test_the_next_pull_starts_at_the_watermark_with_an_overlap(project: Project, sandbox: Sandbox) -> None:
    connect(project, sandbox.url)
    pull(project, now=NOW - timedelta(days=2))

    later = pull(project)

    last = project.sync_runs.order_by("-until")[0]
    assert (last.since, last.until) == (NOW - timedelta(days=2) - sync.OVERLAP, NOW)
    assert later.added > 0
    assert len(set(project.logs.values_list("source_id", flat=True))) == project.logs.count()


def test_a_window_with_many_calls_is_cut_and_nothing_is_lost_or_doubled(
    project: Project, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(project, sandbox.url)
    whole = pull(project).added
    monkeypatch.setattr(sync, "MAX_ROWS", 5)

    again = pull(project, since=NOW - timedelta(days=31), until=NOW)

    assert again.windows > 3
    assert (again.added, project.logs.count()) == (0, whole)
    assert again.already_there == whole


def test_a_key_that_the_gateway_does_not_know_is_told_with_the_way_out(project: Project, sandbox: Sandbox) -> None:
    connect(project, sandbox.url, key="wrong-key")

    with pytest.raises(errors.AuthRefused, match=r"401, AB05.*logs\.export") as caught:
        pull(project)

    assert "wrong-key" not in str(caught.value)
    assert project.sync_runs.get().error_code == "auth_refused"
    assert not project.logs.exists()


@pytest.mark.parametrize("fault", ["export-unknown-status:1", "export-malformed:1"])
def test_an_unknown_state_and_a_malformed_line_do_not_stop_a_pull(project: Project, fault: str) -> None:
    with running(now=NOW, faults=[fault]) as server:
        result = pull(connect(project, server.url))

    assert result.finished
    assert result.added > 10
    assert result.set_aside == (1 if "malformed" in fault else 0) or result.set_aside > 0


def test_denied_bodies_come_in_as_calls_that_cannot_be_replayed(project: Project) -> None:
    with running(now=NOW, denied_fields=("request", "response")) as server:
        result = pull(connect(project, server.url))

    assert result.added > 10
    assert not LogRecord.objects.filter(project=project, obstacle="").exists()


def test_an_export_that_fails_is_told_and_asked_for_anew(project: Project) -> None:
    with running(now=NOW, faults=["export-failed:1"]) as server:
        connect(project, server.url)
        with pytest.raises(ExportFailed, match="sync again"):
            pull(project)
        failed = project.sync_runs.get()
        assert (failed.state, failed.error_code) == (SyncRun.State.FAILED, "export_failed")

    with running(now=NOW) as server:
        result = pull(connect(project, server.url))

    assert result.finished
    assert set(project.sync_runs.values_list("state", flat=True)) == {SyncRun.State.DONE}


def test_a_job_pulls_in_slices_and_tells_what_came(project: Project, sandbox: Sandbox) -> None:
    connect(project, sandbox.url)

    job = jobs.start("sync", project, options={"until": NOW.isoformat()})

    assert job.state == Job.State.DONE
    assert job.result is not None
    assert job.result["added"] == project.logs.count() > 10
    assert project.sync_runs.get().job == job


def test_a_job_whose_export_failed_can_be_tried_again(project: Project) -> None:
    rows = [row(1)]
    with serving(exporting(rows, words=["draft", "queued", "failed", "draft", "success"])) as fake:
        connect(project, fake.url)
        job = jobs.start("sync", project)
        assert (job.state, job.error_code) == (Job.State.FAILED, "export_failed")

        job = jobs.retry(job)

    assert (job.state, project.logs.count()) == (Job.State.DONE, 1)
    assert fake.paths().count("POST /v1/logs/exports") == 2


def test_progress_counts_on_from_window_to_window(project: Project, sandbox: Sandbox) -> None:
    connect(project, sandbox.url)
    pull(project, since=NOW - timedelta(days=10), until=NOW - timedelta(days=5))
    first = project.logs.count()
    told: list[tuple[int, int]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sync, "MAX_ROWS", max(1, first // 2))
        result = pull(
            project,
            since=NOW - timedelta(days=10),
            until=NOW - timedelta(days=5),
            beat=lambda **said: told.append((said["done"], said["total"])) if "done" in said else None,
        )

    assert [done for done, _total in told] == sorted(done for done, _total in told)
    assert told[-1] == (result.already_there, result.already_there)


def test_the_command_prints_json_and_fails_with_a_sentence(
    project: Project, sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    connect(project, sandbox.url)

    call_command("sync_logs", project.slug, "--since", "2026-10-30", "--until", NOW.isoformat(), "--json")

    told = json.loads(capsys.readouterr().out)
    assert told["added"] == project.logs.count() > 0
    assert told["finished"] is True
    assert [(run["state"], run["read_rows"]) for run in told["runs"]] == [("done", told["expected"])]
    assert told["runs"][0]["started_at"]
    with pytest.raises(CommandError, match="no project 'nobody'"):
        call_command("sync_logs", "nobody")
    connect(project, sandbox.url, key="wrong-key")
    with pytest.raises(CommandError, match="refused the key"):
        call_command("sync_logs", project.slug, "--json")
    told = json.loads(capsys.readouterr().out)
    assert (told["finished"], told["error"]["code"]) == (False, "auth_refused")
    assert (told["doing"], told["runs"][0]["error_code"]) == ("asking for an export", "auth_refused")


# ------------------------------------------------------------------------------------------------ states and windows
def test_an_empty_window_asks_for_no_export(project: Project) -> None:
    with serving(exporting([], total=0)) as fake:
        result = pull(connect(project, fake.url))

    assert (result.finished, result.added, result.windows) == (True, 0, 1)
    assert "POST /v1/logs/exports/e1/start" not in fake.paths()


def test_a_draft_is_started_once(project: Project) -> None:
    rows = [row(n) for n in range(3)]
    with serving(exporting(rows)) as fake:
        result = pull(connect(project, fake.url))

    assert result.added == 3
    assert fake.paths().count("POST /v1/logs/exports/e1/start") == 1


@pytest.mark.parametrize("word", ["failed", "stopped", "cancelled", "expired"])
def test_each_way_to_fail_says_what_to_do(project: Project, word: str) -> None:
    with serving(exporting([row(1)], words=["queued", word])) as fake, pytest.raises(ExportFailed, match="sync again"):
        pull(connect(project, fake.url))

    assert project.sync_runs.get().state == SyncRun.State.FAILED


def test_an_export_that_never_ends_is_given_up(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync, "WAIT_LIMIT", timedelta(0))
    now = datetime.now(UTC) + timedelta(hours=1)

    with serving(exporting([row(1)], words=["queued"])) as fake, pytest.raises(ExportFailed, match="still 'queued'"):
        pull(connect(project, fake.url), now=now)


def test_a_slice_ends_at_its_deadline_and_the_next_one_goes_on_with_the_same_export(project: Project) -> None:
    job = Job.objects.create(kind="sync", project=project)
    with serving(exporting([row(1)], words=["draft", *["in_progress"] * 30, "success"])) as fake:
        connect(project, fake.url)
        first = pull(project, job=job, deadline=time.monotonic())
        result = first
        while not result.finished:
            result = pull(project, job=job, deadline=time.monotonic() + 0.1, now=NOW + timedelta(minutes=5))

    assert not first.finished
    assert result.added == 1
    assert fake.paths().count("POST /v1/logs/exports") == 1
    assert project.sync_runs.get().until == NOW  # planned once, by the first slice


@pytest.mark.parametrize("after", range(1, 9))
def test_a_pull_that_is_killed_anywhere_resumes_and_stores_nothing_twice(project: Project, after: int) -> None:
    rows = [row(n) for n in range(1200)]
    left = after

    def dying(answer: Answer) -> Answer:
        def count(handler: Handler) -> None:
            nonlocal left
            left -= 1
            answer(handler)

        return count

    def beat(**_told: Any) -> None:
        if left <= 0:
            raise Killed

    with serving(dying(exporting(rows, words=["draft", "queued", "in_progress", "success"]))) as fake:
        connect(project, fake.url)
        try:
            pull(project, beat=beat)
        except Killed:
            assert project.sync_runs.exclude(state=SyncRun.State.DONE).exists()  # the watermark has not moved
        resumed = pull(project, now=NOW + timedelta(seconds=1))

    assert resumed.finished
    assert project.logs.count() == 1200
    assert len(set(project.logs.values_list("source_id", flat=True))) == 1200


def test_a_pull_that_dies_while_storing_keeps_what_is_committed(project: Project) -> None:
    n_rows = 2 * store.CHUNK_ROWS[connection.vendor] + 200
    rows = [row(n) for n in range(n_rows)]

    def beat(*, done: int = 0, **_told: Any) -> None:
        if done:
            raise Killed

    with serving(exporting(rows)) as fake:
        connect(project, fake.url)
        with pytest.raises(Killed):
            pull(project, beat=beat)
        stored = project.logs.count()
        interrupted = project.sync_runs.get()
        resumed = pull(project, until=NOW)

    assert 0 < stored < n_rows
    assert (interrupted.state, interrupted.export_id) == (SyncRun.State.STORING, "e1")
    assert interrupted.read_rows == stored
    assert (resumed.added, project.logs.count()) == (n_rows, n_rows)  # of the whole window
    assert fake.paths().count("GET /v1/logs/exports/e1/download") == 1  # the rest was on disk
    assert held_files() == []


def test_a_window_that_ends_before_it_starts_is_refused(project: Project) -> None:
    with pytest.raises(Invalid, match="no time"):
        pull(connect(project, "http://127.0.0.1:9/v1"), since=NOW, until=NOW - timedelta(days=1))

    assert not project.sync_runs.exists()


def test_a_gateway_that_is_down_leaves_a_window_to_resume(project: Project) -> None:
    with pytest.raises(errors.GatewayDown):
        pull(connect(project, "http://127.0.0.1:9/v1"))

    assert (project.sync_runs.get().state, project.sync_runs.get().error_code) == ("draft", "gateway_down")


def test_a_gateway_without_exports_says_that_files_can_be_imported(project: Project) -> None:
    nothing: Answer = lambda h: h.send({"status": "failure"}, status=404)  # noqa: E731
    with serving(nothing) as fake, pytest.raises(errors.Rejected, match="imported"):
        pull(connect(project, fake.url))
