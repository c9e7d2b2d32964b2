"""Simulated models and judges with known truth: what each of them says to a conversation of the invented shop.

Everything is a function of the seed and of what was sent: the same call has the same answer in every run.
One token is four characters, rounded up: the rule of this world.
"""

import functools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agentopt.lib import judge_form
from agentopt.sandbox import shop
from agentopt.sandbox.chance import dice, digest, share

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Model:
    """A simulated model with its known competence; rates are shares of calls in [0, 1]."""

    name: str
    provider: str
    family: str
    input_usd_per_m: float
    output_usd_per_m: float
    skill: float  # chance that one fact, step or tool call comes out right in an ordinary case
    strengths: Mapping[str, float] = field(default_factory=dict)  # use case -> what it adds to the skill
    refusal_rate: float = 0.01
    error_rate: float = 0.005
    unsafe_rate: float = 0.01  # gives an internal note away, where there is one
    chatter: float = 1.0  # sentences that say nothing, on average
    latency_s: float = 1.0
    context_window: int = 128_000
    output_limit: int = 8_192
    tools: bool = True
    retires_on: str | None = None


@dataclass(frozen=True)
class Judge:
    """A simulated judge: adds a small known bias and noise to the truth, before its scale.

    first: how far it leans to the answer it reads first, where it compares two; a share of the scale.
    """

    name: str
    bias: float
    noise: float
    first: float = 0.0


@dataclass(frozen=True)
class Reply:
    """What a model answered: a text or tool calls."""

    content: str | None
    tool_calls: tuple[Json, ...]
    finish_reason: str
    input_tokens: int
    output_tokens: int


MODELS = (
    Model("aurora-large", "northlight", "aurora", 2.50, 10.00, skill=0.81, latency_s=1.6, chatter=1.2),
    # hardly ever refuses or fails: a few of either among the 20 prompts that rank would hide it behind worse models
    Model(
        "corvus-medium", "rookery", "corvus", 0.85, 3.40, skill=0.93, latency_s=1.0, refusal_rate=0.0005,
        error_rate=0.0005, unsafe_rate=0.002,
    ),
    Model(
        "sable-pro", "furrier", "sable", 6.00, 24.00, skill=0.97, latency_s=2.2, unsafe_rate=0.003, refusal_rate=0.012
    ),
    Model(
        "lumen-flash", "brightside", "lumen", 0.15, 0.60, skill=0.62, strengths={"product questions": 0.10},
        latency_s=0.5, chatter=0.8, refusal_rate=0.015,
    ),
    Model("aurora-mini", "northlight", "aurora", 0.20, 0.80, skill=0.58, latency_s=0.6, refusal_rate=0.02),
    Model(
        "tern-70b", "shoreline", "tern", 0.35, 0.40, skill=0.61, strengths={"order status": 0.06}, latency_s=1.3,
        error_rate=0.012, unsafe_rate=0.02, chatter=1.6,
    ),
    Model("tern-8b", "shoreline", "tern", 0.05, 0.08, skill=0.45, latency_s=0.4, tools=False, context_window=32_000),
    Model("quill-1", "inkwell", "quill", 1.00, 3.00, skill=0.70, latency_s=1.8, retires_on="2025-12-31"),
    Model("ember-4k", "hearth", "ember", 0.30, 0.90, skill=0.68, latency_s=0.9, context_window=4_096, output_limit=512),
    Model("judge-oriole", "aviary", "oriole", 1.20, 4.80, skill=0.5, tools=False),
    Model("judge-heron", "marsh", "heron", 0.90, 3.60, skill=0.5, tools=False, latency_s=0.8),
)  # fmt: skip
JUDGES = (
    Judge("judge-oriole", bias=0.01, noise=0.06, first=0.08), Judge("judge-heron", bias=-0.02, noise=0.08, first=0.03),
)  # fmt: skip
BY_NAME = {model.name: model for model in MODELS}
JUDGE_BY_NAME = {judge.name: judge for judge in JUDGES}


def model_named(name: str) -> Model | None:
    """Find a model by its own name or by the hosted spelling @provider/name."""
    return BY_NAME.get(name.rsplit("/", 1)[-1] if name.startswith("@") else name)


def judge_named(name: str) -> Judge:
    """Find a judge; any other model judges without bias but with more noise."""
    return JUDGE_BY_NAME.get(name, Judge(name, bias=0.0, noise=0.15))


def refusal_of(model: Model, body: Json, *, on: str) -> tuple[str, str] | None:
    """Return code and message with which a provider turns a request down on an ISO day, or None."""
    if model.retires_on is not None and on >= model.retires_on:
        return "model_retired", f"The model {model.name!r} was retired on {model.retires_on}."
    if body.get("tools") and not model.tools:
        return "unsupported_parameter", f"The model {model.name!r} does not support tools."
    if prompt_tokens(body) > model.context_window:
        return "context_length_exceeded", f"The model {model.name!r} takes {model.context_window} tokens at most."
    return None


def catalog() -> dict[str, Any]:
    """Return the catalogue document of all models; every date is fixed, so that two runs agree."""
    return {"source": "agentopt sandbox", "models": [_offer(model) for model in MODELS]}


def _offer(model: Model) -> dict[str, Any]:
    known = "2025-06-01"
    offer = {
        "provider": model.provider,
        "model": model.name,
        "name": model.name,
        "family": model.family,
        "valid_from": known,
        "context_window": model.context_window,
        "output_limit": model.output_limit,
        "tools": model.tools,
        "json_mode": True,
        "vision": False,
        "streaming": True,
        "price": {
            "valid_from": known,
            "input_usd_per_m": model.input_usd_per_m,
            "output_usd_per_m": model.output_usd_per_m,
        },
    }
    return offer | ({"retires_on": model.retires_on} if model.retires_on else {})


def texts(messages: Sequence[Json]) -> tuple[shop.Text, ...]:
    """Return chat messages as (role, text)."""
    return tuple((str(message.get("role", "")), judge_form.render_message(message)) for message in messages)


def tokens(text: str) -> int:
    """One token is four characters, rounded up."""
    return math.ceil(len(text) / 4)


def prompt_tokens(body: Json) -> int:
    """Tokens of messages and tools; each message costs four more."""
    offered = body.get("tools")
    tools = _tools_tokens() if offered == shop.TOOLS else tokens(json.dumps(offered)) if offered else 0
    return tools + sum(tokens(text) + 4 for _, text in texts(body.get("messages") or ()))


@functools.cache
def _tools_tokens() -> int:
    return tokens(json.dumps(shop.TOOLS))


def key_of(body: Json) -> str:
    """Name a conversation with its asked repetition: all that an answer may depend on besides model and seed."""
    parts = [part for pair in texts(body.get("messages") or ()) for part in pair]
    return digest(*parts, body.get("seed")).hex()


def answer(model: Model, body: Json, *, seed: int) -> Reply:
    """Return what a model says to a chat body."""
    conversation = texts(body.get("messages") or ())
    rng = dice(seed, model.name, key_of(body))
    want = shop.expected(conversation)
    # hard cases are hard for all models, as in life
    ease = dice(seed, *(part for pair in conversation for part in pair)).gauss(0, 0.06)
    skill = min(0.99, max(0.05, model.skill + model.strengths.get(want.use_case, 0.0) + ease))
    if rng.random() < model.refusal_rate:
        return _reply(body, shop.REFUSAL)
    if want.kind == "call" and body.get("tools"):
        return _reply(body, None, calls=_tool_calls(want, skill, rng=rng, key=key_of(body)))
    if want.kind in ("ask", "call"):
        return _reply(body, shop.ASK if rng.random() < skill + 0.05 else shop.CLOSING)
    return _reply(body, _compose(want, skill, rng=rng, model=model))


def _tool_calls(want: shop.Expected, skill: float, *, rng: Any, key: str) -> tuple[Json, ...]:
    assert want.call is not None  # noqa: S101  kind is "call"
    tool, arguments = want.call
    if rng.random() > 1 - 0.6 * (1 - skill):  # a call is easier than an answer
        others = [case.tool for case in shop.USE_CASES if case.tool and case.tool != tool]
        tool, arguments = rng.choice([(tool, json.dumps({"number": "K-00000"})), (rng.choice(others), arguments)])
    return ({"id": f"call_{key[:12]}", "type": "function", "function": {"name": tool, "arguments": arguments}},)


def _compose(want: shop.Expected, skill: float, *, rng: Any, model: Model) -> str:
    lines = [shop.APOLOGY] if want.apology and rng.random() < skill else []
    chatter = min(len(shop.FILLER), int(rng.expovariate(1 / model.chatter)))
    lines += rng.sample(shop.FILLER, chatter)
    for (sentence, value), false in zip(want.facts, want.wrong, strict=True):
        if rng.random() < skill:
            lines.append(sentence.format(value))
        elif rng.random() < 0.4:
            lines.append(sentence.format(false))
    lines += [step for step in want.steps if rng.random() < skill]
    if want.secret and rng.random() < model.unsafe_rate:
        lines.append(f"By the way, our notes say: {want.secret}.")
    if want.kind == "other":
        lines.append("I can help with orders, refunds, deliveries, accounts and our products.")
    if rng.random() < skill:
        lines.append(shop.CLOSING)
    return " ".join(lines) or shop.CLOSING


def _reply(body: Json, content: str | None, *, calls: tuple[Json, ...] = ()) -> Reply:
    text = judge_form.render_message({"content": content, "tool_calls": calls})
    limit = body.get("max_completion_tokens") or body.get("max_tokens")
    finish = "tool_calls" if calls else "stop"
    if content is not None and isinstance(limit, int) and tokens(content) > limit:
        content, finish = content[: 4 * limit], "length"
        text = content
    return Reply(content, calls, finish, input_tokens=prompt_tokens(body), output_tokens=tokens(text))


def fails(model: Model, body: Json, *, seed: int, attempt: int) -> bool:
    """Say whether this attempt at a call ends in a 500. One failing prompt in five fails at every attempt."""
    draw = share(seed, model.name, key_of(body), "error")
    if draw < model.error_rate / 5:
        return True
    return share(seed, model.name, key_of(body), "error", attempt) < model.error_rate * 4 / 5


def latency_factor(model: Model, body: Json, *, seed: int) -> float:
    """Return this call's time in units of the mean of a model with latency_s 1; log-normal with sigma 0.35."""
    return model.latency_s * dice(seed, model.name, key_of(body), "latency").lognormvariate(-0.06, 0.35)


def judge(judge: Judge, asked: judge_form.Asked, *, seed: int, repetition: object = None) -> str:
    """Return a judge's reply to a request: the truth with its bias and noise, on the asked scale.

    Of two answers it says how far the second is better, and leans to the first by its `first`.
    """
    name, known = _known(asked, asked.answer)
    conversation = [part for role, text in asked.messages if role != "tools" for part in (role, text)]
    said = [asked.answer] if asked.second is None else [asked.answer, asked.second]
    noise = dice(seed, judge.name, asked.rubric, *conversation, *said, repetition).gauss(0, judge.noise)
    if asked.second is None:
        place = min(1.0, max(0.0, known + judge.bias + noise))
    else:
        place = min(1.0, max(0.0, 0.5 + _known(asked, asked.second)[1] - known - judge.first + noise))
    score = asked.lowest + (asked.highest - asked.lowest) * place
    score = round(score) if asked.highest - asked.lowest >= 5 else round(score, 2)
    return judge_form.reply(score=score, explanation=_explain(name, place) if asked.second is None else _prefer(place))


def _known(asked: judge_form.Asked, answer: str) -> tuple[str, float]:
    """Which truth a rubric asks for, and its value for an answer."""
    known = shop.truth(asked.messages, answer)
    name = next((name for name in known if name in asked.rubric.lower()), "quality")
    return name, known[name]


def _prefer(place: float) -> str:
    if 0.45 <= place <= 0.55:
        return "Both replies bring the person equally far."
    return f"The {'second' if place > 0.5 else 'first'} reply states more of what the case calls for."


def _explain(name: str, place: float) -> str:
    for least, words in ((0.9, "as good as it gets"), (0.65, "good, with gaps"), (0.35, "half of what is needed")):
        if place >= least:
            return f"On {name} the reply is {words}, measured by the facts of the case."
    return f"On {name} the reply falls short of what the case calls for."
