"""What the file of our own tells of models: families, limits, abilities, retirement; each with its source."""

from datetime import date
from functools import cache
from pathlib import Path

import msgspec

FILE = Path(__file__).with_name("models.json")
OWN = {"gemini": "google", "xai": "x-ai", "grok": "x-ai", "mistral-ai": "mistral"}
"""Other names of providers. A host of somebody else's models has its own limits and dates, so none stands here."""


class Fact(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One model as its own provider serves it; None: not known."""

    provider: str
    model: str
    source: str
    input_limit: int | None = None
    output_limit: int | None = None
    tools: bool | None = None
    parallel_tools: bool | None = None
    json_mode: bool | None = None
    json_schema: bool | None = None
    vision: bool | None = None
    streaming: bool | None = None
    reasoning: bool | None = None
    seed: bool | None = None
    retires_on: date | None = None


class _Family(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    begins: str
    family: str


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    read_on: date
    families: list[_Family]
    models: list[Fact]


@cache
def _file() -> _File:
    return msgspec.json.decode(FILE.read_bytes(), type=_File)


@cache
def _by_name() -> dict[str, list[Fact]]:
    found: dict[str, list[Fact]] = {}
    for fact in _file().models:
        found.setdefault(fact.model, []).append(fact)
    return found


def read_on() -> date:
    """The day on which the file was made."""
    return _file().read_on


def look_up(provider: str, model: str) -> Fact | None:
    """What is known of a model under just this name, of its own provider; without a provider the name decides.

    A provider's own name for a connection (`openai-prod`) is read by its first word.
    """
    known = OWN.get(provider, provider)
    accepted = {known, known.split("-", maxsplit=1)[0]} if provider else set()
    found = [fact for fact in _by_name().get(model.rpartition("/")[2], []) if not provider or fact.provider in accepted]
    return found[0] if len(found) == 1 else None


def family(model: str) -> str:
    """Whose make a model is, by its name alone, whoever serves it; "" where the name does not tell.

    For checks of self-preference: a Claude is one, called directly or through a cloud's `us.anthropic.claude-…`.
    """
    parts = model.lower().rpartition("/")[2].split(".")
    fitting = [rule for rule in _file().families for part in parts if part.startswith(rule.begins)]
    return max(fitting, key=lambda rule: len(rule.begins)).family if fitting else ""
