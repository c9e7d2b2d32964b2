"""Cases of an evaluation as JSON."""

from typing import Any

from rest_framework import serializers

from evaluation import adaptation
from evaluation.models import Replay
from evaluation.tool_calls import Match

_Out = serializers.Serializer[Any]


class ToolMatchOut(_Out):
    """Tool calls of an answer against those of the log: names, arguments by JSON value; order where it matters."""

    match = serializers.ChoiceField(choices=[match.value for match in Match])
    shared = serializers.IntegerField(help_text="calls that are equal")
    logged = serializers.IntegerField()
    given = serializers.IntegerField()
    unreadable = serializers.IntegerField(help_text="calls whose arguments are no JSON")
    agrees = serializers.BooleanField()


class CaseCellOut(_Out):
    """What one model made of a case; `status` empty: it was not asked. `change`: against the model in production."""

    model = serializers.CharField()
    position = serializers.IntegerField(help_text="of the candidate; 0: in production")
    status = serializers.CharField()
    reason = serializers.CharField()
    refused = serializers.BooleanField(allow_null=True)
    score = serializers.FloatField(allow_null=True, help_text="quality, the mean over repetitions")
    change = serializers.FloatField(allow_null=True)
    spread = serializers.FloatField(allow_null=True, help_text="between judge models, the largest")
    tools = ToolMatchOut(allow_null=True)


class CaseOut(_Out):
    """A prompt with what each model made of it, the model in production first."""

    case = serializers.IntegerField(help_text="place in the sampling order")
    url = serializers.CharField()
    log = serializers.IntegerField(help_text="id of the logged call")
    use_case = serializers.CharField()
    preview = serializers.CharField()
    models = CaseCellOut(many=True)


class CasesOut(_Out):
    """Cases of one kind, compared for one candidate."""

    candidate = serializers.CharField()
    counts = serializers.DictField(child=serializers.IntegerField())
    reached = serializers.IntegerField()
    items = CaseOut(many=True)
    next = serializers.CharField(allow_null=True, help_text="give it as `page`; null: the last page")


class CaseVerdictOut(_Out):
    """What a judge said of an answer; score null: unscored, for a reason."""

    rubric = serializers.CharField()
    model = serializers.CharField()
    version = serializers.CharField()
    score = serializers.FloatField(allow_null=True)
    reason = serializers.CharField()
    explanation = serializers.CharField()


class CaseAnswerOut(_Out):
    """One answer of a model; `adapted`: codes of what this model needed changed. Money in nano-dollars, times in µs."""

    repetition = serializers.IntegerField()
    source = serializers.CharField(help_text="logged, called or cached")  # type: ignore[assignment]  # a field's name
    status = serializers.CharField()
    reason = serializers.CharField()
    message = serializers.CharField()
    answer = serializers.CharField()
    tool_calls = serializers.ListField(child=serializers.DictField())
    finish_reason = serializers.CharField()
    refused = serializers.BooleanField(allow_null=True)
    input_tokens = serializers.IntegerField(allow_null=True)
    output_tokens = serializers.IntegerField(allow_null=True)
    cached_tokens = serializers.IntegerField(allow_null=True, help_text="part of input_tokens")
    cache_write_tokens = serializers.IntegerField(allow_null=True, help_text="part of input_tokens")
    reasoning_tokens = serializers.IntegerField(allow_null=True, help_text="part of output_tokens")
    cost_nanousd = serializers.IntegerField(allow_null=True)
    latency_us = serializers.IntegerField(allow_null=True)
    first_token_us = serializers.IntegerField(allow_null=True)
    calls = serializers.IntegerField()
    trace_id = serializers.CharField()
    adapted = serializers.SerializerMethodField()

    def get_adapted(self, row: Replay) -> list[str]:
        return list(adaptation.read(row.adapted))


class CaseSideOut(CaseCellOut):
    """One model's part in a case: its cell, its answers, and what the judges said of the first."""

    answers = CaseAnswerOut(many=True)
    verdicts = CaseVerdictOut(many=True)


class OneCaseOut(_Out):
    """One case whole."""

    case = serializers.IntegerField()
    log = serializers.IntegerField()
    use_case = serializers.CharField()
    models = CaseSideOut(many=True)


class MovedOut(_Out):
    """Median seconds of two calls on the same prompts; the interval is of the difference, null: too few prompts."""

    n = serializers.IntegerField()
    before_s = serializers.FloatField()
    after_s = serializers.FloatField()
    difference_s = serializers.FloatField()
    low_s = serializers.FloatField(allow_null=True)
    high_s = serializers.FloatField(allow_null=True)


class StabilityOut(_Out):
    """How alike a model's answers to one prompt are."""

    prompts = serializers.IntegerField(help_text="with two answers or more")
    same = serializers.FloatField(source="same.estimate", help_text="share of prompts whose answers are all equal")
    same_low = serializers.FloatField(source="same.low")
    same_high = serializers.FloatField(source="same.high")
    scored = serializers.IntegerField(help_text="prompts with two scored answers or more")
    variance = serializers.FloatField(allow_null=True, help_text="of quality within a prompt, the mean over prompts")
    distance = serializers.FloatField(allow_null=True, help_text="of quality between two answers to a prompt")


class ToolCallsOut(_Out):
    """Tool calls of first answers against those of the log, where either calls a tool."""

    prompts = serializers.IntegerField()
    agrees = serializers.IntegerField()
    by_match = serializers.DictField(child=serializers.IntegerField())


class AskedArmOut(_Out):
    """A model and how it was asked."""

    name = serializers.CharField()
    position = serializers.IntegerField()
    answers = serializers.IntegerField()
    stability = StabilityOut(allow_null=True)
    tools = ToolCallsOut(allow_null=True)
    adapted = serializers.DictField(child=serializers.IntegerField(), help_text="answers by code of the change")
    first_token_s = serializers.FloatField(allow_null=True, help_text="median of streamed calls")
    n_first_tokens = serializers.IntegerField()
    beside = MovedOut(allow_null=True, help_text="latency against the model in production, both called")


class AskedOut(_Out):
    """How an evaluation asked its models."""

    conditions = serializers.DictField(help_text="where each figure of the model in production comes from, and more")
    repetitions = serializers.IntegerField()
    baseline_answers = serializers.CharField()
    arms = AskedArmOut(many=True)
    drift = MovedOut(allow_null=True, help_text="of the model in production since its log; null: not called again")
