"""Labels of people and accuracy cards as JSON."""

from typing import Any

from rest_framework import serializers

from agentopt.lib.drf import Given
from evaluation import labels
from evaluation.models import HumanLabel

_Out = serializers.Serializer[Any]


class LabelOut(_Out):
    """What a person said of one answer. Of one rater on one answer the newest counts."""

    id = serializers.IntegerField(source="pk")
    evaluation = serializers.IntegerField(source="replay.sample.evaluation.number")
    case = serializers.IntegerField(source="replay.sample.position")
    model = serializers.CharField(source="replay.candidate.offer.name")
    score = serializers.FloatField(help_text="0 to 1, quality as a whole")
    harmful = serializers.BooleanField(allow_null=True, help_text="acting on it could do harm; null: not asked")
    rater = serializers.CharField()
    blind = serializers.BooleanField(help_text="the rater did not see which model wrote it")
    via = serializers.ChoiceField(source="source", choices=HumanLabel.Source.choices)
    created_at = serializers.DateTimeField()


class LabelIn(Given):
    """One person's score of one answer."""

    evaluation = serializers.IntegerField(min_value=1)
    case = serializers.IntegerField(min_value=0, help_text="its place in the sampling order, from 0")
    model = serializers.CharField(max_length=160, help_text="whose answer, by its gateway name")
    score = serializers.FloatField(min_value=0, max_value=1)
    harmful = serializers.BooleanField(required=False, allow_null=True, default=None)


class LabelsIn(Given):
    """Labels of one person."""

    rater = serializers.RegexField(
        r"^(?!person \d)[^\x00-\x1f]{1,80}$", required=False, help_text="a name; absent: the person who asks"
    )
    blind = serializers.BooleanField(default=False, help_text="the person did not see which model wrote what")
    labels = LabelIn(many=True, allow_empty=False, max_length=labels.MOST_AT_ONCE)  # type: ignore[call-arg]  # the stubs miss what `many` takes


class QueueOut(_Out):
    """Cases in the order in which they should be labeled, without those that the asker has labeled."""

    evaluation = serializers.IntegerField()
    model = serializers.CharField(help_text="the candidate whose answers stand against production's")
    criterion = serializers.CharField()
    pairs = serializers.IntegerField(help_text="that can be labeled")
    labeled = serializers.IntegerField(help_text="by anybody, both answers")
    shared = serializers.IntegerField(help_text="by two people or more")
    next = serializers.ListField(child=serializers.IntegerField(), help_text="cases, at most 100")


class RangeOut(_Out):
    """An estimate with its 95 % interval."""

    estimate = serializers.FloatField()
    low = serializers.FloatField()
    high = serializers.FloatField()


class CoefficientOut(_Out):
    """An agreement corrected for chance; null: `why` tells the reason."""

    value = serializers.FloatField(allow_null=True)
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)
    n = serializers.IntegerField()
    why = serializers.CharField(allow_blank=True)


class AccuracyCardOut(_Out):
    """How far one judge model, as it is asked, agrees with people on which of two answers is better."""

    model = serializers.CharField(source="wording.model")
    rubrics = serializers.DictField(child=serializers.CharField(), source="versions", help_text="version by rubric")
    about = serializers.CharField(help_text="quality: which of two answers is better; safety: harm of one answer")
    is_current = serializers.BooleanField()
    fitness = serializers.ChoiceField(choices=["fit", "unknown", "unfit"], source="card.fitness")
    why = serializers.CharField(source="card.why")
    text = serializers.CharField(source="card.text")
    n = serializers.IntegerField(source="card.n")
    categories = serializers.ListField(child=serializers.CharField(), source="card.table.categories")
    confusion = serializers.ListField(
        child=serializers.ListField(child=serializers.IntegerField()),
        source="card.table.counts", help_text="judge by people",
    )  # fmt: skip
    raw = RangeOut(source="card.table.raw", allow_null=True)
    base_rate = serializers.FloatField(source="card.table.base_rate", allow_null=True)
    kappa = CoefficientOut(source="card.kappa")
    bias = RangeOut(allow_null=True, help_text="judge's difference minus people's")
    labels_to_settle = serializers.IntegerField(source="card.to_settle", allow_null=True)


class PeopleOut(_Out):
    """How far people agree with each other."""

    raters = serializers.IntegerField()
    labels = serializers.IntegerField()
    answers = serializers.IntegerField()
    pairs = serializers.IntegerField()
    shared = serializers.IntegerField()
    preference = CoefficientOut(help_text="kappa of two raters")
    alpha = CoefficientOut(help_text="Krippendorff's, of the scores of all raters")


class AccuracyOut(_Out):
    """The accuracy cards of a project's judges."""

    rule = serializers.CharField()
    cards = AccuracyCardOut(many=True)
    people = PeopleOut()


class JudgeChangeOut(_Out):
    """A change of the judges, and what it does to the scores of answers that never changed."""

    evaluation = serializers.IntegerField(source="evaluation.number", help_text="the first one with the new judges")
    at = serializers.DateTimeField(source="evaluation.created_at")
    kind = serializers.CharField(help_text="model, or wording: only the text of what they are asked")
    judges_before = serializers.CharField(source="was")
    judges_since = serializers.CharField(source="now")
    scores = serializers.CharField(source="shift.verdict", help_text="same, moved or unknown")
    n = serializers.IntegerField(source="shift.n")
    mean_before = serializers.FloatField(source="shift.before", allow_null=True)
    mean_since = serializers.FloatField(source="shift.after", allow_null=True)
    shift = RangeOut(source="shift.shift", allow_null=True)


class JudgeChangesOut(_Out):
    """Changes of a project's judges, the newest first."""

    anchors = serializers.IntegerField(help_text="answers of the fixed set")
    lacking = serializers.IntegerField(help_text="scores that the judges in use have not given")
    changes = JudgeChangeOut(many=True)
