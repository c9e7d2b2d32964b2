"""What is watched, what was found, and what people did about it."""

from django.db import models
from django.db.models import Index, UniqueConstraint
from django.urls import reverse

from projects.models import Project, User


class DriftWatch(models.Model):
    """How far a project's calls are watched, and how often it may be alarmed for nothing."""

    project = models.OneToOneField(Project, on_delete=models.CASCADE, primary_key=True, related_name="drift_watch")
    false_alarms = models.FloatField(default=1.0, help_text="a year, over all rules together")
    since = models.DateTimeField(null=True, help_text="the first moment that is watched")
    cursor = models.DateTimeField(null=True, help_text="every conversation that closed before is taken in")
    seen = models.JSONField(default=dict, help_text="models and prompt versions: name to [first seen, conversations]")
    calls = models.PositiveBigIntegerField(default=0, help_text="calls read")
    seconds = models.FloatField(default=0.0, help_text="that reading and testing took in all")
    checked_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"watch over {self.project}"


class DriftRule(models.Model):
    """One thing to be told about."""

    class Metric(models.TextChoices):
        LATENCY = "latency"
        COST = "cost"
        TOKENS = "tokens"
        ERRORS = "errors", "Error rate"
        REFUSALS = "refusals", "Refusal rate"
        MIX = "mix", "Use-case mix"
        QUALITY = "quality", "Judged quality"

    class Scope(models.TextChoices):
        ALL = "", "all conversations"
        MODEL = "model"
        PROMPT_VERSION = "prompt_version", "prompt version"
        USE_CASE = "use_case", "use case"

    class Direction(models.TextChoices):
        ANY = "any", "either way"
        RISE = "rise", "a rise"
        FALL = "fall", "a fall"

    class Kind(models.TextChoices):
        ROLLING = "rolling", "rolling: learnt anew every quarter"
        PINNED = "pinned", "pinned to dates"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="drift_rules")
    metric = models.CharField(max_length=10, choices=Metric)
    scope = models.CharField(max_length=14, choices=Scope, blank=True, default="")
    scope_value = models.CharField(max_length=120, blank=True, default="", help_text="a name; a use case by its id")
    direction = models.CharField(max_length=4, choices=Direction, default=Direction.ANY)
    least = models.FloatField(null=True, blank=True, help_text="smallest shift worth an alert; null: the metric's own")
    min_conversations = models.PositiveIntegerField(default=100)
    quiet_hours = models.PositiveIntegerField(default=24)
    reference = models.CharField(max_length=7, choices=Kind, default=Kind.ROLLING)
    reference_days = models.PositiveSmallIntegerField(default=28)
    pinned_since = models.DateField(null=True, blank=True)
    pinned_until = models.DateField(null=True, blank=True, help_text="the day after the last")
    active = models.BooleanField(default=True)
    created_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.get_metric_display()} of {self.scope_value or 'all conversations'}"


class DriftSeries(models.Model):
    """One view of what a rule watches: its reference and how the wagers stand."""

    rule = models.ForeignKey(DriftRule, on_delete=models.CASCADE, related_name="series")
    view = models.CharField(max_length=5)
    part = models.CharField(max_length=20, blank=True, default="", help_text="of the mix: the id of a use case")
    learn_from = models.DateTimeField(null=True, help_text="nothing before belongs into the reference; null: anything")
    learn_days = models.PositiveSmallIntegerField(default=28)
    renew_from = models.DateTimeField(null=True, help_text="a known event: it becomes the reference at `renew_at`")
    renew_at = models.DateTimeField(null=True)
    reference = models.JSONField(null=True)
    reference_since = models.DateTimeField(null=True)
    reference_until = models.DateTimeField(null=True)
    state = models.JSONField(default=dict)
    quiet_until = models.DateTimeField(null=True)
    trouble = models.CharField(max_length=200, blank=True, default="", help_text="why it has no reference")

    class Meta:
        constraints = [UniqueConstraint(fields=["rule", "view", "part"], name="drift_series_once")]

    def __str__(self) -> str:
        return f"{self.view} of {self.rule}"


class DriftObservations(models.Model):
    """The conversations that closed in a window, as packed columns. Made of the calls; may be thrown away."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="drift_observations", db_index=False)
    since = models.DateTimeField()
    until = models.DateTimeField()
    n = models.PositiveIntegerField()
    payload = models.BinaryField()

    class Meta:
        constraints = [UniqueConstraint(fields=["project", "since"], name="drift_observations_once")]

    def __str__(self) -> str:
        return f"{self.n} conversations of {self.since:%F %R}"


class DriftCheck(models.Model):
    """A test of a window against the references."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="drift_checks", db_index=False)
    since = models.DateTimeField()
    until = models.DateTimeField()
    n_conversations = models.PositiveIntegerField()
    n_calls = models.PositiveIntegerField(help_text="read for it")
    findings = models.JSONField(default=list, help_text="[{series, metric, view, part, n, mean, usual, evidence}]")
    n_alerts = models.PositiveSmallIntegerField(default=0)
    checked_at = models.DateTimeField()

    class Meta:
        constraints = [UniqueConstraint(fields=["project", "since"], name="drift_check_once")]

    def __str__(self) -> str:
        return f"check of {self.since:%F %R} to {self.until:%F %R}"


class Alert(models.Model):
    """Something moved, with what is known about it."""

    class Kind(models.TextChoices):
        SHIFT = "shift"
        NEW_MODEL = "new_model", "new model"
        NEW_PROMPT_VERSION = "new_prompt_version", "new prompt version"
        NEW_JUDGE = "new_judge", "new judge"

    class State(models.TextChoices):
        OPEN = "open"
        ACKNOWLEDGED = "acknowledged"
        MUTED = "muted"
        EXPECTED = "expected"
        RESOLVED = "resolved"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="alerts")
    rule = models.ForeignKey(DriftRule, on_delete=models.SET_NULL, null=True, related_name="alerts")
    kind = models.CharField(max_length=20, choices=Kind, default=Kind.SHIFT)
    state = models.CharField(max_length=12, choices=State, default=State.OPEN)
    muted_until = models.DateTimeField(null=True)
    metric = models.CharField(max_length=10, blank=True, default="")
    view = models.CharField(max_length=5, blank=True, default="")
    part = models.CharField(max_length=20, blank=True, default="")
    rise = models.BooleanField(null=True)
    subject = models.CharField(max_length=160, help_text="what it is about: the scope, a use case, a new name")
    began_at = models.DateTimeField(help_text="the change point, or when a name was first seen")
    alarm_at = models.DateTimeField(help_text="last call of the conversation that raised it")
    found_at = models.DateTimeField()
    again_at = models.DateTimeField(null=True, help_text="when the same shift was last shown again")
    figures = models.JSONField(default=dict, help_text="levels, shift with interval, segments, related changes")
    resolved_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [Index(fields=["project", "state"], name="alert_by_state")]
        constraints = [UniqueConstraint(fields=["rule", "view", "part", "alarm_at"], name="alert_once")]

    def __str__(self) -> str:
        return f"alert {self.pk}: {self.subject}"

    def get_absolute_url(self) -> str:
        return reverse("recommendations:alert", args=[self.project.slug, self.pk])


class AlertTransition(models.Model):
    """Who moved an alert to which state, when and why; by nobody: the product did."""

    alert = models.ForeignKey(Alert, on_delete=models.CASCADE, related_name="transitions")
    state = models.CharField(max_length=12, choices=Alert.State)
    note = models.TextField(blank=True, default="", max_length=2000)
    by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.state} by {self.by}"
