"""Forms of the log pages."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from django import forms

from agentopt.lib.forms import StyledForm

RANGES = {
    "24h": ("Last 24 hours", 1),
    "7d": ("Last 7 days", 7),
    "30d": ("Last 30 days", 30),
    "90d": ("Last 90 days", 90),
}


class LogFilterForm(StyledForm):
    """The filters of the list, all in the address; what is empty is free."""

    q = forms.CharField(label="Words in the prompt", required=False, max_length=200)
    model = forms.ChoiceField(label="Model", required=False)
    status = forms.ChoiceField(
        label="Status",
        required=False,
        choices=[("", "Any status"), ("ok", "ok"), ("refused", "refused"), ("failed", "failed")],
    )
    range = forms.ChoiceField(
        label="Time", required=False, choices=[("", "All time"), *((key, text) for key, (text, _) in RANGES.items())]
    )
    use_case = forms.ChoiceField(label="Use case", required=False)
    # what only links ask for
    prompt_version = forms.CharField(required=False, max_length=120, widget=forms.HiddenInput)
    since = forms.DateTimeField(required=False, widget=forms.HiddenInput)
    until = forms.DateTimeField(required=False, widget=forms.HiddenInput)
    trace = forms.CharField(required=False, max_length=200, widget=forms.HiddenInput)

    def __init__(self, *args: object, models: list[str], use_cases: Iterable[str], **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        for field, free, names in (("model", "All models", models), ("use_case", "All use cases", use_cases)):
            choice = self.fields[field]
            assert isinstance(choice, forms.ChoiceField)  # noqa: S101 - as declared
            choice.choices = [("", free), *((name, name) for name in names)]
        self.fields["q"].widget = forms.TextInput(
            attrs={"type": "search", "class": "input", "data-search": True, "placeholder": "refund label"}
        )

    def asked(self, *, now: datetime) -> dict[str, str]:
        """What the selector reads; a wrong value is dropped, as the page then says. A range goes before a window."""
        given = {name: str(value) for name, value in self.cleaned_data.items() if value}
        given |= {name: at.isoformat() for name, at in self.window().items()}
        chosen = RANGES.get(given.pop("range", ""))
        if chosen:
            given.pop("until", None)
            given["since"] = (now - timedelta(days=chosen[1])).isoformat()
        return given

    def window(self) -> dict[str, datetime]:
        """The moments that a link named; none where a range is chosen."""
        given = self.cleaned_data
        return {} if given.get("range") else {name: given[name] for name in ("since", "until") if given.get(name)}
