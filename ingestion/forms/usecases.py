"""Forms of the use-case pages."""

from collections.abc import Sequence

from django import forms

from agentopt.lib.forms import StyledForm
from ingestion.forms.logs import RANGES
from ingestion.models import UseCase


class RangeForm(StyledForm):
    """Which time the figures are of."""

    range = forms.ChoiceField(
        label="Time", required=False, choices=[("", "All time"), *((key, text) for key, (text, _) in RANGES.items())]
    )


class NameForm(StyledForm):
    """A name by hand."""

    name = forms.CharField(
        label="Name", required=False, max_length=80, help_text="Empty: the words that set its calls apart."
    )


class MergeForm(StyledForm):
    """Other use cases that one shall stand for."""

    numbers = forms.TypedMultipleChoiceField(
        label="Use cases that are the same kind", coerce=int, widget=forms.CheckboxSelectMultiple
    )

    def __init__(self, *args: object, others: Sequence[UseCase], **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["numbers"]
        assert isinstance(field, forms.TypedMultipleChoiceField)  # noqa: S101
        field.choices = [(other.number, other.name) for other in others]
