"""Forms of the catalogue: their meaning is checked by the services."""

from datetime import date
from typing import Any

from django import forms

from agentopt.lib.forms import StyledForm
from ingestion.catalog.loader import ABILITIES, LIMITS, RATES, ModelEntry, PriceEntry
from ingestion.models import ModelOffer, OfferVersion, Price

_SAID = {
    "tools": "Tools",
    "parallel_tools": "Several tools at once",
    "json_mode": "JSON mode",
    "json_schema": "JSON schema",
    "vision": "Images",
    "streaming": "Streaming",
    "reasoning": "Reasoning",
    "seed": "Seed",
}
_KNOWN = [("", "not known"), ("yes", "yes"), ("no", "no")]
_DAY = forms.DateInput(attrs={"type": "date"})


def _rate(label: str, *, required: bool = False) -> forms.DecimalField:
    return forms.DecimalField(
        label=label,
        required=required,
        min_value=0,
        max_value=1_000_000,
        widget=forms.NumberInput(attrs={"step": "any"}),
    )


class _SourceForm(StyledForm):
    source = forms.CharField(
        label="Source", max_length=200, help_text="Who says so: a contract, an invoice, an address."
    )


class PriceForm(_SourceForm):
    """A price from a day on, in US dollars per million tokens."""

    input = _rate("Input", required=True)
    output = _rate("Output", required=True)
    cached_input = _rate("Read from a cache")
    cache_write = _rate("Written to a cache")
    reasoning = _rate("Reasoning")
    valid_from = forms.DateField(label="From", widget=_DAY, help_text="The first day on which it holds.")
    correct = forms.BooleanField(
        label="It corrects the price of that day", required=False, help_text="The wrong one stays in the list."
    )

    @staticmethod
    def initial_of(price: Price | None, *, day: date) -> dict[str, Any]:
        """The rates in force, to start from."""
        rates = {name: _dollars(getattr(price, f"{name}_nanousd")) for name in RATES} if price else {}
        return {**rates, "valid_from": day}

    def entry(self) -> PriceEntry:
        """The price as the services take it."""
        return _price_entry(self.cleaned_data)


class ModelForm(_SourceForm):
    """A model of the project's own, with its first price."""

    name = forms.CharField(label="Gateway name", max_length=160, help_text="What calls through your gateway name it.")
    provider = forms.CharField(label="Provider", max_length=60, required=False)
    model = forms.CharField(label="Name in logs", max_length=120, required=False, help_text="Empty: the gateway name.")
    input = _rate("Input")
    output = _rate("Output")
    cached_input = _rate("Read from a cache")
    cache_write = _rate("Written to a cache")
    reasoning = _rate("Reasoning")
    valid_from = forms.DateField(label="Price from", widget=_DAY, help_text="The first day on which it holds.")

    def clean(self) -> dict[str, Any]:
        """Prices of parts need those of the whole."""
        given = super().clean() or self.cleaned_data
        known = [name for name in RATES if given.get(name) is not None]
        if known and not {"input", "output"} <= set(known):
            self.add_error("input", "A price needs input and output.")
        return given

    def entry(self) -> ModelEntry:
        """The model as the services take it."""
        given = self.cleaned_data
        price = _price_entry(given) if given["input"] is not None else None
        model = given["model"] or given["name"]
        return ModelEntry(given["provider"], model, given["name"], given["valid_from"], price=price)


class AbilitiesForm(_SourceForm):
    """What a model can do, from a day on."""

    context_window = forms.IntegerField(label="Context window", required=False, min_value=1)
    output_limit = forms.IntegerField(label="Output limit", required=False, min_value=1)
    languages = forms.CharField(
        label="Languages", max_length=300, required=False,
        help_text="It is made for: English, German. Empty: not known. Calls in others keep it from being tried.",
    )  # fmt: skip
    since = forms.DateField(label="From", widget=_DAY)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ABILITIES:
            widget = forms.Select(attrs={"class": "input"})
            self.fields[name] = forms.ChoiceField(label=_SAID[name], required=False, choices=_KNOWN, widget=widget)

    @property
    def abilities(self) -> list[forms.BoundField]:
        """The fields of what it can do."""
        return [self[name] for name in ABILITIES]

    @staticmethod
    def initial_of(able: OfferVersion | None, *, day: date) -> dict[str, Any]:
        """What holds, to start from."""
        words = {True: "yes", False: "no", None: ""}
        known = {name: words[getattr(able, name)] for name in ABILITIES} if able else {}
        told = {name: getattr(able, name) for name in (*LIMITS, "languages")} if able else {}
        return {**known, **told, "since": day}

    def given(self) -> dict[str, Any]:
        """Limits and abilities as the services take them."""
        known = {"yes": True, "no": False, "": None}
        found = {name: known[self.cleaned_data[name]] for name in ABILITIES}
        return {**found, **{name: self.cleaned_data[name] for name in (*LIMITS, "languages")}}


class OutlookForm(StyledForm):
    """Whose make a model is, and when it retires."""

    family = forms.CharField(
        label="Family", max_length=60, required=False,
        help_text="Whose make it is. A judge of the same family is said to favor it.",
    )  # fmt: skip
    retires_on = forms.DateField(label="Retires on", required=False, widget=_DAY)
    source = forms.CharField(label="Source of the date", max_length=200, required=False)

    @staticmethod
    def initial_of(offer: ModelOffer) -> dict[str, Any]:
        """What holds."""
        return {"family": offer.family, "retires_on": offer.retires_on}


class FileForm(StyledForm):
    """A catalogue to add: a file, or its text."""

    file = forms.FileField(label="JSON or CSV file", required=False)
    text = forms.CharField(
        label="Or its text",
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 6, "spellcheck": "false"}),
    )


def _price_entry(given: dict[str, Any]) -> PriceEntry:
    rates = {f"{name}_usd_per_m": given[name] for name in RATES}
    return PriceEntry(valid_from=given["valid_from"], **rates)


def _dollars(nanousd: int | None) -> str:
    return "" if nanousd is None else f"{nanousd / 1_000_000_000:.9f}".rstrip("0").rstrip(".")
