"""Recommendations over HTTP: `…Out` shows, `…In` checks shape."""

from typing import Any

from rest_framework import serializers as s

from agentopt.lib.drf import Given
from recommendations import selectors
from recommendations.models import Decision, Recommendation, Transition


class ReasonOut(s.Serializer[Any]):
    """A reason; further keys are its numbers."""

    code = s.CharField()
    text = s.CharField()

    def to_representation(self, instance: Any) -> Any:
        return instance


class DecisionOut(s.Serializer[Any]):
    """What a person decided."""

    kind = s.ChoiceField(choices=Decision.Kind.choices)
    note = s.CharField()
    by = s.EmailField(allow_null=True)
    at = s.DateTimeField()
    until = s.DateTimeField(allow_null=True)


class StudyPartOut(s.Serializer[Any]):
    """One use case and its verdict."""

    use_case = s.CharField()
    evaluation = s.IntegerField()
    recommendation = s.IntegerField(allow_null=True, help_text="id; null: none was made yet")
    is_open = s.BooleanField(help_text="its evaluation has no outcome yet")
    recommended = s.CharField(allow_null=True, help_text="null: stay with the model in production")
    confidence = s.FloatField(allow_null=True)
    saving_usd_per_month = s.FloatField(allow_null=True)
    share_of_error = s.FloatField(help_text="of the error budget that all use cases share")
    state = s.CharField(allow_null=True)


class StudyOut(s.Serializer[Any]):
    """Verdicts use case by use case, which may be mixed, under one error budget."""

    outcome = s.CharField(help_text="such as: corvus-medium for Refunds; aurora-large for the rest")
    confidence = s.FloatField(allow_null=True, help_text="the lowest among the use cases that switch")
    saving_usd_per_month = s.FloatField(allow_null=True)
    parts = StudyPartOut(many=True)


class RecommendationOut(s.Serializer[Any]):
    """One recommendation with all its evidence; names are gateway names of models."""

    id = s.IntegerField()
    project = s.CharField()
    evaluation = s.IntegerField(help_text="number of the evaluation within the project")
    kind = s.ChoiceField(choices=Recommendation.Kind.choices)
    recommendation = s.CharField(allow_null=True, help_text="the model to switch to; null: NO RECOMMENDATION")
    baseline = s.CharField()
    leader = s.CharField(allow_null=True, help_text="the recommended model, or the one that came nearest")
    confidence = s.FloatField(allow_null=True)
    threshold = s.FloatField()
    headline = s.CharField()
    explanation = s.ListField(child=s.CharField())
    reasons = ReasonOut(many=True)
    evidence = s.JSONField()
    evidence_hash = s.CharField()
    provenance = s.JSONField()
    simulated = s.BooleanField()
    state = s.ChoiceField(choices=Transition.State.choices)
    created_at = s.DateTimeField()
    expires_at = s.DateTimeField()
    study = StudyOut(allow_null=True, help_text="null: decided for the agent as a whole")
    decision = DecisionOut(allow_null=True)

    def to_representation(self, instance: Any) -> Any:
        return selectors.as_json(instance)


class BundleOut(s.Serializer[Any]):
    """Inputs of a decision, the evidence that follows from them, and what computed it; `schema` says its form."""

    format = s.CharField(help_text="agentopt-evidence")
    version = s.IntegerField()
    schema = s.DictField(help_text="JSON schema of this document")
    recommendation = s.DictField()
    provenance = s.DictField(help_text="versions of code and libraries, hash of the engine")
    inputs = s.DictField(help_text="policy, prompts in order, scores by judge, costs, dated prices; no prompt's text")
    inputs_hash = s.CharField()
    evidence = s.DictField()
    evidence_hash = s.CharField()


class AcknowledgeIn(Given):
    """An optional note."""

    note = s.CharField(required=False, allow_blank=True, default="", max_length=2000)


class DismissIn(Given):
    """Why it is dismissed."""

    note = s.CharField(max_length=2000)


class PostponeIn(Given):
    """Until when it is put off."""

    until = s.DateTimeField()
    note = s.CharField(required=False, allow_blank=True, default="", max_length=2000)
