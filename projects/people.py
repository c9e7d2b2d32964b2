"""Invite a person by e-mail address: whoever is new here gets a first password, shown once to the one who invites."""

import secrets
from dataclasses import dataclass, field

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction

from agentopt.lib.errors import Invalid
from projects import audit, services
from projects.models import Membership, Project, Role, User

_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # nothing that is misread


@dataclass(frozen=True)
class Invited:
    """A new member; `first_password` is None for a person who was here already, and exists only here."""

    membership: Membership
    first_password: str | None = field(repr=False)


def invite(project: Project, email: str, *, role: str, by: User) -> Invited:
    """Make a person a member, and a person of an address nobody has yet.

    Raises:
        Invalid: no e-mail address, or an unknown role. Conflict: they are a member already.
    """
    email = email.strip().lower()
    try:
        validate_email(email)
    except ValidationError as error:
        raise Invalid("That is no e-mail address.", fields={"email": "Expected an e-mail address."}) from error
    if role not in Role.values:
        raise Invalid("There is no such role.", fields={"role": f"Expected {', '.join(Role.values)}."})
    with transaction.atomic():
        user, password = User.objects.filter(email__iexact=email).first(), None
        if user is None:
            password = "-".join("".join(secrets.choice(_ALPHABET) for _ in range(5)) for _ in range(4))
            user = User.objects.create_user(email, password)
            audit.record(project, by, "person.create", email)
        return Invited(services.add_member(project, user, Role(role), by=by), password)
