"""The form that a file of logs is sent by."""

from django import forms

from agentopt.lib.forms import StyledForm
from ingestion.formats.detection import READERS

NAMES = {
    "portkey": "Portkey export",
    "openai": "OpenAI-style requests and responses",
    "langfuse": "Langfuse",
    "helicone": "Helicone",
    "litellm": "LiteLLM",
    "otlp": "OpenTelemetry traces (OTLP JSON)",
    "transcript": "Conversations, one a line",
    "usage": "Time and tokens only",
    "table": "Columns by name",
    "csv": "CSV",
    "parquet": "Parquet",
}


class ImportForm(StyledForm):
    """A file, and its format where looking does not tell it."""

    file = forms.FileField(label="File", allow_empty_file=True, max_length=200)
    format = forms.ChoiceField(
        label="Format", required=False,
        choices=[("", "Found out by looking"), *((name, NAMES.get(name, name)) for name in READERS)],
    )  # fmt: skip
