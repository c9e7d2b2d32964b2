"""Alerts and rules over HTTP: `…Out` shows, `…In` checks shape."""

from typing import Any

from rest_framework import serializers as s

from agentopt.lib.drf import Given
from recommendations.drift import selectors, sentences
from recommendations.drift.alerts import LONGEST_NOTE, MUTED_FOR
from recommendations.drift.models import Alert, DriftRule


class AlertOut(s.Serializer[Any]):
    """One alert. `figures` holds levels, the shift with its interval, segments and related changes."""

    id = s.IntegerField()
    project = s.CharField()
    kind = s.ChoiceField(choices=Alert.Kind.choices)
    state = s.ChoiceField(choices=Alert.State.choices)
    headline = s.CharField()
    size = s.CharField()
    advice = s.CharField()
    metric = s.CharField(allow_null=True)
    view = s.CharField(allow_null=True, help_text="share, rank (the typical call) or size (bill and slow tail)")
    subject = s.CharField()
    direction = s.CharField(allow_null=True, help_text="up or down; null for a new name")
    began_at = s.DateTimeField(help_text="the change point")
    alarm_at = s.DateTimeField()
    found_at = s.DateTimeField()
    again_at = s.DateTimeField(allow_null=True)
    muted_until = s.DateTimeField(allow_null=True)
    rule = s.IntegerField(allow_null=True)
    before = s.FloatField(allow_null=True)
    after = s.FloatField(allow_null=True)
    figures = s.JSONField()

    def to_representation(self, instance: Any) -> Any:
        return sentences.as_json(instance)


class AlertActionIn(Given):
    """A note, and for a mute for how many days."""

    note = s.CharField(required=False, allow_blank=True, default="", max_length=LONGEST_NOTE)
    days = s.IntegerField(required=False, min_value=1, max_value=90, default=MUTED_FOR.days)


class DriftRuleIn(Given):
    """What to be told about; a change names only what changes."""

    metric = s.ChoiceField(choices=DriftRule.Metric.choices)
    scope = s.ChoiceField(choices=[one for one in DriftRule.Scope.values if one], required=False, allow_blank=True)
    scope_value = s.CharField(required=False, allow_blank=True, max_length=120)
    direction = s.ChoiceField(choices=DriftRule.Direction.choices, required=False)
    least = s.FloatField(required=False, allow_null=True, help_text="share of 1; null: the metric's own")
    min_conversations = s.IntegerField(required=False, min_value=30, max_value=1_000_000)
    quiet_hours = s.IntegerField(required=False, min_value=0, max_value=24 * 90)
    reference = s.ChoiceField(choices=DriftRule.Kind.choices, required=False)
    reference_days = s.IntegerField(required=False, min_value=7, max_value=90)
    pinned_since = s.DateField(required=False, allow_null=True)
    pinned_until = s.DateField(required=False, allow_null=True)
    active = s.BooleanField(required=False)


class DriftRuleOut(DriftRuleIn):
    """One rule and how it stands."""

    id = s.IntegerField()
    standing = s.CharField()

    def to_representation(self, instance: Any) -> Any:
        return selectors.rule_json(instance)


class FiringOut(s.Serializer[Any]):
    """One alert that would have been."""

    at = s.DateTimeField()
    began_at = s.DateTimeField()
    rise = s.BooleanField()
    view = s.CharField()
    part = s.CharField()


class PreviewOut(s.Serializer[Any]):
    """How often a rule would have fired; `why` says why it could not be tried."""

    days = s.FloatField()
    since = s.DateTimeField(allow_null=True)
    until = s.DateTimeField(allow_null=True)
    n = s.IntegerField()
    series = s.IntegerField()
    why = s.CharField()
    firings = FiringOut(many=True)


class DriftOut(s.Serializer[Any]):
    """How far a project is watched."""

    false_alarms_a_year = s.FloatField()
    since = s.DateTimeField(allow_null=True)
    cursor = s.DateTimeField(allow_null=True, help_text="every conversation that closed before is taken in")
    checked_at = s.DateTimeField(allow_null=True)
    calls = s.IntegerField()
    open_alerts = s.IntegerField()
    rules = DriftRuleOut(many=True)
