"""Bearer tokens."""

import re
from datetime import timedelta

import pytest
from django.utils import timezone

from agentopt.lib.errors import Conflict, Invalid
from projects import tokens
from projects.models import ApiToken, AuditEntry, Project, User


def test_a_token_has_its_form_and_only_its_hash_is_kept(project: Project, owner: User) -> None:
    issued = tokens.issue("ci", project=project, scopes=["read"], by=owner)

    assert re.fullmatch(r"aop_[A-Za-z0-9]{8}_[A-Za-z0-9]{32}", issued.plain)
    kept = str(ApiToken.objects.values().get()) + str(list(AuditEntry.objects.values())) + repr(issued)
    assert issued.plain.split("_")[2] not in kept
    assert tokens.find(issued.plain) == issued.token


def test_nothing_else_is_a_token(project: Project) -> None:
    plain = tokens.issue("ci", project=project, scopes=["read"], by=None).plain

    for text in ("", "aop", plain[:-1], plain + "x", plain.replace("aop", "xyz"), plain[:13] + "x" * 32, "a_b_c_d"):
        assert tokens.find(text) is None


def test_a_revoked_or_ended_token_and_one_of_a_person_who_left_are_refused(project: Project, owner: User) -> None:
    soon = timezone.now() + timedelta(hours=1)
    revoked = tokens.issue("a", project=project, scopes=["read"], by=owner)
    ended = tokens.issue("b", project=project, scopes=["read"], by=owner, expires_at=soon)
    personal = tokens.issue("c", user=owner, by=owner)

    tokens.revoke(revoked.token, by=owner)
    tokens.revoke(revoked.token, by=owner)
    ApiToken.objects.filter(pk=ended.token.pk).update(expires_at=timezone.now())
    owner.is_active = False
    owner.save()

    assert [tokens.find(one.plain) for one in (revoked, ended, personal)] == [None, None, None]
    assert AuditEntry.objects.filter(action="token.revoke").count() == 1


def test_use_is_noted_at_most_every_five_minutes(project: Project) -> None:
    issued = tokens.issue("ci", project=project, scopes=["read"], by=None)

    tokens.find(issued.plain)
    first = ApiToken.objects.get().last_used_at
    tokens.find(issued.plain)
    assert ApiToken.objects.get().last_used_at == first

    ApiToken.objects.update(last_used_at=timezone.now() - timedelta(minutes=6))
    tokens.find(issued.plain)
    last = ApiToken.objects.get().last_used_at
    assert first is not None
    assert last is not None
    assert last >= first


def test_a_rotated_token_keeps_its_rights_and_ends_the_old_one(project: Project, owner: User) -> None:
    old = tokens.issue("ci", project=project, scopes=["read", "ingest"], by=owner)

    new = tokens.rotate(old.token, by=owner)

    assert tokens.find(old.plain) is None
    assert tokens.find(new.plain) == new.token
    assert (new.token.name, new.token.scopes) == ("ci", ["ingest", "read"])
    old.token.refresh_from_db()
    with pytest.raises(Conflict):
        tokens.rotate(old.token, by=owner)


def test_a_token_that_makes_no_sense_is_refused_by_field(project: Project) -> None:
    past = timezone.now() - timedelta(seconds=1)
    cases = {
        "name": {"name": " ", "scopes": ["read"]},
        "scopes": {"name": "ci", "scopes": ["admin"]},
        "expires_at": {"name": "ci", "scopes": ["read"], "expires_at": past},
    }
    for field, given in cases.items():
        with pytest.raises(Invalid) as refused:
            tokens.issue(project=project, by=None, **given)  # type: ignore[arg-type]
        assert refused.value.fields.keys() == {field}
    with pytest.raises(Invalid):
        tokens.issue("ci", project=project, by=None)
