"""What was taken out of the store, by whom and why: the proof that lets the chain of hashes verify all the same."""

from django.db import models

from ingestion.models.logs import LogRecord
from projects.models import Project, User


class Removal(models.Model):
    """One run of retention, or the erasure of one person's calls. Never deleted; it never holds what it removed."""

    class Kind(models.TextChoices):
        RETENTION = "retention", "by age"
        ERASURE = "erasure", "erasure of one person's calls"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="removals")
    kind = models.CharField(max_length=10, choices=Kind)
    by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+", help_text="null: the schedule")
    older_than = models.DateTimeField(null=True, help_text="by age: bodies of calls before this moment")
    key = models.CharField(max_length=128, blank=True, default="", help_text="erasure: the metadata key")
    value_hash = models.CharField(max_length=64, blank=True, default="", help_text="keyed hash of the value")
    other_keys = models.JSONField(default=list, help_text="further metadata keys whose values were replaced")
    records = models.PositiveBigIntegerField(default=0, help_text="versions of calls that it changed")
    calls = models.PositiveBigIntegerField(default=0, help_text="different calls among them")
    bodies = models.PositiveBigIntegerField(default=0)
    set_aside = models.PositiveBigIntegerField(default=0)
    answers = models.PositiveBigIntegerField(default=0, help_text="copies in evaluations: answers and explanations")
    reached = models.BigIntegerField(default=0, help_text="the last record that is done")
    created_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True)
    lifted_at = models.DateTimeField(null=True, help_text="erasure: since when later calls are kept whole again")

    class Meta:
        indexes = [models.Index(fields=["project", "kind"], name="removal_by_kind")]

    def __str__(self) -> str:
        return f"removal {self.pk} {self.get_kind_display()}"


class RemovedBody(models.Model):
    """A record whose body is gone, and the removal that took it. Immutable."""

    record = models.OneToOneField(LogRecord, on_delete=models.CASCADE, primary_key=True, related_name="removed")
    removal = models.ForeignKey(Removal, on_delete=models.CASCADE, related_name="removed")
    proof = models.CharField(max_length=64, help_text="keyed hash of record and removal: only the product can write it")

    def __str__(self) -> str:
        return f"body of record {self.record_id}, gone with removal {self.removal_id}"
