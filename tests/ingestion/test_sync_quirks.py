"""Each quirk of the real export service, brought out in the sandbox and met by a pull; docs/portkey.md lists them."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from agentopt.sandbox import faults
from agentopt.sandbox.server import Sandbox, running
from ingestion import sync
from ingestion.gateway import control, errors, patience
from ingestion.models import LogBody, LogRecord, SetAside, SyncRun
from projects.models import Connection, Project
from tests.ingestion.pulls import NOW, connect, held_files, pull

pytestmark = pytest.mark.usefixtures("impatient")
ROOT = Path(__file__).resolve().parents[2]
N_ROWS = 21


@contextmanager
def met(project: Project, *kinds: str, rate: float = 1, **more: Any) -> Iterator[Sandbox]:
    """A sandbox with these quirks, connected."""
    with running(now=NOW, faults=[f"{kind}:{rate:g}" for kind in kinds], retry_after_s=0.02, **more) as sandbox:
        connect(project, sandbox.url)
        yield sandbox


def rows_of(project: Project) -> list[LogRecord]:
    return list(project.logs.order_by("occurred_at", "source_id"))


# ------------------------------------------------------------------------------------------------ the way to the file
@pytest.mark.parametrize(
    "kind",
    ["export-expired", "export-broken", "export-no-range", "export-gzip", "export-encoded", "export-unknown-status"],
)
@pytest.mark.parametrize("privacy", ["full", "hashed"])
def test_a_file_with_a_quirk_comes_in_whole(project: Project, kind: str, privacy: str) -> None:
    project.privacy = privacy
    project.save()
    kinds = ("export-broken", kind) if kind == "export-no-range" else (kind,)

    with met(project, *kinds):
        result = pull(project)

    assert (result.finished, result.added, result.set_aside, result.missing) == (True, N_ROWS, 0, 0)
    assert project.logs.count() == N_ROWS
    assert held_files() == []


def test_a_file_that_lacks_half_is_asked_for_in_parts_until_it_can_be_cut_no_further(project: Project) -> None:
    with met(project, "export-short", rate=0.5, seed=2) as sandbox:
        result = pull(project)
        n_rows = len(sandbox.logs_of("sandbox-warranty"))

    assert result.finished
    assert result.windows > 1
    assert project.logs.count() == n_rows - result.missing


@pytest.mark.parametrize(("kind", "says"), [("export-failed", "could not produce"), ("export-stopped", "was stopped")])
def test_an_export_that_ends_badly_is_told(project: Project, kind: str, says: str) -> None:
    with met(project, kind), pytest.raises(sync.ExportFailed, match=says):
        pull(project)

    assert project.sync_runs.get().state == "failed"


def test_an_export_that_never_ends_is_given_up_after_an_hour(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync, "WAIT_LIMIT", timedelta(seconds=0.2))

    with met(project, "export-stuck"), pytest.raises(sync.ExportFailed, match="still 'in_progress'"):
        pull(project)


def test_an_export_that_is_gone_is_asked_for_anew(project: Project) -> None:
    with met(project, "export-gone", rate=0.5, seed=3) as sandbox, pytest.MonkeyPatch.context() as patch:
        gone: list[str] = []
        again = sync._ask_anew

        def ask_anew(work: Any, run: SyncRun) -> None:
            gone.append(run.export_id)
            again(work, run)

        patch.setattr(sync, "_ask_anew", ask_anew)
        result = pull(project)
        n_rows = len(sandbox.logs_of("sandbox-warranty"))

    assert (result.added, len(gone)) == (n_rows, 1)


def test_exports_are_made_one_at_a_time(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync, "MAX_ROWS", 4)

    with met(project, max_running=1) as sandbox:
        result = pull(project)

    assert sandbox.exports is not None
    assert (sandbox.exports.most_running, result.added) == (1, N_ROWS)
    assert result.windows > 3


def test_a_page_that_is_silently_cut_loses_nothing(project: Project) -> None:
    with met(project, page_rows=6):
        result = pull(project)

    assert (result.missing, project.logs.count()) == (0, N_ROWS)
    assert result.windows > 2


# ------------------------------------------------------------------------------------------------ refusals
@pytest.mark.parametrize(
    ("kind", "error", "says"),
    [
        ("export-401", errors.AuthRefused, r"401, AB05.*logs\.export"),
        ("export-402", errors.Rejected, "402, AB09.*no log export"),
        ("export-403", errors.AuthRefused, r"403, AB03.*logs\.export"),
        ("export-500", errors.GatewayDown, "500, AB04.*goes on from there"),
        ("export-html", errors.BadAnswer, "not what was asked"),
        ("export-timeout", errors.TimedOut, "did not answer"),
    ],
)
def test_each_refusal_is_told_with_the_way_out(
    project: Project, kind: str, error: type[Exception], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control.ControlPlane.__init__, "__kwdefaults__", {"timeout_s": 0.5, "deadline_s": 3.0})

    with met(project, kind), pytest.raises(error, match=says):
        pull(project)


def test_a_service_that_limits_now_and_then_only_takes_longer(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    # how often a status is asked for depends on the machine, and so does the longest row of bad answers
    monkeypatch.setattr(patience, "ATTEMPTS", 100)

    with met(project, "export-429", "export-500", rate=0.2):
        result = pull(project)

    assert (result.finished, result.added) == (True, N_ROWS)


def test_the_user_agent_of_urllib_is_turned_away_and_ours_is_not(project: Project) -> None:
    with met(project) as sandbox:
        headers = {"x-portkey-api-key": sandbox.key, "User-Agent": "Python-urllib/3.11"}
        refused = httpx.get(f"{sandbox.url}/logs/exports", headers=headers)
        result = pull(project)

    assert (refused.status_code, result.added) == (403, N_ROWS)


# ------------------------------------------------------------------------------------------------ rows
@pytest.mark.parametrize(
    "kind",
    [
        "row-iso-date", "row-float-units", "row-number-success", "row-no-success", "row-text-response",
        "row-live-fields", "row-streamed",
    ],
)  # fmt: skip
def test_a_row_with_a_quirk_says_what_it_says_without(project: Project, make_project: Any, kind: str) -> None:
    plain = make_project("plain")
    plain.hash_key = project.hash_key
    plain.save()
    Connection.objects.create(project=plain)
    with met(plain):
        pull(plain)
    with met(project, kind):
        pull(project)

    columns = (
        "source_id", "occurred_at", "status", "model", "input_tokens", "output_tokens", "source_cost_nanousd",
        "refused", "latency_us", "obstacle",
    )  # fmt: skip
    assert [tuple(getattr(row, name) for name in columns) for row in rows_of(project)] == [
        tuple(getattr(row, name) for name in columns) for row in rows_of(plain)
    ]


@pytest.mark.parametrize(("kind", "obstacle"), [("row-no-body", "no_body"), ("row-null-response", "no_answer")])
def test_rows_without_bodies_are_counted_and_not_replayed(project: Project, kind: str, obstacle: str) -> None:
    with met(project, kind):
        pull(project)

    answered = [row for row in rows_of(project) if row.status == "ok"]
    assert {row.obstacle for row in answered} == {obstacle}
    assert all(row.input_tokens for row in answered)


def test_a_cost_of_nothing_is_not_free(project: Project) -> None:
    with met(project, "row-unpriced"):
        pull(project)

    assert {row.source_cost_nanousd for row in rows_of(project)} == {0}
    assert all(row.cost_nanousd != 0 for row in rows_of(project))


def test_a_trace_may_have_any_label(project: Project) -> None:
    with met(project, "row-label-trace"):
        pull(project)

    assert all(key.startswith("run ") for key in project.traces.values_list("key", flat=True))


def test_cents_are_not_dollars(project: Project) -> None:
    with met(project) as sandbox:
        pull(project)
        row = sandbox.logs_of("sandbox-warranty")[0].row

    stored = project.logs.get(source_id=row["id"])
    assert stored.source_cost_nanousd == round(row["cost"] * 10**7)


def test_injected_headers_are_stored_nowhere_and_metadata_only_as_short_texts(project: Project) -> None:
    with met(project, "export-malformed"):
        pull(project)

    assert all("agent" in row.metadata for row in rows_of(project))
    texts = [
        *LogBody.objects.values_list("request", "response"),
        *project.logs.values_list("metadata"),
        *SetAside.objects.values_list("raw"),
    ]
    assert "x-portkey-provider" not in json.dumps(texts)
    assert not any("portkeyHeaders" in str(row) for row in texts)


def test_calls_that_reach_the_log_late_come_with_the_next_pull(project: Project) -> None:
    with running(now=NOW) as sandbox:
        at = max(record.at for record in sandbox.logs_of("sandbox-support"))
    soon = at + timedelta(seconds=30)
    project.connection.api_key = "sandbox-support"
    with running(now=NOW, faults=["row-late:1"]) as sandbox:
        assert sandbox.exports is not None
        connect(project, sandbox.url, key="sandbox-support")
        sandbox.exports.now = soon
        pull(project, now=soon, since=soon - timedelta(hours=2))
        first = project.logs.filter(occurred_at=at).exists()
        sandbox.exports.now = soon + timedelta(minutes=4)
        pull(project, now=soon + timedelta(minutes=4))

    assert not first
    assert project.logs.filter(occurred_at=at).exists()


# ------------------------------------------------------------------------------------------------ the list of quirks
def test_the_page_of_quirks_names_each_switch_of_the_sandbox_and_tests_that_exist() -> None:
    page = (ROOT / "docs/portkey.md").read_text(encoding="utf-8")
    tests = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))

    unlisted = [kind for kind in faults.EXPORT_KINDS if f"`{kind}`" not in page]
    unknown = [name for name in re.findall(r"`(test_\w+)`", page) if f"def {name}(" not in tests]

    assert (unlisted, unknown) == ([], [])
