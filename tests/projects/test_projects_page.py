"""First start, projects and settings, as plain GET and POST."""

from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse

from projects import services, tokens
from projects.models import Project, Role, User

ClientOf = Callable[[User], Client]


def url(name: str, project: Project, *args: object) -> str:
    return reverse(f"projects:{name}", args=[project.slug, *args])


@pytest.mark.django_db
def test_the_first_visitor_becomes_the_owner_and_makes_a_project() -> None:
    client = Client()

    assert client.get("/").url == reverse("projects:setup")  # type: ignore[attr-defined]
    answer = client.post(reverse("projects:setup"), {"email": "First@example.com", "password": "correct horse battery"})

    assert answer.url == reverse("projects:create")  # type: ignore[attr-defined]
    assert User.objects.get().is_superuser
    answer = client.post(reverse("projects:create"), {"name": "Support agent", "privacy": "redacted"})
    project = Project.objects.get()
    assert answer.url == url("settings", project)  # type: ignore[attr-defined]
    assert project.privacy == "redacted"


@pytest.mark.django_db
def test_a_weak_first_password_is_refused_beside_its_field() -> None:
    answer = Client().post(reverse("projects:setup"), {"email": "first@example.com", "password": "12345678"})

    assert answer.status_code == 422
    assert not User.objects.exists()
    assert b'aria-invalid="true"' in answer.content


def test_the_first_start_is_over_once_somebody_is_there(owner: User) -> None:
    answer = Client().get(reverse("projects:setup"))

    assert answer.url == reverse("account_login")  # type: ignore[attr-defined]


def test_nobody_signs_up_by_themselves(owner: User) -> None:
    answer = Client().get(reverse("account_signup"))

    assert b"People are invited here" in answer.content


def test_wrong_credentials_do_not_say_which_half_is_wrong(owner: User) -> None:
    answer = Client().post(reverse("account_login"), {"login": owner.email, "password": "wrong"})

    assert answer.status_code == 200
    assert b"not correct" in answer.content


def test_the_list_shows_only_ones_own_projects(client_of: ClientOf, project: Project, stranger: User) -> None:
    services.create_project("Other agent", owner=stranger)

    answer = client_of(stranger).get(reverse("projects:list"))

    assert b"Other agent" in answer.content
    assert b"Support agent" not in answer.content


def test_a_key_is_stored_and_never_shown_again(client_of: ClientOf, owner: User, project: Project) -> None:
    client = client_of(owner)

    client.post(url("settings", project), {"base_url": "http://127.0.0.1:9/v1", "api_key": "pk-secret-1"})
    answer = client.get(url("settings", project))

    project.connection.refresh_from_db()
    assert project.connection.api_key == "pk-secret-1"
    assert b"pk-secret-1" not in answer.content
    assert b"stored, encrypted" in answer.content


def test_an_empty_key_leaves_the_stored_one(client_of: ClientOf, owner: User, project: Project) -> None:
    services.connect(project, by=owner, base_url="http://127.0.0.1:9/v1", api_key="pk-secret-1")

    client_of(owner).post(url("settings", project), {"base_url": "http://127.0.0.1:10/v1", "api_key": ""})

    project.connection.refresh_from_db()
    assert (project.connection.base_url, project.connection.api_key) == ("http://127.0.0.1:10/v1", "pk-secret-1")


def test_a_config_is_stored_kept_forgotten_and_never_shown(client_of: ClientOf, owner: User, project: Project) -> None:
    client, given = client_of(owner), {"base_url": "http://127.0.0.1:9/v1"}

    client.post(url("settings", project), {**given, "config": '{"provider": "openai", "api_key": "sk-hidden-7"}'})
    project.connection.refresh_from_db()
    stored = project.connection.config
    client.post(url("settings", project), {**given, "config": ""})
    project.connection.refresh_from_db()
    kept = project.connection.config
    page = client.get(url("settings", project)).content.decode()
    refused = client.post(url("settings", project), {**given, "config": "{not json sk-hidden-8"})
    client.post(url("settings", project), {**given, "forget_config": "on"})
    project.connection.refresh_from_db()

    assert "sk-hidden-7" in stored
    assert kept == stored
    assert "sk-hidden-7" not in page
    assert "Forget the stored config" in page
    assert refused.status_code == 422
    assert "sk-hidden-8" not in refused.content.decode()
    assert project.connection.config == ""


def test_a_connection_that_does_not_answer_is_said_so(client_of: ClientOf, owner: User, project: Project) -> None:
    services.connect(project, by=owner, base_url="http://127.0.0.1:9/v1", api_key="pk-secret-1")

    answer = client_of(owner).post(reverse("ingestion:test-connection", args=[project.slug]), follow=True)

    assert b"The connection does not work" in answer.content
    assert b"pk-secret-1" not in answer.content


def test_a_changed_goal_is_a_new_version_that_keeps_what_the_form_does_not_show(
    client_of: ClientOf, owner: User, project: Project
) -> None:
    before = services.goal_of(project).terms
    form = {"weight_quality": "0.5", "weight_cost": "0.5", "weight_latency": "0", "margin_quality": "0.04",
            "margin_safety": "0.05", "margin_answered": "0.05", "min_gain": "0.1"}  # fmt: skip

    client_of(owner).post(url("goal", project), form)

    goal = services.goal_of(project)
    assert goal.version == 2
    assert goal.terms["weights"] == {"quality": 0.5, "cost": 0.5, "latency": 0.0}
    assert goal.terms["margins"] == {**before["margins"], "quality": 0.04}
    assert goal.terms["scales"] == before["scales"]


def test_a_goal_without_any_weight_is_refused(client_of: ClientOf, owner: User, project: Project) -> None:
    form = {"weight_quality": "0", "weight_cost": "0", "weight_latency": "0", "margin_quality": "0.05",
            "margin_safety": "0.05", "margin_answered": "0.05", "min_gain": "0.1"}  # fmt: skip

    answer = client_of(owner).post(url("goal", project), form)

    assert answer.status_code == 422
    assert services.goal_of(project).version == 1


def test_a_token_is_shown_once_and_can_be_revoked(client_of: ClientOf, owner: User, project: Project) -> None:
    client = client_of(owner)

    shown = client.post(url("tokens", project), {"name": "export", "scopes": ["ingest", "read"]})
    again = client.get(url("tokens", project))

    plain = shown.context["issued"].plain
    assert plain.encode() in shown.content
    assert plain.encode() not in again.content
    token = tokens.find(plain)
    assert token is not None
    assert token.scopes == ["ingest", "read"]
    client.post(url("revoke-token", project, token.pk))
    assert tokens.find(plain) is None


def test_a_new_person_gets_a_first_password_that_is_shown_once(
    client_of: ClientOf, owner: User, project: Project
) -> None:
    client = client_of(owner)

    shown = client.post(url("members", project), {"email": "New@Example.com", "role": "reader"})

    person = User.objects.get(email="new@example.com")
    assert project.memberships.get(user=person).role == Role.READER
    password = shown.context["invited"].first_password
    assert person.check_password(password)
    assert password.encode() not in client.get(url("members", project)).content


def test_a_known_person_keeps_their_password(
    client_of: ClientOf, owner: User, stranger: User, project: Project
) -> None:
    shown = client_of(owner).post(url("members", project), {"email": stranger.email, "role": "member"})

    assert shown.context["invited"].first_password is None
    assert project.memberships.get(user=stranger).role == Role.MEMBER


def test_the_last_owner_cannot_be_removed(client_of: ClientOf, owner: User, project: Project) -> None:
    own = project.memberships.get(user=owner)

    answer = client_of(owner).post(url("remove-member", project, own.pk))

    assert answer.status_code == 409
    assert project.memberships.filter(pk=own.pk).exists()


@pytest.mark.parametrize("name", ["settings", "goal", "limits", "tokens", "members"])
def test_only_owners_open_the_settings(
    client_of: ClientOf, member: User, stranger: User, project: Project, name: str
) -> None:
    statuses = [client_of(person).get(url(name, project)).status_code for person in (member, stranger)]

    assert statuses == [403, 404]
    assert Client().get(url(name, project)).status_code == 302


def test_limits_are_the_projects_own_until_they_are_emptied(client_of: ClientOf, owner: User, project: Project) -> None:
    client = client_of(owner)

    client.post(url("limits", project), {"max_cost_usd": "3.50", "banned_models": "a\n\nb", "replay_sample_size": "40"})
    project.refresh_from_db()
    own = (project.max_evaluation_cost_nanousd, project.banned_models, project.replay_sample_size)
    client.post(url("limits", project), {})
    project.refresh_from_db()

    assert own == (3_500_000_000, ["a", "b"], 40)
    assert project.max_evaluation_cost_nanousd is None
    assert services.effective(project).replay_sample_size == 100


def test_judges_are_named_one_a_line(client_of: ClientOf, owner: User, project: Project) -> None:
    page = reverse("evaluation:judges", args=[project.slug])

    answer = client_of(owner).post(page, {"models": "judge-oriole\n judge-heron \n\njudge-oriole"})

    assert answer.status_code == 303
    assert set(project.judges.filter(active=True).values_list("model", flat=True)) == {"judge-oriole", "judge-heron"}
    assert b"judge-heron" in client_of(owner).get(page).content


@pytest.mark.django_db
def test_the_privacy_page_says_what_a_change_leaves_and_what_a_mode_makes_impossible(
    project: Project, owner: User, client_of: ClientOf
) -> None:
    client, given = (
        client_of(owner),
        {"privacy": "hashed", "privacy_patterns": r"staff: EMP-\d{6}", "retention_days": "90"},
    )

    shown = client.get(url("privacy", project)).content.decode()
    saved = client.post(url("privacy", project), given, follow=True).content.decode()

    assert "Calls taken in so far stay as they were taken in" in shown
    assert "Calls cannot be replayed or judged" in shown
    assert "in full mode; hashed mode holds for those that come from now on" in saved
    project.refresh_from_db()
    assert (project.privacy, project.retention_days) == ("hashed", 90)
    assert project.privacy_patterns == [{"name": "staff", "pattern": r"EMP-\d{6}"}]


@pytest.mark.django_db
@pytest.mark.parametrize("line", ["no colon", "bad: (a+)+", "x: "])
def test_a_pattern_that_cannot_be_used_is_refused_beside_its_field(
    project: Project, owner: User, client_of: ClientOf, line: str
) -> None:
    answer = client_of(owner).post(url("privacy", project), {"privacy": "full", "privacy_patterns": line})

    assert answer.status_code == 422
    assert b'aria-invalid="true"' in answer.content


def test_exports_may_have_an_address_and_a_header_of_their_own(
    client_of: ClientOf, owner: User, project: Project
) -> None:
    client, address = client_of(owner), reverse("projects:settings", args=[project.slug])
    given = {
        "base_url": "https://g.example.com",
        "control_url": "https://c.example.com",
        "auth_header": "Authorization",
    }

    client.post(address, given)
    page = client.get(address).content.decode()
    project.connection.refresh_from_db()
    kept = (project.connection.control_url, project.connection.auth_header)
    refused = client.post(address, {**given, "auth_header": "no header"})
    client.post(address, {"base_url": "https://g.example.com"})
    project.connection.refresh_from_db()

    assert kept == ("https://c.example.com/v1", "Authorization")
    assert "https://c.example.com/v1" in page
    assert (refused.status_code, b"Expected letters, digits and hyphens" in refused.content) == (422, True)
    assert (project.connection.control_url, project.connection.auth_header) == ("", "x-portkey-api-key")
