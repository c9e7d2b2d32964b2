"""The only door to a project: every other row is reached from the project that this opens."""

from django.contrib.auth.models import AnonymousUser
from django.db.models import F, Q, QuerySet

from agentopt.lib.errors import NotAllowed, NotFound
from projects.models import ApiToken, Job, Membership, Project, Role, User

INGEST, READ, WRITE = "ingest", "read", "write"
SCOPES = {INGEST: "send logs", READ: "read everything of the project", WRITE: "start work and decide"}
_NONE_YET = 'There is none yet: create_project "Support agent".'
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
        return Project.objects.filter(tokens=user.token)
    if not isinstance(user, User):
        return Project.objects.none()
    return Project.objects.all() if user.is_superuser else Project.objects.filter(memberships__user=user)


def with_roles(user: User | AnonymousUser) -> QuerySet[Project]:
    """The same with the person's role in each, which `role_in` then knows without asking."""
    found = projects_of(user)
    if not isinstance(user, User) or user.is_superuser:
        return found
    # the filter above joins the person's own membership, and this reads it there
    return found.annotate(role_held=F("memberships__role"), role_holder=F("memberships__user"))


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
    # pages say whether the connection simulates
    project = with_roles(user).filter(_named(slug_or_id)).select_related("connection").first()
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


def project_named(slug_or_id: str) -> Project:
    """Return a project for a command, which runs as the operator of the instance: no person to ask.

    Raises:
        NotFound: there is none; the message names those that exist.
    """
    project = Project.objects.filter(_named(slug_or_id)).first()
    if project is None:
        slugs = ", ".join(Project.objects.order_by("slug").values_list("slug", flat=True)[:20])
        raise NotFound(f"There is no project {slug_or_id!r}. " + (f"There are: {slugs}." if slugs else _NONE_YET))
    return project


def _named(slug_or_id: str | int) -> Q:
    text = str(slug_or_id)
    # a slug is never made of digits alone
    is_number = text.isascii() and text.isdigit() and len(text) < 19
    return Q(pk=int(text)) if is_number else Q(slug=text)


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
    read = vars(project)
    if read.get("role_holder") == user.pk:  # as `with_roles` read it for this request
        return Role(read["role_held"])
    held = Membership.objects.filter(project=project, user=user).values_list("role", flat=True).first()
    return None if held is None else Role(held)


def may(user: User | AnonymousUser, project: Project, role: Role) -> bool:
    """Whether a person has at least a role, for what a page shows."""
    held = role_in(user, project)
    return held is not None and _RANK[held] >= _RANK[role]


def person(user: User | AnonymousUser) -> User | None:
    """Who stands behind a request, for `created_by` and the audit; None for a project token."""
    return user if isinstance(user, User) else None
