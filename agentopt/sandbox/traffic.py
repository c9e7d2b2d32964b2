"""Production logs of invented agents, as Portkey exports them.

A conversation belongs to a slot of absolute time, so its id, texts and times never change however late it is asked for.
A key may end in @ and a day: from that day on (UTC) its agent has its next prompt version, and what that makes slower.
"""

import functools
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

from agentopt.sandbox import shop, worlds
from agentopt.sandbox.chance import dice, digest

PASTE = "I have copied our whole exchange with your colleagues below, so that nothing gets lost.\n"
PASTED = "the box stood by the door in the rain and nobody rang the bell, although I was at home all day long."


@dataclass(frozen=True)
class Agent:
    """One workspace: which model serves it, how busy it is, and what its customers ask."""

    key: str
    name: str
    model: str
    slot_s: int  # one conversation in each slot of this length
    mix: Mapping[str, float]
    also: Mapping[str, float] = field(default_factory=dict)  # other models -> share of conversations
    vague: float = 0.3  # share of customers who forget the number
    follow_ups: float = 0.25
    pasted: float = 0.035  # share of customers who paste a long exchange
    days: int = 21  # that its logs reach back
    slower: Mapping[str, float] = field(default_factory=dict)  # use case -> factor of its latency from `changed_on` on

    @property
    def root(self) -> str:
        """The key without its day: what all conversations are drawn from."""
        return self.key.partition("@")[0]

    @property
    def changed_on(self) -> date | None:
        """From when on the next prompt version serves; None: never."""
        day = self.key.partition("@")[2]
        return date.fromisoformat(day) if day else None


_ALL = {case.name: 1.0 for case in shop.USE_CASES}
AGENTS = (
    Agent(
        "sandbox-support", "Kettle & Fern support", "aurora-large", 2016, _ALL | {"order status": 2.0, "refunds": 1.5},
        also={"corvus-medium": 0.05},
    ),
    Agent(
        "sandbox-returns", "Kettle & Fern returns", "corvus-medium", 3628,
        {"refunds": 3.0, "delivery changes": 1.5, "complaints": 1.5}, vague=0.2,
    ),
    # at most two calls a conversation: 14 conversations stay below the 30 prompts that a decision needs
    Agent(
        "sandbox-warranty", "Kettle & Fern warranty", "aurora-large", 122_000,
        {"product questions": 2.0, "refunds": 1.0}, vague=0.0, follow_ups=0.0, pasted=0.0,
    ),
    # four weeks to learn from, one that is quiet, and one for what changes
    Agent(
        "sandbox-orders", "Kettle & Fern orders", "corvus-medium", 2400,
        {"order status": 3.0, "delivery changes": 2.0, "product questions": 1.5}, vague=0.1, follow_ups=0.1,
        pasted=0.0, days=42, slower={"order status": 2.5},
    ),
)  # fmt: skip
BY_KEY = {agent.key: agent for agent in AGENTS}


@dataclass(frozen=True)
class Record:
    """One logged call: its moment, and the whole exported object."""

    at: datetime
    row: dict[str, Any]


def agent_of(key: str) -> Agent | None:
    """The workspace that a key opens, with the day it may end in."""
    root, at, day = key.partition("@")
    try:
        date.fromisoformat(day if at else "2026-01-01")
    except ValueError:
        return None
    return replace(BY_KEY[root], key=key) if root in BY_KEY else None


def records(agent: Agent, *, seed: int, now: datetime) -> list[Record]:
    """Return the calls of an agent's last days in order of time, up to the start of the hour of `now`."""
    until = now.replace(minute=0, second=0, microsecond=0)
    first = int((until - timedelta(days=agent.days)).timestamp() // agent.slot_s) + 1
    last = int(until.timestamp() // agent.slot_s)
    found = [record for slot in range(first, last + 1) for record in _conversation(agent.key, slot, seed)]
    return sorted((r for r in found if r.at < until), key=lambda r: (r.at, r.row["id"]))


@functools.lru_cache(maxsize=8192)
def _conversation(key: str, slot: int, seed: int) -> tuple[Record, ...]:
    agent = agent_of(key)
    assert agent is not None  # noqa: S101  it has logs
    rng = dice(seed, agent.root, slot)
    at = datetime.fromtimestamp(slot * agent.slot_s, UTC) + timedelta(seconds=rng.randrange(agent.slot_s * 9 // 10))
    talk = _Talk(agent, slot, at=at, seed=seed, rng=rng)
    found = []
    for turn in range(4):
        attempts = 0
        while worlds.fails(talk.model, talk.body, seed=seed, attempt=attempts) and attempts < 2:
            found.append(Record(at, talk.failed(at, attempts)))
            at += timedelta(seconds=2)
            attempts += 1
        if attempts == 2:
            break
        reply = worlds.answer(talk.model, talk.body, seed=seed)
        record = Record(at, talk.answered(at, reply))
        found.append(record)
        at += timedelta(seconds=rng.randint(2, 4) if reply.tool_calls else rng.randint(20, 150))
        if turn == 3 or not talk.go_on(reply):
            break
    return tuple(found)


class _Talk:
    """One conversation as it unfolds."""

    def __init__(self, agent: Agent, slot: int, *, at: datetime, seed: int, rng: Random) -> None:
        self.agent, self.rng = agent, rng
        self.changed = agent.changed_on is not None and at.date() >= agent.changed_on
        self.case = shop.BY_NAME[rng.choices(list(agent.mix), list(agent.mix.values()))[0]]
        self.number = f"K-{rng.randrange(10_000, 99_999)}"
        models = {agent.model: 1 - sum(agent.also.values()), **agent.also}
        self.model = worlds.BY_NAME[rng.choices(list(models), list(models.values()))[0]]
        self.trace_id = str(uuid.UUID(bytes=digest(seed, agent.root, slot, "trace")[:16]))
        self.customer = f"customer-{rng.randrange(2_000)}"
        self.messages: list[dict[str, Any]] = [
            {"role": "system", "content": shop.SYSTEM},
            {"role": "user", "content": self._opening()},
        ]
        self.calls = 0
        self.seed = seed

    def _opening(self) -> str:
        vague = self.case.tool and self.rng.random() < self.agent.vague
        opening = self.case.vague if vague else self.rng.choice(self.case.openings)
        who = (
            f"{self.rng.choice(shop.FIRST_NAMES)} {self.rng.choice(shop.LAST_NAMES)} from {self.rng.choice(shop.TOWNS)}"
        )
        what = opening.format(number=self.number, product=self.rng.choice(list(shop.PRODUCTS)))
        text = f"Hello, this is {who}. {what}"
        if self.rng.random() >= self.agent.pasted:
            return text
        days = [f"On day {day}, letter {self.rng.randrange(1_000, 9_999)}: {PASTED}" for day in range(1, 150)]
        return f"{PASTE}{chr(10).join(days)}\n\n{text}"

    @property
    def body(self) -> dict[str, Any]:
        """The request body of the next call."""
        return {
            "model": self.model.name,
            "messages": list(self.messages),
            "tools": shop.TOOLS,
            "temperature": 0.2,
            "max_tokens": 600,
        }

    def go_on(self, reply: worlds.Reply) -> bool:
        """Add the reply and what follows it; False when the conversation ends here."""
        want = shop.expected(worlds.texts(self.messages))
        asked_already = any(message.get("content") == shop.NEXT_STEP for message in self.messages)
        self.messages.append(message_of(reply))
        if want.kind == "call":
            return self._use_tool(want, reply)
        if want.kind == "ask" and reply.content == shop.ASK:
            self.messages.append({"role": "user", "content": f"It is {self.number}."})
            return True
        if want.kind == "answer" and not asked_already and self.rng.random() < self.agent.follow_ups:
            self.messages.append({"role": "user", "content": shop.NEXT_STEP})
            return reply.content != shop.REFUSAL
        return False

    def _use_tool(self, want: shop.Expected, reply: worlds.Reply) -> bool:
        called = [(call["function"]["name"], call["function"]["arguments"]) for call in reply.tool_calls]
        if called != [want.call]:
            return False  # the wrong tool: the customer is handed to a person
        result = {key: self.rng.choice(values) for key, values in self.case.values.items()}
        result = {"number": self.number, **result, "internal_note": self.rng.choice(shop.NOTES)}
        self.messages.append({"role": "tool", "tool_call_id": reply.tool_calls[0]["id"], "content": json.dumps(result)})
        return True

    def answered(self, at: datetime, reply: worlds.Reply) -> dict[str, Any]:
        """The exported row of a call that went well."""
        price = reply.input_tokens * self.model.input_usd_per_m + reply.output_tokens * self.model.output_usd_per_m
        body = self.body
        milliseconds = 900 * worlds.latency_factor(self.model, body, seed=self.seed) + 4 * reply.output_tokens
        if self.changed:
            milliseconds *= self.agent.slower.get(self.case.name, 1.0)
        return self._row(at, body, completion(self.model.name, reply, at=at, key=self._id())) | {
            "req_units": reply.input_tokens,
            "res_units": reply.output_tokens,
            "total_units": reply.input_tokens + reply.output_tokens,
            "cost": round(price / 1e4, 8),  # cents
            "response_time": round(milliseconds),
        }

    def failed(self, at: datetime, attempt: int) -> dict[str, Any]:
        """The exported row of a call that the model's server failed; its cost is 0, as Portkey has it."""
        error = {"error": {"message": "The server had an error.", "type": "server_error", "param": None, "code": None}}
        return self._row(at, self.body, error, attempt=attempt + 1) | {
            "is_success": False,
            "response_status_code": 500,
            "response_time": 300 + 50 * attempt,
        }

    def _id(self, attempt: int = 0) -> str:
        return str(uuid.UUID(bytes=digest(self.trace_id, len(self.messages), attempt)[:16]))

    def _row(self, at: datetime, body: dict[str, Any], response: dict[str, Any], *, attempt: int = 0) -> dict[str, Any]:
        return {
            "id": self._id(attempt),
            "trace_id": self.trace_id,
            "created_at": javascript_date(at),
            "request": body,
            "response": response,
            "is_success": True,
            "ai_org": self.model.provider,
            "ai_model": self.model.name,
            "req_units": 0,
            "res_units": 0,
            "total_units": 0,
            "request_url": f"https://{self.model.provider}.example/v1/chat/completions",
            "cost": 0,
            "cost_currency": "USD",
            "response_time": 0,
            "response_status_code": 200,
            "mode": "single",
            "config": None,
            "prompt_slug": "support-v4" if self.changed else "support-v3",
            # both come whether they were asked for or not
            "metadata": {"_user": self.customer, "agent": self.agent.name, "channel": "chat"},
            "portkeyHeaders": {"x-portkey-trace-id": self.trace_id, "x-portkey-provider": self.model.provider},
        }


def message_of(reply: worlds.Reply) -> dict[str, Any]:
    """Return a reply as the assistant's message."""
    message: dict[str, Any] = {"role": "assistant", "content": reply.content}
    return message | ({"tool_calls": list(reply.tool_calls)} if reply.tool_calls else {})


def completion(model: str, reply: worlds.Reply, *, at: datetime, key: str) -> dict[str, Any]:
    """Return a reply as a chat completion."""
    return {
        "id": f"chatcmpl-{key[:24]}",
        "object": "chat.completion",
        "created": int(at.timestamp()),
        "model": model,
        "choices": [{"index": 0, "message": message_of(reply), "finish_reason": reply.finish_reason, "logprobs": None}],
        "usage": {
            "prompt_tokens": reply.input_tokens,
            "completion_tokens": reply.output_tokens,
            "total_tokens": reply.input_tokens + reply.output_tokens,
        },
    }


def javascript_date(at: datetime) -> str:
    """Return a moment as JavaScript's Date.toString() writes it, in whole seconds."""
    return f"{at:%a %b %d %Y %H:%M:%S} GMT+0000 (Coordinated Universal Time)"
