"""Forms of the project pages: the shape of what is given; its meaning is checked by the services."""

from collections.abc import Mapping
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django import forms
from django.http import HttpRequest

from agentopt.lib.forms import StyledForm
from projects import values
from projects.access import SCOPES
from projects.models import Privacy, Role


class AccountAdapter(DefaultAccountAdapter):
    """People are invited; nobody signs up by themselves."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:  # noqa: ARG002
        return False


class SetupForm(StyledForm):
    """The first person of an instance."""

    email = forms.EmailField(label="E-mail", widget=forms.EmailInput(attrs={"autocomplete": "username"}))
    password = forms.CharField(
        label="Password",
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text="At least 8 characters, not a common one.",
        strip=False,
    )


class ProjectForm(StyledForm):
    """A new project."""

    name = forms.CharField(
        label="Name", max_length=80, help_text="A project is one AI agent whose model calls you want to improve."
    )
    privacy = forms.ChoiceField(
        label="What is kept of prompts and answers",
        choices=[
            (Privacy.FULL, "Full: prompts and answers as they were"),
            (Privacy.REDACTED, "Redacted: e-mail addresses, phone numbers, cards and keys are removed first"),
            (Privacy.HASHED, "Hashed: only keyed hashes and numbers; calls can then not be replayed"),
        ],
        initial=Privacy.FULL,
        widget=forms.RadioSelect,
    )


class ConnectionForm(StyledForm):
    """Where a project's calls go."""

    base_url = forms.CharField(
        label="Base URL",
        required=False,
        max_length=500,
        help_text="Portkey, or anything that speaks its API. Empty: the address of this instance, where it has one.",
    )
    api_key = forms.CharField(
        label="API key",
        required=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
        help_text="Stored encrypted and never shown again. Empty leaves it as it is.",
    )


class JudgesForm(StyledForm):
    """The judge models of a project."""

    models = forms.CharField(
        label="Judge models",
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false"}),
        help_text="Names as the gateway takes them, one a line. Each is asked for correctness, safety, quality and "
        "helpfulness. Two from different families are best.",
    )

    def names(self) -> list[str]:
        """The names given, each once."""
        return list(dict.fromkeys(name.strip() for name in self.cleaned_data["models"].splitlines() if name.strip()))


class GoalForm(StyledForm):
    """What a project wants of a model: weights, margins, the least gain."""

    weight_quality = forms.FloatField(label="Quality", min_value=0, max_value=1)
    weight_cost = forms.FloatField(label="Cost", min_value=0, max_value=1)
    weight_latency = forms.FloatField(label="Latency", min_value=0, max_value=1)
    margin_quality = forms.FloatField(label="Quality", min_value=0.001, max_value=1)
    margin_safety = forms.FloatField(label="Safety", min_value=0.001, max_value=1)
    margin_answered = forms.FloatField(label="Answered", min_value=0.001, max_value=1)
    min_gain = forms.FloatField(label="Least gain", min_value=0, max_value=10)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            field.widget.attrs["step"] = "any"

    @staticmethod
    def initial_of(goal: values.Goal) -> dict[str, float]:
        """The fields of a goal."""
        weights = {f"weight_{name}": value for name, value in goal.weights.items()}
        margins = {f"margin_{name}": value for name, value in goal.margins.items()}
        return {**weights, **margins, "min_gain": goal.min_gain}

    def terms(self, before: Mapping[str, Any]) -> dict[str, Any]:
        """The stored terms with what the form changes in them."""
        given = self.cleaned_data
        weights = {name: given[f"weight_{name}"] for name in ("quality", "cost", "latency")}
        margins = {name: given[f"margin_{name}"] for name in ("quality", "safety", "answered")}
        return {
            **before,
            "weights": {**before.get("weights", {}), **weights},
            "margins": {**before.get("margins", {}), **margins},
            "min_gain": given["min_gain"],
        }


class TokenForm(StyledForm):
    """A token for programs."""

    name = forms.CharField(label="Name", max_length=80, help_text="Where it is used, for instance “nightly export”.")
    scopes = forms.MultipleChoiceField(
        label="It may",
        choices=[(name, f"{name}: {text}") for name, text in SCOPES.items()],
        initial=["ingest"],
        widget=forms.CheckboxSelectMultiple,
    )


class MemberForm(StyledForm):
    """A person and their role."""

    email = forms.EmailField(label="E-mail", widget=forms.EmailInput(attrs={"autocomplete": "off"}))
    role = forms.ChoiceField(
        label="Role",
        choices=[
            (Role.READER, "Reader: looks"),
            (Role.MEMBER, "Member: evaluates and decides"),
            (Role.OWNER, "Owner: changes settings and people"),
        ],
        initial=Role.MEMBER,
    )
