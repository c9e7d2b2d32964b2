"""Forms of what is taken out of the store: their meaning is checked by the services."""

from django import forms

from agentopt.lib.forms import StyledForm

_CONFIRM = "Type the short name of the project to go on. It cannot be undone."


class AgeForm(StyledForm):
    """Remove bodies by age."""

    older_than_days = forms.IntegerField(
        label="Older than", min_value=0, max_value=36_500, help_text="Days. 0 takes all that are stored."
    )
    confirm = forms.CharField(label="Confirm", required=False, max_length=60, help_text=_CONFIRM)


class ErasureForm(StyledForm):
    """Erase one person's calls."""

    key = forms.CharField(
        label="Metadata key", max_length=128, help_text="Where your calls say whose they are, such as user_id."
    )
    value = forms.CharField(label="Value", max_length=128, strip=False, help_text="Exactly as your system writes it.")
    other_keys = forms.CharField(
        label="Further keys to blank", required=False, max_length=500, help_text="In these calls, with commas between."
    )
    confirm = forms.CharField(label="Confirm", required=False, max_length=60, help_text=_CONFIRM)

    def keys(self) -> list[str]:
        """The further keys, each once, as they are given."""
        return list(dict.fromkeys(name.strip() for name in self.cleaned_data["other_keys"].split(",") if name.strip()))
