"""What should change, what people did about it, and whether it held."""

from django.db import models
from django.db.models import Index, UniqueConstraint
from django.urls import reverse

from evaluation.models import Candidate, Evaluation, Judge, JudgeVersion
from ingestion.models import LogRecord
from projects.models import Project, User
from recommendations import states
from recommendations.drift import models as drift

# the app's models stand in two files; Django finds them through this one
Alert = drift.Alert
AlertTransition = drift.AlertTransition
DriftCheck = drift.DriftCheck
DriftObservations = drift.DriftObservations
DriftRule = drift.DriftRule
DriftSeries = drift.DriftSeries
DriftWatch = drift.DriftWatch


class Recommendation(models.Model):
    """Switch to X with confidence c, or NO RECOMMENDATION with reasons. Immutable; known by its id everywhere."""

    class Kind(models.TextChoices):
        SWITCH = "switch"
        NONE = "none", "NO RECOMMENDATION"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="recommendations")
    evaluation = models.OneToOneField(Evaluation, on_delete=models.PROTECT, related_name="recommendation")
    kind = models.CharField(max_length=10, choices=Kind)
    candidate = models.ForeignKey(
        Candidate,
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        help_text="the recommended one, or the one that came nearest",
    )
    confidence = models.FloatField(null=True)
    reasons = models.JSONField(help_text="[{code, text, ...numbers}], the deciding one first")
    evidence = models.JSONField(help_text="every number shown, canonical")
    evidence_hash = models.CharField(max_length=64)
    provenance = models.JSONField(help_text="versions of code, judges, prices and numpy; seed; policy")
    simulated = models.BooleanField(default=False)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"recommendation {self.pk} of {self.project}"

    def get_absolute_url(self) -> str:
        return reverse("recommendations:detail", args=[self.project.slug, self.pk])


class Basis(models.Model):
    """What a recommendation was computed from: policy, prompts in order, every score, cost and price. Immutable.

    A row of its own, since lists of recommendations need none of it.
    """

    recommendation = models.OneToOneField(Recommendation, on_delete=models.CASCADE, related_name="basis")
    inputs = models.JSONField(help_text="as recommendations.inputs reads them; no prompt, no answer")
    inputs_hash = models.CharField(max_length=64)

    def __str__(self) -> str:
        return f"basis of {self.recommendation}"


class Decision(models.Model):
    """What a person did with a recommendation; the newest one counts."""

    class Kind(models.TextChoices):
        ACKNOWLEDGED = "acknowledged"
        DISMISSED = "dismissed"
        POSTPONED = "postponed"

    recommendation = models.ForeignKey(Recommendation, on_delete=models.CASCADE, related_name="decisions")
    kind = models.CharField(max_length=12, choices=Kind)
    note = models.TextField(blank=True, default="", max_length=2000)
    until = models.DateTimeField(null=True, blank=True, help_text="postponed until")
    by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.kind} by {self.by}"


class Transition(models.Model):
    """A step of a recommendation from one state to another: who, when, why. Immutable; the newest one counts."""

    class State(models.TextChoices):
        NEW = states.NEW
        SEEN = states.SEEN
        ACKNOWLEDGED = states.ACKNOWLEDGED
        DISMISSED = states.DISMISSED
        POSTPONED = states.POSTPONED
        WATCHING = states.WATCHING
        CONFIRMED = states.CONFIRMED
        REVERSED = states.REVERSED
        OUT_OF_DATE = states.OUT_OF_DATE, "out of date"

    recommendation = models.ForeignKey(Recommendation, on_delete=models.CASCADE, related_name="transitions")
    number = models.PositiveIntegerField(help_text="place in the sequence, from 1: of two at once, one is refused")
    was = models.CharField(max_length=12, choices=State)
    state = models.CharField(max_length=12, choices=State)
    code = models.CharField(max_length=40, blank=True, default="", help_text="why, where no person did it")
    why = models.TextField(blank=True, default="", max_length=2000)
    until = models.DateTimeField(null=True, help_text="postponed until")
    by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+", help_text="null: a program")
    at = models.DateTimeField()

    class Meta:
        constraints = [UniqueConstraint(fields=["recommendation", "number"], name="transition_once")]

    def __str__(self) -> str:
        return f"{self.was} to {self.state}"


class FollowUp(models.Model):
    """The watch over a promise since the logs showed the recommended model taking over."""

    class Verdict(models.TextChoices):
        TOO_EARLY = "too_early", "too early"
        CONFIRMED = "confirmed"
        NOT_CONFIRMED = "not_confirmed", "not confirmed"

    recommendation = models.OneToOneField(Recommendation, on_delete=models.CASCADE, related_name="follow_up")
    switched_at = models.DateTimeField(help_text="start of the first day on which the model took over")
    promised = models.JSONField(help_text="what was promised, with the bar of each promise")
    shares = models.JSONField(default=list, help_text="the recommended model's share of calls by use case, newest")
    verdict = models.CharField(max_length=14, choices=Verdict, default=Verdict.TOO_EARLY)
    realised = models.JSONField(default=dict, help_text="the newest figures; not all of them are looks")
    checked_at = models.DateTimeField(null=True)
    decided_at = models.DateTimeField(null=True, help_text="when the verdict was reached")
    created_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"follow-up of {self.recommendation_id}: {self.verdict}"


class FollowUpLook(models.Model):
    """One look at a promise: each costs a part of the error, so that checking daily cannot wear it down. Only added."""

    follow_up = models.ForeignKey(FollowUp, on_delete=models.CASCADE, related_name="looks")
    number = models.PositiveIntegerField()
    level = models.FloatField(help_text="coverage of its deciding intervals")
    conversations = models.PositiveIntegerField(help_text="of the recommended model")
    findings = models.JSONField()
    verdict = models.CharField(max_length=14, choices=FollowUp.Verdict)
    at = models.DateTimeField()

    class Meta:
        constraints = [UniqueConstraint(fields=["follow_up", "number"], name="follow_up_look_once")]

    def __str__(self) -> str:
        return f"look {self.number}: {self.verdict}"


class ProductionVerdict(models.Model):
    """One judge's score of an answer that production gave, or unscored with a reason."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="production_verdicts")
    record = models.ForeignKey(LogRecord, on_delete=models.CASCADE, related_name="production_verdicts")
    judge = models.ForeignKey(Judge, on_delete=models.PROTECT, related_name="+")
    version = models.ForeignKey(JudgeVersion, on_delete=models.PROTECT, related_name="+")
    score = models.FloatField(null=True, help_text="in [0, 1]; null: unscored")
    reason = models.CharField(max_length=40, blank=True, default="", help_text="code: why it is unscored")
    cost_nanousd = models.BigIntegerField(null=True)
    calls = models.PositiveSmallIntegerField(default=0, help_text="requests sent, retries included")
    simulated = models.BooleanField(default=False)
    at = models.DateTimeField()

    class Meta:
        constraints = [UniqueConstraint(fields=["record", "judge", "version"], name="production_verdict_once")]
        indexes = [Index(fields=["project", "at"], name="production_verdict_by_time")]

    def __str__(self) -> str:
        return f"{self.judge}: {self.score if self.score is not None else self.reason}"


class ShareLink(models.Model):
    """An address that shows one recommendation without signing in, until it ends; of its secret the hash is kept."""

    recommendation = models.ForeignKey(Recommendation, on_delete=models.CASCADE, related_name="share_links")
    digest = models.CharField(max_length=64, unique=True)
    shows_prompts = models.BooleanField(default=False, help_text="also the start of prompts where it got worse")
    created_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)
    opened = models.PositiveIntegerField(default=0)
    last_opened_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"link to recommendation {self.recommendation_id} until {self.expires_at:%F}"


class Summary(models.Model):
    """What a model wrote about the evidence, kept only if every number in it was given. Labelled wherever shown."""

    recommendation = models.OneToOneField(Recommendation, on_delete=models.CASCADE, related_name="summary")
    model = models.CharField(max_length=160)
    text = models.TextField(blank=True, default="")
    refused = models.CharField(max_length=300, blank=True, default="", help_text="why it is not shown; empty: it is")
    simulated = models.BooleanField(default=False)
    by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"summary by {self.model}"
