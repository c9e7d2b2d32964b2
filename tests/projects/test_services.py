"""Projects, goals, connections and people: what may be changed, and what the audit keeps of it."""

import pytest
from django.db import connection
from pytest_django import Settings

from agentopt.lib.errors import Conflict, Invalid
from projects import services
from projects.models import AuditEntry, Membership, Project, Role, User

BAD_GOALS = [
    {"weights": {"quality": 0, "cost": 0, "latency": 0}},
    {"weights": {"speed": 1}},
    {"margins": {"quality": "5 %"}},
    {"scales": {"cost": 0}},
    {"limits": [1]},
    {"min_gain": -1},
    {"wishes": {}},
]


def test_a_new_project_has_all_that_others_read(owner: User) -> None:
    project = services.create_project("  Billing   agent ", owner=owner, privacy="hashed")

    assert (project.slug, project.name, project.privacy) == ("billing-agent", "Billing agent", "hashed")
    assert services.goal_of(project).version == 1
    assert project.connection.base_url == ""
    assert len(project.hash_key) >= 32
    assert Membership.objects.get(project=project).role == Role.OWNER
    assert AuditEntry.objects.get(project=project).action == "project.create"


def test_the_hash_key_is_not_plain_in_the_database(project: Project) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT hash_key FROM projects_project")
        stored = cursor.fetchone()[0]

    assert project.hash_key not in stored


@pytest.mark.parametrize(
    ("name", "slugs"),
    [("Search", ["search", "search-2", "search-3"]), ("2024", ["project-2024", "project-2024-2", "project-2024-3"]),
     ("検索", ["project", "project-2", "project-3"]), ("x" * 80, ["x" * 50, "x" * 50 + "-2", "x" * 50 + "-3"])],
)  # fmt: skip
def test_a_slug_is_unique_and_never_a_number(owner: User, name: str, slugs: list[str]) -> None:
    assert [services.create_project(name, owner=owner).slug for _ in slugs] == slugs


@pytest.mark.parametrize("name", ["", "   ", "x" * 81])
def test_a_project_needs_a_name(owner: User, name: str) -> None:
    with pytest.raises(Invalid) as refused:
        services.create_project(name, owner=owner)

    assert refused.value.fields.keys() == {"name"}
    assert not Project.objects.exists()


def test_a_changed_goal_is_a_new_version_and_the_same_goal_is_none(project: Project, owner: User) -> None:
    second = services.change_goal(project, {"min_gain": 0.2}, by=owner)
    same = services.change_goal(project, {"min_gain": 0.2}, by=owner)

    assert (second.version, same.pk, services.goal_of(project).pk) == (2, second.pk, second.pk)
    assert project.goals.get(version=1).terms["min_gain"] == 0.1
    entry = AuditEntry.objects.get(action="goal.change")
    assert (entry.before or {})["min_gain"] == 0.1
    assert (entry.after or {})["min_gain"] == 0.2


@pytest.mark.parametrize("terms", BAD_GOALS)
def test_a_goal_that_makes_no_sense_is_refused_by_field(project: Project, terms: dict[str, object]) -> None:
    with pytest.raises(Invalid) as refused:
        services.change_goal(project, terms, by=None)

    assert refused.value.fields
    assert services.goal_of(project).version == 1


def test_an_address_without_a_path_gets_v1(project: Project, owner: User) -> None:
    row = services.connect(project, by=owner, base_url="https://gateway.example.com/", api_key="pk-secret")
    assert row.base_url == "https://gateway.example.com/v1"
    row = services.connect(project, by=owner, base_url="https://gateway.example.com/portkey/api/")
    assert (row.base_url, row.api_key) == ("https://gateway.example.com/portkey/api", "pk-secret")
    assert "pk-secret" not in str(list(AuditEntry.objects.values()))


@pytest.mark.parametrize(
    "address",
    ["gateway.example.com", "ftp://x.example.com", "https://", "https://user:pw@x.example.com", "https://x.example.com/?a=1",
     "https://x.exa mple.com", "javascript:alert(1)"],
)  # fmt: skip
def test_what_is_no_address_is_refused(project: Project, address: str) -> None:
    with pytest.raises(Invalid) as refused:
        services.connect(project, by=None, base_url=address)

    assert refused.value.fields.keys() == {"base_url"}


@pytest.mark.parametrize("host", ["localhost:8787", "127.0.0.1", "10.1.2.3", "[::1]", "169.254.169.254", "x.localhost"])
def test_private_addresses_are_refused_unless_allowed(project: Project, settings: Settings, host: str) -> None:
    services.connect(project, by=None, base_url=f"http://{host}")
    settings.ALLOW_PRIVATE_ADDRESSES = False

    with pytest.raises(Invalid, match="inside this network"):
        services.connect(project, by=None, base_url=f"http://{host}")


def test_a_config_is_kept_on_one_line_and_encrypted_and_never_told(project: Project) -> None:
    services.connect(project, by=None, config='{"provider": "openai",\n "api_key": "sk-of-the-provider"}')

    row = project.connection
    row.refresh_from_db()
    assert row.config == '{"provider": "openai", "api_key": "sk-of-the-provider"}'
    with connection.cursor() as cursor:
        cursor.execute("SELECT config FROM projects_connection WHERE id = %s", [row.pk])
        assert "sk-of-the-provider" not in cursor.fetchone()[0]
    assert "sk-of-the-provider" not in str(list(project.audit.values()))


@pytest.mark.parametrize("config", ["pc-0123", "pc_abc-9", ""])
def test_a_config_may_be_an_id(project: Project, config: str) -> None:
    assert services.connect(project, by=None, config=config).config == config


@pytest.mark.parametrize("config", ["two words", "{not json", "[1]", "pc-ä"])
def test_what_is_no_config_is_refused(project: Project, config: str) -> None:
    with pytest.raises(Invalid) as refused:
        services.connect(project, by=None, config=config)

    assert refused.value.fields.keys() == {"config"}


@pytest.mark.parametrize("given", [{"auth_header": "x y"}, {"auth_header": ""}, {"api_key": "two\nlines"}])
def test_what_cannot_be_sent_in_a_header_is_refused(project: Project, given: dict[str, str]) -> None:
    with pytest.raises(Invalid) as refused:
        services.connect(project, by=None, **given)

    assert refused.value.fields.keys() == given.keys()


def test_a_project_overrides_the_instance_and_returns_to_it(project: Project, settings: Settings) -> None:
    settings.MAX_EVALUATION_COST_USD = 25.0
    services.change_project(project, {"max_evaluation_cost_nanousd": 5, "confidence_threshold": 0.9}, by=None)
    mine = services.effective(project)
    services.change_project(project, {"max_evaluation_cost_nanousd": None}, by=None)

    assert (mine.max_evaluation_cost_nanousd, mine.confidence_threshold, mine.replay_sample_size) == (5, 0.9, 100)
    assert services.effective(project).max_evaluation_cost_nanousd == 25_000_000_000


@pytest.mark.parametrize(
    "changes",
    [{"confidence_threshold": 0.99}, {"replay_sample_size": 10.5}, {"replay_sample_size": True}, {"privacy": "none"},
     {"allowed_providers": "openai"}, {"banned_models": [1]}, {"slug": "other"}, {"hash_key": "x"},
     {"judge_disagreement_threshold": 0}, {"max_evaluation_cost_nanousd": -1}],
)  # fmt: skip
def test_a_setting_outside_its_range_is_refused_by_name(project: Project, changes: dict[str, object]) -> None:
    with pytest.raises(Invalid) as refused:
        services.change_project(project, changes, by=None)

    assert refused.value.fields.keys() == changes.keys()


def test_the_first_owner_is_made_once(db: None) -> None:
    first = services.create_first_owner("Boss@Example.com", "correct horse battery")

    assert (first.email, first.is_superuser, first.is_staff) == ("boss@example.com", True, True)
    with pytest.raises(Conflict):
        services.create_first_owner("second@example.com", "correct horse battery")


@pytest.mark.parametrize(
    ("email", "password", "field"), [("boss", "correct horse battery", "email"), ("b@x.org", "12345", "password")]
)
def test_the_first_owner_needs_an_address_and_a_good_password(db: None, email: str, password: str, field: str) -> None:
    with pytest.raises(Invalid) as refused:
        services.create_first_owner(email, password)

    assert refused.value.fields.keys() == {field}
    assert not User.objects.exists()


def test_a_project_never_loses_its_last_owner(project: Project, owner: User, member: User) -> None:
    mine = Membership.objects.get(project=project, user=owner)
    with pytest.raises(Conflict):
        services.remove_member(mine, by=owner)
    with pytest.raises(Conflict):
        services.change_role(mine, Role.READER, by=owner)

    services.change_role(Membership.objects.get(project=project, user=member), Role.OWNER, by=owner)
    services.remove_member(mine, by=member)

    assert list(project.memberships.filter(role=Role.OWNER).values_list("user__email", flat=True)) == [member.email]


def test_a_member_is_added_once_and_the_audit_knows_by_whom(project: Project, owner: User, stranger: User) -> None:
    services.add_member(project, stranger, Role.READER, by=owner)

    with pytest.raises(Conflict):
        services.add_member(project, stranger, Role.OWNER, by=owner)
    entry = AuditEntry.objects.get(action="member.add")
    assert (entry.user, entry.target, entry.after) == (owner, stranger.email, {"role": "reader"})
