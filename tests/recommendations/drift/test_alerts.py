"""What people do with alerts, on pages and over HTTP; rules and their preview."""

import json
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from agentopt.lib.errors import Conflict, Invalid
from ingestion.models import LogRecord
from projects.models import AuditEntry, Notice, Project, User
from recommendations.drift import alerts, monitor, preview, rules, sentences
from recommendations.drift.models import Alert, DriftRule, DriftSeries
from tests.recommendations.drift import traffic

BASE = "/api/v1"


@pytest.fixture
def raised(project: Project) -> Alert:
    """An open alert about latency, by hand."""
    rules.ensure(project)
    rule = project.drift_rules.get(metric="latency")
    for view in ("rank", "size"):
        DriftSeries.objects.create(rule=rule, view=view, reference={"n": 1}, state={"log_sum": []})
    figures = {
        "shift": 0.2, "low": 0.1, "high": 0.3, "factor": [1.5, 1.3, 1.7], "rise": True, "n": 120, "calls": 240,
        "before": 2.0, "after": 3.0, "reference": {"since": None, "until": None, "n": 1000}, "segments": [],
        "distribution": None, "related": [], "band": [1.9, 2.1], "also": [],
    }  # fmt: skip
    began = timezone.now() - timedelta(days=3)
    return Alert.objects.create(
        project=project, rule=rule, metric="latency", view="rank", rise=True, subject="", began_at=began,
        alarm_at=began + timedelta(days=1), found_at=timezone.now(), figures=figures,
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------ states
def test_each_step_is_kept_with_who_when_and_why_and_audited(raised: Alert, member: User) -> None:
    now = timezone.now()

    alerts.acknowledge(raised, by=member, now=now, note="looking")
    alerts.mute(raised, by=member, now=now, days=7)
    muted = alerts.reopen(raised, by=member, now=now)
    alerts.resolve(raised, by=member, now=now)

    steps = list(raised.transitions.order_by("pk").values_list("state", "note", "by"))
    assert [step[0] for step in steps] == ["acknowledged", "muted", "open", "resolved"]
    assert steps[0][1:] == ("looking", member.pk)
    assert muted.muted_until is None
    assert AuditEntry.objects.filter(project=raised.project, action__startswith="alert.").count() == 4


def test_what_is_expected_becomes_the_reference_from_the_change_point_on(raised: Alert, member: User) -> None:
    alerts.expect(raised, by=member, now=timezone.now(), note="new prompt")

    rows = DriftSeries.objects.filter(rule=raised.rule)
    assert {(row.reference, row.learn_from, row.learn_days) for row in rows} == {(None, raised.began_at, 14)}
    raised.refresh_from_db()
    assert raised.state == "expected"
    with pytest.raises(Conflict, match="expected"):
        alerts.acknowledge(raised, by=member, now=timezone.now())


def test_a_mute_ends_by_itself(raised: Alert, member: User) -> None:
    now = timezone.now()
    alerts.mute(raised, by=member, now=now, days=2)

    early = alerts.unmute(raised.project, now=now + timedelta(days=1))
    late = alerts.unmute(raised.project, now=now + timedelta(days=2))

    raised.refresh_from_db()
    assert (early, late, raised.state) == (0, 1, "open")


# ------------------------------------------------------------------------------------------------ pages and API
def test_the_inbox_says_what_moved_and_the_menu_how_many(
    raised: Alert, reader: User, client_of: Callable[[User], Client]
) -> None:
    client, slug = client_of(reader), raised.project.slug

    page = client.get(reverse("recommendations:alerts", args=[slug])).content.decode()
    count = client.get(reverse("recommendations:alert-count", args=[slug])).content.decode()
    overview = client.get(reverse("recommendations:overview", args=[slug])).content.decode()

    assert "Latency (typical call) rose from 2.00 s to 3.00 s" in page
    assert "+50" in page
    assert 'aria-label="1 open"' in count
    assert raised.get_absolute_url() in overview


def test_a_member_acknowledges_on_the_page_with_a_note(
    raised: Alert, member: User, client_of: Callable[[User], Client]
) -> None:
    client = client_of(member)

    answer = client.post(
        reverse("recommendations:alert-act", args=[raised.project.slug, raised.pk, "acknowledge"]), {"note": "mine"}
    )
    page = client.get(raised.get_absolute_url()).content.decode()

    assert answer.status_code == 303
    assert "Acknowledged: mine" in page
    assert "This is expected" in page


def test_the_api_lists_alerts_acts_on_them_and_names_a_step_that_is_not_possible(
    raised: Alert, member: User, client_of: Callable[[User], Client]
) -> None:
    client, slug = client_of(member), raised.project.slug

    listed = client.get(f"{BASE}/alerts/{slug}?state=open").json()
    muted = client.post(f"{BASE}/alerts/{slug}/{raised.pk}/mute", {"days": 3}, "application/json")
    again = client.post(f"{BASE}/alerts/{slug}/{raised.pk}/mute", {}, "application/json")
    nothing = client.post(f"{BASE}/alerts/{slug}/{raised.pk}/explode", {}, "application/json")

    assert [one["id"] for one in listed["items"]] == [raised.pk]
    assert listed["items"][0]["direction"] == "up"
    assert (muted.status_code, muted.json()["state"]) == (200, "muted")
    assert again.status_code == 409
    assert nothing.status_code == 404


def test_rules_are_made_changed_and_removed_over_http_and_nonsense_is_named(
    project: Project, member: User, client_of: Callable[[User], Client]
) -> None:
    client, slug = client_of(member), project.slug
    wanted = {"metric": "cost", "scope": "model", "scope_value": "gpt-4o", "least": 0.2, "direction": "rise"}

    made = client.post(f"{BASE}/drift/{slug}/rules", wanted, "application/json")
    address = f"{BASE}/drift/{slug}/rules/{made.json()['id']}"
    changed = client.patch(address, {"quiet_hours": 48}, "application/json")
    wrong = client.patch(address, {"reference": "pinned"}, "application/json")
    nowhere = client.patch(address, {"scope": "use_case", "scope_value": "7"}, "application/json")
    seen = client.get(f"{BASE}/drift/{slug}").json()
    gone = client.delete(address)

    assert (made.status_code, made.json()["standing"]) == (201, "waits for the first check")
    assert changed.json()["quiet_hours"] == 48
    assert wrong.status_code == 400
    assert "pinned_since" in wrong.json()["error"]["fields"]
    assert "no such use case" in nowhere.json()["error"]["fields"]["scope_value"]
    assert len(seen["rules"]) == 8  # one for each metric beside it
    assert gone.status_code == 204
    assert AuditEntry.objects.filter(project=project, action__startswith="drift_rule.").count() == 3


def test_the_explorer_leads_to_a_rule_about_its_question(
    project: Project, member: User, client_of: Callable[[User], Client]
) -> None:
    address = reverse("recommendations:drift-rule-new", args=[project.slug])

    page = client_of(member).get(f"{address}?metric=spend&model=gpt-4o").content.decode()

    assert '<option value="cost" selected>' in page
    assert '<option value="model:gpt-4o" selected>' in page


def test_an_owner_sets_how_often_it_may_be_wrong(
    project: Project, owner: User, client_of: Callable[[User], Client]
) -> None:
    client, address = client_of(owner), reverse("recommendations:drift-budget", args=[project.slug])

    wrong = client.post(address, {"false_alarms": "1000"})
    right = client.post(address, {"false_alarms": "4"})

    assert (wrong.status_code, right.status_code) == (422, 303)
    assert Project.objects.get(pk=project.pk).drift_watch.false_alarms == 4
    with pytest.raises(Invalid):
        rules.set_false_alarms(project, 0.01, by=owner)


@pytest.mark.parametrize("name", ["alerts", "alert", "drift-rules", "drift-rule-new"])
def test_pages_ask_the_database_little(
    raised: Alert, member: User, client_of: Callable[[User], Client], django_assert_max_num_queries: Any, name: str
) -> None:
    client, arguments = client_of(member), [raised.project.slug, *([raised.pk] if name == "alert" else [])]

    with django_assert_max_num_queries(12):
        answer = client.get(reverse(f"recommendations:{name}", args=arguments))

    assert answer.status_code == 200


def test_an_alert_names_the_decision_before_it(raised: Alert) -> None:
    change = {"kind": "decision", "name": "7", "at": raised.began_at.isoformat()}

    assert sentences.related(change) == "recommendation 7 acknowledged"


# ------------------------------------------------------------------------------------------------ with traffic
def failing(record: LogRecord, day: float) -> None:
    """From day 32 on a fifth of the calls of one model fail; it serves a third of the conversations."""
    if record.trace_id and record.trace_id % 3 == 0:
        record.model = "gpt-4o"
        if day >= 32 and record.latency_us and record.latency_us % 5 == 0:
            record.status, record.refused = "failed", None


def test_failures_of_one_model_are_laid_at_its_door_and_told_outside(
    project: Project, member: User, client_of: Callable[[User], Client]
) -> None:
    traffic.take_in(project, 40, a_day=90, change=failing)
    out = StringIO()

    call_command("check_drift", project.slug, at="2026-10-20", json=True, stdout=out)

    found = json.loads(out.getvalue())
    alert = Alert.objects.get(project=project, metric="errors")
    segment = next(one for one in alert.figures["segments"] if one["dimension"] == "model")
    assert alert.pk in [one["id"] for one in found["alerts"]]
    assert segment["name"] == "gpt-4o"
    assert segment["part"] > 0.9
    notice = Notice.objects.get(project=project, kind="alert", context__metric="errors")
    assert "Error rate rose" in notice.context["sentence"]
    page = client_of(member).get(alert.get_absolute_url()).content.decode()
    assert "Where it moved" in page
    assert "status=failed" in page


def test_a_preview_fires_where_the_rule_would_have_and_not_where_it_asks_for_more(project: Project) -> None:
    traffic.take_in(project, 55, a_day=60, change=slow_from_40)
    monitor.check(project, now=traffic.START + timedelta(days=56))

    tried = preview.of_project(project, {"metric": "latency", "direction": "rise"})
    coarse = preview.of_project(project, {"metric": "latency", "least": 1.5})
    other = preview.of_project(project, {"metric": "cost"})
    elsewhere = preview.of_project(project, {"metric": "latency", "scope": "model", "scope_value": "none-such"})

    assert tried.firings
    assert tried.firings[0].rise
    assert abs(tried.firings[0].began_at - (traffic.START + timedelta(days=40))) < timedelta(days=1)
    assert (coarse.firings, other.firings) == ([], [])
    assert "0 conversations" in elsewhere.why


def slow_from_40(record: LogRecord, day: float) -> None:
    if day >= 40:
        record.latency_us = int((record.latency_us or 0) * 1.6)


def test_a_level_that_comes_back_resolves_its_alert(project: Project) -> None:
    traffic.take_in(project, 45, a_day=60, change=slow_for_a_while)
    monitor.check(project, now=traffic.START + timedelta(days=46))

    alert = Alert.objects.get(project=project, metric="latency", rise=True)

    assert alert.state == "resolved"
    assert alert.transitions.get().note == alerts.BACK
    assert Notice.objects.filter(project=project, kind="alert_resolved").count() == 1


def slow_for_a_while(record: LogRecord, day: float) -> None:
    if 31 <= day < 33:
        record.latency_us = int((record.latency_us or 0) * 2)


def test_a_rule_learns_a_pinned_reference(project: Project) -> None:
    traffic.take_in(project, 30, a_day=40)
    rules.ensure(project)
    project.drift_rules.all().delete()
    start = traffic.START.date()
    pinned: dict[str, Any] = {"pinned_since": start + timedelta(days=2), "pinned_until": start + timedelta(days=12)}
    rule = rules.create(project, {"metric": "latency", "reference": DriftRule.Kind.PINNED, **pinned}, by=None)

    monitor.check(project, now=traffic.START + timedelta(days=31))

    row = rule.series.get(view="rank")
    assert row.reference_since is not None
    assert row.reference_since.date() == pinned["pinned_since"]
    assert row.reference is not None
    assert 300 < row.reference["n"] < 500


def test_an_alert_about_a_part_of_the_calls_leads_to_an_evaluation_of_that_part(
    raised: Alert, member: User, client_of: Callable[[User], Client]
) -> None:
    use_case = raised.project.use_cases.create(number=1, origin="found", name="where is it?")
    raised.project.drift_rules.filter(metric="latency").update(scope="use_case", scope_value=str(use_case.pk))
    new = reverse("evaluation:create", args=[raised.project.slug])

    of_use_case = client_of(member).get(raised.get_absolute_url()).content.decode()
    raised.project.drift_rules.filter(metric="latency").update(scope="model", scope_value="aurora-large")
    of_model = client_of(member).get(raised.get_absolute_url()).content.decode()

    raised.project.drift_rules.filter(metric="latency").update(scope="prompt_version", scope_value="v2")
    of_version = client_of(member).get(raised.get_absolute_url()).content.decode()

    logs = reverse("ingestion:logs", args=[raised.project.slug])
    assert f'href="{new}?prompt_version=v2"' in of_version
    assert f'href="{logs}?prompt_version=v2&amp;' in of_version
    assert f'href="{new}?use_case=where+is+it%3F"' in of_use_case
    assert f'href="{reverse("ingestion:logs", args=[raised.project.slug])}?use_case=where+is+it%3F&amp;' in of_use_case
    assert f'href="{new}?baseline=aurora-large"' in of_model
