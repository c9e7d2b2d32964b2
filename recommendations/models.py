"""What should change, and what a person did about it."""

from django.db import models
from django.urls import reverse

from evaluation.models import Candidate, Evaluation
from projects.models import Project, User


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
