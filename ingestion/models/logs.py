"""Logs: batches, records, bodies, and what could not be read."""

from typing import ClassVar

from django.db import models
from django.db.models import Exists, Func, Index, IntegerField, OuterRef, Q, UniqueConstraint

from agentopt.lib.packing import PackedTextField
from projects.models import Job, Project


class Batch(models.Model):
    """Records taken in together; its manifest is chained to the batch before. Immutable.

    Of one project, `last_pk` of a batch lies before `first_pk` of the next; between the two no other record of the
    project stands. A project's newest number is the watermark of its logs.
    """

    class Source(models.TextChoices):
        EXPORT = "export", "Portkey export"
        FILE = "file", "file"
        PUSH = "push", "push"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="batches")
    number = models.PositiveIntegerField()
    source = models.CharField(max_length=10, choices=Source)
    format = models.CharField(max_length=20)
    label = models.CharField(max_length=200, blank=True, default="", help_text="file name or export id")
    added = models.PositiveIntegerField()
    already_there = models.PositiveIntegerField(default=0)
    set_aside = models.PositiveIntegerField(default=0)
    first_at = models.DateTimeField(null=True, help_text="of the earliest of its records; null: it has none")
    last_at = models.DateTimeField(null=True)
    first_pk = models.BigIntegerField(null=True, help_text="of its records; null: it has none")
    last_pk = models.BigIntegerField(null=True)
    manifest_hash = models.CharField(max_length=64, help_text="keyed hash over the rows' hashes and the hash before")
    previous_hash = models.CharField(max_length=64, blank=True, default="")
    simulated = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [UniqueConstraint(fields=["project", "number"], name="batch_number_once")]

    def __str__(self) -> str:
        return f"batch {self.number} of {self.project}"


class SetAside(models.Model):
    """A row that could not be read: kept with line and reason, so that nothing is lost."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="set_aside")
    batch = models.ForeignKey(Batch, on_delete=models.CASCADE, null=True, related_name="rows_set_aside")
    label = models.CharField(max_length=200, blank=True, default="")
    line = models.PositiveBigIntegerField()
    code = models.CharField(max_length=40)
    reason = models.CharField(max_length=300)
    raw = models.TextField(blank=True, default="", help_text="the row as far as the privacy mode allows")
    raw_hash = models.CharField(max_length=64)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [UniqueConstraint(fields=["project", "label", "line", "raw_hash"], name="set_aside_once")]

    def __str__(self) -> str:
        return f"{self.label} line {self.line}: {self.reason}"


class SyncRun(models.Model):
    """One window of logs asked of the gateway; resumes where it stopped."""

    class State(models.TextChoices):
        DRAFT = "draft"
        WAITING = "waiting"
        DOWNLOADING = "downloading"
        STORING = "storing"
        DONE = "done"
        FAILED = "failed"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="sync_runs")
    job = models.ForeignKey(Job, on_delete=models.SET_NULL, null=True, related_name="+")
    since = models.DateTimeField()
    until = models.DateTimeField()
    export_id = models.CharField(max_length=100, blank=True, default="")
    state = models.CharField(max_length=12, choices=State, default=State.DRAFT)
    expected = models.PositiveBigIntegerField(null=True, help_text="calls, as the gateway counts them")
    read_rows = models.PositiveBigIntegerField(default=0, help_text="rows of the export that are committed")
    missing = models.PositiveBigIntegerField(default=0, help_text="calls counted by the gateway, absent from its file")
    added = models.PositiveIntegerField(default=0)
    already_there = models.PositiveIntegerField(default=0)
    set_aside = models.PositiveIntegerField(default=0)
    doing = models.CharField(max_length=200, blank=True, default="", help_text="what it is at, or waits for")
    error_code = models.CharField(max_length=40, blank=True, default="")
    error = models.TextField(blank=True, default="")
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    hold_until = models.DateTimeField(null=True, help_text="the gateway asked to wait until then")
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [UniqueConstraint(fields=["project", "since", "until"], name="sync_window_once")]

    def __str__(self) -> str:
        return f"{self.since:%F %R} to {self.until:%F %R}: {self.state}"


class Trace(models.Model):
    """The records of one conversation or task: the unit of independence in statistics."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="traces")
    key = models.CharField(max_length=200, help_text="trace id of the source")

    class Meta:
        constraints = [UniqueConstraint(fields=["project", "key"], name="trace_once")]

    def __str__(self) -> str:
        return self.key


class LogRecordQuerySet(models.QuerySet["LogRecord"]):
    def newest(self) -> "LogRecordQuerySet":
        """Only the newest version of each record."""
        # few records ever change: a partial index holds the later versions, and only a constant leads to it
        later = LogRecord.objects.filter(
            project_id=OuterRef("project_id"),
            key=OuterRef("key"),
            version__gt=OuterRef("version"),
        ).filter(version__gt=Func(template="1", output_field=IntegerField()))
        return self.filter(~Exists(later))


class LogRecord(models.Model):
    """One model call of the agent as it happened. Immutable and versioned; the bodies stand apart.

    `key` stands for the source's id: its order is random and yet the same on every database, so the first keys are a
    repeatable sample.
    """

    class Status(models.TextChoices):
        OK = "ok"
        FAILED = "failed"

    class Obstacle(models.TextChoices):
        """Why a call cannot be replayed; empty: it can."""

        NO_BODY = "no_body", "no request body"
        HASHED = "hashed", "stored as a hash only"
        NOT_CHAT = "not_chat", "not a chat completion"
        NO_ANSWER = "no_answer", "no answer in the log"
        TRUNCATED = "truncated", "body truncated"
        IMAGES = "images", "holds images"
        REFUSED_BY_GATEWAY = "refused_by_gateway", "refused before a model saw it"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="logs", db_index=False)
    key = models.UUIDField(help_text="the first half of the keyed hash of the source's id")
    source_id = models.CharField(max_length=200)
    version = models.PositiveIntegerField(default=1)
    batch = models.ForeignKey(Batch, on_delete=models.CASCADE, related_name="records", db_index=False)
    trace = models.ForeignKey(Trace, on_delete=models.CASCADE, related_name="records", db_index=False)
    occurred_at = models.DateTimeField()
    provider = models.CharField(max_length=60, blank=True, default="")
    model = models.CharField(max_length=120)
    prompt_version = models.CharField(max_length=120, blank=True, default="")
    status = models.CharField(max_length=10, choices=Status)
    status_code = models.PositiveSmallIntegerField(null=True)
    finish_reason = models.CharField(max_length=30, blank=True, default="")
    refused = models.BooleanField(null=True, help_text="null: no answer text to tell by")
    input_tokens = models.PositiveIntegerField(null=True)
    output_tokens = models.PositiveIntegerField(null=True)
    cached_tokens = models.PositiveIntegerField(null=True, help_text="part of the input tokens")
    cache_write_tokens = models.PositiveIntegerField(null=True, help_text="part of the input tokens")
    reasoning_tokens = models.PositiveIntegerField(null=True, help_text="part of the output tokens")
    cost_nanousd = models.BigIntegerField(
        null=True, help_text="computed from tokens and a dated price, else the source's"
    )
    cost_is_ours = models.BooleanField(default=False)
    source_cost_nanousd = models.BigIntegerField(null=True, help_text="as the source says; 0 does not mean free")
    latency_us = models.BigIntegerField(null=True)
    first_token_us = models.BigIntegerField(null=True)
    uses_tools = models.BooleanField(default=False)
    uses_json = models.BooleanField(default=False)
    has_images = models.BooleanField(default=False)
    streamed = models.BooleanField(default=False)
    obstacle = models.CharField(max_length=20, choices=Obstacle, blank=True, default="")
    metadata = models.JSONField(default=dict)
    content_hash = models.CharField(max_length=64, help_text="keyed hash over all that the source told")
    body_hash = models.CharField(max_length=64, help_text="keyed hash over the body as stored; empty: it has none")
    row_hash = models.CharField(max_length=64, help_text="keyed hash over this row and the hash of its body")

    objects: ClassVar["LogRecordQuerySet"] = LogRecordQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        constraints = [UniqueConstraint(fields=["project", "key", "version"], name="log_version_once")]
        indexes = [
            Index(fields=["project", "key", "version"], name="log_later_versions", condition=Q(version__gt=1)),
            Index(fields=["trace", "occurred_at"], name="log_by_trace"),
            Index(fields=["project", "-occurred_at", "-id"], name="log_by_time"),
            Index(fields=["project", "model", "-occurred_at", "-id"], name="log_by_model"),
        ]

    def __str__(self) -> str:
        return f"{self.source_id} v{self.version}"


class LogBody(models.Model):
    """Request and answer of a record, as the privacy mode leaves them. Immutable; retention removes it by the door."""

    record = models.OneToOneField(LogRecord, on_delete=models.CASCADE, primary_key=True, related_name="body")
    request = PackedTextField(help_text="JSON of the request body, or a keyed hash")
    response = PackedTextField(blank=True, default="", help_text="JSON of the response body, or a keyed hash")
    preview = models.CharField(max_length=160, blank=True, default="", help_text="start of the last user message")

    def __str__(self) -> str:
        return f"body of record {self.record_id}"
