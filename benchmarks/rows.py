"""Rows of a Portkey export as a benchmark needs them: 2 to 6 KB each, seeded, written as a stream of lines."""

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from pathlib import Path
from typing import Any

MODELS = [("openai", "gpt-4o"), ("openai", "gpt-4o-mini"), ("anthropic", "claude-3-5-sonnet-20241022")]
BLOCK = 20_000
FIRST_AT = datetime(2026, 1, 1, tzinfo=UTC)
SYLLABLES = (
    "an",
    "be",
    "co",
    "de",
    "er",
    "fi",
    "ga",
    "ho",
    "in",
    "ja",
    "ka",
    "le",
    "mo",
    "na",
    "or",
    "pe",
    "qui",
    "ra",
    "se",
)


class Rows:
    """A stream of rows: ten agents with their system prompts, calls of conversations, words as often as in English."""

    def __init__(self, seed: int = 7) -> None:
        self._rng = random.Random(seed)  # noqa: S311
        rng = self._rng
        self._words = ["".join(rng.choices(SYLLABLES, k=rng.choice((1, 2, 2, 3)))) for _ in range(8000)]
        self._weights = list(accumulate(1 / (rank + 3) for rank in range(len(self._words))))
        self._agents = [self._text(rng.randint(90, 260)) for _ in range(10)]

    def _text(self, n: int) -> str:
        return " ".join(self._rng.choices(self._words, cum_weights=self._weights, k=n)) + "."

    def line(self, number: int) -> bytes:
        """One row; its size depends on the words drawn, 2 to 6 KB."""
        rng = self._rng
        provider, model = rng.choice(MODELS)
        n_in, n_out = rng.randint(300, 1200), rng.randint(80, 400)
        at = FIRST_AT + timedelta(seconds=3 * number)
        messages = [
            {"role": "system", "content": rng.choice(self._agents)},
            {"role": "user", "content": self._text(rng.randint(20, 200))},
            {"role": "assistant", "content": self._text(rng.randint(20, 80))},
            {"role": "user", "content": self._text(rng.randint(20, 150))},
        ]
        answer = {"role": "assistant", "content": self._text(rng.randint(60, 250))}
        usage = {"prompt_tokens": n_in, "completion_tokens": n_out, "total_tokens": n_in + n_out}
        row: dict[str, Any] = {
            "id": f"{rng.getrandbits(128):032x}",
            "trace_id": f"conversation-{number // 3}",
            "created_at": at.strftime("%a %b %d %Y %H:%M:%S GMT+0000 (Coordinated Universal Time)"),
            "request": {"model": model, "messages": messages, "temperature": 0.2, "max_tokens": 800},
            "response": {
                "id": f"chatcmpl-{rng.getrandbits(96):024x}",
                "object": "chat.completion",
                "created": int(at.timestamp()),
                "model": model,
                "choices": [{"index": 0, "message": answer, "finish_reason": "stop"}],
                "usage": usage,
            },
            "is_success": True,
            "ai_org": provider,
            "ai_model": model,
            "req_units": float(n_in),
            "res_units": float(n_out),
            "total_units": float(n_in + n_out),
            "request_url": "https://api.openai.com/v1/chat/completions",
            "cost": round(n_in * 0.00025 + n_out * 0.001, 6),
            "cost_currency": "USD",
            "response_time": float(rng.randint(300, 9000)),
            "response_status_code": 200,
            "metadata": {"user": f"user-{rng.randint(1, 5000)}", "team": rng.choice(("sales", "support", "it"))},
        }
        return json.dumps(row, separators=(",", ":")).encode() + b"\n"

    def lines(self, n: int) -> Iterator[bytes]:
        """`n` rows, in order of their time."""
        return (self.line(number) for number in range(n))


def write(path: Path, n: int, *, seed: int = 7) -> int:
    """Write `n` rows to a file, drawn in blocks that repeat under new ids; its size in bytes."""
    block = list(Rows(seed).lines(min(n, BLOCK)))
    with path.open("wb") as out:
        for turn in range(-(-n // len(block))):
            for line in block[: n - turn * len(block)]:
                named = line.replace(b'"id":"', b'"id":"%04x' % turn, 1)
                out.write(named.replace(b"conversation-", b"conversation-%d-" % turn, 1))
    return path.stat().st_size
