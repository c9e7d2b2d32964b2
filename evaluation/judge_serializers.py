"""What the API says of judges: the library, versions, a dry run, and the panel of an evaluation."""

from typing import Any

from rest_framework import serializers

from agentopt.lib.drf import Given
from evaluation.models import Judge, JudgeVersion

_Out = serializers.Serializer[Any]


class LibraryEntryOut(_Out):
    """A judge or rule as it stands in a project."""

    name = serializers.CharField()
    kind = serializers.ChoiceField(choices=["product", "own", "rule"])
    form = serializers.ChoiceField(choices=JudgeVersion.Form.choices)
    models = serializers.ListField(child=serializers.CharField(), help_text="in force; empty: none, or it is a rule")
    counts_as = serializers.CharField(help_text="quality, guard, first or shown; empty: never set")
    margin = serializers.FloatField(allow_null=True)
    repeats = serializers.IntegerField()
    is_active = serializers.BooleanField()
    version = serializers.CharField(help_text="hash of what it is asked now; empty: a rule that was never set")
    versions = serializers.IntegerField()
    verdicts = serializers.IntegerField()
    unscored = serializers.IntegerField()
    settings = serializers.DictField(help_text="of a rule")


class EditionOut(_Out):
    """One version of what a judge is asked."""

    hash = serializers.CharField()
    text = serializers.CharField()
    lowest = serializers.FloatField()
    highest = serializers.FloatField()
    created_at = serializers.DateTimeField()
    verdicts = serializers.IntegerField()
    last_used = serializers.IntegerField(allow_null=True, help_text="number of the newest evaluation with it")
    is_in_force = serializers.BooleanField()


class OwnJudgeIn(Given):
    """A judge of the project's own."""

    name = serializers.CharField(max_length=30)
    text = serializers.CharField(max_length=20_000)
    lowest = serializers.FloatField(default=1.0)
    highest = serializers.FloatField(default=10.0)
    model = serializers.CharField(max_length=160)
    counts_as = serializers.ChoiceField(choices=["quality", "guard", "shown"], default=Judge.CountsAs.SHOWN)
    margin = serializers.FloatField(required=False, allow_null=True, default=None)
    repeats = serializers.IntegerField(default=1)


class TriedOut(_Out):
    """What the judge said of one logged answer."""

    record = serializers.IntegerField()
    asked = serializers.CharField()
    answer = serializers.CharField()
    score = serializers.FloatField(allow_null=True, help_text="in [0, 1]")
    on_scale = serializers.FloatField(allow_null=True)
    reason = serializers.CharField(help_text="why it is unscored")
    explanation = serializers.CharField()
    cost_nanousd = serializers.IntegerField(allow_null=True)


class DryRunOut(_Out):
    """A judge tried on a few logged answers."""

    cases = TriedOut(many=True)
    cost_nanousd = serializers.IntegerField(allow_null=True)
    calls = serializers.IntegerField()
    simulated = serializers.BooleanField()


class RuleIn(Given):
    """How a rule is set."""

    counts_as = serializers.ChoiceField(choices=Judge.CountsAs.choices)
    settings = serializers.DictField(required=False, help_text="patterns, or least and most; as the rule takes them")
    margin = serializers.FloatField(required=False, allow_null=True)


class LeanOut(_Out):
    """A leaning with its 95 % interval; the interval is [estimate, low, high]."""

    value = serializers.FloatField()
    interval = serializers.ListField(child=serializers.FloatField(), allow_null=True)
    n = serializers.IntegerField()


class ScatterOut(_Out):
    """Standard deviation within answers that were judged more than once."""

    sd = serializers.FloatField()
    answers = serializers.IntegerField()


class OrderOut(_Out):
    """The same two answers in both orders."""

    n = serializers.IntegerField()
    unread = serializers.IntegerField()
    consistent = serializers.ListField(child=serializers.FloatField(), allow_null=True)
    first = serializers.IntegerField()
    second = serializers.IntegerField()


class BearingOut(_Out):
    """How one judge bore itself in an evaluation; null: not measured, or too few to tell."""

    scored = serializers.IntegerField()
    unscored = serializers.IntegerField()
    reasons = serializers.DictField(child=serializers.IntegerField(), source="by_reason")
    mean = serializers.FloatField(allow_null=True)
    scatter = ScatterOut(allow_null=True)
    length = LeanOut(allow_null=True, help_text="rank correlation of length and score differences")
    place = LeanOut(allow_null=True, help_text="preference for whatever stood first, above one half")
    order = OrderOut(allow_null=True)


class PanelRowOut(_Out):
    """One seat of the panel."""

    rubric = serializers.CharField()
    model = serializers.CharField(help_text="empty: a rule")
    form = serializers.ChoiceField(choices=JudgeVersion.Form.choices)
    counts_as = serializers.CharField()
    repeats = serializers.IntegerField()
    version = serializers.CharField()
    exact = serializers.BooleanField(source="is_exact")
    settled = serializers.IntegerField(help_text="cases that a rule settled in its place")
    bearing = BearingOut()


class SpreadOut(_Out):
    """Mean spread of the judge models on the answers of one model."""

    model = serializers.CharField()
    spread = serializers.FloatField(allow_null=True)


class PanelOut(_Out):
    """Who judged an evaluation, and how they bore themselves."""

    rows = PanelRowOut(many=True)
    models = serializers.ListField(child=serializers.CharField())
    spreads = SpreadOut(many=True)
    alpha = serializers.FloatField(allow_null=True, help_text="Krippendorff's, between judge models, on quality")
    unscored = serializers.FloatField(allow_null=True, help_text="share of the verdicts that count")
    most_unscored = serializers.FloatField()
    most_disagreement = serializers.FloatField()
    same_family = serializers.ListField(child=serializers.DictField())
