"""People, projects, goals, credentials, background jobs and the audit."""

from typing import Any, ClassVar

from django.contrib.auth.models import AbstractUser, BaseUserManager
from django.db import models
from django.db.models import Q, UniqueConstraint
from django.urls import reverse

from agentopt.lib.crypto import SecretField
from projects import values


class UserManager(BaseUserManager["User"]):
    """People sign in with their e-mail address."""

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """Create a person; without a password they cannot sign in until one is set."""
        user = self.model(email=self.normalize_email(email).lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """Create an instance owner: sees the admin and every project."""
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)

    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(email__iexact=username)


class User(AbstractUser):
    """A person."""

    username = None  # type: ignore[assignment]
    email = models.EmailField(unique=True)
    timezone = models.CharField(max_length=64, default="UTC")

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []
    objects: ClassVar[UserManager] = UserManager()  # type: ignore[assignment]

    def __str__(self) -> str:
        return self.email


class Role(models.TextChoices):
    """What a member may do: a reader looks, a member evaluates and decides, an owner changes settings and people."""

    READER = "reader"
    MEMBER = "member"
    OWNER = "owner"


class Privacy(models.TextChoices):
    """What is kept of prompts and answers."""

    FULL = "full"
    REDACTED = "redacted"
    HASHED = "hashed"


class Project(models.Model):
    """One AI agent with its team, goal, connection, privacy and budget."""

    slug = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=80)
    privacy = models.CharField(max_length=10, choices=Privacy, default=Privacy.FULL)
    privacy_patterns = models.JSONField(
        default=list, blank=True, help_text="Further patterns to redact: [{name, pattern}]."
    )
    retention_days = models.PositiveIntegerField(
        null=True, blank=True, help_text="Bodies of calls older than this are removed; null: kept."
    )
    hash_key = SecretField(help_text="Key of every hash of this project's content.")
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    members: "models.ManyToManyField[User, Membership]" = models.ManyToManyField(
        User, through="Membership", related_name="projects"
    )
    # null: the instance's setting stands
    replay_sample_size = models.PositiveIntegerField(null=True, blank=True)
    confidence_threshold = models.FloatField(null=True, blank=True)
    judge_disagreement_threshold = models.FloatField(null=True, blank=True)
    max_evaluation_cost_nanousd = models.BigIntegerField(null=True, blank=True)
    # null: no cap
    monthly_cap_nanousd = models.BigIntegerField(
        null=True, blank=True, help_text="Hard cap on what all evaluations of a calendar month (UTC) may spend."
    )
    monthly_call_cap = models.PositiveIntegerField(
        null=True, blank=True, help_text="The same in model calls, retries included."
    )
    # null: samples of production are not judged
    judging_per_day = models.PositiveIntegerField(
        null=True, blank=True, help_text="Calls of production a day that judges look at, for drift and follow-up."
    )
    judging_cap_nanousd = models.BigIntegerField(
        null=True, blank=True, help_text="Hard cap on what that may spend in a calendar month (UTC)."
    )
    evaluation_cron = models.CharField(
        max_length=100, blank=True, default="", help_text="Five cron fields, UTC; empty: the instance's."
    )
    allowed_providers = models.JSONField(
        default=list, blank=True, help_text="Providers that may receive prompts; empty: all."
    )
    banned_models = models.JSONField(default=list, blank=True, help_text="Gateway names never to be tried.")

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("recommendations:overview", args=[self.slug])


class Membership(models.Model):
    """A person's role in a project."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role, default=Role.MEMBER)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [UniqueConstraint(fields=["project", "user"], name="member_once")]

    def __str__(self) -> str:
        return f"{self.user} in {self.project}: {self.role}"


DEFAULT_AUTH_HEADER = "x-portkey-api-key"


class Connection(models.Model):
    """Where a project's logs come from and where its model calls go. Empty: the instance's settings."""

    project = models.OneToOneField(Project, on_delete=models.CASCADE, related_name="connection")
    base_url = models.URLField(max_length=500, blank=True)
    control_url = models.URLField(max_length=500, blank=True, help_text="Address of log exports, where it differs.")
    auth_header = models.CharField(max_length=60, default=DEFAULT_AUTH_HEADER)
    api_key = SecretField(blank=True, default="")
    config = SecretField(
        blank=True, default="", help_text="Portkey config sent with model calls: an id, or JSON, which may hold keys."
    )
    # set from a response header of the gateway, only ever used to label results
    simulated = models.BooleanField(default=False)
    checked_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"connection of {self.project}"


class Goal(models.Model):
    """What a project wants of a model; a change is a new version."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="goals")
    version = models.PositiveIntegerField()
    terms = models.JSONField(help_text="weights, scales, margins, limits, min_gain: projects.values.Goal")
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")

    class Meta:
        constraints = [UniqueConstraint(fields=["project", "version"], name="goal_version_once")]

    def __str__(self) -> str:
        return f"goal {self.version} of {self.project}"

    def value(self) -> values.Goal:
        """The goal as the pure functions take it."""
        return values.Goal.from_json(self.terms)


class ApiToken(models.Model):
    """A bearer token: of one project (with scopes), or of one person (who may do what they may do)."""

    prefix = models.CharField(max_length=8, unique=True)
    digest = models.CharField(max_length=64)
    name = models.CharField(max_length=80)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, null=True, blank=True, related_name="tokens")
    user = models.ForeignKey(User, on_delete=models.CASCADE, null=True, blank=True, related_name="tokens")
    scopes = models.JSONField(default=list)
    created_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(project__isnull=True) ^ Q(user__isnull=True), name="token_of_project_or_person"
            )
        ]

    def __str__(self) -> str:
        return f"{self.name} (aop_{self.prefix}…)"


class Job(models.Model):
    """A piece of background work that a person sees; it runs in slices, each under a lease."""

    class State(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"
        CANCELLED = "cancelled"

    kind = models.CharField(max_length=30, help_text="a name from agentopt.schedules.JOBS")
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="jobs")
    subject_id = models.BigIntegerField(null=True, blank=True, help_text="the row that the job works on")
    options = models.JSONField(default=dict, blank=True)
    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    cancel = models.BooleanField(default=False)
    token = models.CharField(max_length=32, blank=True, default="")
    attempts = models.PositiveSmallIntegerField(default=0)
    slices = models.PositiveIntegerField(default=0)
    lease_until = models.DateTimeField(null=True, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    done = models.PositiveBigIntegerField(default=0)
    total = models.PositiveBigIntegerField(null=True, blank=True)
    message = models.CharField(max_length=300, blank=True, default="")
    error_code = models.CharField(max_length=40, blank=True, default="")
    error = models.TextField(blank=True, default="")
    result = models.JSONField(null=True, blank=True)
    created_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [models.Index(fields=["state", "lease_until"], name="job_waiting")]

    def __str__(self) -> str:
        return f"{self.kind} job {self.pk}: {self.state}"


class ScheduleRun(models.Model):
    """One time that a schedule came round for a project: the job it started, or why it started none."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="schedule_runs")
    name = models.CharField(max_length=30, help_text="a name from agentopt.schedules.SCHEDULES")
    due_at = models.DateTimeField(null=True, help_text="the moment it was due; null: a person asked for it")
    at = models.DateTimeField()
    by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    job = models.ForeignKey(Job, on_delete=models.SET_NULL, null=True, related_name="+")
    why_not = models.CharField(max_length=300, blank=True, default="", help_text="why it started nothing")

    class Meta:
        # whatever is delivered twice, or by two clusters, starts once
        constraints = [UniqueConstraint(fields=["project", "name", "due_at"], name="schedule_run_once")]
        indexes = [models.Index(fields=["project", "name", "-at"], name="schedule_run_newest")]

    def __str__(self) -> str:
        return f"{self.name} of {self.project} at {self.at:%F %T}"


class AuditEntry(models.Model):
    """Who changed what, from what, to what. Only ever added."""

    project = models.ForeignKey(Project, on_delete=models.SET_NULL, null=True, related_name="audit")
    user = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    action = models.CharField(max_length=60)
    target = models.CharField(max_length=120, blank=True, default="")
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)
    at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.at:%F %T} {self.action} {self.target}"


class IdempotencyKey(models.Model):
    """The answer to a POST that carried an Idempotency-Key, so that a repeat gets the same and does nothing."""

    owner = models.CharField(max_length=40, help_text="who asked: token or person")
    key = models.CharField(max_length=200)
    request_hash = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField(null=True)
    body = models.JSONField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [UniqueConstraint(fields=["owner", "key"], name="idempotency_key_once")]

    def __str__(self) -> str:
        return self.key


class Channel(models.Model):
    """One destination of a project's notices, with what it gets and when it must be left alone."""

    class Form(models.TextChoices):
        EMAIL = "email", "e-mail"
        CHAT = "chat", "chat webhook (Slack-compatible)"
        WEBHOOK = "webhook", "signed webhook"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="channels")
    form = models.CharField(max_length=10, choices=Form)
    name = models.CharField(max_length=80)
    # the address of a chat webhook is a secret by itself
    address = SecretField(help_text="E-mail address, or the address that notices are posted to.")
    secret = SecretField(blank=True, default="", help_text="Key of the signature of a signed webhook.")
    wants = models.JSONField(default=dict, blank=True, help_text="{kind: now, digest or off}; absent: the kind's own")
    quiet_from = models.TimeField(null=True, blank=True)
    quiet_until = models.TimeField(null=True, blank=True)
    timezone = models.CharField(max_length=64, default="UTC", help_text="of the quiet hours")
    enabled = models.BooleanField(default=True)
    failing_since = models.DateTimeField(null=True, blank=True, help_text="since when nothing reached it")
    created_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [UniqueConstraint(fields=["project", "name"], name="channel_name_once")]

    def __str__(self) -> str:
        return self.name


class Notice(models.Model):
    """Something a project's people are told: figures, names and an address of this site, nothing of prompts."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="notices")
    kind = models.CharField(max_length=30, help_text="a name from projects.notifications.kinds.KINDS")
    key = models.CharField(max_length=120, help_text="the same thing is told once")
    context = models.JSONField(default=dict)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [UniqueConstraint(fields=["project", "kind", "key"], name="notice_once")]

    def __str__(self) -> str:
        return f"{self.kind} notice {self.pk}"


class NoticeDelivery(models.Model):
    """One notice on its way to one channel: what arrived, and what was tried."""

    class State(models.TextChoices):
        WAITING = "waiting"
        FOR_DIGEST = "for_digest", "for the daily letter"
        IN_DIGEST = "in_digest", "in a daily letter"
        SENT = "sent"
        FAILED = "failed"
        DROPPED = "dropped"

    notice = models.ForeignKey(Notice, on_delete=models.CASCADE, related_name="deliveries")
    channel = models.ForeignKey(Channel, on_delete=models.SET_NULL, null=True, related_name="deliveries")
    channel_name = models.CharField(max_length=80)
    within = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, related_name="parts")
    key = models.CharField(max_length=32, unique=True, help_text="the same at each try, so a receiver can tell repeats")
    state = models.CharField(max_length=12, choices=State, default=State.WAITING)
    due_at = models.DateTimeField(null=True, help_text="not tried before")
    attempts = models.PositiveSmallIntegerField(default=0)
    token = models.CharField(max_length=32, blank=True, default="")
    lease_until = models.DateTimeField(null=True)
    error = models.CharField(max_length=300, blank=True, default="")
    created_at = models.DateTimeField()
    tried_at = models.DateTimeField(null=True)
    sent_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [UniqueConstraint(fields=["notice", "channel"], name="notice_delivery_once")]
        indexes = [models.Index(fields=["state", "due_at"], name="notice_delivery_due")]

    def __str__(self) -> str:
        return f"{self.notice} to {self.channel_name}: {self.state}"
