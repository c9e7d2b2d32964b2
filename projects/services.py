"""Create a project, change its goal and settings, connect it, people in it. Tokens: projects.tokens."""

import json
import secrets
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from django.utils.text import slugify

from agentopt.lib import patterns
from agentopt.lib.errors import Conflict, Invalid
from agentopt.lib.money import nanousd
from projects import audit, modes, scheduling, values
from projects.destinations import checked_address
from projects.models import Connection, Goal, Membership, Privacy, Project, Role, User
from projects.notifications import addresses

OVERRIDES = {
    "retention_days": (1, 36_500),
    "replay_sample_size": (10, 10_000),
    "confidence_threshold": (0.5, 0.98),
    "judge_disagreement_threshold": (0.01, 1),
    "max_evaluation_cost_nanousd": (0, nanousd(1_000_000)),
    "monthly_cap_nanousd": (0, nanousd(1_000_000)),
    "monthly_call_cap": (0, 100_000_000),
    "judging_per_day": (1, 100_000),
    "judging_cap_nanousd": (0, nanousd(1_000_000)),
}
_NAMES = ("allowed_providers", "banned_models")


def create_project(
    name: str, *, owner: User, privacy: str = Privacy.FULL, goal: Mapping[str, Any] | None = None
) -> Project:
    """Create a project with its first goal, an empty connection, a key for its hashes and its owner.

    Args:
        goal: terms of projects.values.Goal; what is absent has its default.

    Raises:
        Invalid: an empty or long name, an unknown privacy mode, or a goal that makes no sense.
    """
    name = _checked_name(name)
    if privacy not in Privacy.values:
        raise Invalid("There is no such privacy mode.", fields={"privacy": f"Expected {', '.join(Privacy.values)}."})
    terms = values.Goal.from_json(goal or {}).to_json()
    with transaction.atomic():
        project = _insert(name, privacy=privacy, owner=owner)
        Membership.objects.create(project=project, user=owner, role=Role.OWNER)
        Connection.objects.create(project=project)
        Goal.objects.create(project=project, version=1, terms=terms, created_by=owner)
        audit.record(project, owner, "project.create", project.slug, after={"name": name, "privacy": privacy})
    return project


def _checked_name(name: str) -> str:
    name = " ".join(name.split())
    if not name or len(name) > 80:
        raise Invalid("A project needs a name.", fields={"name": "Expected 1 to 80 characters."})
    return name


def _insert(name: str, *, privacy: str, owner: User) -> Project:
    """Add the row under the first free slug; another process may take it first, then the next one is tried."""
    stem = slugify(name)[:50].strip("-") or "project"
    if stem.isdigit():
        stem = f"project-{stem}"  # digits alone would be read as a number
    taken = set(Project.objects.filter(slug__startswith=stem).values_list("slug", flat=True))
    n = 1
    while True:
        slug = stem if n == 1 else f"{stem}-{n}"
        n += 1
        if slug in taken:
            continue
        try:
            with transaction.atomic():
                return Project.objects.create(
                    slug=slug, name=name, privacy=privacy, hash_key=secrets.token_urlsafe(32), created_by=owner
                )
        except IntegrityError:
            taken.add(slug)


def create_first_owner(email: str, password: str) -> User:
    """Create the instance owner while nobody is there yet.

    Raises:
        Conflict: somebody already is.
        Invalid: no e-mail address, or a weak password.
    """
    try:
        validate_email(email)
    except ValidationError as error:
        raise Invalid("That is no e-mail address.", fields={"email": "Expected an e-mail address."}) from error
    try:
        validate_password(password, User(email=email))
    except ValidationError as error:
        raise Invalid("The password is too weak.", fields={"password": " ".join(error.messages)}) from error
    with transaction.atomic():
        if connection.vendor == "postgresql":  # SQLite's transaction holds the write lock from its start
            with connection.cursor() as cursor:
                cursor.execute("LOCK TABLE projects_user IN SHARE ROW EXCLUSIVE MODE")
        if User.objects.exists():
            raise Conflict("This instance already has an owner: sign in, or ask them for an invitation.")
        user = User.objects.create_superuser(email, password)
        audit.record(None, user, "instance.claim", user.email)
    return user


def change_project(project: Project, changes: Mapping[str, Any], *, by: User | None) -> Project:
    """Change `name`, `privacy`, `privacy_patterns`, `retention_days` (None: bodies are kept), `allowed_providers`,
    `banned_models`, `evaluation_cron` ("": the instance's), monthly caps (None: none), judging of production samples
    (None: off) and overrides (OVERRIDES; None: the instance's).

    Modes and patterns hold for what comes in from now on; `modes.of_old_rows` says what that leaves.

    Raises:
        Invalid: an unknown setting, or a value outside its range.
    """
    wrong: dict[str, str] = {}
    clean = {name: _checked_setting(name, value, wrong) for name, value in changes.items()}
    if wrong:
        raise Invalid("The settings do not make sense.", fields=wrong)
    before = {name: getattr(project, name) for name in clean if getattr(project, name) != clean[name]}
    if not before:
        return project
    for name in before:
        setattr(project, name, clean[name])
    with transaction.atomic():
        project.save(update_fields=list(before))
        after = {name: clean[name] for name in before}
        if {"privacy", "privacy_patterns"} & before.keys():
            after["old_rows"] = modes.OLD_ROWS
        audit.record(project, by, "project.change", project.slug, before=before, after=after)
        if set(scheduling.OWN.values()) & before.keys():
            scheduling.install()
    return project


def _checked_setting(name: str, value: Any, wrong: dict[str, str]) -> Any:
    """Return the value to store; what is wrong with it goes into `wrong`."""
    if name == "name":
        return _checked_name(value if isinstance(value, str) else "")
    if name == "privacy":
        if value not in Privacy.values:
            wrong[name] = f"Expected {', '.join(Privacy.values)}."
        return value
    if name in _CHECKS:
        return _CHECKS[name](name, value, wrong)
    if name not in OVERRIDES:
        wrong[name] = "There is no such setting."
        return value
    low, high = OVERRIDES[name]
    whole = isinstance(low, int) and name != "judge_disagreement_threshold"
    kind: Any = int if whole else int | float
    if value is not None and (isinstance(value, bool) or not isinstance(value, kind) or not low <= value <= high):
        wrong[name] = f"Expected a {'whole ' if whole else ''}number from {low:g} to {high:g}, or nothing."
    return value


def _checked_cron(name: str, value: Any, wrong: dict[str, str]) -> Any:
    text = " ".join(str(value or "").split())
    if text and (len(text) > 100 or not scheduling.is_cron(text)):
        wrong[name] = "Expected five cron fields, such as 0 2 * * 0, or nothing."
    return text


def _checked_names(name: str, value: Any, wrong: dict[str, str]) -> Any:
    if not isinstance(value, list | tuple) or not all(isinstance(one, str) and one.strip() for one in value):
        wrong[name] = "Expected a list of names."
        return value
    return sorted({one.strip() for one in value})


def _checked_patterns(_name: str, value: Any, wrong: dict[str, str]) -> Any:
    if not isinstance(value, list | tuple):
        wrong["privacy_patterns"] = "Expected a list of {name, pattern}."
        return value
    try:
        patterns.compiled(value, field="privacy_patterns")
    except Invalid as error:
        wrong.update(error.fields)
        return value
    return [{"name": one["name"], "pattern": one["pattern"]} for one in value]


_CHECKS: dict[str, Callable[[str, Any, dict[str, str]], Any]] = {
    "privacy_patterns": _checked_patterns,
    **dict.fromkeys(scheduling.OWN.values(), _checked_cron),
    **dict.fromkeys(_NAMES, _checked_names),
}


def change_goal(project: Project, terms: Mapping[str, Any], *, by: User | None) -> Goal:
    """Store a new version of the goal, unless the terms are those in force; terms that are absent get their default.

    Raises:
        Invalid: the goal makes no sense; `fields` says where.
    """
    clean = values.Goal.from_json(terms).to_json()
    with transaction.atomic():
        Project.objects.select_for_update().get(pk=project.pk)
        newest = goal_of(project)
        if newest.terms == clean:
            return newest
        goal = Goal.objects.create(project=project, version=newest.version + 1, terms=clean, created_by=by)
        audit.record(project, by, "goal.change", f"version {goal.version}", before=newest.terms, after=clean)
    return goal


def goal_of(project: Project) -> Goal:
    """The goal in force: the newest version."""
    return project.goals.latest("version")


def connect(
    project: Project,
    *,
    by: User | None,
    base_url: str | None = None,
    api_key: str | None = None,
    control_url: str | None = None,
    auth_header: str | None = None,
    config: str | None = None,
) -> Connection:
    """Set where calls go; None leaves a field as it is, an empty text returns it to the instance's setting.

    An address without a path gets `/v1`. Key and config are stored encrypted and never shown again. A config names the
    provider to a gateway that does not know it by the key: a saved one's id, or JSON.

    Raises:
        Invalid: no http or https address, one with a password in it, or a private one where these are refused.
    """
    given = {
        "base_url": base_url,
        "api_key": api_key,
        "control_url": control_url,
        "auth_header": auth_header,
        "config": config,
    }
    changes = {name: value.strip() for name, value in given.items() if value is not None}
    for name in ("base_url", "control_url"):
        if changes.get(name):
            changes[name] = checked_address(changes[name], field=name)
    if "auth_header" in changes and not _is_header(changes["auth_header"]):
        raise Invalid("That is no header name.", fields={"auth_header": "Expected letters, digits and hyphens."})
    if not (changes.get("api_key") or "x").isprintable() or not (changes.get("api_key") or "x").isascii():
        raise Invalid("The key cannot be sent in a header.", fields={"api_key": "Expected printable ASCII characters."})
    if changes.get("config"):
        changes["config"] = _checked_config(changes["config"])
    row = project.connection
    before = {name: getattr(row, name) for name in changes}
    for name, value in changes.items():
        setattr(row, name, value)
    row.checked_at = None
    with transaction.atomic():
        row.save(update_fields=[*changes, "checked_at"])
        audit.record(project, by, "connection.change", before=_shown(before), after=_shown(changes))
    return row


def _shown(fields: Mapping[str, str]) -> dict[str, str]:
    secret = ("api_key", "config")
    return {name: ("set" if value else "") if name in secret else value for name, value in fields.items()}


def _checked_config(text: str) -> str:
    """A config as a header carries it: on one line, in ASCII."""
    wrong = Invalid("That is no config.", fields={"config": "Expected the id of a saved config, or a JSON object."})
    if not text.startswith("{"):
        if len(text) > 100 or not text.replace("-", "").replace("_", "").isalnum() or not text.isascii():
            raise wrong
        return text
    try:
        return json.dumps(json.loads(text))
    except (ValueError, RecursionError):
        raise wrong from None


def _is_header(name: str) -> bool:
    return 0 < len(name) <= 60 and name.isascii() and name.replace("-", "").isalnum()


def effective(project: Project) -> values.Effective:
    """The settings in force: the project's own where given, else the instance's."""

    def own(value: Any, instance: Any) -> Any:
        return instance if value is None else value

    return values.Effective(
        replay_sample_size=own(project.replay_sample_size, settings.DEFAULT_REPLAY_SAMPLE_SIZE),
        confidence_threshold=own(project.confidence_threshold, settings.CONFIDENCE_THRESHOLD),
        judge_disagreement_threshold=own(project.judge_disagreement_threshold, settings.JUDGE_DISAGREEMENT_THRESHOLD),
        max_evaluation_cost_nanousd=own(
            project.max_evaluation_cost_nanousd, nanousd(Decimal(str(settings.MAX_EVALUATION_COST_USD)))
        ),
    )


# ------------------------------------------------------------------------------------------------ people
def add_member(project: Project, user: User, role: Role, *, by: User | None) -> Membership:
    """Give a person a role.

    Raises:
        Conflict: they are a member already.
    """
    with transaction.atomic():
        membership, added = Membership.objects.get_or_create(project=project, user=user, defaults={"role": role})
        if not added:
            raise Conflict(f"{user.email} is a member already.")
        audit.record(project, by, "member.add", user.email, after={"role": role})
    return membership


def change_role(membership: Membership, role: Role, *, by: User | None) -> Membership:
    """Change a person's role.

    Raises:
        Conflict: nobody would own the project.
    """
    with transaction.atomic():
        if role != Role.OWNER:
            _refuse_last_owner(membership)
        before, membership.role = membership.role, role
        membership.save(update_fields=["role"])
        audit.record(
            membership.project, by, "member.change", membership.user.email,
            before={"role": before}, after={"role": role},
        )  # fmt: skip
    return membership


def remove_member(membership: Membership, *, by: User | None) -> None:
    """Take a person out of a project.

    Raises:
        Conflict: nobody would own the project.
    """
    with transaction.atomic():
        _refuse_last_owner(membership)
        membership.delete()
        audit.record(
            membership.project, by, "member.remove", membership.user.email, before={"role": membership.role}
        )  # fmt: skip
        addresses.leave(membership.project, membership.user.email, by=by)


def _refuse_last_owner(membership: Membership) -> None:
    """Within a transaction: the owners' rows stay locked, so that two owners cannot leave at once."""
    owners = list(
        Membership.objects.select_for_update()
        .filter(project=membership.project_id, role=Role.OWNER)
        .values_list("pk", flat=True)
    )
    if owners == [membership.pk]:
        raise Conflict("A project needs an owner: give somebody else that role first.")


def mark_connection(row: Connection, *, simulated: bool) -> None:
    """Note that the gateway answered just now, and whether it said that it is simulated."""
    row.simulated, row.checked_at = simulated, timezone.now()
    row.save(update_fields=["simulated", "checked_at"])
