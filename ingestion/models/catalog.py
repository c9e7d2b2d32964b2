"""The catalogue of models and prices."""

from django.db import models
from django.db.models import Q, UniqueConstraint

from projects.models import Project


class ModelOffer(models.Model):
    """A model that can be called: `name` is what the gateway takes, `model` what logs call it. project null: shared."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, null=True, blank=True, related_name="offers")
    provider = models.CharField(max_length=60, blank=True, default="")
    model = models.CharField(max_length=120)
    name = models.CharField(max_length=160)
    family = models.CharField(
        max_length=60, blank=True, default="", help_text="for checks of self-preference of judges"
    )
    retires_on = models.DateField(null=True, blank=True)
    retirement_source = models.CharField(max_length=200, blank=True, default="", help_text="who says when it retires")

    class Meta:
        constraints = [
            UniqueConstraint(fields=["project", "name"], name="offer_once"),
            UniqueConstraint(fields=["name"], condition=Q(project__isnull=True), name="instance_offer_once"),
        ]

    def __str__(self) -> str:
        return self.name


class OfferVersion(models.Model):
    """What an offer can do, from a day on. null: not known. The newest not after a day counts, its last revision."""

    offer = models.ForeignKey(ModelOffer, on_delete=models.CASCADE, related_name="versions")
    valid_from = models.DateField()
    context_window = models.PositiveIntegerField(null=True, blank=True)
    output_limit = models.PositiveIntegerField(null=True, blank=True)
    tools = models.BooleanField(null=True, blank=True)
    parallel_tools = models.BooleanField(null=True, blank=True)
    json_mode = models.BooleanField(null=True, blank=True)
    json_schema = models.BooleanField(null=True, blank=True)
    vision = models.BooleanField(null=True, blank=True)
    streaming = models.BooleanField(null=True, blank=True)
    reasoning = models.BooleanField(null=True, blank=True)
    seed = models.BooleanField(null=True, blank=True)
    languages = models.CharField(  # noqa: DJ001 — null is "not known" here as in the fields above
        max_length=300, null=True, blank=True, help_text="it is made for; English names, comma-separated"
    )
    revision = models.PositiveSmallIntegerField(default=1, help_text="a correction of the same day is the next one")
    source = models.CharField(max_length=200)

    class Meta:
        constraints = [UniqueConstraint(fields=["offer", "valid_from", "revision"], name="offer_version_once")]

    def __str__(self) -> str:
        return f"{self.offer} from {self.valid_from}"


class Price(models.Model):
    """Nano-dollars per million tokens, from a day on. Only ever added; the last revision of a day counts."""

    offer = models.ForeignKey(ModelOffer, on_delete=models.CASCADE, related_name="prices")
    valid_from = models.DateField()
    input_nanousd = models.BigIntegerField()
    output_nanousd = models.BigIntegerField()
    cached_input_nanousd = models.BigIntegerField(null=True, blank=True)
    cache_write_nanousd = models.BigIntegerField(null=True, blank=True)
    reasoning_nanousd = models.BigIntegerField(null=True, blank=True)
    revision = models.PositiveSmallIntegerField(default=1, help_text="a correction of the same day is the next one")
    source = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [UniqueConstraint(fields=["offer", "valid_from", "revision"], name="price_once")]

    def __str__(self) -> str:
        return f"{self.offer} from {self.valid_from}"
