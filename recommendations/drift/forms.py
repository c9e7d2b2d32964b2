"""What people may ask to be told about, and what they say about an alert."""

from typing import Any

from django import forms

from agentopt.lib.forms import StyledForm
from projects.models import Project
from recommendations.drift.alerts import LONGEST_NOTE, MUTED_FOR
from recommendations.drift.models import DriftRule

_DAY = {"type": "date"}


class NoteForm(StyledForm):
    """An optional note; for a mute also for how long."""

    note = forms.CharField(
        label="Note, optional", required=False, max_length=LONGEST_NOTE, widget=forms.Textarea({"rows": 2})
    )
    days = forms.IntegerField(label="Mute for, days", required=False, min_value=1, max_value=90, initial=MUTED_FOR.days)


class BudgetForm(StyledForm):
    """How often the project may be alarmed for nothing."""

    false_alarms = forms.FloatField(
        label="False alarms a year, at most", min_value=0.1, max_value=24,
        help_text="Over all rules together. Fewer means that small shifts take longer to be told.",
    )  # fmt: skip


class RuleForm(StyledForm):
    """One rule, as sentences with fields."""

    metric = forms.ChoiceField(label="Tell me when", choices=DriftRule.Metric.choices)
    direction = forms.ChoiceField(label="moves by", choices=DriftRule.Direction.choices, initial="any")
    target = forms.ChoiceField(label="of", required=False)
    least = forms.FloatField(
        label="Smallest shift, %", required=False, min_value=0.1, max_value=500,
        help_text="Of amounts in percent, of rates and scores in points. Empty: 5 % of amounts, 1 point of rates.",
    )  # fmt: skip
    min_conversations = forms.IntegerField(
        label="Least conversations",
        min_value=30,
        max_value=1_000_000,
        initial=100,
        help_text="That the reference needs before anything is tested.",
    )
    quiet_hours = forms.IntegerField(label="Quiet after, hours", min_value=0, max_value=24 * 90, initial=24)
    reference = forms.ChoiceField(label="Against", choices=DriftRule.Kind.choices, initial="rolling")
    reference_days = forms.IntegerField(
        label="Days of the reference", min_value=7, max_value=90, initial=28,
        help_text="From 14 days on the hours of a week are told apart.",
    )  # fmt: skip
    pinned_since = forms.DateField(label="Pinned from", required=False, widget=forms.DateInput(_DAY))
    pinned_until = forms.DateField(label="Pinned until", required=False, widget=forms.DateInput(_DAY))
    active = forms.BooleanField(label="This rule is on", required=False, initial=True)

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["target"]
        assert isinstance(field, forms.ChoiceField)  # noqa: S101 - as declared
        field.choices = _targets(project, str(self.initial.get("target", "")))

    def terms(self) -> dict[str, Any]:
        """The terms of a rule, once the form is valid."""
        given = dict(self.cleaned_data)
        scope, _, value = given.pop("target").partition(":")
        least = given.pop("least")
        return {**given, "scope": scope, "scope_value": value, "least": None if least is None else least / 100}


def _targets(project: Project, chosen: str) -> list[tuple[str, str]]:
    """All conversations, use cases, and the models and prompt versions that were seen."""
    watch = getattr(project, "drift_watch", None)
    seen = watch.seen if watch is not None else {}
    out = [("", "all conversations")]
    standing = project.use_cases.filter(merged_into=None, retired_at=None).order_by("name")[:100]
    out += [(f"use_case:{row.pk}", f"use case {row.name}") for row in standing]
    for dimension, word in (("model", "model"), ("prompt_version", "prompt version")):
        out += [(f"{dimension}:{name}", f"{word} {name}") for name in sorted(seen.get(dimension, {}))[:100]]
    if chosen and chosen not in dict(out):
        out.append((chosen, chosen.partition(":")[2]))
    return out


def initial_of(rule: DriftRule) -> dict[str, Any]:
    """What the form shows of a rule."""
    names = ("metric", "direction", "min_conversations", "quiet_hours", "reference", "reference_days", "pinned_since",
             "pinned_until", "active")  # fmt: skip
    found = {name: getattr(rule, name) for name in names}
    least = None if rule.least is None else round(100 * rule.least, 4)
    return {**found, "least": least, "target": f"{rule.scope}:{rule.scope_value}" if rule.scope else ""}
