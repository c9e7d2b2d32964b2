"""The pages that take something out of the store, and the patterns tried on a text."""

from collections.abc import Callable

from django.test import Client

from ingestion.models import LogBody, LogRecord, Removal
from projects.models import Project, User
from tests.ingestion.test_retention import JANE, call, keep


def removals(project: Project) -> str:
    return f"/p/{project.slug}/settings/removals/"


def test_an_owner_sees_counts_first_and_confirms_by_name(
    project: Project, owner: User, client_of: Callable[[User], Client]
) -> None:
    keep(project, call(1, JANE), call(2, "john"))
    client = client_of(owner)
    given = {"what": "person", "key": "user_id", "value": JANE}

    counted = client.post(removals(project), given)
    wrong = client.post(removals(project), {**given, "confirm": "another"})
    done = client.post(removals(project), {**given, "confirm": project.slug})

    assert "Calls that hold the value: 1." in counted.content.decode()
    assert wrong.status_code == 422
    assert done.status_code == 303
    assert LogBody.objects.count() == 1
    assert Removal.objects.get().by == owner
    assert JANE not in client.get(removals(project)).content.decode()


def test_bodies_go_by_age_after_a_count(project: Project, owner: User, client_of: Callable[[User], Client]) -> None:
    keep(project, call(1, JANE))
    client = client_of(owner)

    counted = client.post(removals(project), {"what": "age", "older_than_days": 1})
    assert "bodies 1," in counted.content.decode()
    assert LogBody.objects.count() == 1

    client.post(removals(project), {"what": "age", "older_than_days": 1, "confirm": project.slug})
    assert LogBody.objects.count() == 0
    record = LogRecord.objects.get()
    assert "removed on" in client.get(f"/p/{project.slug}/logs/{record.pk}/").content.decode()


def test_a_value_that_nobody_has_is_said(project: Project, owner: User, client_of: Callable[[User], Client]) -> None:
    given = {"what": "person", "key": "user_id", "value": "nobody", "confirm": project.slug}

    response = client_of(owner).post(removals(project), given)

    assert response.status_code == 422
    assert "Nothing of this project holds that value" in response.content.decode()


def test_an_erasure_is_lifted(project: Project, owner: User, client_of: Callable[[User], Client]) -> None:
    keep(project, call(1, JANE))
    client = client_of(owner)
    client.post(removals(project), {"what": "person", "key": "user_id", "value": JANE, "confirm": project.slug})

    client.post(f"{removals(project)}{Removal.objects.get().pk}/lift/")

    keep(project, call(2, JANE))
    assert LogBody.objects.count() == 1


def test_patterns_are_tried_on_a_text(project: Project, owner: User, client_of: Callable[[User], Client]) -> None:
    client, address = client_of(owner), f"/p/{project.slug}/settings/privacy/try/"
    given = {"privacy": "redacted", "privacy_patterns": r"staff: EMP-\d{6}", "text": f"{JANE} is EMP-004217"}

    shown = client.post(address, given).content.decode()
    refused = client.post(address, {**given, "privacy_patterns": "bad: (a+)+"}).content.decode()

    assert "[e-mail removed] is [staff removed]" in shown
    assert "Pattern bad" in refused
    project.refresh_from_db()
    assert project.privacy_patterns == []
