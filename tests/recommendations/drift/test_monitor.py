"""The monitor over calls in the database."""

from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F

from projects.models import Project
from recommendations.drift import columns, monitor, reading, rules, sentences
from recommendations.drift.models import Alert, DriftCheck, DriftObservations, DriftSeries, DriftWatch
from tests.recommendations.drift import traffic

MID = traffic.START + timedelta(days=30)
END = traffic.START + timedelta(days=41)


def test_a_planted_slowdown_is_told_with_size_beginning_segment_and_related_change(project: Project) -> None:
    traffic.take_in(project, 40, change=traffic.slower)

    outcome = monitor.check(project, now=END)

    shifts = Alert.objects.filter(project=project, kind="shift")
    alert = shifts.get(metric="latency")
    assert shifts.count() == 1
    assert alert.rise
    assert alert.figures["factor"][1] <= 1.5 <= alert.figures["factor"][2] * 1.02
    assert abs(alert.began_at - (traffic.START + timedelta(days=33))) < timedelta(hours=12)
    assert alert.alarm_at < traffic.START + timedelta(days=36)
    # every conversation since then is of the new version, so that segment carries all of it
    first = next(
        one for one in alert.figures["segments"] if one["dimension"] == "prompt_version" and one["name"] == "v2"
    )
    assert first["part"] == pytest.approx(1.0, abs=0.2)
    assert [one["name"] for one in alert.figures["related"]] == ["v2"]
    assert alert.figures["after"] > 1.3 * alert.figures["before"]
    assert "rose from" in sentences.headline(alert)
    assert {one.kind for one in outcome.alerts} == {"shift", "new_prompt_version"}
    assert outcome.conversations == 2400


def test_a_stationary_project_with_a_daily_cycle_stays_quiet(project: Project) -> None:
    traffic.take_in(project, 50, a_day=80, seed=3)

    outcome = monitor.check(project, now=traffic.START + timedelta(days=60))

    assert outcome.alerts == []
    watched = DriftSeries.objects.filter(rule__project=project, reference__isnull=False)
    assert {one.rule.metric for one in watched.select_related("rule")} == {
        "latency", "cost", "tokens", "errors", "refusals",
    }  # fmt: skip


def test_checking_again_does_nothing_and_hour_by_hour_finds_the_same(project: Project) -> None:
    traffic.take_in(project, 40, change=traffic.slower)
    monitor.check(project, now=END)
    once = _state_of(project)

    again = monitor.check(project, now=END)
    _forget_all(project)
    at = traffic.START
    while at < END:
        # as a schedule would, at odd moments
        at += timedelta(hours=31, minutes=17)
        monitor.check(project, now=min(at, END))

    assert (again.windows, again.alerts) == (0, [])
    assert _state_of(project) == once


@pytest.mark.parametrize("seed", [2, 4])
def test_of_two_views_that_alarm_on_one_day_the_earlier_is_told(project: Project, seed: int) -> None:
    traffic.take_in(project, 40, change=traffic.slower, seed=seed)
    monitor.check(project, now=MID)
    for rule in project.drift_rules.all():
        for row in rule.series.order_by("-pk"):  # as a database may hand them out that was written to since
            row.delete()
            row.pk = None
            row.save(force_insert=True)
    monitor.check(project, now=END)
    once = _state_of(project)

    _forget_all(project)
    at = traffic.START
    while at < END:
        at += timedelta(hours=3)
        monitor.check(project, now=min(at, END))

    assert _state_of(project) == once


def _state_of(project: Project) -> tuple[object, ...]:
    """All that must not depend on when somebody looked."""
    rows = DriftObservations.objects.filter(project=project).order_by("since")
    found = columns.joined([columns.unpack(bytes(row.payload)) for row in rows])
    alerts = Alert.objects.filter(project=project).order_by("began_at", "metric")
    return (
        found.at_s.tolist(),
        found.calls.tolist(),
        found.latency_s.tolist(),
        [(one.kind, one.metric, one.view, one.began_at, one.figures.get("shift")) for one in alerts],
    )


def _forget_all(project: Project) -> None:
    for model in (Alert, DriftObservations, DriftCheck):
        model.objects.filter(project=project).delete()
    DriftWatch.objects.filter(project=project).delete()
    project.drift_rules.all().delete()


def test_of_two_workers_at_one_window_one_records_it(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    traffic.take_in(project, 3)
    real = reading.conversations
    rival: list[bool] = []

    def read_while_another_checks(*arguments: Any) -> Any:
        found = real(*arguments)
        if not rival:
            rival.append(True)
            monitor.check(project, now=END)
        return found

    monkeypatch.setattr(reading, "conversations", read_while_another_checks)
    slow = monitor.check(project, now=END)

    assert slow.windows == 0
    assert DriftCheck.objects.filter(project=project).count() == 3
    assert DriftWatch.objects.get(project=project).calls == sum(
        DriftCheck.objects.filter(project=project).values_list("n_calls", flat=True)
    )


def test_a_check_out_of_time_goes_on_where_it_stopped(project: Project) -> None:
    traffic.take_in(project, 4)

    first = monitor.check(project, now=END, deadline=0.0)
    second = monitor.check(project, now=END)

    assert (first.windows, first.finished) == (0, False)
    assert (second.windows, second.finished) == (4, True)


@pytest.mark.parametrize("pinned", [False, True])
def test_what_is_older_than_a_year_goes_unless_a_pinned_reference_is_learnt_from_it(
    project: Project, pinned: bool
) -> None:
    traffic.take_in(project, 1)
    monitor.check(project, now=END)
    long_ago = timedelta(days=500)
    for kind in (DriftObservations, DriftCheck):
        kind.objects.filter(project=project).update(since=F("since") - long_ago, until=F("until") - long_ago)
    day = (traffic.START - long_ago).date()
    dates = {"pinned_since": day - timedelta(days=9), "pinned_until": day + timedelta(days=1)}
    if pinned:
        rules.create(project, {"metric": "latency", "reference": "pinned", **dates}, by=None)

    traffic.take_in(project, 1, start=traffic.START + timedelta(days=1), seed=2)
    monitor.check(project, now=END)

    left = DriftObservations.objects.filter(project=project).order_by("since").values_list("since", flat=True)
    assert [(at - traffic.START).days for at in left] == ([-500, 1] if pinned else [1])
    assert DriftCheck.objects.filter(project=project).count() == 1
