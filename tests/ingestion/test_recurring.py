"""What comes round for logs, and what is told when it fails."""

import pytest

from ingestion.gateway import patience
from projects import jobs
from projects import services as projects
from projects.models import Notice, Project

pytestmark = pytest.mark.django_db


def test_a_sync_that_fails_is_told_once_a_day(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "ATTEMPTS", 1)  # how it waits between attempts is asked elsewhere
    projects.connect(project, by=None, base_url="http://127.0.0.1:9", api_key="x")

    for _ in range(2):
        job = jobs.start("sync", project)

    notice = Notice.objects.get()
    assert job.state == "failed"
    assert job.error not in notice.context["sentence"]
    assert notice.kind == "sync_failed"
    assert notice.context["sentence"].startswith("The log sync failed: ")
