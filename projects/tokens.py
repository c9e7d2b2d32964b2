"""Bearer tokens: of a project, for programs, or of a person. The secret is shown once and only its hash is kept."""

import hashlib
import secrets
import string
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from agentopt.lib.errors import Conflict, Invalid
from projects import audit
from projects.access import SCOPES
from projects.models import ApiToken, Project, User

_BASE62 = string.ascii_letters + string.digits
_USE_NOTED_EVERY = timedelta(minutes=5)


@dataclass(frozen=True)
class Issued:
    """A new token; `plain` exists only here."""

    token: ApiToken
    plain: str = field(repr=False)


def issue(
    name: str,
    *,
    project: Project | None = None,
    user: User | None = None,
    scopes: Sequence[str] = (),
    by: User | None,
    expires_at: datetime | None = None,
) -> Issued:
    """Issue `aop_<8>_<32>`, of a project with scopes, or of a person, who may do with it what they may do.

    Raises:
        Invalid: no name, an unknown or missing scope, or an end in the past.
    """
    name = name.strip()
    unknown = sorted(set(scopes) - set(SCOPES))
    if not name or len(name) > 80:
        raise Invalid("A token needs a name.", fields={"name": "Expected 1 to 80 characters."})
    if unknown or (project is not None and not scopes):
        raise Invalid("A token needs scopes.", fields={"scopes": f"Expected some of {', '.join(SCOPES)}."})
    if expires_at is not None and expires_at <= timezone.now():
        raise Invalid("The token would be over already.", fields={"expires_at": "Expected a moment in the future."})
    prefix = _random(8)
    plain = f"aop_{prefix}_{_random(32)}"
    with transaction.atomic():
        token = ApiToken.objects.create(
            prefix=prefix, digest=_digest(plain), name=name, project=project, user=user,
            scopes=sorted(set(scopes)), created_by=by, expires_at=expires_at,
        )  # fmt: skip
        audit.record(project, by, "token.issue", str(token), after={"scopes": token.scopes})
    return Issued(token=token, plain=plain)


def _random(length: int) -> str:
    return "".join(secrets.choice(_BASE62) for _ in range(length))


def _digest(plain: str) -> str:
    """Plain SHA-256: a random secret of 190 bits cannot be guessed, so a slow hash would only cost time."""
    return hashlib.sha256(plain.encode()).hexdigest()


def revoke(token: ApiToken, *, by: User | None) -> None:
    """End a token at once; a second time changes nothing."""
    with transaction.atomic():
        if ApiToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=timezone.now()):
            audit.record(token.project, by, "token.revoke", str(token))


def rotate(token: ApiToken, *, by: User | None) -> Issued:
    """Replace a token by a new one with the same name, scopes and end.

    Raises:
        Conflict: it is revoked or over.
    """
    if not _is_valid(token):
        raise Conflict("The token is revoked or over: issue a new one.")
    with transaction.atomic():
        revoke(token, by=by)
        return issue(
            token.name, project=token.project, user=token.user, scopes=token.scopes, by=by, expires_at=token.expires_at
        )


def find(plain: str) -> ApiToken | None:
    """Return the valid token that a text is, and note its use; None for everything else."""
    parts = plain.split("_")
    if len(parts) != 3 or parts[0] != "aop":
        return None
    token = ApiToken.objects.select_related("project", "user").filter(prefix=parts[1]).first()
    if token is None or not constant_time_compare(token.digest, _digest(plain)) or not _is_valid(token):
        return None
    now = timezone.now()
    # one conditional update: reads stay reads for five minutes
    stale = Q(last_used_at=None) | Q(last_used_at__lt=now - _USE_NOTED_EVERY)
    if token.last_used_at is None or token.last_used_at < now - _USE_NOTED_EVERY:
        ApiToken.objects.filter(stale, pk=token.pk).update(last_used_at=now)
    return token


def _is_valid(token: ApiToken) -> bool:
    if token.revoked_at is not None or (token.expires_at is not None and token.expires_at <= timezone.now()):
        return False
    return token.user is None or token.user.is_active
