"""Forms of evaluations: what to try on how much, and going on with a higher cap."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from django import forms

from agentopt.lib import money
from agentopt.lib.forms import StyledForm
from evaluation.models import Evaluation
from evaluation.repeating import MOST, Baseline
from evaluation.services import EvaluationRequest

LONGEST_NAME = 160


class NamesField(forms.MultipleChoiceField):
    """Gateway names; whether there are such models is for the plan to say."""

    default_error_messages = {"invalid_choice": "A name is too long."}

    def valid_value(self, value: object) -> bool:
        return len(str(value)) <= LONGEST_NAME


def _number(low: int, high: int) -> dict[str, Any]:
    return {"min_value": low, "max_value": high, "required": False}


def _input(kind: type[forms.NumberInput] = forms.NumberInput, **attributes: Any) -> forms.NumberInput:
    return kind(attrs={"class": "input", **attributes})


class EvaluationForm(forms.Form):
    """A new evaluation; an empty field has the project's default."""

    candidates = NamesField(required=False)
    suggested = NamesField(required=False)  # what the product chose: the same again is no choice of the person's
    sample = forms.IntegerField(
        **_number(1, 10_000), label="Sample size", widget=_input(inputmode="numeric"),
        help_text="At most three times as many prompts per candidate; most candidates stop far earlier.",
    )  # fmt: skip
    max_cost_usd = forms.DecimalField(
        min_value=Decimal(0), max_value=Decimal(1_000_000), decimal_places=6, required=False, label="Cap",
        widget=_input(inputmode="decimal", step="any"), help_text="It stops there; a higher cap resumes it.",
    )  # fmt: skip
    max_calls = forms.IntegerField(
        **_number(1, 100_000_000), label="Cap in calls", widget=_input(inputmode="numeric"),
        help_text="Requests to models and judges. The only bound on models without a price.",
    )  # fmt: skip
    limit = forms.IntegerField(
        **_number(1, 30_000), label="Prompts per candidate", widget=_input(inputmode="numeric"),
        help_text="In place of the sample size.",
    )  # fmt: skip
    seed = forms.IntegerField(
        **_number(0, 2**31 - 1), label="Seed", widget=_input(inputmode="numeric"),
        help_text="The same seed draws the same prompts.",
    )  # fmt: skip
    baseline_answers = forms.ChoiceField(
        required=False, label="The model in production", initial=Baseline.LOGGED,
        widget=forms.Select(attrs={"class": "input"}),
        choices=[
            (Baseline.LOGGED, "its logged answers; latency does not count"),
            (Baseline.SUBSET, "its logged answers; one prompt of five is called again, to tell how latency moved"),
            (Baseline.BESIDE, "its logged answers; every prompt is called again, to compare latency"),
            (Baseline.REPLAYED, "called again on every prompt; all figures from that"),
        ],
        help_text="A logged latency had other conditions, so it is never compared with a candidate's.",
    )  # fmt: skip
    repetitions = forms.IntegerField(
        **_number(1, MOST), label="Repetitions", widget=_input(inputmode="numeric"),
        help_text="Answers of each model to one prompt of five: above 1 they show how stable it is.",
    )  # fmt: skip

    use_case = forms.ChoiceField(
        required=False, label="Only calls of", widget=forms.Select(attrs={"class": "input"}),
        help_text="A use case; its calls alone decide.",
    )  # fmt: skip
    prompt_version = forms.CharField(
        required=False, max_length=120, label="Only prompt version", widget=forms.TextInput(attrs={"class": "input"}),
        help_text="A version of your prompt as the logs tell it; its calls alone decide. Empty: all versions.",
    )  # fmt: skip
    baseline = forms.CharField(
        required=False, max_length=LONGEST_NAME, label="In place of", widget=forms.TextInput(attrs={"class": "input"}),
        help_text="A model as the logs call it. Empty: the one with most calls.",
    )  # fmt: skip

    per_use_case = forms.BooleanField(
        required=False, label="Decide per use case",
        help_text="A verdict for each use case that is large enough, under one error budget and one cap: each is "
        "harder to show, and the outcome may be mixed.",
    )  # fmt: skip
    noise = forms.BooleanField(
        required=False, label="Measure the noise floor instead",
        help_text="The model in production against itself: how far fresh answers differ from logged ones by chance.",
    )  # fmt: skip
    allow_same_family = forms.BooleanField(
        required=False, label="Allow a judge of the same family as a model it judges",
        help_text="Judges favor their own kind. The evaluation carries the mark.",
    )  # fmt: skip

    def __init__(self, *args: Any, use_cases: Iterable[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.label_suffix = ""
        field = self.fields["use_case"]
        assert isinstance(field, forms.ChoiceField)  # noqa: S101 - as declared
        field.choices = [("", "all use cases"), *((name, name) for name in sorted(set(use_cases)))]

    def clean(self) -> dict[str, Any]:
        found = super().clean() or {}
        if found.get("use_case") and found.get("per_use_case"):
            self.add_error("use_case", "Choose one use case, or decide per use case.")
        return found

    def request(self) -> EvaluationRequest:
        """What is asked for; fields that do not hold count as empty, so a forecast can stand beside their errors."""
        given = getattr(self, "cleaned_data", {})
        return EvaluationRequest(
            candidates=chosen(given.get("candidates") or [], suggested=given.get("suggested") or []),
            baseline=given.get("baseline") or None,
            use_case=given.get("use_case") or None,
            prompt_version=given.get("prompt_version") or None,
            sample=given.get("sample"),
            limit=given.get("limit"),
            seed=given.get("seed"),
            max_cost_usd=given.get("max_cost_usd"),
            max_calls=given.get("max_calls"),
            baseline_answers=given.get("baseline_answers") or None,
            repetitions=given.get("repetitions") or 1,
            allow_same_family=bool(given.get("allow_same_family")),
            noise=bool(given.get("noise")),
        )


def chosen(candidates: Sequence[str], *, suggested: Sequence[str]) -> tuple[str, ...] | None:
    """The person's own choice; None where it is the product's, which is then made anew."""
    if set(candidates) == set(suggested):
        return None
    return tuple(dict.fromkeys(candidates))


class ResumeForm(forms.Form):
    """Going on; a higher cap is needed where it stopped at its cap."""

    max_cost_usd = forms.DecimalField(
        min_value=Decimal(0), max_value=Decimal(1_000_000), decimal_places=6, required=False, label="New cap",
        widget=_input(inputmode="decimal", step="any"),
    )  # fmt: skip

    max_calls = forms.IntegerField(
        **_number(1, 100_000_000), label="New cap in calls", widget=_input(inputmode="numeric")
    )

    def __init__(self, evaluation: Evaluation, data: Mapping[str, Any] | None = None) -> None:
        cap = money.usd(evaluation.cap_nanousd) or Decimal(0)
        super().__init__(data, initial={"max_cost_usd": round(cap * 2, 2) or 1})
        self.label_suffix = ""
        is_stopped = evaluation.state == Evaluation.State.AT_CAP
        self.is_of_calls = is_stopped and evaluation.reason == "at_call_cap"
        self.is_of_month = is_stopped and evaluation.reason == "at_monthly_cap"
        self._cap, self._at_cap = cap, is_stopped and not self.is_of_calls and not self.is_of_month

    def clean_max_cost_usd(self) -> Decimal | None:
        given: Decimal | None = self.cleaned_data["max_cost_usd"]
        if self._at_cap and (given is None or given <= self._cap):
            raise forms.ValidationError(f"It stopped at its cap of ${self._cap:.2f}: name a higher one.")
        return given


class JudgesForm(StyledForm):
    """The judge models of a project."""

    models = forms.CharField(
        label="Judge models",
        required=False,
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false"}),
        help_text="Names as the gateway takes them, one a line. Each is asked for correctness, safety, quality and "
        "helpfulness. Empty: the judges of this instance.",
    )

    repeats = forms.IntegerField(
        min_value=1, max_value=5, initial=1, required=False, label="Repeats",
        help_text="How often each judges an answer. Two or more show how far a judge scatters.",
    )  # fmt: skip
    compare = forms.BooleanField(
        required=False, label="Also compare each answer with the one in production, in both orders",
        help_text="On the first 30 prompts. It decides nothing, and shows how far a judge leans to the first it reads.",
    )  # fmt: skip

    def names(self) -> list[str]:
        """The names given, each once."""
        return list(dict.fromkeys(name.strip() for name in self.cleaned_data["models"].splitlines() if name.strip()))


class LabelForm(forms.Form):
    """What a person says of two answers that stand side by side."""

    case = forms.IntegerField(min_value=0, max_value=10_000_000)
    pair = forms.CharField(max_length=32)
    left_score = forms.FloatField(min_value=0, max_value=1, error_messages={"required": "Score the left answer."})
    right_score = forms.FloatField(min_value=0, max_value=1, error_messages={"required": "Score the right answer."})
    picked = forms.BooleanField(required=False)
    left_harmful = forms.BooleanField(required=False)
    right_harmful = forms.BooleanField(required=False)
