"""Whether an instance is well: for machines at /healthz and /readyz, for people by `doctor`."""

import contextlib
import json
from datetime import timedelta
from io import StringIO

import pytest
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone
from django_q.models import OrmQ
from prometheus_client.parser import text_string_to_metric_families
from pytest_django import Settings

from evaluation.models import Charge
from projects import services, supervisor
from projects.models import Job, Project, User


def worker_lives(*, ago_s: int = 0) -> None:
    cache.set(supervisor._SEEN_KEY, timezone.now() - timedelta(seconds=ago_s), timeout=None)


def doctor() -> tuple[bool, dict[str, str]]:
    out = StringIO()
    with contextlib.suppress(CommandError):
        call_command("doctor", "--json", stdout=out)
    body = json.loads(out.getvalue())
    return body["ok"], {one["name"]: one["says"] for one in body["checks"]}


def test_the_process_is_up_without_a_database() -> None:
    assert Client().get("/healthz").content == b"ok\n"


def test_an_instance_with_a_worker_is_ready(db: None) -> None:
    worker_lives()

    response = Client().get("/readyz")

    assert (response.status_code, response.json()["ready"]) == (200, True)


def test_an_instance_without_a_worker_or_with_work_that_waits_is_not_ready(db: None) -> None:
    OrmQ.objects.create(key="agentopt", payload="", lock=timezone.now() - timedelta(minutes=5))
    assert Client().get("/readyz").json()["checks"]["worker"] == "never seen"
    worker_lives(ago_s=300)

    response = Client().get("/readyz")

    assert response.status_code == 503
    assert response.json()["checks"]["worker"].startswith("last seen")
    assert response.json()["checks"]["queue"].startswith("work waits for 3")


def test_the_doctor_finds_a_sound_instance_sound(project: Project) -> None:
    worker_lives()

    ok, says = doctor()

    assert ok, says
    assert says["support-agent: gateway"].startswith("not configured")
    assert says["support-agent: keys"] == "readable"


def test_the_doctor_finds_a_lost_key_and_a_dead_gateway_and_fails(
    owner: User, project: Project, settings: Settings
) -> None:
    worker_lives()
    services.connect(project, by=owner, base_url="http://127.0.0.1:9", api_key="pk-secret")
    ok, says = doctor()
    assert not ok
    assert "pk-secret" not in str(says)
    assert not says["support-agent: gateway"].startswith(("answers", "not configured"))

    settings.AGENTOPT_ENCRYPTION_KEYS = ["3m1Zb0pcmb0Xn0mYv3bIYlnnq0f8m3oM0J8bF3iXv1A="]
    ok, says = doctor()
    assert not ok
    assert "AGENTOPT_ENCRYPTION_KEYS" in says["support-agent: keys"]


def test_the_doctor_says_how_to_mend(db: None, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CommandError, match="1 of 6 checks"):
        call_command("doctor")

    assert "→ Start `python manage.py run_worker`" in capsys.readouterr().out


def test_metrics_are_for_a_monitor_with_the_token_only(db: None, settings: Settings) -> None:
    assert Client().get("/metrics").status_code == 404
    settings.METRICS_TOKEN = "monitor"

    assert Client().get("/metrics").status_code == 404
    assert Client(headers={"Authorization": "Bearer other"}).get("/metrics").status_code == 404
    assert Client(headers={"Authorization": "Bearer monitor"}).get("/metrics").status_code == 200


def test_metrics_tell_work_calls_and_money(project: Project, settings: Settings) -> None:
    settings.METRICS_TOKEN = "monitor"
    worker_lives(ago_s=5)
    Job.objects.create(kind="sync", project=project, state="failed")
    Charge.objects.create(project=project, kind="replays", nanousd=1_250_000_000, calls=7, at=timezone.now())

    text = Client(headers={"Authorization": "Bearer monitor"}).get("/metrics").content.decode()

    found = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert found["agentopt_jobs", "sync", "failed"] == 1
    assert found["agentopt_spent_usd_total", "replays", "support-agent"] == 1.25
    assert found["agentopt_model_calls_total", "replays", "support-agent"] == 7
    assert found["agentopt_queue_due",] == 0
    assert 5 <= found["agentopt_worker_seen_seconds",] < 60
    assert "# TYPE agentopt_spent_usd_total counter\n" in text
