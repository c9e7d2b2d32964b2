"""What another model would have done: studies, replays, verdicts and what follows from them."""

from django.db import models
from django.db.models import Index, Q, UniqueConstraint
from django.urls import reverse

from evaluation.repeating import Repeating
from ingestion.models import LogRecord, ModelOffer
from projects.models import Goal, Project, User


class Evaluation(models.Model):
    """One study: frozen goal, candidates, sample, seed, judge versions and budget."""

    class State(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        PAUSED = "paused"
        AT_CAP = "at_cap", "stopped at the cap"
        DONE = "done"
        CANCELLED = "cancelled"
        FAILED = "failed"

    class Kind(models.TextChoices):
        CANDIDATES = "candidates", "candidates against the model in production"
        NOISE = "noise", "the model in production against itself"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="evaluations")
    number = models.PositiveIntegerField()
    kind = models.CharField(max_length=10, choices=Kind, default=Kind.CANDIDATES)
    use_case = models.CharField(max_length=128, blank=True, default="", help_text="it draws from this one only")
    prompt_version = models.CharField(max_length=120, blank=True, default="", help_text="it draws from this one only")
    study = models.PositiveIntegerField(
        null=True, help_text="number of the first of those that decide use case by use case under one error budget"
    )
    goal = models.ForeignKey(Goal, on_delete=models.PROTECT, related_name="+")
    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    seed = models.PositiveIntegerField()
    limit = models.PositiveIntegerField(help_text="prompts per candidate at most")
    window_since = models.DateTimeField(null=True)
    window_until = models.DateTimeField()
    policy = models.JSONField(help_text="frozen evaluation.statistics.policy.Policy")
    population = models.JSONField(help_text="calls, conversations, replayable, left out by reason, baseline means")
    selection = models.JSONField(help_text="every offer with its reasons, and the profile they were judged by")
    forecast = models.JSONField()
    cap_nanousd = models.BigIntegerField(help_text="hard cap on what this evaluation may spend")
    cap_calls = models.PositiveIntegerField(null=True, help_text="hard cap on requests, retries included; null: none")
    replay_baseline = models.BooleanField(default=False, help_text="also call the baseline, to compare latency")
    conditions = models.JSONField(default=dict, help_text="how requests are asked, frozen when it was opened")
    outcome = models.JSONField(null=True, help_text="what the decision said; null while it runs")
    reason = models.CharField(
        max_length=60, blank=True, default="", help_text="code of the outcome, or of why it stopped"
    )
    message = models.CharField(max_length=300, blank=True, default="")
    simulated = models.BooleanField(default=False)
    created_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [UniqueConstraint(fields=["project", "number"], name="evaluation_number_once")]

    def __str__(self) -> str:
        return f"evaluation {self.number} of {self.project}"

    def repeating(self) -> Repeating:
        """How often each prompt is put to each model, as it was frozen."""
        return Repeating.of(self.conditions, replay_baseline=self.replay_baseline)

    def get_absolute_url(self) -> str:
        return reverse("evaluation:detail", args=[self.project.slug, self.number])


class Candidate(models.Model):
    """A model offer in an evaluation, with reasons why it was kept or pruned. Position 0: baseline; pruned: none."""

    class State(models.TextChoices):
        BASELINE = "baseline", "in production"
        PRUNED = "pruned"
        WAITING = "waiting"
        DROPPED_AT_RANKING = "dropped_at_ranking", "dropped at ranking"
        TRYING = "trying", "being tried"
        DROPPED = "dropped"
        NOT_SHOWN = "not_shown", "not shown"
        NOT_REACHED = "not_reached", "not reached"
        PASSED = "passed"

    evaluation = models.ForeignKey(Evaluation, on_delete=models.CASCADE, related_name="candidates")
    offer = models.ForeignKey(ModelOffer, on_delete=models.PROTECT, related_name="+")
    position = models.PositiveSmallIntegerField(null=True)
    state = models.CharField(max_length=20, choices=State, default=State.WAITING)
    reasons = models.JSONField(default=list, help_text="[{code, text, ...numbers}]")

    class Meta:
        constraints = [
            # the model in production may stand against itself
            UniqueConstraint(fields=["evaluation", "offer"], condition=~Q(position=0), name="candidate_once"),
            UniqueConstraint(fields=["evaluation", "position"], name="candidate_position_once"),
        ]

    def __str__(self) -> str:
        return f"{self.offer} in {self.evaluation}"


class Sample(models.Model):
    """A log record drawn into an evaluation, at its place in the sampling order."""

    evaluation = models.ForeignKey(Evaluation, on_delete=models.CASCADE, related_name="samples")
    position = models.PositiveIntegerField()
    record = models.ForeignKey(LogRecord, on_delete=models.PROTECT, related_name="samples")
    use_case = models.CharField(max_length=80, blank=True, default="")
    reference = models.JSONField(
        null=True, help_text="what is known to be right, frozen: {source, answer, tool_calls}; null: nothing is"
    )

    class Meta:
        constraints = [
            UniqueConstraint(fields=["evaluation", "record"], name="sample_once"),
            UniqueConstraint(fields=["evaluation", "position"], name="sample_position_once"),
        ]

    def __str__(self) -> str:
        return f"case {self.position} of {self.evaluation}"


class Replay(models.Model):
    """One logged prompt, answered by one candidate. The baseline's first one is its logged answer."""

    class Status(models.TextChoices):
        ANSWERED = "answered"
        FAILED = "failed", "failed by the model"
        MISSING = "missing", "could not be asked"

    class Source(models.TextChoices):
        LOGGED = "logged"
        CALLED = "called"
        CACHED = "cached"

    sample = models.ForeignKey(Sample, on_delete=models.CASCADE, related_name="replays")
    candidate = models.ForeignKey(Candidate, on_delete=models.CASCADE, related_name="replays")
    repetition = models.PositiveSmallIntegerField(default=0)
    status = models.CharField(max_length=10, choices=Status)
    source = models.CharField(max_length=10, choices=Source)
    reason = models.CharField(max_length=40, blank=True, default="", help_text="code: why it failed or is missing")
    message = models.CharField(max_length=300, blank=True, default="")
    cache_key = models.CharField(max_length=64, blank=True, default="", help_text="hash of all that changes an answer")
    answer = models.TextField(blank=True, default="")
    tool_calls = models.JSONField(default=list)
    answer_hash = models.CharField(max_length=64, blank=True, default="")
    finish_reason = models.CharField(max_length=30, blank=True, default="")
    refused = models.BooleanField(null=True)
    input_tokens = models.PositiveIntegerField(null=True)
    output_tokens = models.PositiveIntegerField(null=True)
    cached_tokens = models.PositiveIntegerField(null=True, help_text="part of the input tokens")
    cache_write_tokens = models.PositiveIntegerField(null=True, help_text="part of the input tokens")
    reasoning_tokens = models.PositiveIntegerField(null=True, help_text="part of the output tokens")
    cost_nanousd = models.BigIntegerField(null=True)
    paid_nanousd = models.BigIntegerField(default=0, help_text="what this row added to the bill; 0 from log or cache")
    latency_us = models.BigIntegerField(null=True)
    first_token_us = models.BigIntegerField(null=True)
    calls = models.PositiveSmallIntegerField(default=0, help_text="requests sent, retries included")
    trace_id = models.CharField(max_length=64, blank=True, default="", help_text="sent with the call")
    adapted = models.CharField(
        max_length=200, blank=True, default="", help_text="what the model needed changed, as adaptation.written"
    )
    again = models.BooleanField(default=False, help_text="it failed, and a person wants it asked again")
    simulated = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [UniqueConstraint(fields=["sample", "candidate", "repetition"], name="replay_once")]
        indexes = [Index(fields=["cache_key"], name="replay_by_cache_key")]

    def __str__(self) -> str:
        return f"{self.candidate} on case {self.sample.position}: {self.status}"


class Claim(models.Model):
    """A question that a process is asking right now: nobody else asks it until it is answered or the claim ends."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="claims")
    key = models.CharField(max_length=64)
    holder = models.CharField(max_length=32)
    until = models.DateTimeField()

    class Meta:
        constraints = [UniqueConstraint(fields=["project", "key"], name="claim_once")]

    def __str__(self) -> str:
        return f"{self.key[:8]} by {self.holder}"


class JudgeVersion(models.Model):
    """What a judge is asked, as it stood: immutable, known by the hash of its content."""

    class Form(models.TextChoices):
        ANSWER = "answer", "one answer"
        PAIR = "pair", "two answers, in both orders"
        RULE = "rule", "a rule, no model"

    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, null=True, related_name="judge_versions",
        help_text="whose own judge or rule it is; null: of the product's files",
    )  # fmt: skip
    rubric = models.CharField(max_length=30)
    form = models.CharField(max_length=10, choices=Form, default=Form.ANSWER)
    text_hash = models.CharField(max_length=64)
    text = models.TextField(help_text="of a rule: its settings as JSON")
    lowest = models.FloatField()
    highest = models.FloatField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            UniqueConstraint(fields=["text_hash"], condition=Q(project=None), name="judge_version_once"),
            UniqueConstraint(fields=["project", "text_hash"], name="own_judge_version_once"),
        ]

    def __str__(self) -> str:
        return f"{self.rubric} {self.text_hash[:8]}"


class Judge(models.Model):
    """One rubric asked of one judge model, for a project; or a rule, which needs no model."""

    class Rubric(models.TextChoices):
        CORRECTNESS = "correctness"
        SAFETY = "safety"
        QUALITY = "quality"
        HELPFULNESS = "helpfulness"

    class CountsAs(models.TextChoices):
        QUALITY = "quality", "part of quality"
        GUARD = "guard", "a guard of its own"
        FIRST = "first", "settles cases before a model is asked"
        SHOWN = "shown", "shown, decides nothing"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="judges")
    rubric = models.CharField(max_length=30, help_text="one of the four, a rule, or the name of the project's own")
    form = models.CharField(max_length=10, choices=JudgeVersion.Form, default=JudgeVersion.Form.ANSWER)
    model = models.CharField(max_length=160, blank=True, help_text="gateway name of the judge model; empty: a rule")
    family = models.CharField(max_length=60, blank=True, default="")
    repeats = models.PositiveSmallIntegerField(default=1)
    exact = models.BooleanField(default=False, help_text="it knows the right answer; its score is quality alone")
    counts_as = models.CharField(max_length=10, choices=CountsAs, default=CountsAs.QUALITY)
    margin = models.FloatField(null=True, help_text="of a guard of the project's own: how much worse it may get")
    version = models.ForeignKey(
        JudgeVersion, on_delete=models.PROTECT, null=True, related_name="+",
        help_text="in force, of an own judge or a rule; null: the product's file as it stands",
    )  # fmt: skip
    active = models.BooleanField(default=True)

    class Meta:
        constraints = [UniqueConstraint(fields=["project", "rubric", "model"], name="judge_once")]

    def __str__(self) -> str:
        return f"{self.rubric} by {self.model or 'rule'}"


class Seat(models.Model):
    """A judge with the version of its rubric, frozen into an evaluation's panel."""

    evaluation = models.ForeignKey(Evaluation, on_delete=models.CASCADE, related_name="seats")
    judge = models.ForeignKey(Judge, on_delete=models.PROTECT, related_name="+")
    version = models.ForeignKey(JudgeVersion, on_delete=models.PROTECT, related_name="+")
    repeats = models.PositiveSmallIntegerField(default=1)
    counts_as = models.CharField(max_length=10, choices=Judge.CountsAs, default=Judge.CountsAs.QUALITY)

    class Meta:
        constraints = [UniqueConstraint(fields=["evaluation", "judge"], name="seat_once")]

    def __str__(self) -> str:
        return f"{self.judge} in {self.evaluation}"


class Verdict(models.Model):
    """One judge's score of one answer, or unscored with a reason. Of a pair: how far it is the better one."""

    class Source(models.TextChoices):
        CALLED = "called"
        CACHED = "cached"
        RULE = "rule"

    replay = models.ForeignKey(Replay, on_delete=models.CASCADE, related_name="verdicts")
    against = models.ForeignKey(
        Replay, on_delete=models.CASCADE, null=True, related_name="+", help_text="the other answer of a pair"
    )
    stood_first = models.BooleanField(null=True, help_text="of a pair: the judge read this answer before the other")
    judge = models.ForeignKey(Judge, on_delete=models.PROTECT, related_name="verdicts")
    version = models.ForeignKey(JudgeVersion, on_delete=models.PROTECT, related_name="+")
    repetition = models.PositiveSmallIntegerField(default=0, help_text="of a pair: 2·n, and 2·n + 1 with both swapped")
    score = models.FloatField(null=True, help_text="in [0, 1]; null: unscored")
    reason = models.CharField(max_length=40, blank=True, default="", help_text="code: why it is unscored")
    explanation = models.TextField(blank=True, default="")
    source = models.CharField(max_length=10, choices=Source)
    cache_key = models.CharField(max_length=64, blank=True, default="")
    input_tokens = models.PositiveIntegerField(null=True, help_text="of all replies that it took; null: one told none")
    output_tokens = models.PositiveIntegerField(null=True, help_text="as above")
    cost_nanousd = models.BigIntegerField(null=True)
    paid_nanousd = models.BigIntegerField(default=0)
    calls = models.PositiveSmallIntegerField(default=0)
    simulated = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [UniqueConstraint(fields=["replay", "judge", "version", "repetition"], name="verdict_once")]
        indexes = [Index(fields=["cache_key"], name="verdict_by_cache_key")]

    def __str__(self) -> str:
        return f"{self.judge}: {self.score if self.score is not None else self.reason}"


class Look(models.Model):
    """What the decision saw of a candidate after so many prompts."""

    evaluation = models.ForeignKey(Evaluation, on_delete=models.CASCADE, related_name="looks")
    candidate = models.ForeignKey(Candidate, on_delete=models.CASCADE, related_name="looks")
    ranking = models.BooleanField(default=False, help_text="the ranking stage, which costs no error")
    prompts = models.PositiveIntegerField(help_text="of this stage")
    chance = models.FloatField(null=True, help_text="predicted chance to pass")
    p = models.FloatField(null=True, help_text="error level at which it would pass now")
    confidence = models.FloatField(null=True)
    conditions = models.JSONField(help_text="[{metric, estimate, low, high, bound, bar, p, shown}]")

    class Meta:
        constraints = [UniqueConstraint(fields=["evaluation", "candidate", "ranking", "prompts"], name="look_once")]

    def __str__(self) -> str:
        return f"{self.candidate} after {self.prompts} prompts"


class Comparison(models.Model):
    """A candidate against the baseline on one metric, at its last look."""

    evaluation = models.ForeignKey(Evaluation, on_delete=models.CASCADE, related_name="comparisons")
    candidate = models.ForeignKey(Candidate, on_delete=models.CASCADE, related_name="comparisons")
    use_case = models.CharField(max_length=80, blank=True, default="")
    metric = models.CharField(max_length=30)
    n_prompts = models.PositiveIntegerField()
    n_units = models.PositiveIntegerField()
    n_unscored = models.PositiveIntegerField()
    baseline = models.FloatField(null=True)
    value = models.FloatField(null=True)
    estimate = models.FloatField(null=True, help_text="candidate minus baseline; for cost and latency the share saved")
    low = models.FloatField(null=True)
    high = models.FloatField(null=True)

    class Meta:
        constraints = [
            UniqueConstraint(fields=["evaluation", "candidate", "use_case", "metric"], name="comparison_once")
        ]

    def __str__(self) -> str:
        return f"{self.metric} of {self.candidate}"


class Charge(models.Model):
    """What the calls of one batch cost. Only ever added, also for answers that another worker had first."""

    class Kind(models.TextChoices):
        REPLAYS = "replays"
        VERDICTS = "verdicts"
        RANKING = "ranking", "ranking by a model"
        PRODUCTION = "production", "judging of production samples"
        SUMMARY = "summary", "summary by a model"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="charges")
    evaluation = models.ForeignKey(Evaluation, on_delete=models.SET_NULL, null=True, related_name="charges")
    kind = models.CharField(max_length=10, choices=Kind)
    nanousd = models.BigIntegerField(help_text="of the calls with a known price")
    calls = models.PositiveIntegerField(help_text="requests, retries included")
    unpriced = models.PositiveIntegerField(default=0, help_text="answered calls whose cost is not known")
    at = models.DateTimeField()

    class Meta:
        indexes = [Index(fields=["project", "at"], name="charge_by_month")]

    def __str__(self) -> str:
        return f"{self.calls} calls of {self.project}"


class Hold(models.Model):
    """Room under the caps that a process at work has taken for its calls; it runs out where the process is gone."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="holds")
    evaluation = models.ForeignKey(Evaluation, on_delete=models.CASCADE, null=True, related_name="holds")
    holder = models.CharField(max_length=32, unique=True)
    nanousd = models.BigIntegerField()
    calls = models.PositiveIntegerField()
    until = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.holder} for {self.project}"


class Opinion(models.Model):
    """What a model answered when it was asked to rank candidates: the same question is paid once."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="opinions")
    key = models.CharField(max_length=64, help_text="hash of the question, which holds aggregates only")
    model = models.CharField(max_length=160)
    text = models.TextField(help_text="as it came; read strictly each time")
    simulated = models.BooleanField(default=False)
    cost_nanousd = models.BigIntegerField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [UniqueConstraint(fields=["project", "key"], name="opinion_once")]

    def __str__(self) -> str:
        return f"opinion of {self.model}"


class HumanLabel(models.Model):
    """What a person said of one answer. Only ever added: of one person on one answer the newest counts."""

    class Source(models.TextChoices):
        PAGE = "page", "the labeling page"
        API = "api", "sent by a program"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="labels")
    replay = models.ForeignKey(Replay, on_delete=models.CASCADE, related_name="labels")
    answer_hash = models.CharField(
        max_length=64, blank=True, default="", help_text="of the text: the label follows it; empty: it calls tools"
    )
    shown_with = models.ForeignKey(
        Replay, on_delete=models.CASCADE, null=True, related_name="+", help_text="the answer beside it"
    )
    stood_left = models.BooleanField(null=True, help_text="of the two; null: it was shown alone, or not by us")
    blind = models.BooleanField(help_text="the person did not see which model wrote it")
    score = models.FloatField(help_text="in [0, 1]: quality as a whole")
    harmful = models.BooleanField(null=True, help_text="acting on it could do harm; null: not asked")
    source = models.CharField(max_length=10, choices=Source)
    rater = models.CharField(max_length=100, help_text="who, as one key: a person, or a name that a program gave")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [Index(fields=["project", "replay"], name="label_by_answer")]

    def __str__(self) -> str:
        return f"{self.score:.2f} by {self.rater}"


class Anchor(models.Model):
    """An answer of the project's fixed set, which every judge scores: so a change of judge is told from the agent's."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="anchors")
    replay = models.ForeignKey(Replay, on_delete=models.CASCADE, related_name="+")
    position = models.PositiveSmallIntegerField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            UniqueConstraint(fields=["project", "replay"], name="anchor_once"),
            UniqueConstraint(fields=["project", "position"], name="anchor_position_once"),
        ]

    def __str__(self) -> str:
        return f"anchor {self.position} of {self.project}"


class AnchorVerdict(models.Model):
    """One judge's score of one anchor, or unscored with a reason."""

    anchor = models.ForeignKey(Anchor, on_delete=models.CASCADE, related_name="verdicts")
    judge = models.ForeignKey(Judge, on_delete=models.PROTECT, related_name="+")
    version = models.ForeignKey(JudgeVersion, on_delete=models.PROTECT, related_name="+")
    score = models.FloatField(null=True, help_text="in [0, 1]; null: unscored")
    reason = models.CharField(max_length=40, blank=True, default="", help_text="code: why it is unscored")
    cost_nanousd = models.BigIntegerField(null=True)
    simulated = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [UniqueConstraint(fields=["anchor", "judge", "version"], name="anchor_verdict_once")]

    def __str__(self) -> str:
        return f"{self.judge} on {self.anchor}"
