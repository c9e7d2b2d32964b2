"""Forms of the project pages: the shape of what is given; its meaning is checked by the services."""

from collections.abc import Mapping
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django import forms
from django.http import HttpRequest

from agentopt.lib import money
from agentopt.lib.forms import StyledForm
from projects import modes, values
from projects.access import SCOPES
from projects.models import Channel, Privacy, Project, Role
from projects.notifications import kinds
from projects.notifications.addresses import choices_of


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
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


class PrivacyForm(StyledForm):
    """What is kept of calls, and for how long."""

    privacy = forms.ChoiceField(
        label="What is kept of prompts and answers",
        choices=[(mode.name, f"{mode.name.capitalize()}: {mode.keeps}") for mode in modes.MODES],
        widget=forms.RadioSelect,
    )
    privacy_patterns = forms.CharField(
        label="Your own patterns", required=False, widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false"}),
        help_text="One a line, name: regular expression, such as employee: EMP-\\d{6}. They hold in redacted mode.",
    )  # fmt: skip
    retention_days = forms.IntegerField(
        label="Bodies are removed after", required=False, min_value=1, max_value=36_500,
        help_text="Days after the call. Empty: they are kept. Figures and hashes stay.",
    )  # fmt: skip

    @staticmethod
    def initial_of(project: Project) -> dict[str, Any]:
        """The fields of a project's own settings."""
        lines = [f"{one['name']}: {one['pattern']}" for one in project.privacy_patterns]
        return {
            "privacy": project.privacy,
            "privacy_patterns": "\n".join(lines),
            "retention_days": project.retention_days,
        }

    def patterns(self) -> list[dict[str, str]]:
        """The patterns as they are stored; a line without a colon has no pattern and is refused by the service."""
        lines = [line for line in self.cleaned_data.get("privacy_patterns", "").splitlines() if line.strip()]
        parts = [line.partition(":") for line in lines]
        return [{"name": name.strip(), "pattern": pattern.strip()} for name, _, pattern in parts]

    def changes(self) -> dict[str, Any]:
        """What the service takes."""
        return {**self.cleaned_data, "privacy_patterns": self.patterns()}


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
    control_url = forms.CharField(
        label="Address of log exports",
        required=False,
        max_length=500,
        help_text="Where the control plane has an address of its own. Empty: the base URL.",
    )
    auth_header = forms.CharField(
        label="Header of the key",
        required=False,
        max_length=60,
        help_text="x-portkey-api-key (also if empty), or Authorization: the key is then sent as a bearer token.",
    )
    config = forms.CharField(
        label="Config",
        required=False,
        max_length=10_000,
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
        help_text="For a gateway that does not know the provider by the key: the id of a saved Portkey config, or "
        "JSON. Stored encrypted and never shown again. Empty leaves it as it is.",
    )
    forget_config = forms.BooleanField(label="Forget the stored config", required=False)


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


class LimitsForm(StyledForm):
    """What an evaluation may use; empty: the instance's setting."""

    replay_sample_size = forms.IntegerField(
        label="Sample size", required=False, help_text="At most three times as many prompts per candidate."
    )
    max_cost_usd = forms.DecimalField(
        label="Cap per evaluation", required=False, min_value=0, max_value=1_000_000, decimal_places=2,
        help_text="US dollars. A run stops before it would cost more.",
    )  # fmt: skip
    monthly_cost_usd = forms.DecimalField(
        label="Cap per month", required=False, min_value=0, max_value=1_000_000, decimal_places=2,
        help_text="US dollars, over all evaluations of a calendar month (UTC). Empty: no cap.",
    )  # fmt: skip
    monthly_call_cap = forms.IntegerField(
        label="Calls per month", required=False, min_value=0, max_value=100_000_000,
        help_text="Requests to models and judges in a calendar month. Empty: no cap.",
    )  # fmt: skip
    confidence_threshold = forms.FloatField(
        label="Confidence needed", required=False, help_text="0.5 to 0.98; below it nothing is recommended."
    )
    judge_disagreement_threshold = forms.FloatField(
        label="Judges may disagree by", required=False, help_text="0.01 to 1, on average."
    )
    allowed_providers = forms.CharField(
        label="Providers that may receive prompts", required=False, widget=forms.Textarea(attrs={"rows": 2}),
        help_text="One a line. Empty: all.",
    )  # fmt: skip
    banned_models = forms.CharField(
        label="Models never to be tried", required=False, widget=forms.Textarea(attrs={"rows": 2}),
        help_text="Names as the gateway takes them, one a line.",
    )  # fmt: skip

    @staticmethod
    def initial_of(project: Project) -> dict[str, Any]:
        """The fields of a project's own settings."""
        return {
            "replay_sample_size": project.replay_sample_size,
            "max_cost_usd": money.usd(project.max_evaluation_cost_nanousd),
            "monthly_cost_usd": money.usd(project.monthly_cap_nanousd),
            "monthly_call_cap": project.monthly_call_cap,
            "confidence_threshold": project.confidence_threshold,
            "judge_disagreement_threshold": project.judge_disagreement_threshold,
            "allowed_providers": "\n".join(project.allowed_providers),
            "banned_models": "\n".join(project.banned_models),
        }

    def changes(self) -> dict[str, Any]:
        """What the service takes."""
        given = dict(self.cleaned_data)
        cap, monthly = given.pop("max_cost_usd"), given.pop("monthly_cost_usd")
        for name in ("allowed_providers", "banned_models"):
            given[name] = [line.strip() for line in given[name].splitlines() if line.strip()]
        return {
            **given,
            "max_evaluation_cost_nanousd": None if cap is None else money.nanousd(cap),
            "monthly_cap_nanousd": None if monthly is None else money.nanousd(monthly),
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


class ScheduleForm(StyledForm):
    """When evaluations start by themselves, and how many production calls are judged."""

    evaluation_cron = forms.CharField(
        label="Evaluation, cron", required=False, max_length=100,
        help_text="Five fields in UTC: minute, hour, day, month, weekday. Empty: the instance's.",
    )  # fmt: skip
    judging_per_day = forms.IntegerField(
        label="Production calls judged a day", required=False, min_value=1, max_value=100_000,
        help_text="For drift of quality and follow-up. Empty: none.",
    )  # fmt: skip
    judging_cap_usd = forms.DecimalField(
        label="Cap of that per month", required=False, min_value=0, max_value=1_000_000, decimal_places=2,
        help_text="US dollars. Empty: none are judged.",
    )  # fmt: skip

    @staticmethod
    def initial_of(project: Project) -> dict[str, Any]:
        """The fields of a project's own settings."""
        return {
            "evaluation_cron": project.evaluation_cron,
            "judging_per_day": project.judging_per_day,
            "judging_cap_usd": money.usd(project.judging_cap_nanousd),
        }

    def changes(self) -> dict[str, Any]:
        """What the service takes."""
        given = dict(self.cleaned_data)
        cap = given.pop("judging_cap_usd")
        return {**given, "judging_cap_nanousd": None if cap is None else money.nanousd(cap)}


class NewChannelForm(StyledForm):
    """Where notices go."""

    form = forms.ChoiceField(
        label="Channel",
        choices=[
            (Channel.Form.EMAIL, "E-mail"),
            (Channel.Form.CHAT, "Chat webhook: Slack, Mattermost and what takes the same"),
            (Channel.Form.WEBHOOK, "Signed webhook, for programs"),
        ],
    )
    name = forms.CharField(label="Name", max_length=80, help_text="As it is called here, for instance “on call”.")
    address = forms.CharField(
        label="Address", max_length=490, widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
        help_text="An e-mail address, or the address of the webhook. Stored encrypted.",
    )  # fmt: skip


class ChannelForm(StyledForm):
    """What a channel gets, and when it is left alone."""

    name = forms.CharField(label="Name", max_length=80)
    address = forms.CharField(
        label="New address", required=False, max_length=490,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}), help_text="Empty: as it is.",
    )  # fmt: skip
    enabled = forms.BooleanField(label="Switched on", required=False)
    quiet_from = forms.TimeField(
        label="Quiet from", required=False, widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M"),
        help_text="Notices wait until the quiet hours end.",
    )  # fmt: skip
    quiet_until = forms.TimeField(
        label="Quiet until", required=False, widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M")
    )
    timezone = forms.CharField(label="Time zone of these hours", max_length=64, help_text="Such as Europe/Berlin.")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for kind, about in kinds.CHOSEN.items():
            self.fields[f"on_{kind}"] = forms.ChoiceField(
                label=about.title, choices=list(kinds.WHEN.items()), widget=forms.Select(attrs={"class": "input"})
            )

    @property
    def kinds(self) -> list[forms.BoundField]:
        """The fields of the kinds of notices."""
        return [self[f"on_{kind}"] for kind in kinds.CHOSEN]

    @staticmethod
    def initial_of(channel: Channel) -> dict[str, Any]:
        """The fields of a channel."""
        plain = {name: getattr(channel, name) for name in ("name", "enabled", "quiet_from", "quiet_until", "timezone")}
        return {**plain, **{f"on_{kind}": when for kind, when in choices_of(channel).items()}}

    def changes(self) -> dict[str, Any]:
        """What the service takes."""
        given = {name: value for name, value in self.cleaned_data.items() if not name.startswith("on_")}
        if not given["address"]:
            del given["address"]
        return {**given, "wants": {kind: self.cleaned_data[f"on_{kind}"] for kind in kinds.CHOSEN}}
