"""What a request needs to be taken by another model: a list with a version, each change with its code and its source.

Anything that is not on the list goes out as it was logged, system prompts above all. docs/algorithms/replay.md shows
the list; a new one gets a new VERSION, so that what was adapted can be told of every stored answer.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

VERSION = 1
LEAST_KNOWN_LIMIT = 4096  # tokens that every model of the Claude family writes in one answer
_LIMITS = ("max_tokens", "max_completion_tokens")
# What reasoning models of OpenAI refuse, unless it says what they do anyway.
_FIXED: dict[str, tuple[Any, ...]] = {
    "temperature": (1, None),
    "top_p": (1, None),
    "presence_penalty": (0, None),
    "frequency_penalty": (0, None),
    "logprobs": (False, None),
    "top_logprobs": (None,),
    "logit_bias": ({}, None),
}


@dataclass(frozen=True)
class Target:
    """The model that a request goes to: its gateway name, and the most tokens it writes where that is known."""

    name: str
    output_limit: int | None = None

    @property
    def bare(self) -> str:
        """The model's own name, without the way to it: `@team/gpt-5` and `openai/gpt-5` are `gpt-5`."""
        return self.name.rsplit("/", 1)[-1].lower()


@dataclass(frozen=True)
class Change:
    """One entry of the list.

    Args:
        code: stable name; stored with each answer.
        text: what is done, as a sentence for people.
        source: who says that it is needed.
        models: pattern that the start of the model's own name must match; empty: every model.
        apply: gives the changed body, or None where nothing had to change.
    """

    code: str
    text: str
    source: str
    models: str
    apply: Callable[[Mapping[str, Any], Target], dict[str, Any] | None]


@dataclass(frozen=True)
class Adapted:
    """A body as it is sent, and the codes of what was changed, in the order of the list."""

    body: Mapping[str, Any]
    codes: tuple[str, ...]


def adapt(body: Mapping[str, Any], target: Target) -> Adapted:
    """Change what this model would refuse and nothing else; the body given stays as it is."""
    codes = []
    for change in CHANGES:
        if change.models and not re.match(change.models, target.bare):
            continue
        changed = change.apply(body, target)
        if changed is not None:
            body = changed
            codes.append(change.code)
    return Adapted(body, tuple(codes))


def written(codes: Sequence[str]) -> str:
    """Codes as one text with the version of the list: "1:a,b"; empty where nothing was changed."""
    return f"{VERSION}:{','.join(codes)}" if codes else ""


def read(text: str) -> tuple[str, ...]:
    """Codes out of such a text, of whatever version."""
    return tuple(text.partition(":")[2].split(",")) if text else ()


def text_of(code: str) -> str:
    """What a change does; of a code of another version, the code itself."""
    return next((change.text for change in CHANGES if change.code == code), code)


# ------------------------------------------------------------------------------------------------ the changes
def _rename_limit(body: Mapping[str, Any], _: Target) -> dict[str, Any] | None:
    if "max_tokens" not in body:
        return None
    kept = {name: value for name, value in body.items() if name != "max_tokens"}
    kept.setdefault("max_completion_tokens", body["max_tokens"])
    return kept


def _drop_fixed(body: Mapping[str, Any], _: Target) -> dict[str, Any] | None:
    refused = {name for name, harmless in _FIXED.items() if name in body and body[name] not in harmless}
    return {name: value for name, value in body.items() if name not in refused} if refused else None


def _drop_effort(body: Mapping[str, Any], _: Target) -> dict[str, Any] | None:
    if "reasoning_effort" not in body:
        return None
    return {name: value for name, value in body.items() if name != "reasoning_effort"}


def _add_limit(body: Mapping[str, Any], target: Target) -> dict[str, Any] | None:
    if any(body.get(name) is not None for name in _LIMITS):
        return None
    return {**body, "max_tokens": target.output_limit or LEAST_KNOWN_LIMIT}


def _cool(body: Mapping[str, Any], _: Target) -> dict[str, Any] | None:
    heat = body.get("temperature")
    return {**body, "temperature": 1} if isinstance(heat, int | float) and heat > 1 else None


def _one_of_two(body: Mapping[str, Any], _: Target) -> dict[str, Any] | None:
    if body.get("temperature") is None or body.get("top_p") is None:
        return None
    return {name: value for name, value in body.items() if name != "top_p"}


def _within_limit(body: Mapping[str, Any], target: Target) -> dict[str, Any] | None:
    most = target.output_limit
    if most is None:
        return None
    over = {name: most for name in _LIMITS if isinstance(asked := body.get(name), int) and asked > most}
    return {**body, **over} if over else None


_REASONING = r"(o[1-9]|gpt-5)(?!.*chat)"
CHANGES = (
    Change(
        "token_limit_renamed",
        "max_tokens is sent as max_completion_tokens.",
        "OpenAI, API reference, chat completions, max_tokens: not compatible with o-series models",
        r"(o[1-9]|gpt-5)",
        _rename_limit,
    ),
    Change(
        "sampling_dropped",
        "Temperature, top_p, penalties, log probabilities and logit_bias are left out: the model takes none of them.",
        "OpenAI, guide on reasoning models; Azure OpenAI, reasoning models, parameters that are not supported",
        _REASONING,
        _drop_fixed,
    ),
    Change(
        "effort_dropped",
        "reasoning_effort is left out: the model does not reason.",
        "OpenAI, API reference, chat completions, reasoning_effort: reasoning models only",
        r"(gpt-3|gpt-4|chatgpt)",
        _drop_effort,
    ),
    Change(
        "token_limit_added",
        f"max_tokens is added, as large as the model allows ({LEAST_KNOWN_LIMIT} where that is not known).",
        "Anthropic, Messages API, max_tokens: required",
        r"claude",
        _add_limit,
    ),
    Change(
        "temperature_lowered",
        "A temperature above 1 is sent as 1, the highest that the model takes.",
        "Anthropic, Messages API, temperature: from 0.0 to 1.0",
        r"claude",
        _cool,
    ),
    Change(
        "top_p_dropped",
        "top_p is left out where a temperature is given: the model takes one of the two.",
        "Anthropic, migration to Claude 4.5 and Opus 4.1: temperature or top_p, not both",
        r"claude-(opus-4-[1-9]|sonnet-4-[5-9]|haiku-4-[5-9])",
        _one_of_two,
    ),
    Change(
        "token_limit_lowered",
        "A limit above what the model can write is sent as what it can.",
        "the output limit in the catalogue",
        "",
        _within_limit,
    ),
)
