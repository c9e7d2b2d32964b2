"""The only door to a project."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser

from agentopt.lib.errors import NotAllowed, NotFound
from projects import access, services, tokens
from projects.access import TokenHolder
from projects.models import Job, Project, Role, User


def holder(project: Project, *scopes: str) -> TokenHolder:
    return TokenHolder(tokens.issue("program", project=project, scopes=scopes, by=None).token)


def test_a_member_opens_a_project_by_number_and_by_slug(project: Project, reader: User) -> None:
    assert access.project_for(reader, project.pk) == access.project_for(reader, str(project.pk)) == project
    assert access.project_for(reader, "support-agent") == project


def test_strangers_and_visitors_find_nothing(project: Project, stranger: User) -> None:
    for someone in (stranger, AnonymousUser()):
        with pytest.raises(NotFound):
            access.project_for(someone, project.slug)


@pytest.mark.parametrize("reference", ["", "nothing", "999999", "9" * 40, "²", "-1", "Support agent"])
def test_what_names_no_project_is_not_found(owner: User, project: Project, reference: str) -> None:
    with pytest.raises(NotFound):
        access.project_for(owner, reference)


def test_a_low_role_sees_but_may_not(project: Project, reader: User, member: User) -> None:
    with pytest.raises(NotAllowed, match="needs the role member; yours is reader"):
        access.project_for(reader, project.slug, role=Role.MEMBER)
    with pytest.raises(NotAllowed):
        access.project_for(member, project.slug, role=Role.OWNER)
    assert access.project_for(member, project.slug, role=Role.MEMBER) == project


def test_a_project_that_was_opened_knows_the_role_of_who_opened_it_and_of_nobody_else(
    project: Project, reader: User, owner: User, django_assert_num_queries: Callable[..., Any]
) -> None:
    with django_assert_num_queries(1):
        found = access.project_for(reader, project.slug)
        assert access.role_in(reader, found) == Role.READER
        assert not access.may(reader, found, Role.MEMBER)

    assert access.role_in(owner, found) == Role.OWNER


def test_an_instance_owner_owns_every_project(project: Project) -> None:
    root = User.objects.create_superuser("root@example.com", "x")

    assert access.project_for(root, project.slug, role=Role.OWNER) == project
    assert list(access.projects_of(root)) == [project]


def test_a_project_token_opens_one_project_within_its_scopes(project: Project, owner: User) -> None:
    other = services.create_project("Other", owner=owner)
    program = holder(project, "read", "ingest")

    assert access.project_for(program, project.slug) == project
    assert access.project_for(program, project.slug, Role.MEMBER, scope="ingest") == project
    with pytest.raises(NotAllowed, match="lacks the scope write"):
        access.project_for(program, project.slug, Role.MEMBER)
    with pytest.raises(NotAllowed):
        access.project_for(holder(project, "write", "read"), project.slug, Role.OWNER)
    with pytest.raises(NotAllowed):
        access.project_for(holder(project, "ingest"), project.slug)
    with pytest.raises(NotFound):
        access.project_for(program, other.slug)


def test_a_job_is_reached_through_its_project_only(project: Project, reader: User, stranger: User) -> None:
    job = Job.objects.create(kind="sync", project=project)

    assert access.job_for(reader, job.pk) == job
    with pytest.raises(NotAllowed):
        access.job_for(reader, job.pk, Role.MEMBER)
    with pytest.raises(NotFound):
        access.job_for(stranger, job.pk)


def test_a_program_is_no_person(project: Project, owner: User) -> None:
    assert access.person(owner) == owner
    assert access.person(holder(project, "read")) is None
    assert access.role_in(holder(project, "read"), project) is None
