"""The only door to a project: every other row is reached from the project that this opens."""

from django.contrib.auth.models import AnonymousUser
from django.db.models import Q, QuerySet

from agentopt.lib.errors import NotAllowed, NotFound
from projects.models import ApiToken, Job, Membership, Project, Role, User

INGEST, READ, WRITE = "ingest", "read", "write"
SCOPES = {INGEST: "send logs", READ: "read everything of the project", WRITE: "start work and decide"}
_RANK = {Role.READER: 0, Role.MEMBER: 1, Role.OWNER: 2}


class TokenHolder(AnonymousUser):
    """A program that showed a project token: signed in, but no person; sees one project within the token's scopes."""

    is_authenticated = True  # type: ignore[assignment]

    def __init__(self, token: ApiToken) -> None:
        super().__init__()
        self.token = token
        self.pk = f"token-{token.pk}"  # type: ignore[assignment]

    def __str__(self) -> str:
        return str(self.token)


def projects_of(user: User | AnonymousUser) -> QuerySet[Project]:
    """Projects that someone sees: all for an instance owner, one for a project token, none for a visitor."""
    if isinstance(user, TokenHolder):
        return Project.objects.filter(pk=user.token.project_id)
    if not isinstance(user, User):
        return Project.objects.none()
    return Project.objects.all() if user.is_superuser else Project.objects.filter(memberships__user=user)


def project_for(
    user: User | AnonymousUser, slug_or_id: str | int, role: Role = Role.READER, *, scope: str | None = None
) -> Project:
    """Return a project by its number or slug.

    Args:
        role: the least role a person needs.
        scope: the scope a project token needs; by default `read` for a reader's and `write` for a member's action.

    Raises:
        NotFound: there is none, or the asker is a stranger to it.
        NotAllowed: the asker sees it, but the role is too low or the token lacks the scope.
    """
    text = str(slug_or_id)
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None
    # a slug is never made of digits alone
    project = projects_of(user).filter(Q(slug=text) if number is None else Q(pk=number)).first()
    if project is None:
        raise NotFound("There is no such project, or you are not a member of it.")
    if isinstance(user, TokenHolder):
        _check_scope(user.token, role, scope=scope)
    else:
        held = role_in(user, project)
        if held is None or _RANK[held] < _RANK[role]:
            raise NotAllowed(f"This needs the role {role.value}; yours is {held.value if held else 'none'}.")
    return project


def job_for(user: User | AnonymousUser, job_id: int, role: Role = Role.READER) -> Job:
    """Return a job of a project that someone sees; errors as in `project_for`."""
    job = Job.objects.select_related("project").filter(project__in=projects_of(user), pk=job_id).first()
    if job is None:
        raise NotFound("There is no such job.")
    project_for(user, job.project_id, role)
    return job


def _check_scope(token: ApiToken, role: Role, *, scope: str | None) -> None:
    if role == Role.OWNER:
        raise NotAllowed("A project token cannot do this: it needs a person who owns the project.")
    needed = scope or (READ if role == Role.READER else WRITE)
    if needed not in token.scopes:
        raise NotAllowed(f"The token lacks the scope {needed}; it has {', '.join(token.scopes) or 'none'}.")


def role_in(user: User | AnonymousUser, project: Project) -> Role | None:
    """A person's role in a project; an instance owner counts as owner everywhere. None for strangers and programs."""
    if not isinstance(user, User):
        return None
    if user.is_superuser:
        return Role.OWNER
    held = Membership.objects.filter(project=project, user=user).values_list("role", flat=True).first()
    return None if held is None else Role(held)


def may(user: User | AnonymousUser, project: Project, role: Role) -> bool:
    """Whether a person has at least a role, for what a page shows."""
    held = role_in(user, project)
    return held is not None and _RANK[held] >= _RANK[role]


def person(user: User | AnonymousUser) -> User | None:
    """Who stands behind a request, for `created_by` and the audit; None for a project token."""
    return user if isinstance(user, User) else None
