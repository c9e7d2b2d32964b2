"""What a person may say about a recommendation."""

from datetime import UTC, datetime, time, timedelta
from typing import Any

from django import forms
from django.utils import timezone

from agentopt.lib.forms import StyledForm
from recommendations import sharing
from recommendations.models import Recommendation
from recommendations.services import LONGEST_NOTE

_NOTE = {"rows": 3}


class AcknowledgeForm(StyledForm):
    """An optional note."""

    note = forms.CharField(
        label="Note, optional", required=False, max_length=LONGEST_NOTE, widget=forms.Textarea(_NOTE)
    )


class DismissForm(StyledForm):
    """Why it is dismissed."""

    note = forms.CharField(
        label="Why",
        max_length=LONGEST_NOTE,
        widget=forms.Textarea(_NOTE),
        help_text="Kept with the recommendation and seen by the team.",
    )


class PostponeForm(StyledForm):
    """Until the end of a day, in the person's zone."""

    until = forms.DateField(label="Until", widget=forms.DateInput({"type": "date"}))
    note = forms.CharField(
        label="Note, optional", required=False, max_length=LONGEST_NOTE, widget=forms.Textarea(_NOTE)
    )

    def __init__(self, *args: Any, recommendation: Recommendation, now: datetime, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.expires_at = recommendation.expires_at
        first, last = timezone.localdate(now) + timedelta(days=1), timezone.localdate(self.expires_at)
        self.fields["until"].widget.attrs |= {"min": first.isoformat(), "max": last.isoformat()}
        self.fields["until"].initial = min(last, first + timedelta(days=6)).isoformat()
        self.fields["until"].help_text = f"At most until {last:%b} {last.day}, when it ends."

    def clean_until(self) -> datetime:
        """The start of the day after, or the moment it ends where that comes first."""
        day = self.cleaned_data["until"]
        end = timezone.make_aware(datetime.combine(day, time.max)).astimezone(UTC)
        return min(end, self.expires_at) if timezone.localdate(self.expires_at) == day else end


class ShareForm(StyledForm):
    """How long a link shows a recommendation."""

    days = forms.IntegerField(
        label="Ends after days", min_value=1, max_value=sharing.MOST_DAYS, initial=sharing.DEFAULT_DAYS
    )


class OwnShareForm(ShareForm):
    """The same for an owner, who may also let prompts out."""

    shows_prompts = forms.BooleanField(
        label="Also show how the prompts begin where it got worse",
        required=False,
        help_text="Whoever has the link then reads parts of what your customers wrote.",
    )
