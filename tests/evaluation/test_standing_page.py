"""Tabs of an evaluation: coverage, costs, activity; failures with their retry, time left, the API's share of it."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from agentopt.sandbox.server import Sandbox
from evaluation import counting, selectors, services, standing, tabs
from evaluation.models import Evaluation, Replay, Verdict
from evaluation.selectors import spend
from projects.models import Project, User
from tests.evaluation import studies

HOSTILE = "<script>alert(1)</script>"
TABS = ("costs", "coverage", "activity")
State = Evaluation.State
Clients = Callable[[User], Client]


@pytest.fixture
def opened(ready: Project, sandbox: Sandbox) -> Evaluation:
    return studies.open_study(ready, studies.connect(ready, sandbox.url), rubrics=["correctness"], limit=30)


def _kept(evaluation: Evaluation) -> list[tabs.Kept]:
    counts = counting.read(evaluation)
    return tabs.kept(evaluation, spend(evaluation, counts), prompts=counts.prompts)


def _address(evaluation: Evaluation, tab: str) -> str:
    return reverse(f"evaluation:{tab}", args=[evaluation.project.slug, evaluation.number])


def _page(client: Client, evaluation: Evaluation, tab: str = "detail") -> str:
    return str(client.get(_address(evaluation, tab)).content.decode())


def _lost(evaluation: Evaluation, n: int, *, status: str = "missing", reason: str = "rate_limited") -> None:
    """Let calls of the candidate fail."""
    candidate = evaluation.candidates.get(position=1)
    Replay.objects.bulk_create(
        Replay(sample=sample, candidate=candidate, status=status, reason=reason, source=Replay.Source.CALLED, calls=3)
        for sample in evaluation.samples.order_by("position")[:n]
    )


def _set(evaluation: Evaluation, **fields: Any) -> Evaluation:
    Evaluation.objects.filter(pk=evaluation.pk).update(**fields)
    evaluation.refresh_from_db()
    return evaluation


# ------------------------------------------------------------------------------------------------ who may
def test_each_tab_has_its_address_and_names_itself(
    opened: Evaluation, owner: User, member: User, reader: User, client_of: Clients
) -> None:
    for user in (owner, member, reader):
        for tab in TABS:
            page = _page(client_of(user), opened, tab)

            assert f'href="{_address(opened, tab)}" aria-current="page"' in page
            assert page.count("<h1") == 1


def test_a_stranger_finds_no_tab_and_a_visitor_signs_in(opened: Evaluation, stranger: User, client_of: Clients) -> None:
    for tab in TABS:
        assert client_of(stranger).get(_address(opened, tab)).status_code == 404
        assert Client().get(_address(opened, tab)).status_code == 302


# ------------------------------------------------------------------------------------------------ failures
def test_failures_stand_by_kind_and_provider_and_only_some_can_be_asked_again(opened: Evaluation) -> None:
    _lost(opened, 4)
    last = Replay.objects.filter(reason="rate_limited").latest("pk")
    Replay.objects.filter(pk=last.pk).update(status="failed", reason="empty")

    found = standing.failures(opened)

    provider = opened.candidates.get(position=1).offer.provider
    assert [(one.kind, one.reason, one.provider, one.count, one.retryable) for one in found] == [
        ("missing", "rate_limited", provider, 3, 3),
        ("failed", "empty", provider, 1, 0),
    ]


def test_a_paused_run_offers_members_a_retry_and_a_running_one_says_how(
    opened: Evaluation, member: User, reader: User, client_of: Clients
) -> None:
    _lost(opened, 4)

    paused = _page(client_of(member), _set(opened, state=State.PAUSED))
    read = _page(client_of(reader), opened)
    running = _page(client_of(member), _set(opened, state=State.RUNNING))

    assert "Retry 4 failed cases" in paused
    assert "Retry 4" not in read
    assert "Retry 4" not in running
    assert "Pause to ask 4 of them again." in running


def test_a_retry_is_refused_to_readers_and_asks_the_service(
    opened: Evaluation, member: User, reader: User, client_of: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, User | None]] = []
    monkeypatch.setattr(services, "retry_failed", lambda one, by, **_: asked.append((one.pk, by)), raising=False)

    refused = client_of(reader).post(_address(opened, "retry"))
    done = client_of(member).post(_address(opened, "retry"))

    assert refused.status_code == 403
    assert done.status_code == 303
    assert asked == [(opened.pk, member)]


# ------------------------------------------------------------------------------------------------ coverage
def test_what_could_not_be_replayed_stands_by_reason_with_calls_to_look_at(
    opened: Evaluation, reader: User, client_of: Clients
) -> None:
    _lost(opened, 2, reason="no_body")
    left_out = [{"code": "images", "label": "holds images", "calls": 6, "cost_share": 0.25}]
    _set(opened, population={**opened.population, "left_out": left_out, "calls": 66, "replayable": 60})

    page = _page(client_of(reader), opened, "coverage")
    found = standing.coverage(opened)

    assert [(gap.stage, gap.code, gap.calls) for gap in found.gaps] == [
        ("before", "images", 6),
        ("during", "no_body", 2),
    ]
    assert [example.id for example in found.gaps[1].examples]
    for example in found.gaps[1].examples:
        assert reverse("ingestion:log", args=[opened.project.slug, example.id]) in page
    assert "Holds images" in page
    assert "25.0" in page


@pytest.mark.parametrize(("replayable", "is_low"), [(80, False), (79, True)])
def test_over_a_fifth_missing_is_a_warning(
    opened: Evaluation, reader: User, client_of: Clients, replayable: int, is_low: bool
) -> None:
    _set(opened, population={**opened.population, "left_out": [], "calls": 100, "replayable": replayable})

    page = _page(client_of(reader), opened)

    assert ("may not hold for the rest" in page) is is_low
    assert standing.coverage(opened).is_low is is_low


def test_calls_that_could_not_be_asked_count_as_missing_too(opened: Evaluation) -> None:
    _set(opened, population={**opened.population, "left_out": [], "calls": 100, "replayable": 100})
    _lost(opened, 3, reason="not_allowed")

    assert standing.coverage(opened).is_low


# ------------------------------------------------------------------------------------------------ time left
def test_time_left_is_told_after_a_tenth_as_a_range_at_the_pace_of_the_last_minute(opened: Evaluation) -> None:
    now = timezone.now()
    forecast = {
        "replay_calls_expected": 40,
        "judge_calls_expected": 0,
        "replay_calls_at_most": 60,
        "judge_calls_at_most": 0,
    }
    _set(opened, state=State.RUNNING, started_at=now - timedelta(hours=5), forecast={**opened.forecast, **forecast})

    _lost(opened, 3)
    early = standing.left(opened, spend(opened), now=now)
    Replay.objects.filter(reason="rate_limited").delete()
    _lost(opened, 20)
    Replay.objects.filter(reason="rate_limited").update(created_at=now - timedelta(seconds=30))

    # 20 in the last minute: 20 more are expected, at most 40
    assert early is None
    assert standing.left(opened, spend(opened), now=now) == standing.Left(1.0, 2.0)
    assert tabs.time_left(standing.Left(1.0, 2.0)) == "1 to 2 minutes"


def test_nothing_is_told_when_nothing_came_back_lately(opened: Evaluation) -> None:
    now = timezone.now()
    _set(opened, started_at=now - timedelta(hours=5))
    _lost(opened, 30)
    Replay.objects.filter(reason="rate_limited").update(created_at=now - timedelta(minutes=5))

    assert standing.left(opened, spend(opened), now=now) is None


# ------------------------------------------------------------------------------------------------ costs
def test_an_ended_run_says_where_it_kept_to_its_forecast(
    opened: Evaluation, sandbox: Sandbox, reader: User, client_of: Clients
) -> None:
    studies.run_to_end(opened, studies.connect(opened.project, sandbox.url))

    page = _page(client_of(reader), opened, "costs")
    rows = {row.name: row for row in _kept(opened)}

    assert rows["Spend"].is_within is not None
    assert rows["Calls to models"].is_within is True
    assert "Forecast against actual" in page
    assert "corvus-medium" in page


def test_tokens_of_models_and_of_judges_stand_beside_their_forecast(
    opened: Evaluation, sandbox: Sandbox, reader: User, client_of: Clients
) -> None:
    studies.run_to_end(opened, studies.connect(opened.project, sandbox.url))
    found = {row.name: row for row in standing.forecast_kept(opened, selectors.detail(opened))}
    answers = Replay.objects.filter(sample__evaluation=opened, source=Replay.Source.CALLED)
    verdicts = Verdict.objects.filter(replay__sample__evaluation=opened, source=Verdict.Source.CALLED)

    for name, rows in (("Tokens of models", answers), ("Tokens of judges", verdicts)):
        told = [(one.input_tokens or 0) + (one.output_tokens or 0) for one in rows]
        assert found[name].actual == sum(told) > 0
        assert (found[name].expected or 0) > 0
        assert (found[name].at_most, found[name].is_within) == (None, None)
    assert "Tokens of judges" in _page(client_of(reader), opened, "costs")


def test_tokens_that_were_not_kept_are_not_known_and_the_reason_is_said(
    opened: Evaluation, sandbox: Sandbox, reader: User, client_of: Clients
) -> None:
    studies.run_to_end(opened, studies.connect(opened.project, sandbox.url))
    verdicts = Verdict.objects.filter(replay__sample__evaluation=opened, source=Verdict.Source.CALLED)
    n, first = verdicts.count(), verdicts.order_by("pk")[:2].values_list("pk", flat=True)
    Verdict.objects.filter(pk__in=list(first)).update(input_tokens=None, output_tokens=None)  # as earlier runs have it
    _set(opened, forecast={name: told for name, told in opened.forecast.items() if "_tokens" not in name})

    url = f"/api/v1/evaluations/{opened.project.slug}/{opened.number}"
    rows = client_of(reader).get(url).json()["forecast_against_actual"]
    row = next(row for row in rows if row["name"] == "Tokens of judges")
    page = _page(client_of(reader), opened, "costs")

    assert (row["expected"], row["actual"], row["is_within"]) == (None, None, None)
    assert row["why"].startswith(f"2 of {n} replies told no tokens, or are from before tokens were kept; the others")
    assert f'title="2 of {n} replies told no tokens' in page


def test_a_run_that_goes_on_is_not_judged_by_its_forecast_yet(opened: Evaluation) -> None:
    assert {row.is_within for row in _kept(opened)} == {None}


# ------------------------------------------------------------------------------------------------ activity and text
def test_activity_says_who_did_what(opened: Evaluation, member: User, reader: User, client_of: Clients) -> None:
    services.pause(opened, member)

    page = _page(client_of(reader), opened, "activity")

    assert f"Paused, by {member.email}" in page
    assert "Opened, with a cap of $" in page


def test_names_from_outside_are_text_on_every_tab(opened: Evaluation, reader: User, client_of: Clients) -> None:
    offer = opened.candidates.get(position=1).offer
    type(offer).objects.filter(pk=offer.pk).update(name=HOSTILE, provider=HOSTILE)
    _lost(opened, 2, reason=HOSTILE)

    for tab in ("detail", *TABS):
        assert HOSTILE not in _page(client_of(reader), _set(opened, state=State.PAUSED), tab)


# ------------------------------------------------------------------------------------------------ API
def test_one_evaluation_over_http_tells_progress_failures_coverage_and_forecast(
    opened: Evaluation, reader: User, client_of: Clients
) -> None:
    _lost(opened, 4)

    found = client_of(reader).get(f"/api/v1/evaluations/{opened.project.slug}/{opened.number}").json()

    assert found["progress"]["retryable"] == 4
    assert found["progress"]["minutes_left_low"] is None
    assert found["failures"][0]["reason"] == "rate_limited"
    assert found["coverage"]["unasked"] == 4
    assert found["coverage"]["gaps"][0]["examples"][0]["id"]
    assert {row["name"] for row in found["forecast_against_actual"]} >= {"Spend", "Minutes"}


def test_a_reason_without_logs_left_has_no_examples(opened: Evaluation) -> None:
    left_out = [{"code": "hashed", "label": "stored as a hash only", "calls": 3, "cost_share": None}]
    _set(opened, population={**opened.population, "left_out": left_out})

    assert standing.coverage(opened).gaps[0].examples == []


def test_what_is_lost_before_and_during_adds_up(opened: Evaluation) -> None:
    # by hand: 90 of 100 can be replayed, and of 30 tried calls 4 could not be asked: 1 - 0.9 * 26 / 30 = 0.22
    _lost(opened, 4)
    candidate = opened.candidates.get(position=1)
    Replay.objects.bulk_create(
        Replay(sample=sample, candidate=candidate, status="answered", source=Replay.Source.CALLED)
        for sample in opened.samples.order_by("position")[4:30]
    )
    _set(opened, population={**opened.population, "calls": 100, "replayable": 90, "left_out": []})

    found = standing.coverage(opened)

    assert found.lost == pytest.approx(0.22)
    assert found.is_low


def test_the_likely_spend_stands_beside_what_it_was(opened: Evaluation, reader: User, client_of: Clients) -> None:
    forecast = {**opened.forecast, "cost_p10_nanousd": 0, "cost_p90_nanousd": 2_000_000_000, "cost_low_nanousd": 0,
                "cost_high_nanousd": 3_000_000_000}  # fmt: skip
    _set(opened, state=State.DONE, forecast=forecast)

    row = next(row for row in standing.against_forecast(opened, spend(opened), prompts=0) if row.name == "Spend")
    page = _page(client_of(reader), opened, "costs")

    assert (row.likely_low, row.likely_high, row.is_likely) == (0.0, 2.0, True)
    assert "$0.00 to $2.00" in page
    assert "as expected" in page


def test_progress_names_each_candidates_failures_by_kind(opened: Evaluation, reader: User, client_of: Clients) -> None:
    _lost(opened, 3)
    last = Replay.objects.filter(reason="rate_limited").latest("pk")
    Replay.objects.filter(pk=last.pk).update(status="failed", reason="timed_out")

    page = _page(client_of(reader), _set(opened, state=State.RUNNING))

    assert "failed 1 (1 timed out); 2 could not be asked (2 rate limited)" in page
    assert 'aria-label="Prompts of corvus-medium"' in page
