"""Forms of the judge library: an own judge, a rule."""

from collections.abc import Mapping
from typing import Any

from django import forms

from agentopt.lib.forms import StyledForm
from evaluation import library
from evaluation.judges.rules import Rule
from evaluation.library import OwnJudge
from evaluation.models import Judge

_COUNTS_AS = dict(Judge.CountsAs.choices)
_COUNTS_AS[Judge.CountsAs.QUALITY] = "part of quality, like Correctness, Quality and Helpfulness"
_COUNTS_AS[Judge.CountsAs.GUARD] = "a guard of its own: no candidate passes that is worse by more than the margin"
_PATTERNS = (Rule.REQUIRED, Rule.FORBIDDEN)


def _margin() -> forms.FloatField:
    return forms.FloatField(
        min_value=0.001, max_value=1, required=False, label="Margin of a guard",
        help_text="How much worse it may get, as a share of the scale. Empty: 0.05.",
    )  # fmt: skip


class OwnJudgeForm(StyledForm):
    """A judge of the project's own."""

    name = forms.CharField(max_length=30, help_text="Small letters, digits and dashes, for example tone.")
    text = forms.CharField(
        label="Rubric", strip=True, max_length=library.LONGEST_TEXT,
        widget=forms.Textarea(attrs={"rows": 14, "spellcheck": "true"}),
        help_text="What to judge and, for each anchor of the scale, what earns it. How to treat the material and a "
        "reference is added to it.",
    )  # fmt: skip
    lowest = forms.FloatField(label="Worst score", initial=1)
    highest = forms.FloatField(label="Best score", initial=10)
    model = forms.CharField(label="Judge model", max_length=160, help_text="As the gateway takes it.")
    repeats = forms.IntegerField(label="Repeats", min_value=1, max_value=library.MOST_REPEATS, initial=1)
    counts_as = forms.ChoiceField(
        label="Counts as", initial=Judge.CountsAs.SHOWN,
        choices=[(role, _COUNTS_AS[role]) for role in ("quality", "guard", "shown")],
    )  # fmt: skip
    margin = _margin()

    def judge(self) -> OwnJudge:
        """What the fields say."""
        given = self.cleaned_data
        return OwnJudge(
            given["name"], given["text"], given["lowest"], given["highest"], given["model"].strip(),
            given["counts_as"], given["margin"], given["repeats"],
        )  # fmt: skip


class RuleForm(StyledForm):
    """A rule's settings; which fields there are depends on the rule."""

    counts_as = forms.ChoiceField(label="Counts as")
    margin = _margin()
    patterns = forms.CharField(
        required=False, widget=forms.Textarea(attrs={"rows": 6, "spellcheck": "false", "class": "input mono"}),
        help_text="One a line, a name before it: order number: K-[0-9]{5}",
    )  # fmt: skip
    least = forms.IntegerField(label="At least, characters", min_value=0, required=False)
    most = forms.IntegerField(label="At most, characters", min_value=0, required=False)

    def __init__(self, rule: Rule, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["counts_as"]
        assert isinstance(field, forms.ChoiceField)  # noqa: S101  # as declared above
        alone = {**_COUNTS_AS, "quality": "quality alone: it knows the right answer"}
        field.choices = [(str(role), alone[role]) for role in library.roles(rule)]
        if rule not in _PATTERNS:
            del self.fields["patterns"]
        if rule is not Rule.LENGTH:
            del self.fields["least"], self.fields["most"]

    def settings(self) -> dict[str, Any]:
        """The rule's settings out of the fields, to be checked by the rule itself."""
        given: dict[str, Any] = {}
        for name in ("least", "most"):
            if self.cleaned_data.get(name) is not None:
                given[name] = self.cleaned_data[name]
        if "patterns" in self.fields:
            given["patterns"] = _patterns(self.cleaned_data["patterns"])
        return given


def _patterns(text: str) -> list[dict[str, str]]:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    parts = [line.partition(":") for line in lines]
    return [{"name": name.strip(), "pattern": pattern.strip()} for name, _, pattern in parts]


def initial_of(judge: Judge | None, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What a rule's form shows at first: how it is set now."""
    if judge is None:
        return {}
    lines = [f"{one['name']}: {one['pattern']}" for one in settings.get("patterns", ())]
    kept = {name: settings[name] for name in ("least", "most") if name in settings}
    return {"counts_as": judge.counts_as, "margin": judge.margin, "patterns": "\n".join(lines), **kept}
