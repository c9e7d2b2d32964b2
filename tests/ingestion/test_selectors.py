"""Lists, details and the profile of usage."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agentopt.lib.errors import Invalid, NotFound
from ingestion import imports, selectors, services, store
from ingestion.models import LogRecord
from ingestion.values import LogFilter
from projects.models import Project
from tests.ingestion.conftest import encoded, portkey_row

START = datetime(2026, 1, 1, tzinfo=UTC)
ALL = LogFilter()


def keep(project: Project, *rows: Any) -> None:
    later = START + timedelta(days=60)
    store.append(project, encoded(*rows), format="portkey", source="file", label="", simulated=False, now=later)


def at(hours: float) -> str:
    return (START + timedelta(hours=hours)).isoformat()


def test_pages_hold_every_call_once_also_where_moments_are_equal(agent: Project) -> None:
    keep(agent, *(portkey_row(n, created_at=at(n // 4)) for n in range(30)))

    seen, after = [], None
    while True:
        page = selectors.logs(agent, ALL, after=after, limit=7)
        seen += [row.source_id for row in page.rows]
        after = page.after
        if after is None:
            break

    assert len(seen) == len(set(seen)) == 30


def test_a_list_shows_the_newest_version_only(agent: Project) -> None:
    keep(agent, portkey_row(1))
    keep(agent, portkey_row(1, cost=0.5))

    (row,) = selectors.logs(agent, ALL).rows

    assert row.version == 2


def test_statuses_part_the_calls(agent: Project) -> None:
    refusal = {"choices": [{"message": {"role": "assistant", "content": "I'm sorry, but I can't help with that."}}]}
    keep(agent, portkey_row(1), portkey_row(2, response=refusal), portkey_row(3, is_success=False, response=None))

    found = {status: selectors.logs(agent, LogFilter(status=status)).rows for status in selectors.STATUSES}

    assert {status: [row.source_id for row in rows] for status, rows in found.items()} == {
        "ok": ["log-1"], "failed": ["log-3"], "refused": ["log-2"],
    }  # fmt: skip
    assert found["refused"][0].status == "refused"


def test_counts_stop_at_their_limit(agent: Project) -> None:
    keep(agent, *(portkey_row(n) for n in range(12)))

    assert (selectors.count(agent, ALL, limit=10).n, selectors.count(agent, ALL, limit=10).more) == (10, True)
    assert (selectors.count(agent, ALL, limit=12).n, selectors.count(agent, ALL, limit=12).more) == (12, False)
    assert selectors.count(agent, LogFilter(model="none")).n == 0


def test_models_are_listed_without_reading_every_call(agent: Project, make_project: Callable[..., Project]) -> None:
    keep(agent, *(portkey_row(n, ai_model=f"m{n % 3}") for n in range(9)))
    keep(make_project("other"), portkey_row(1, ai_model="foreign"))

    assert selectors.models_seen(agent) == ["m0", "m1", "m2"]
    assert selectors.models_seen(make_project("empty")) == []


def test_the_model_in_production_is_the_one_with_most_calls(agent: Project) -> None:
    keep(agent, *(portkey_row(n, ai_model="b" if n < 5 else "a", created_at=at(n)) for n in range(8)))

    assert selectors.production_model(agent) == "b"
    assert selectors.production_model(agent, since=START + timedelta(hours=4)) == "a"
    assert selectors.production_model(agent, since=START + timedelta(days=9)) is None


def test_a_detail_shows_what_was_said_and_what_was_called(agent: Project) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "find_order", "arguments": '{"id": 7}'}}
    request = {
        "model": "m",
        "temperature": 0,
        "messages": [
            {"role": "system", "content": "Help."},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "user", "content": [{"type": "text", "text": "Where is it?"}]},
        ],
    }
    keep(agent, portkey_row(1, request=request), portkey_row(2, trace_id="trace-1"))

    detail = selectors.log_detail(agent, LogRecord.objects.get(source_id="log-1").pk)

    assert [message.role for message in detail.messages] == ["system", "assistant", "user"]
    assert "find_order" in detail.messages[1].text
    assert detail.messages[2].text == "Where is it?"
    assert detail.parameters == {"model": "m", "temperature": 0}
    assert detail.answer.text == "On its way."
    assert [row.source_id for row in detail.conversation] == ["log-1", "log-2"]


def test_a_detail_of_hashed_or_removed_bodies_shows_none(make_project: Callable[..., Project]) -> None:
    project = make_project(privacy="hashed")
    keep(project, portkey_row(1), portkey_row(2, request=None, response=None))

    for record in project.logs.all():
        detail = selectors.log_detail(project, record.pk)
        assert detail.messages == ()
        assert detail.answer.text is None


def test_a_call_of_another_project_is_not_found(agent: Project, make_project: Callable[..., Project]) -> None:
    keep(make_project("other"), portkey_row(1))

    with pytest.raises(NotFound):
        selectors.log_detail(agent, LogRecord.objects.get().pk)


def test_a_cursor_that_is_none_of_ours_is_refused(agent: Project) -> None:
    for cursor in ("x", "1", "1-x", f"{10**40}-1", "--"):
        with pytest.raises(Invalid):
            selectors.logs(agent, ALL, after=cursor)


def test_the_profile_of_usage_is_that_of_the_rows(agent: Project) -> None:
    lengths = [(n * 37) % 500 + 1 for n in range(120)]
    keep(
        agent,
        *(portkey_row(n, response=None, is_success=True, req_units=length, res_units=n + 1, created_at=at(n))
          for n, length in enumerate(lengths)),
    )  # fmt: skip

    found = selectors.usage_profile(agent, model="gpt-4o-mini")

    assert (found.n_calls, found.n_failed, found.share_tools) == (120, 0, 0.0)
    assert found.p99_input_tokens == np.quantile(lengths, 0.99, method="inverted_cdf")
    assert found.mean_output_tokens == pytest.approx(60.5)
    assert found.days == pytest.approx(119 / 24)
    assert found.monthly_calls == pytest.approx(120 * 30 / (119 / 24))


def test_the_profile_of_one_version_of_the_prompt_is_that_of_its_days(agent: Project) -> None:
    keep(agent, *(portkey_row(n, prompt_slug="v1" if n < 72 else "v2", created_at=at(n)) for n in range(120)))

    found = selectors.usage_profile(agent, model="gpt-4o-mini", prompt_version="v2")

    # by hand: 48 calls in the last two days, one an hour
    assert found.n_calls == 48
    assert found.days == pytest.approx(47 / 24)
    assert found.monthly_calls == pytest.approx(48 * 30 / (47 / 24))


def test_what_no_row_tells_is_unknown_in_the_profile(agent: Project) -> None:
    keep(agent, portkey_row(1, ai_model="m", response=None, req_units=None, res_units=None))

    found = selectors.usage_profile(agent, model="m")

    assert (found.n_calls, found.p99_input_tokens, found.mean_input_tokens, found.monthly_calls) == (
        1,
        None,
        None,
        None,
    )
    assert selectors.usage_profile(agent, model="unseen").share_tools is None


def test_a_file_of_many_lines_streams_through(agent: Project, write_lines: Callable[..., Path]) -> None:
    path = write_lines(*(portkey_row(n) for n in range(1201)))
    seen: list[int] = []

    def beat(done: int) -> None:
        seen.append(done)

    outcome = imports.import_file(agent, path, beat=beat)

    assert outcome.added == seen[-1] == 1201


def test_rows_pushed_twice_are_there_already(agent: Project) -> None:
    first = services.push(agent, [portkey_row(1), {"request": {"messages": []}}])
    again = services.push(agent, [portkey_row(1)])

    assert [row.status for row in first] == ["added", "set_aside"]
    assert [row.status for row in again] == ["already_there"]
