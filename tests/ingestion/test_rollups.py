"""Roll-ups: marks, refreshes, and answers beside exact ones."""

import json
import random
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from agentopt.lib.errors import Invalid
from ingestion import rollup_rows, rollups, services
from ingestion.cubes import METRICS, SKETCHED
from ingestion.models import (
    Batch,
    DirtyHour,
    LogRecord,
    Rollup,
    RollupState,
    Trace,
    UseCase,
    UseCaseAssignment,
)
from projects.models import Project
from tests.ingestion.conftest import portkey_row

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 11, 9, 12, tzinfo=UTC)
START = datetime(2026, 11, 1, tzinfo=UTC)
COLUMN = dict(zip(METRICS, rollup_rows.COLUMNS, strict=True))


def call(source_id: str, at: datetime, **fields: Any) -> dict[str, Any]:
    return {"source_id": source_id, "occurred_at": at, "model": "alpha", "status": "ok", **fields}


def keep(project: Project, calls: Sequence[dict[str, Any]]) -> list[LogRecord]:
    """Store calls as the store does: versions counted up, one batch, hours marked in the same transaction."""
    before = dict[str, LogRecord]()
    for record in project.logs.order_by("version"):
        before[record.source_id] = record
    hours = [given["occurred_at"] for given in calls]
    with transaction.atomic():
        batch = Batch.objects.create(
            project=project, number=project.batches.count() + 1, source="push", format="openai", added=len(calls),
            manifest_hash="",
        )  # fmt: skip
        trace, _ = Trace.objects.get_or_create(project=project, key="t")
        rows = []
        for given in calls:
            source_id = given["source_id"]
            version = 1
            if source_id in before:
                version = before[source_id].version + 1
                hours.append(before[source_id].occurred_at)
            key = uuid.uuid5(uuid.NAMESPACE_OID, f"{project.pk} {source_id}")
            rows.append(LogRecord(project=project, batch=batch, trace=trace, key=key, version=version, **given))
            before[source_id] = rows[-1]
        stored = LogRecord.objects.bulk_create(rows)
        rollups.mark(project.pk, hours)
    return stored


def some_calls(n: int, *, seed: int, days: int = 4) -> list[dict[str, Any]]:
    """Random calls: some fail, some refuse, most lack something; amounts of all sizes; ids repeat."""
    rng = random.Random(seed)  # noqa: S311

    def amount(most: int) -> int | None:
        return None if rng.random() < 0.2 else int(most ** rng.random()) - 1

    return [
        call(
            f"call-{rng.randrange(n)}",
            START + timedelta(microseconds=rng.randrange(days * 24 * 3600 * 10**6)),
            provider=rng.choice(["openai", "anthropic"]), model=rng.choice(["alpha", "beta", "bet\x1fa"]),
            prompt_version=rng.choice(["", "v1", "v\x1e2", "第三"]), status=rng.choice(["ok", "ok", "ok", "failed"]),
            refused=rng.choice([None, False, False, True]), cost_nanousd=amount(10**12),
            source_cost_nanousd=amount(10**18), latency_us=amount(10**9), first_token_us=amount(10**7),
            input_tokens=amount(10**5), output_tokens=amount(10**4), cached_tokens=amount(10**3),
            cost_is_ours=rng.random() < 0.5, obstacle=rng.choice(["", "no_body"]),
        )
        for _ in range(n)
    ]  # fmt: skip


def frame(project: Project, since: datetime | None = None, until: datetime | None = None) -> Any:
    """The newest versions by pandas alone."""
    found = pd.DataFrame(list(project.logs.values()), dtype=object)  # floats would round what is large
    found["occurred_at"] = pd.to_datetime(found.occurred_at)
    found["own"] = found.cost_is_ours.astype(int)
    found = found.sort_values("version").groupby("source_id").tail(1)
    found["outcome"] = np.where(found.status == "failed", "failed", np.where(found.refused.eq(True), "refused", "ok"))
    found["day"], found["hour"] = found.occurred_at.dt.date, found.occurred_at.dt.floor("h")
    if since is not None:
        found = found[found.occurred_at >= since]
    return found if until is None else found[found.occurred_at < until]


def payloads(project: Project) -> dict[Any, bytes]:
    rows = Rollup.objects.filter(project=project).values_list("tier", "part", "day", "payload")
    return {(tier, part, day): bytes(payload) for tier, part, day, payload in rows}


def by_group(exact: Any, groups: Sequence[str]) -> Iterator[tuple[Any, Any]]:
    if not groups:
        yield (), exact
        return
    names = ["outcome" if name == "status" else name for name in groups]
    yield from exact.groupby(names)


def assert_same(found: Any, exact: Any, groups: Sequence[str]) -> None:
    """Counts, sums and extremes exactly; quantiles within 2 %; correlations within 1e-6."""
    expected = dict(by_group(exact, groups))
    assert set(found.keys) == set(expected)
    assert len(found.keys) == len(expected)
    sketches = {metric: found.sketch(metric) for metric in SKETCHED}
    moments = found.moments("latency", "output_tokens")
    figures = {metric: (found.known(metric), found.total(metric), found.extremes(metric)) for metric in METRICS}
    for place, key in enumerate(found.keys):
        rows = expected[key]
        assert found.calls[place] == len(rows)
        assert found.told_refusal[place] == rows.refused.notna().sum()
        assert found.own_price[place] == rows.own.sum()
        assert found.replayable[place] == (rows.obstacle == "").sum()
        for metric, column in COLUMN.items():
            told = [int(value) for value in rows[column].dropna()]
            ends = (min(told), max(told)) if told else None
            assert [one[place] for one in figures[metric]] == [len(told), sum(told), ends]
            if metric in SKETCHED:
                check_quantiles(sketches[metric][place], told)
                assert found.quantiles(metric, [0.5])[place] == sketches[metric][place].quantiles([0.5])
        both = rows[["latency_us", "output_tokens"]].dropna().astype(float)
        assert moments[place].n == len(both)
        if len(both) > 2 and both.nunique().min() > 1:
            assert moments[place].pearson == pytest.approx(both.corr().iloc[0, 1], abs=1e-6)


def check_quantiles(sketch: Any, told: list[int]) -> None:
    wanted = [0.001, 0.25, 0.5, 0.9, 0.95, 0.99, 1]
    if not told:
        assert sketch.quantiles(wanted) == [None] * len(wanted)
        return
    exact = np.quantile(told, wanted, method="inverted_cdf")
    assert sketch.quantiles(wanted) == pytest.approx(list(exact), rel=0.02 + 1e-9)


# ------------------------------------------------------------------------------------------------ marks
def test_marking_an_hour_again_counts_instead_of_adding_a_row(project: Project) -> None:
    rollups.mark(project.pk, [NOON, NOON + timedelta(minutes=59), NOON + timedelta(hours=1)])
    rollups.mark(project.pk, [NOON + timedelta(minutes=5)])
    rollups.mark(project.pk, [])

    found = DirtyHour.objects.order_by("hour").values_list("hour", "marks")
    assert list(found) == [(NOON, 2), (NOON + timedelta(hours=1), 1)]


def test_many_hours_are_marked_at_once(project: Project) -> None:
    rollups.mark(project.pk, [NOON + timedelta(hours=n) for n in range(1000)])

    assert DirtyHour.objects.count() == 1000


def test_a_mark_made_while_its_hour_is_made_anew_stays(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(project, [call("a", NOON)])
    real = rollups._write

    def late(*arguments: Any) -> None:
        if not project.logs.filter(source_id="b").exists():
            keep(project, [call("b", NOON)])
        real(*arguments)

    monkeypatch.setattr(rollups, "_write", late)
    rollups.refresh(project)
    first = (rollups.read(project).calls, rollups.waits(project))
    rollups.refresh(project)

    assert first == ([1], True)
    assert (rollups.read(project).calls, rollups.waits(project)) == ([2], False)


def test_a_slower_worker_does_not_write_over_a_faster_one(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(project, [call("a", NOON)])
    real = rollups._write

    def slow(*arguments: Any) -> None:
        monkeypatch.setattr(rollups, "_write", real)
        keep(project, [call("b", NOON)])
        rollups.refresh(project)
        real(*arguments)

    monkeypatch.setattr(rollups, "_write", slow)
    rollups.refresh(project)

    assert rollups.read(project).calls == [2]


# ------------------------------------------------------------------------------------------------ exactness
@pytest.mark.parametrize("groups", [(), ("model", "day"), ("hour",), ("provider", "prompt_version", "status")])
def test_roll_ups_tell_what_pandas_tells(project: Project, groups: tuple[str, ...]) -> None:
    for seed in range(3):  # later batches hold late calls and new versions of earlier ones
        keep(project, some_calls(150, seed=seed))
        rollups.refresh(project)
    cut = (START + timedelta(hours=7), START + timedelta(days=2, hours=20))

    whole = rollups.read(project, groups=groups, sketches=SKETCHED, products=True)
    part = rollups.read(project, *cut, groups=groups, sketches=SKETCHED, products=True)

    assert_same(whole, frame(project), groups)
    assert_same(part, frame(project, *cut), groups)


def test_windows_within_a_day_and_filters_count_what_they_should(project: Project) -> None:
    keep(project, some_calls(300, seed=1))
    rollups.refresh(project)
    window = (START + timedelta(hours=3), START + timedelta(hours=9))
    filters = {"model": ["alpha", "bet\x1fa", "unheard of"], "status": ["ok", "refused"], "provider": []}

    found = rollups.read(project, *window, groups=("model",), filters=filters, sketches=SKETCHED, products=True)

    exact = frame(project, *window)
    assert_same(found, exact[exact.model.isin(filters["model"]) & (exact.outcome != "failed")], ("model",))
    assert rollups.read(project, filters={"model": ["unheard of"]}).calls == []
    assert rollups.read(project, START - timedelta(days=9), START - timedelta(days=8)).keys == ()


def test_a_version_in_another_hour_leaves_the_old_one(project: Project) -> None:
    keep(project, [call("a", NOON), call("b", NOON)])
    rollups.refresh(project)

    keep(project, [call("a", NOON + timedelta(days=2))])
    rollups.refresh(project)

    found = rollups.read(project, groups=("hour",))
    assert list(zip(found.keys, found.calls, strict=True)) == [((NOON,), 1), ((NOON + timedelta(days=2),), 1)]


def test_hours_without_calls_left_have_no_roll_up(project: Project) -> None:
    keep(project, [call("a", NOON)])
    rollups.refresh(project)

    keep(project, [call("a", NOON + timedelta(days=2))])
    rollups.refresh(project)

    assert set(Rollup.objects.values_list("day", flat=True)) == {(NOON + timedelta(days=2)).date()}


def test_an_hour_larger_than_a_chunk_is_the_same(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    same_moment = [call(f"same-{n}", NOON, latency_us=n) for n in range(40)]
    keep(project, [*some_calls(200, seed=5, days=1), *same_moment])
    rollups.refresh(project)
    whole = payloads(project)

    monkeypatch.setattr(rollup_rows, "CHUNK_ROWS", 7)
    rollups.rebuild(project)

    assert payloads(project) == whole


def test_dashboards_read_the_tier_without_prompt_versions_and_use_cases(project: Project) -> None:
    keep(project, [call(str(n), NOON, prompt_version=f"v{n}", latency_us=n) for n in range(9)])
    rollups.refresh(project)
    Rollup.objects.filter(project=project).exclude(tier="bare").delete()

    found = rollups.read(project, groups=("day", "model"), filters={"prompt_version": ()}, sketches=["latency"])

    assert found.calls == [9]
    assert found.quantiles("latency", [0.5]) == [[4]]
    assert len(found._cube.keys.T) == 1
    assert rollups.read(project, groups=("prompt_version",)).calls == []


def test_chunks_are_found_without_skipping_over_calls(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollup_rows, "CHUNK_ROWS", 7)
    keep(project, some_calls(60, seed=2, days=1))

    with CaptureQueriesContext(connection) as caught:
        rollups.refresh(project)

    assert not [one["sql"] for one in caught.captured_queries if "OFFSET" in one["sql"]]


def test_a_rebuild_gives_the_same_bytes(project: Project) -> None:
    for seed in range(4):
        keep(project, some_calls(80, seed=seed))
        rollups.refresh(project)
    kept = payloads(project)

    Rollup.objects.filter(project=project, part="latency").delete()
    reached = rollups.rebuild(project)

    assert payloads(project) == kept
    assert reached == rollups.watermark(project) == 4


def test_the_order_of_ingestion_leaves_no_trace(project: Project, make_project: Callable[..., Project]) -> None:
    other = make_project("other")
    calls = [{**given, "source_id": str(n)} for n, given in enumerate(some_calls(120, seed=3))]
    keep(project, calls)
    for chunk in (calls[60:], calls[:60]):
        keep(other, chunk[::-1])
        rollups.refresh(other)
    rollups.refresh(project)

    assert payloads(project) == payloads(other)


# ------------------------------------------------------------------------------------------------ use cases
def test_calls_count_for_the_use_case_that_stands_for_theirs(project: Project) -> None:
    stored = keep(project, [call("a", NOON), call("b", NOON), call("c", NOON)])
    one, other = (UseCase.objects.create(project=project, number=n, origin="found", name=f"u{n}") for n in (1, 2))
    UseCaseAssignment.objects.create(record=stored[0], use_case=one)
    UseCaseAssignment.objects.create(record=stored[1], use_case=other)
    rollups.refresh(project)

    apart = rollups.read(project, groups=("use_case",))
    UseCase.objects.filter(pk=other.pk).update(merged_into=one)
    together = rollups.read(project, groups=("use_case",))

    assert (apart.keys, apart.calls) == (((None,), (one.pk,), (other.pk,)), [1, 1, 1])
    assert (together.keys, together.calls) == (((None,), (one.pk,)), [1, 2])
    assert rollups.read(project, filters={"use_case": [one.pk]}).calls == [2]
    assert rollups.read(project, filters={"use_case": [None]}).calls == [1]


# ------------------------------------------------------------------------------------------------ upkeep
def test_what_a_deadline_leaves_is_made_by_the_next_refresh(project: Project) -> None:
    keep(project, some_calls(50, seed=1))

    reached = rollups.refresh(project, deadline=time.monotonic() - 1)
    again = rollups.refresh(project)

    assert (reached, again) == (0, 1)
    assert sum(rollups.read(project).calls) == len(frame(project))


def test_a_refresh_that_is_stopped_leaves_whole_days_and_marks(project: Project) -> None:
    keep(project, some_calls(50, seed=1))

    def stop(*, done: int = 0, total: int = 0) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rollups.refresh(project, beat=stop)

    assert rollups.waits(project)
    assert rollups.watermark(project) == 0
    rollups.refresh(project)
    assert_same(rollups.read(project, groups=("day",), sketches=SKETCHED, products=True), frame(project), ("day",))


def test_roll_ups_of_another_form_are_made_anew(project: Project) -> None:
    keep(project, [call("a", NOON)])
    rollups.refresh(project)
    RollupState.objects.update(form=0)
    Rollup.objects.update(payload=b"old")

    rollups.refresh(project)

    assert rollups.read(project).calls == [1]


def test_only_the_projects_own_calls_count(project: Project, make_project: Callable[..., Project]) -> None:
    other = make_project("other")
    keep(project, [call("a", NOON)])
    keep(other, [call("a", NOON), call("b", NOON)])
    rollups.refresh(project)
    rollups.refresh(other)

    assert (rollups.read(project).calls, rollups.read(other).calls) == ([1], [2])


def test_what_roll_ups_cannot_tell_is_refused_by_field(project: Project) -> None:
    with pytest.raises(Invalid) as refused:
        rollups.read(
            project, NOON + timedelta(minutes=1), groups=("trace",), filters={"day": ["x"]}, sketches=["cached_tokens"]
        )

    assert set(refused.value.fields) == {"since", "group_by", "filters", "sketches"}


def test_a_push_brings_the_roll_ups_up_to_the_logs(project: Project) -> None:
    services.push(project, [portkey_row(1), portkey_row(2)])

    assert rollups.read(project).calls == [2]
    assert rollups.watermark(project) == 1
    assert not rollups.waits(project)


def test_marks_that_a_crash_left_are_found_by_the_sweep(project: Project) -> None:
    keep(project, [call("a", NOON)])

    rollups.ask_all()
    rollups.ask_all()

    assert rollups.read(project).calls == [1]
    assert project.jobs.filter(kind="rollups").count() == 1


def test_a_refresh_of_a_moment_ago_is_not_repeated_yet(project: Project, settings: Any) -> None:
    keep(project, [call("a", NOON)])
    rollups.refresh(project)
    settings.Q_CLUSTER = {**settings.Q_CLUSTER, "sync": False}
    keep(project, [call("b", NOON)])

    at_once = rollups.ask(project)
    RollupState.objects.update(refreshed_at=NOON - timedelta(days=30))
    later, again = rollups.ask(project), rollups.ask(project)

    assert at_once is None
    assert later is not None
    assert again is None  # one that waits is enough


def test_the_command_tells_how_far_the_roll_ups_go(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    keep(project, [call("a", NOON)])

    call_command("refresh_rollups", project.slug)
    call_command("refresh_rollups", project.slug, "--rebuild", "--json")

    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "The roll-ups hold every batch up to number 1."
    assert json.loads(lines[1])["watermark"] == 1
    with pytest.raises(CommandError):
        call_command("refresh_rollups", "no-such")
