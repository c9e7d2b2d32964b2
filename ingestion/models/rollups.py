"""Roll-ups: what the calls of an hour and of a day come to, so that no page reads the calls themselves."""

from django.db import models
from django.db.models import UniqueConstraint

from projects.models import Project


class Rollup(models.Model):
    """One part of the figures of one day of a project, by group; packed by `ingestion.cubes`.

    The tier tells how fine the groups are: by hour of the day, the whole day, or the whole day without prompt versions
    and use cases, which most dashboards do not ask for. Computed from the newest versions of
    the calls alone, so it may be thrown away and is the same bytes when made again.
    """

    class Tier(models.TextChoices):
        HOUR = "hour"
        DAY = "day"
        BARE = "bare"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="rollups", db_index=False)
    tier = models.CharField(max_length=4, choices=Tier)
    part = models.CharField(max_length=20, help_text="figures, products, or the metric of a sketch")
    day = models.DateField(help_text="in UTC")
    payload = models.BinaryField()

    class Meta:
        constraints = [UniqueConstraint(fields=["project", "tier", "part", "day"], name="rollup_once")]

    def __str__(self) -> str:
        return f"{self.part} of {self.day} by {self.tier}"


class RollupState(models.Model):
    """How far a project's roll-ups go."""

    project = models.OneToOneField(Project, on_delete=models.CASCADE, primary_key=True, related_name="rollup_state")
    form = models.PositiveSmallIntegerField(help_text="of the packed parts; another form is made anew")
    watermark = models.PositiveIntegerField(default=0, help_text="every batch up to this number is in them")
    seconds = models.FloatField(default=0.0, help_text="that the last refresh took")
    refreshed_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"roll-ups of {self.project} up to batch {self.watermark}"


class DirtyHour(models.Model):
    """An hour whose roll-up is older than its calls. Gone once it is made anew, unless it was marked meanwhile."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="dirty_hours", db_index=False)
    hour = models.DateTimeField(help_text="its beginning")
    marks = models.PositiveBigIntegerField(default=1)

    class Meta:
        constraints = [UniqueConstraint(fields=["project", "hour"], name="dirty_hour_once")]

    def __str__(self) -> str:
        return f"{self.hour:%F %R}, marked {self.marks} times"
