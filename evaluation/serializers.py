"""Evaluations and judges as JSON: `…Out` shows, `…In` checks shape; meaning is checked by the services."""

from decimal import Decimal
from typing import Any

from django.urls import reverse
from rest_framework import serializers

from agentopt.lib.drf import Given
from evaluation.models import Candidate, Evaluation
from evaluation.repeating import Baseline
from evaluation.selectors import Row

_Out = serializers.Serializer[Any]


class EvaluationIn(Given):
    """A new evaluation; what is absent has the project's default."""

    project = serializers.CharField(help_text="number or slug")
    candidates = serializers.ListField(
        child=serializers.CharField(max_length=160),
        required=False,
        help_text="default: all that nothing speaks against",
    )
    baseline = serializers.CharField(required=False, help_text="as the logs call it; default: the one with most calls")
    use_case = serializers.CharField(required=False, max_length=128, help_text="its name: only its calls decide")
    prompt_version = serializers.CharField(
        required=False, max_length=120, help_text="as the logs tell it: only its calls decide"
    )
    sample = serializers.IntegerField(required=False, help_text="plans for at most three times as many prompts")
    limit = serializers.IntegerField(required=False, help_text="prompts per candidate at most, directly")
    seed = serializers.IntegerField(required=False, help_text="of the sampling order, default 7")
    max_cost_usd = serializers.DecimalField(
        required=False, max_digits=16, decimal_places=9, min_value=Decimal(0), help_text="hard cap"
    )
    max_calls = serializers.IntegerField(
        required=False, help_text="hard cap on requests to models and judges, retries included"
    )
    replay_baseline = serializers.BooleanField(
        required=False, help_text="also call the model in production on every prompt: the same as `beside`"
    )
    baseline_answers = serializers.ChoiceField(
        required=False, choices=[one.value for one in Baseline],
        help_text="where its figures come from: `logged`; `subset`: one prompt of five is called again, to tell how "
        "latency moved; `beside`: every prompt, to compare latency; `replayed`: all figures from calls",
    )  # fmt: skip
    repetitions = serializers.IntegerField(
        required=False, help_text="answers of each model to one prompt of five, 1 to 10: stability"
    )
    allow_same_family = serializers.BooleanField(
        required=False, help_text="a judge may be of the family of a model it judges; the evaluation carries the mark"
    )
    noise = serializers.BooleanField(
        required=False, help_text="the model in production against itself: how far answers differ by chance alone"
    )
    per_use_case = serializers.BooleanField(
        default=False, help_text="an evaluation for each use case that is large enough, under one error budget and cap"
    )
    forecast_only = serializers.BooleanField(default=False, help_text="say what it would take, and store nothing")


class ResumeIn(Given):
    """Going on with an evaluation that stands still."""

    max_cost_usd = serializers.DecimalField(
        required=False, max_digits=16, decimal_places=9, min_value=Decimal(0), help_text="a higher cap"
    )
    max_calls = serializers.IntegerField(
        required=False, min_value=1, max_value=100_000_000, help_text="a higher cap in requests"
    )


class EvaluationOut(_Out):
    """One evaluation in a list; null: not known or not there yet."""

    id = serializers.IntegerField(source="number", help_text="number within the project, as the page shows it")
    url = serializers.SerializerMethodField()
    kind = serializers.ChoiceField(choices=Evaluation.Kind.choices)
    use_case = serializers.CharField(help_text="it draws from this one only; empty: from all")
    prompt_version = serializers.CharField(help_text="it draws from this one only; empty: from all")
    study = serializers.IntegerField(
        allow_null=True, help_text="first of the evaluations that decide use case by use case under one error budget"
    )
    state = serializers.ChoiceField(choices=Evaluation.State.choices)
    reason = serializers.CharField(help_text="code of the outcome, or of why it stopped")
    message = serializers.CharField()
    baseline = serializers.CharField()
    candidates = serializers.IntegerField()
    limit = serializers.IntegerField()
    seed = serializers.IntegerField()
    spent_usd = serializers.FloatField()
    cap_usd = serializers.FloatField()
    cap_calls = serializers.IntegerField(allow_null=True)
    recommended = serializers.CharField(allow_null=True)
    leader = serializers.CharField(allow_null=True)
    confidence = serializers.FloatField(allow_null=True)
    simulated = serializers.BooleanField()
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    ended_at = serializers.DateTimeField(allow_null=True)

    def get_url(self, row: Row) -> str:
        return reverse("api-evaluation", args=[self.context["project"].slug, row.number])


class MetricOut(_Out):
    """Candidate against baseline; `use_case` empty: overall. For cost and latency the estimate is the share saved."""

    metric = serializers.CharField()
    use_case = serializers.CharField()
    prompts = serializers.IntegerField()
    conversations = serializers.IntegerField()
    unscored = serializers.IntegerField()
    baseline = serializers.FloatField(allow_null=True)
    value = serializers.FloatField(allow_null=True)
    estimate = serializers.FloatField(allow_null=True)
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)


class TallyOut(_Out):
    """How often something went wrong, for one reason."""

    kind = serializers.ChoiceField(choices=["failed", "missing", "unscored"])
    reason = serializers.CharField()
    count = serializers.IntegerField()


class ArmOut(_Out):
    """The baseline, a candidate or a pruned model."""

    id = serializers.IntegerField()
    name = serializers.CharField()
    provider = serializers.CharField()
    position = serializers.IntegerField(allow_null=True)
    state = serializers.ChoiceField(choices=Candidate.State.choices)
    reasons = serializers.ListField(child=serializers.DictField())
    prompts = serializers.IntegerField()
    answered = serializers.IntegerField()
    failed = serializers.IntegerField()
    missing = serializers.IntegerField()
    refused = serializers.IntegerField()
    cost_per_1000_usd = serializers.FloatField(allow_null=True)
    metrics = MetricOut(many=True)
    failures = TallyOut(many=True, help_text="of its calls, by kind and reason")
    chance = serializers.FloatField(allow_null=True)
    p = serializers.FloatField(allow_null=True)
    confidence = serializers.FloatField(allow_null=True)


class SeatOut(_Out):
    """A judge of the panel."""

    model = serializers.CharField()
    rubric = serializers.CharField()
    repeats = serializers.IntegerField()
    exact = serializers.BooleanField()
    version = serializers.CharField()
    scored = serializers.IntegerField()
    unscored = serializers.IntegerField()


class SpendOut(_Out):
    """What was paid so far, and what was reused instead."""

    replays_usd = serializers.FloatField()
    judges_usd = serializers.FloatField()
    total_usd = serializers.FloatField()
    cap_usd = serializers.FloatField()
    model_calls = serializers.IntegerField()
    judge_calls = serializers.IntegerField()
    answers = serializers.IntegerField()
    answers_reused = serializers.IntegerField()
    verdicts = serializers.IntegerField()
    verdicts_reused = serializers.IntegerField()


class ConditionOut(_Out):
    """One requirement: its estimate must exceed `bar`, shown by `bound`."""

    metric = serializers.CharField()
    kind = serializers.ChoiceField(choices=["margin", "limit", "gain"])
    verdict = serializers.ChoiceField(choices=["shown", "not_shown", "fails"])
    estimate = serializers.FloatField()
    low = serializers.FloatField(help_text="central 95 %")
    high = serializers.FloatField()
    bound = serializers.FloatField(allow_null=True, help_text="null: that look could show nothing")
    bar = serializers.FloatField()
    p = serializers.FloatField(allow_null=True)
    prompts = serializers.IntegerField()
    unscored = serializers.IntegerField()


class ProgressOut(_Out):
    """How far it is; minutes left are null until a tenth of the expected calls is there, and while nothing runs."""

    answers = serializers.IntegerField()
    verdicts = serializers.IntegerField()
    prompts_paid = serializers.IntegerField(
        help_text="that a call to a candidate was paid for; reused answers are free"
    )
    prompts_at_most = serializers.IntegerField()
    conditions = ConditionOut(many=True, help_text="of the leader, or of the candidate being tried, at its last look")
    answers_expected = serializers.IntegerField(allow_null=True)
    verdicts_expected = serializers.IntegerField(allow_null=True)
    retryable = serializers.IntegerField(help_text="failed calls that a retry asks again")
    minutes_left_low = serializers.FloatField(allow_null=True)
    minutes_left_high = serializers.FloatField(allow_null=True)
    last_update = serializers.DateTimeField(allow_null=True)


class FailureOut(_Out):
    """Calls to candidates that failed in one way at one provider."""

    kind = serializers.ChoiceField(choices=["failed", "missing"], help_text="failed counts against the model")
    reason = serializers.CharField()
    provider = serializers.CharField()
    count = serializers.IntegerField()
    retryable = serializers.IntegerField()


class LeftOutExampleOut(_Out):
    """A logged call that stands for others."""

    id = serializers.IntegerField()
    source_id = serializers.CharField()
    occurred_at = serializers.DateTimeField()


class GapOut(_Out):
    """Calls that are no part of the result, for one reason; `before`: left out when the prompts were drawn."""

    stage = serializers.ChoiceField(choices=["before", "during"])
    code = serializers.CharField()
    text = serializers.CharField(source="label")
    calls = serializers.IntegerField()
    share = serializers.FloatField(allow_null=True)
    cost_share = serializers.FloatField(allow_null=True)
    examples = LeftOutExampleOut(many=True)


class CoverageOut(_Out):
    """What the result stands for; `is_low`: more than 20 % could not be replayed."""

    calls = serializers.IntegerField()
    replayable = serializers.IntegerField()
    tried = serializers.IntegerField()
    unasked = serializers.IntegerField()
    share = serializers.FloatField(allow_null=True)
    lost = serializers.FloatField(help_text="share left out beforehand or not to be asked")
    is_low = serializers.BooleanField()
    gaps = GapOut(many=True)


class KeptOut(_Out):
    """One figure of the forecast beside what it took so far; `is_within` null: not ended, or nothing to keep to."""

    name = serializers.CharField()
    unit = serializers.ChoiceField(choices=["count", "usd", "minutes"])
    expected = serializers.FloatField(allow_null=True)
    low = serializers.FloatField(allow_null=True)
    at_most = serializers.FloatField(allow_null=True)
    actual = serializers.FloatField(allow_null=True)
    likely_low = serializers.FloatField(allow_null=True, help_text="10 % of the 80 % interval, where one was stated")
    likely_high = serializers.FloatField(allow_null=True)
    is_likely = serializers.BooleanField(allow_null=True, help_text="within that interval")
    is_within = serializers.BooleanField(allow_null=True)
    why = serializers.CharField(help_text="why the actual is not known, other than that it has not ended")


class InterimOut(_Out):
    """What a run that stopped has shown so far: no result."""

    candidate = serializers.CharField(allow_null=True)
    prompts = serializers.IntegerField()
    limit = serializers.IntegerField()
    shown = serializers.ListField(child=serializers.CharField())
    missing = serializers.ListField(child=serializers.CharField())
    text = serializers.CharField()


class NoiseMetricOut(MetricOut):
    """What chance moved of one metric."""

    unit = serializers.ChoiceField(choices=["score", "share", "share saved"], help_text="of the difference")
    text = serializers.CharField(help_text="the difference with its interval, as checks say it; empty: none of them")


class NoiseOut(_Out):
    """The model in production against itself: its logged answers against fresh ones."""

    evaluation = serializers.IntegerField(help_text="number of the evaluation that measured it")
    prompts = serializers.IntegerField()
    metrics = NoiseMetricOut(many=True)


class EvaluationDetailOut(_Out):
    """All about one evaluation."""

    evaluation = EvaluationOut(source="row")
    population = serializers.DictField()
    selection = serializers.DictField()
    forecast = serializers.DictField()
    policy = serializers.DictField()
    outcome = serializers.DictField(
        allow_null=True,
        help_text="null: none yet. Among others: `candidates` (when and on what each was given up), `saved_nanousd` "
        "against all candidates on all prompts, `changes` (what would change it), `next_step` (what would settle it: "
        "code, prompts or labels, calls, cost_usd), `saving` of a month, `use_cases` and `by_use_case`",
    )
    arms = ArmOut(many=True, help_text="baseline and candidates, in order")
    pruned = ArmOut(many=True)
    judges = SeatOut(many=True)
    spend = SpendOut()
    tallies = TallyOut(many=True)
    progress = ProgressOut()
    failures = FailureOut(many=True)
    coverage = CoverageOut()
    forecast_against_actual = KeptOut(many=True)
    study = EvaluationOut(many=True, help_text="decided use case by use case under one error budget; else empty")
    mixed = serializers.CharField(help_text="the outcome of the whole study in one sentence")
    noise_floor = NoiseOut(allow_null=True, help_text="null: it was never measured for this model in production")
    interim = InterimOut(allow_null=True, help_text="null: it runs, or it has a result")
    job = serializers.IntegerField(allow_null=True)


class PlanOut(_Out):
    """What an evaluation would take."""

    baseline = serializers.CharField()
    limit = serializers.IntegerField()
    seed = serializers.IntegerField()
    cap_usd = serializers.FloatField()
    cap_calls = serializers.IntegerField(allow_null=True)
    refusal = serializers.DictField(allow_null=True, help_text="why it would not be opened")
    candidates = serializers.ListField(child=serializers.CharField())
    population = serializers.DictField()
    selection = serializers.DictField()
    forecast = serializers.DictField()


class JudgeOut(_Out):
    """A judge of a project: one rubric asked of one model."""

    model = serializers.CharField()
    rubric = serializers.CharField(help_text="one of the four, a rule, or the name of an own judge")
    family = serializers.CharField()
    repeats = serializers.IntegerField()
    exact = serializers.BooleanField()


class JudgesIn(Given):
    """The judges from now on; without models those of JUDGE_MODELS stand."""

    models = serializers.ListField(child=serializers.CharField(max_length=160))
    rubrics = serializers.ListField(child=serializers.CharField(max_length=30), required=False)
    exact = serializers.BooleanField(default=False)
    repeats = serializers.IntegerField(default=1)
    compare = serializers.BooleanField(
        default=False, help_text="also compare each answer with the model in production's, in both orders"
    )
