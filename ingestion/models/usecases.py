"""Use cases: kinds of requests that an agent gets, and which call belongs to which."""

from django.db import models
from django.db.models import Index, Q, UniqueConstraint

from ingestion.models.logs import LogRecord
from projects.models import Project


class UseCase(models.Model):
    """A kind of request of one project: found by clustering, or named by the logs themselves.

    A merge moves no row: `merged_into` points at the use case that stands for this one, never over two steps.
    """

    class Origin(models.TextChoices):
        FOUND = "found", "found in what is asked"
        GIVEN = "given", "named by the logs"

    id = models.AutoField(primary_key=True)  # four bytes: it stands in every assignment and roll-up
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="use_cases")
    number = models.PositiveIntegerField(help_text="its label: stays when clustering runs again")
    origin = models.CharField(max_length=5, choices=Origin)
    given_name = models.CharField(max_length=128, blank=True, default="", help_text="what the logs call it")
    name = models.CharField(max_length=80)
    named_by_hand = models.BooleanField(default=False)
    terms = models.JSONField(default=list, help_text="words that set it apart, each out of several conversations")
    merged_into = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, related_name="merged")
    split_from = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, related_name="+")
    retired_at = models.DateTimeField(null=True, help_text="when clustering no longer found it")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            UniqueConstraint(fields=["project", "number"], name="use_case_number_once"),
            UniqueConstraint(fields=["project", "given_name"], condition=Q(origin="given"), name="given_use_case_once"),
            UniqueConstraint(
                fields=["project", "name"],
                condition=Q(merged_into__isnull=True, retired_at__isnull=True),
                name="use_case_name_once",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class UseCaseFit(models.Model):
    """A fitted model of a project's use cases, and how far calls have been assigned by it."""

    id = models.AutoField(primary_key=True)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="use_case_fits")
    number = models.PositiveIntegerField()
    seed = models.PositiveBigIntegerField(default=0)
    watermark = models.PositiveIntegerField(help_text="newest batch when the sample was drawn")
    n_texts = models.PositiveIntegerField(help_text="size of the sample; 0: nothing to cluster")
    clusters = models.JSONField(default=list, help_text="id of the use case of each cluster, by its place")
    figures = models.JSONField(default=dict, help_text="criterion by number of clusters, distances, agreement")
    model = models.BinaryField(null=True, help_text="vocabulary, space and centres; null once newer fits stand")
    only = models.JSONField(default=list, help_text="a split under way: the use case whose calls are assigned anew")
    reached = models.BigIntegerField(default=0, help_text="every batch up to this number is assigned by this fit")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [UniqueConstraint(fields=["project", "number"], name="use_case_fit_number_once")]

    def __str__(self) -> str:
        return f"fit {self.number} of {self.project}"


class UseCaseAssignment(models.Model):
    """Which use case a call belongs to. One row a call, apart from the log, which is immutable; the newest fit wins,
    and `fit` is the one that said so first.

    It is computed from the log and the stored fit, so it may be written anew; what an evaluation drew keeps its own
    copy. A call without one is not assigned yet, or has no text to go by.
    """

    record = models.OneToOneField(LogRecord, on_delete=models.CASCADE, primary_key=True, related_name="assignment")
    use_case = models.ForeignKey(UseCase, on_delete=models.CASCADE, related_name="assignments", db_index=False)
    fit = models.ForeignKey(UseCaseFit, on_delete=models.SET_NULL, null=True, related_name="+", db_index=False)

    class Meta:
        indexes = [Index(fields=["use_case", "record"], name="assignment_by_use_case")]

    def __str__(self) -> str:
        return f"record {self.record_id}: {self.use_case}"
