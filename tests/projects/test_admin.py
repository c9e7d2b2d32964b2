"""Django admin: useful to operators, and never a secret on a page."""

import pytest
from django.test import Client
from django.utils import timezone

from projects import services, tokens
from projects.models import ApiToken, AuditEntry, Job, NoticeDelivery, Project, ScheduleRun, User
from projects.notifications import addresses, send

PAGES = ["user", "project", "connection", "apitoken", "job", "auditentry", "channel", "noticedelivery",
         "schedulerun"]  # fmt: skip


@pytest.fixture
def operator(project: Project) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("boss@example.com", "x"))
    return client


def test_every_list_and_every_row_opens_without_a_secret(operator: Client, project: Project, owner: User) -> None:
    services.connect(project, by=owner, base_url="https://g.example.com", api_key="pk-secret")
    token = tokens.issue("ci", project=project, scopes=["read"], by=owner)
    job = Job.objects.create(kind="sync", project=project)
    hook = addresses.add(project, form="webhook", name="ops", address="https://h.example.com/very-secret", by=owner)
    send(project, "alert", {"sentence": "It rose.", "path": "/"})
    run = ScheduleRun.objects.create(project=project, name="sync", at=timezone.now(), why_not="No gateway.")
    rows = {"user": owner.pk, "project": project.pk, "connection": project.connection.pk, "apitoken": token.token.pk,
            "job": job.pk, "auditentry": AuditEntry.objects.latest("pk").pk,
            "channel": hook.channel.pk, "schedulerun": run.pk,
            "noticedelivery": NoticeDelivery.objects.get().pk}  # fmt: skip

    for page in PAGES:
        for address in (f"/admin/projects/{page}/", f"/admin/projects/{page}/{rows[page]}/change/"):
            response = operator.get(address)
            assert response.status_code == 200, address
            for secret in ("pk-secret", project.hash_key, token.token.digest, token.plain, "very-secret", hook.secret):
                assert secret not in response.content.decode(), address


def test_a_key_is_written_and_an_empty_field_keeps_it(operator: Client, project: Project) -> None:
    address = f"/admin/projects/connection/{project.connection.pk}/change/"
    form = {"base_url": "https://g.example.com", "control_url": "", "auth_header": "x-portkey-api-key"}

    operator.post(address, {**form, "new_key": "pk-secret"})
    operator.post(address, {**form, "new_key": ""})

    project.connection.refresh_from_db()
    assert (project.connection.api_key, project.connection.base_url) == ("pk-secret", "https://g.example.com/v1")


def test_a_token_is_revoked_from_the_list(operator: Client, project: Project) -> None:
    token = tokens.issue("ci", project=project, scopes=["read"], by=None).token

    operator.post("/admin/projects/apitoken/", {"action": "revoke", "_selected_action": [token.pk]})

    assert ApiToken.objects.get().revoked_at is not None


def test_a_person_is_added_by_address(operator: Client) -> None:
    password = "correct horse battery"
    form = {"email": "new@example.com", "usable_password": "true", "password1": password, "password2": password}

    assert operator.post("/admin/projects/user/add/", form).status_code == 302
    assert User.objects.get(email="new@example.com").check_password(password)
