"""Steps, follow-ups, the track record and links over HTTP: `…Out` shows, `…In` checks shape."""

from typing import Any

from rest_framework import serializers as s

from agentopt.lib.drf import Given
from recommendations import promises, sharing
from recommendations.models import FollowUp, Transition


class TransitionOut(s.Serializer[Any]):
    """One step from a state to another."""

    number = s.IntegerField()
    was = s.ChoiceField(choices=Transition.State.choices)
    state = s.ChoiceField(choices=Transition.State.choices)
    code = s.CharField(help_text="why, where no person did it")
    why = s.CharField()
    until = s.DateTimeField(allow_null=True)
    by = s.EmailField(allow_null=True, help_text="null: a program")
    at = s.DateTimeField()


class TransitionsOut(s.Serializer[Any]):
    """Where a recommendation stands, how it came there, and what may follow."""

    state = s.ChoiceField(choices=Transition.State.choices)
    may_become = s.ListField(child=s.CharField())
    transitions = TransitionOut(many=True)


class ShareOfTrafficOut(s.Serializer[Any]):
    """How much of a use case the recommended model serves; an empty use case stands for all together."""

    use_case = s.CharField()
    calls = s.IntegerField()
    share = s.FloatField()
    before = s.FloatField()


class PromiseOut(s.Serializer[Any]):
    """What was promised of one metric; the realised value must exceed `bar`."""

    metric = s.CharField()
    kind = s.ChoiceField(choices=[(promises.SHARE, "share saved"), (promises.DIFFERENCE, "difference")])
    estimate = s.FloatField()
    low = s.FloatField()
    high = s.FloatField()
    bar = s.FloatField()


class FollowUpLookOut(s.Serializer[Any]):
    """One look: its findings decide at coverage `level`."""

    number = s.IntegerField()
    level = s.FloatField()
    conversations = s.IntegerField()
    verdict = s.ChoiceField(choices=FollowUp.Verdict.choices)
    findings = s.ListField(child=s.DictField())
    at = s.DateTimeField()


class FollowUpOut(s.Serializer[Any]):
    """What was promised against what the logs show since the switch."""

    recommendation = s.IntegerField()
    verdict = s.ChoiceField(choices=FollowUp.Verdict.choices)
    switched_at = s.DateTimeField()
    decided_at = s.DateTimeField(allow_null=True)
    checked_at = s.DateTimeField(allow_null=True)
    shares = ShareOfTrafficOut(many=True)
    promised = PromiseOut(many=True)
    realised = s.DictField(help_text="metrics with 95 % intervals, rates, saving a month, calls, judged calls")
    looks = FollowUpLookOut(many=True)
    simulated = s.BooleanField()


class TrackOut(s.Serializer[Any]):
    """How acknowledged recommendations fared; shares are null below `least_follow_ups`."""

    acknowledged = s.IntegerField()
    with_a_verdict = s.IntegerField()
    kept = s.IntegerField()
    rate = s.FloatField(allow_null=True)
    low = s.FloatField(allow_null=True, help_text="Wilson, 95 %")
    high = s.FloatField(allow_null=True)
    stated_confidence = s.FloatField(allow_null=True)
    least_follow_ups = s.IntegerField()


class TrackLineOut(s.Serializer[Any]):
    """One recommendation that is or was followed."""

    recommendation = s.IntegerField()
    headline = s.CharField()
    acknowledged = s.BooleanField()
    verdict = s.ChoiceField(choices=FollowUp.Verdict.choices)
    switched_at = s.DateTimeField()
    promised_usd_per_month = s.FloatField(allow_null=True)
    realised_usd_per_month = s.FloatField(allow_null=True)
    simulated = s.BooleanField()


class TrackRecordOut(s.Serializer[Any]):
    """The track record of a project; simulated recommendations are counted apart."""

    real = TrackOut()
    simulated = TrackOut()
    follow_ups = TrackLineOut(many=True)


class RetellingOut(s.Serializer[Any]):
    """What a model wrote; empty with `refused` where a number in it was not given."""

    model = s.CharField()
    text = s.CharField(help_text="by a model, not by agentopt; every number in it was checked")
    refused = s.CharField()
    simulated = s.BooleanField()
    at = s.DateTimeField()


class ShareLinkOut(s.Serializer[Any]):
    """A link; its secret is not kept."""

    id = s.IntegerField(source="pk")
    shows_prompts = s.BooleanField()
    by = s.EmailField(source="created_by.email", allow_null=True, default=None)
    created_at = s.DateTimeField()
    expires_at = s.DateTimeField()
    revoked_at = s.DateTimeField(allow_null=True)
    opened = s.IntegerField()
    last_opened_at = s.DateTimeField(allow_null=True)


class NewShareLinkOut(s.Serializer[Any]):
    """A new link with its address, which is shown once."""

    link = ShareLinkOut()
    url = s.CharField()


class ShareLinkIn(Given):
    """When a link ends, and whether it shows prompts, which only an owner may allow."""

    days = s.IntegerField(min_value=1, max_value=sharing.MOST_DAYS, default=sharing.DEFAULT_DAYS)
    shows_prompts = s.BooleanField(default=False)
