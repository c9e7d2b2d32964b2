"""The file of an export on its way: broken off, changed, cut short, killed, too large for the disk."""

import json
import os
import shutil
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.conf import settings
from django.db import connection

from ingestion import downloads, store, sync, turns
from ingestion.gateway import errors, open_gateway
from ingestion.models import SyncRun
from projects.models import Connection, Job, Privacy, Project
from tests.ingestion.gateway.fake import Answer, Handler, serving
from tests.ingestion.pulls import NOW, Killed, connect, exporting, held_files, pull, row

pytestmark = pytest.mark.usefixtures("impatient")
ROWS = [row(n) for n in range(400)]
FILE = b"\n".join(ROWS)


def storing(answer: Answer, **states: Any) -> Answer:
    """The gateway of `exporting`, with an object store of the test's."""
    plane = exporting(ROWS, **states)

    def route(handler: Handler) -> None:
        (answer if "/store" in handler.asked.path else plane)(handler)

    return route


def from_the_asked_place(handler: Handler) -> None:
    """An object store that knows ranges and tags."""
    start = int(handler.asked.headers.get("range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))
    if start >= len(FILE):
        handler.send(status=416, content_range=f"bytes */{len(FILE)}")
    elif start:
        handler.send(FILE[start:], status=206, content_range=f"bytes {start}-{len(FILE) - 1}/{len(FILE)}", etag='"a"')
    else:
        handler.send(FILE, etag='"a"')


def broken_off(handler: Handler, *, after: int = len(FILE) // 2, tag: str = '"a"') -> None:
    handler.send_response(200)
    handler.send_header("content-length", str(len(FILE)))
    handler.send_header("etag", tag)
    handler.end_headers()
    handler.wfile.write(FILE[:after])
    handler.close_connection = True


def ids(project: Project) -> list[str]:
    return sorted(project.logs.values_list("source_id", flat=True))


EXPECTED = sorted(f"log-{n}" for n in range(400))


def first_then(first: Answer, rest: Answer) -> Answer:
    asked: list[bool] = []

    def answer(handler: Handler) -> None:
        (rest if asked else first)(handler)
        asked.append(True)

    return answer


@pytest.mark.parametrize("ranges", [True, False], ids=["ranges", "no ranges"])
def test_a_download_that_breaks_goes_on_where_it_was(project: Project, ranges: bool) -> None:
    whole: Answer = lambda h: h.send(FILE)  # noqa: E731
    with serving(storing(first_then(broken_off, from_the_asked_place if ranges else whole))) as fake:
        result = pull(connect(project, fake.url))

    assert (result.added, ids(project)) == (400, EXPECTED)
    fetches = [one for one in fake.asked if "/store" in one.path]
    assert len(fetches) == 2
    assert int(fetches[1].headers["range"].removeprefix("bytes=").removesuffix("-")) > 0
    assert fake.paths().count("GET /v1/logs/exports/e1/download") == 2  # a fresh address


def test_a_download_that_is_killed_goes_on_at_the_byte_that_lies_on_disk(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dying(_work: Any, _run: SyncRun, got: int, _size: int | None) -> None:
        if got > 1000:
            raise Killed

    with serving(storing(from_the_asked_place)) as fake:
        connect(project, fake.url)
        with monkeypatch.context() as patch:
            patch.setattr(sync, "_tell_bytes", dying)
            patch.setattr(httpx.Response, "iter_raw", in_small_chunks)
            with pytest.raises(Killed):
                pull(project)
        run = project.sync_runs.get()
        assert (run.state, len(held_files())) == (SyncRun.State.DOWNLOADING, 2)  # the file and its tag
        result = pull(project, until=NOW)

    assert (result.added, ids(project)) == (400, EXPECTED)
    assert [one.headers["range"] for one in fake.asked if "range" in one.headers] == ["bytes=1024-"]
    assert held_files() == []


def in_small_chunks(response: Any, _size: int | None = None) -> Any:
    for chunk in response.stream:
        yield from (chunk[i : i + 512] for i in range(0, len(chunk), 512))


def test_a_file_that_is_another_one_when_it_is_resumed_is_fetched_anew(project: Project) -> None:
    with serving(storing(first_then(lambda h: broken_off(h, tag='"old"'), from_the_asked_place))) as fake:
        result = pull(connect(project, fake.url))

    assert (result.added, result.set_aside, ids(project)) == (400, 0, EXPECTED)
    assert "range" not in fake.asked[-1].headers


def test_a_store_that_sends_another_part_than_asked_is_refused(project: Project) -> None:
    odd: Answer = lambda h: h.send(FILE[9:], status=206, content_range=f"bytes 9-{len(FILE) - 1}/{len(FILE)}")  # noqa: E731
    with serving(storing(odd)) as fake, pytest.raises(errors.BadAnswer, match="another part"):
        pull(connect(project, fake.url))

    assert not project.logs.exists()


@pytest.mark.parametrize("privacy", [Privacy.HASHED, Privacy.REDACTED])
def test_nothing_that_may_not_be_kept_as_it_is_touches_the_disk(project: Project, privacy: str) -> None:
    project.privacy = privacy
    project.save()
    seen: list[list[str]] = []
    with serving(storing(first_then(broken_off, from_the_asked_place))) as fake:
        result = pull(connect(project, fake.url), beat=lambda **_: seen.append(held_files()))

    assert result.added == 400
    assert not any(seen)


@pytest.mark.parametrize("privacy", [Privacy.FULL, Privacy.HASHED])
def test_a_slice_that_ends_while_storing_goes_on_at_the_next_row(
    project: Project, privacy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(store.CHUNK_ROWS, connection.vendor, 80)
    project.privacy = privacy
    project.save()
    job = Job.objects.create(kind="sync", project=project)
    stored: list[int] = []
    with serving(exporting(ROWS, words=["success"])) as fake:
        connect(project, fake.url)
        result = pull(project, job=job, deadline=time.monotonic() + 0.01)
        while not result.finished and len(stored) < 20:
            stored.append(project.logs.count())
            result = pull(project, job=job, deadline=time.monotonic() + 0.01)

    assert len(set(stored)) >= 4
    assert (result.finished, result.added, result.already_there) == (True, 400, 0)
    assert ids(project) == EXPECTED
    assert list(project.batches.values_list("already_there", flat=True)) == [0] * project.batches.count()


def test_a_file_that_lacks_much_of_what_was_counted_is_asked_for_in_parts(project: Project) -> None:
    with serving(exporting(ROWS, total=1000, words=["success"])) as fake:
        result = pull(connect(project, fake.url), since=NOW - timedelta(seconds=3))

    assert result.finished
    assert result.windows > 1
    assert ids(project) == EXPECTED  # the fake sends the same file for every part


def test_a_file_that_lacks_a_little_is_stored_and_the_lack_is_told(project: Project) -> None:
    with serving(exporting(ROWS, total=403)) as fake:
        result = pull(connect(project, fake.url))

    assert (result.added, result.missing) == (400, 3)
    assert project.sync_runs.get().missing == 3


def test_a_full_disk_is_told_and_the_next_pull_goes_on(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(settings.DATA_DIR)
    with serving(storing(from_the_asked_place)) as fake:
        connect(project, fake.url)
        with monkeypatch.context() as patch:
            patch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=1000))
            with pytest.raises(downloads.NoRoom, match="no room"):
                pull(project)
        result = pull(project)

    assert (result.added, result.finished) == (400, True)


def test_files_that_nobody_goes_on_with_are_swept(project: Project) -> None:
    folder = Path(settings.DATA_DIR) / "exports"
    folder.mkdir(exist_ok=True)
    kept, old = (
        SyncRun.objects.create(
            project=project, since=NOW, until=NOW + timedelta(days=n), export_id=f"e{n}", state="downloading"
        )
        for n in (1, 2)
    )
    for run in (kept, old):
        downloads._path(run).write_bytes(b"raw")
    long_ago = time.time() - 2 * downloads.STALE.total_seconds()
    os.utime(downloads._path(old), (long_ago, long_ago))
    (folder / "77-0123456789abcdef.export").write_bytes(b"of a project that is gone")

    swept = downloads.sweep()
    left = held_files()
    Project.objects.filter(pk=project.pk).update(privacy=Privacy.HASHED)  # what lay here may no longer lie here
    downloads.sweep()

    assert (swept, left) == (2, [downloads._path(kept).name])
    assert held_files() == []


def test_a_file_that_was_swept_while_it_was_needed_comes_from_the_gateway(project: Project) -> None:
    def sweep(**said: Any) -> None:
        if "fetching" in said.get("message", ""):
            shutil.rmtree(Path(settings.DATA_DIR) / "exports", ignore_errors=True)

    with serving(storing(from_the_asked_place)) as fake:
        result = pull(connect(project, fake.url), beat=sweep)

    assert (result.added, ids(project)) == (400, EXPECTED)


def test_the_file_and_its_folder_are_for_us_alone(project: Project) -> None:
    modes: set[int] = set()

    def look(**_told: Any) -> None:
        folder = Path(settings.DATA_DIR) / "exports"
        modes.update(path.stat().st_mode & 0o777 for path in (folder, *folder.glob("*.export")) if path.exists())

    shutil.rmtree(Path(settings.DATA_DIR) / "exports", ignore_errors=True)
    with serving(storing(from_the_asked_place)) as fake:
        pull(connect(project, fake.url), beat=look)

    assert modes == {0o700, 0o600}


# ------------------------------------------------------------------------------------------------ waiting and giving up
def test_a_limited_rate_is_waited_for(project: Project) -> None:
    plane, limited = exporting(ROWS), [True] * 5
    told: list[str] = []

    def answer(handler: Handler) -> None:
        if handler.asked.path.endswith("/e1") and limited:
            limited.pop()
            handler.send({"error": {"code": "AB06"}}, status=429, retry_after="0.1")
        else:
            plane(handler)

    with serving(answer) as fake:
        result = pull(connect(project, fake.url), beat=lambda **said: told.append(said.get("message", "")))

    run = project.sync_runs.get()
    assert (result.finished, result.added, run.error) == (True, 400, "")
    assert run.hold_until is not None


def test_a_limit_that_stays_is_told_in_the_end(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync, "WAIT_LIMIT", timedelta(0))
    limited: Answer = lambda h: h.send({"error": {"code": "AB06"}}, status=429, retry_after="0.01")  # noqa: E731
    with serving(limited) as fake, pytest.raises(errors.RateLimited, match="goes on once the limit allows"):
        pull(connect(project, fake.url))

    assert project.sync_runs.get().error_code == "rate_limited"


@pytest.mark.parametrize(
    ("status", "code", "says"),
    [
        (401, "AB05", r"401, AB05.*right and not revoked.*logs\.export"),
        (403, "AB03", r"403, AB03.*scope.*logs\.export"),
        (402, "AB09", "402, AB09.*plan of this workspace has no log export"),
        (404, "AB02", "404, AB02.*files can be imported"),
        (500, "AB04", "500, AB04.*next sync goes on from there"),
    ],
)
def test_each_refusal_says_what_a_person_can_do(project: Project, status: int, code: str, says: str) -> None:
    body = {"success": False, "data": {"message": "of the gateway's own", "errorCode": code}}
    with serving(lambda h: h.send(body, status=status)) as fake, pytest.raises(errors.CallFailed, match=says) as caught:
        pull(connect(project, fake.url))

    assert "of the gateway's own" not in str(caught.value)
    assert project.sync_runs.get().error == str(caught.value)


def test_an_export_that_the_gateway_forgot_is_asked_for_anew(project: Project) -> None:
    plane = exporting(ROWS, words=["success"])
    SyncRun.objects.create(
        project=project, since=NOW - timedelta(days=2), until=NOW - timedelta(days=1), export_id="gone", state="waiting"
    )
    with serving(lambda h: h.send(status=404) if "/gone" in h.asked.path else plane(h)) as fake:
        result = pull(connect(project, fake.url))

    assert (result.finished, result.windows) == (True, 2)
    assert set(project.sync_runs.values_list("export_id", flat=True)) == {"e1", "e2"}


def test_a_gateway_that_forgets_every_export_is_given_up(project: Project) -> None:
    plane = exporting(ROWS)
    with serving(lambda h: h.send(status=404) if "exports/e" in h.asked.path else plane(h)) as fake:
        connect(project, fake.url)
        with pytest.raises(sync.ExportFailed, match="just made"):
            pull(project)

    assert fake.paths().count("POST /v1/logs/exports") == 2


def test_what_lies_in_the_future_is_left_to_later_pulls(project: Project) -> None:
    with serving(exporting(ROWS)) as fake:
        pull(connect(project, fake.url), until=NOW + timedelta(days=365))

    assert project.sync_runs.get().until == NOW


def test_a_workspace_has_one_export_at_a_time_also_between_projects(
    project: Project, make_project: Callable[..., Project]
) -> None:
    other = make_project("other")
    Connection.objects.create(project=other)
    with serving(exporting(ROWS, words=["in_progress", "in_progress", "draft", "success"])) as fake:
        connect(project, fake.url)
        connect(other, fake.url)
        SyncRun.objects.create(
            project=other, since=NOW - timedelta(days=2), until=NOW, export_id="e1", state="waiting", started_at=NOW
        )
        told: list[str] = []
        job = Job.objects.create(kind="sync", project=project)
        SyncRun.objects.create(project=project, job=job, since=NOW - timedelta(days=1), until=NOW, export_id="e1")
        run = project.sync_runs.get()
        work = sync._Pull(
            project, open_gateway(project.connection), NOW, time.monotonic(),
            lambda **said: told.append(said["message"]), job, None,
        )  # fmt: skip
        waits = sync._elsewhere(work, run)
        goes_on = sync._elsewhere(work, run), sync._elsewhere(work, run)

    assert (waits, goes_on) == (True, (True, False))


def test_two_pulls_of_one_workspace_take_turns(project: Project) -> None:
    told: list[str] = []
    with serving(exporting(ROWS)) as fake:
        endpoint = open_gateway(connect(project, fake.url).connection).endpoint
        with turns.turn(endpoint, deadline=None, waiting=lambda: None) as ours:
            job = Job.objects.create(kind="sync", project=project)
            meanwhile = pull(
                project, job=job, deadline=time.monotonic() + 0.3, beat=lambda **said: told.append(said["message"])
            )
        after = pull(project)

    assert ours
    assert (meanwhile.finished, after.finished, after.added) == (False, True, 400)
    assert set(told) == {"waiting for another pull of this workspace"}
    assert not any(one.path.endswith("/e1") for one in fake.asked[:1])


def test_a_draft_found_again_after_a_crash_tells_its_total(project: Project) -> None:
    """A list shows no total of a draft; an update does."""
    since = (NOW - timedelta(days=1)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    until = NOW.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    plane = exporting(ROWS)

    def answer(handler: Handler) -> None:
        if handler.asked.method == "GET" and handler.asked.path.split("?")[0] == "/v1/logs/exports":
            found = {"id": "e1", "status": "draft", "description": f"agentopt {since} to {until}"}
            handler.send({"object": "list", "data": [found]})
        elif handler.asked.method == "PUT":
            assert json.loads(handler.asked.body)["filters"]["time_of_generation_max"] == until
            handler.send({"id": "e1", "total": 400, "object": "export"})
        else:
            plane(handler)

    with serving(answer) as fake:
        result = pull(connect(project, fake.url), since=NOW - timedelta(days=1))

    assert result.added == 400
    assert project.sync_runs.get().expected == 400
    assert "POST /v1/logs/exports" not in fake.paths()


def test_the_models_that_the_gateway_lists_are_learned_once_a_pull(project: Project) -> None:
    plane = exporting(ROWS, words=["success"])
    models = [{"id": "@openai-prod/gpt-4o"}, {"id": "x" * 500}, {"id": "nul\x00"}]

    def answer(handler: Handler) -> None:
        if handler.asked.path == "/v1/models":
            handler.send({"object": "list", "data": models})
        else:
            plane(handler)

    with serving(answer) as fake:
        result = pull(connect(project, fake.url))

    assert result.finished
    assert list(project.offers.values_list("name", "model")) == [("@openai-prod/gpt-4o", "gpt-4o")]
    assert fake.paths().count("GET /v1/models") == 1


def test_a_started_window_tells_since_when_and_what_it_waits_for(project: Project) -> None:
    seen: list[tuple[str, datetime | None]] = []

    def look(**_told: Any) -> None:
        run = project.sync_runs.first()
        if run:
            seen.append((run.doing, run.started_at))

    with serving(exporting(ROWS, words=["draft", "queued", "warming_up", "success"])) as fake:
        pull(connect(project, fake.url), beat=look)

    doing = list(dict.fromkeys(said for said, _at in seen if said))
    assert doing[:4] == [
        "asking for an export", "waiting for the gateway (queued)", "waiting for the gateway (warming_up)",
        "fetching 0 of 0 MB",
    ]  # fmt: skip
    assert all(at and at >= NOW for said, at in seen if said)
    run = project.sync_runs.get()
    assert (run.doing, run.read_rows, run.expected) == ("", 400, 400)
    assert run.started_at is not None
