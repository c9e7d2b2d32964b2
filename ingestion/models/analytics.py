"""Answers that are kept, and what questions cost."""

from django.db import models
from django.db.models import Index, UniqueConstraint

from projects.models import Project


class AnalyticsEntry(models.Model):
    """An answer as JSON, found by its question; true as long as no later batch touches its window."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+", db_index=False)
    request_hash = models.CharField(max_length=64, help_text="of the question and of what else the answer hangs on")
    watermark = models.PositiveIntegerField(help_text="newest batch when it was made")
    since = models.DateTimeField(null=True)
    until = models.DateTimeField(null=True)
    body = models.BinaryField()
    made_at = models.DateTimeField()

    class Meta:
        constraints = [UniqueConstraint(fields=["project", "request_hash"], name="analytics_entry_once")]
        indexes = [Index(fields=["project", "made_at"], name="analytics_entry_by_age")]

    def __str__(self) -> str:
        return f"answer {self.request_hash[:8]} at batch {self.watermark}"


class AnalyticsRun(models.Model):
    """A question put to the rows: counts against the day's budget, and can be stopped by its token."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+", db_index=False)
    token = models.CharField(max_length=64, blank=True, default="", help_text="the asker's name for it")
    rows = models.PositiveBigIntegerField(help_text="that it was expected to read")
    seconds = models.FloatField(null=True, help_text="null: running, or its process died")
    stop = models.BooleanField(default=False)
    started_at = models.DateTimeField()

    class Meta:
        indexes = [Index(fields=["project", "started_at"], name="analytics_run_by_day")]

    def __str__(self) -> str:
        return f"{self.rows} rows at {self.started_at:%F %R}"
