"""Forms of the log pages."""

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
    trace = forms.CharField(required=False, max_length=200, widget=forms.HiddenInput)

    def __init__(self, *args: object, models: list[str], **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["model"]
        assert isinstance(field, forms.ChoiceField)  # noqa: S101
        field.choices = [("", "All models"), *((name, name) for name in models)]
        self.fields["q"].widget = forms.TextInput(
            attrs={"type": "search", "class": "input", "data-search": True, "placeholder": "refund label"}
        )

    def asked(self, *, now: datetime) -> dict[str, str]:
        """What the selector reads; a wrong value is dropped, as the page then says."""
        given = {name: str(value) for name, value in self.cleaned_data.items() if value}
        chosen = RANGES.get(given.pop("range", ""))
        if chosen:
            given["since"] = (now - timedelta(days=chosen[1])).isoformat()
        return given
