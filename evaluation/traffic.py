"""How a project's calls use a model, beyond what a log's columns hold: shares and languages, never a text.

Read from a bounded, repeatable sample of stored bodies. What comes out holds numbers and words of our own only.
"""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

SAMPLE = 200
_READ = 600  # characters of a call that tell its language
_LEAST_SHARE = 0.01
# blocks of letters that mostly belong to one language or one group of them
_SCRIPTS = (
    (0x0370, 0x03FF, "Greek"), (0x0400, 0x052F, "Cyrillic"), (0x0590, 0x05FF, "Hebrew"), (0x0600, 0x06FF, "Arabic"),
    (0x0900, 0x0D7F, "Indic"), (0x0E00, 0x0E7F, "Thai"), (0x3040, 0x30FF, "Japanese"), (0x4E00, 0x9FFF, "Chinese"),
    (0xAC00, 0xD7AF, "Korean"),
)  # fmt: skip
_WORDS = {
    "English": "the and is to of you my for with what how can it this please",
    "German": "der die das und nicht ich mit eine zu wie auf bitte kann wir",
    "French": "le la les et est pas je vous une un pour dans mon avec que",
    "Spanish": "el los las es no yo por una para con mi como está qué",
    "Portuguese": "os as não eu uma para com meu minha como você está que em",
    "Italian": "il gli è non per una con mio come che sono di della posso",
    "Dutch": "de het een en niet ik met voor mijn van kan hoe dit wat",
}
_STOPS = {language: frozenset(words.split()) for language, words in _WORDS.items()}
OTHER = "other"
# what letters alone tell is a group of languages, and names none of them
SINGLE = frozenset((*_WORDS, "Greek", "Hebrew", "Thai", "Japanese", "Chinese", "Korean"))
_REASONING = ("reasoning_effort", "reasoning", "thinking")


@dataclass(frozen=True)
class Traffic:
    """Shares of the sampled calls. languages: by share, those of at least 1 %; None: nothing could be read."""

    n_read: int
    share_parallel_tools: float | None = None  # answers with two tool calls or more
    share_forced_tool: float | None = None  # tool_choice demands a call
    share_json_mode: float | None = None
    share_json_schema: float | None = None
    languages: tuple[tuple[str, float], ...] = ()
    share_seed: float | None = None  # a seed is set
    share_reasoning: float | None = None  # an effort or a budget of reasoning is set

    def to_json(self) -> dict[str, Any]:
        """As it is stored in Evaluation.selection."""
        return {**asdict(self), "languages": dict(self.languages)}


def spread(items: Sequence[int], *, most: int = SAMPLE) -> list[int]:
    """At most so many of them, evenly spread: the same of the same."""
    return list(items) if len(items) <= most else [items[i * len(items) // most] for i in range(most)]


def read(bodies: Iterable[tuple[str, str]]) -> Traffic:
    """Read requests and responses; what is no JSON object of a chat call is passed over."""
    counts: Counter[str] = Counter()
    languages: Counter[str] = Counter()
    for request_text, response_text in bodies:
        request = _parsed(request_text)
        if not isinstance(request.get("messages"), list):
            continue
        counts["read"] += 1
        choice = request.get("tool_choice")
        counts["forced"] += isinstance(choice, dict) or choice in ("required", "any")
        wanted = request.get("response_format")
        kind = wanted.get("type") if isinstance(wanted, dict) else None
        counts["mode"] += kind == "json_object"
        counts["schema"] += kind == "json_schema"
        counts["seed"] += request.get("seed") is not None
        counts["reasoning"] += any(request.get(name) is not None for name in _REASONING)
        counts["parallel"] += _tool_calls(_parsed(response_text)) > 1
        languages[language(_asked(request["messages"]))] += 1
    n = counts["read"]
    if not n:
        return Traffic(0)
    shares = sorted(((name, k / n) for name, k in languages.items()), key=lambda pair: (-pair[1], pair[0]))
    return Traffic(
        n_read=n,
        share_parallel_tools=counts["parallel"] / n,
        share_forced_tool=counts["forced"] / n,
        share_json_mode=counts["mode"] / n,
        share_json_schema=counts["schema"] / n,
        languages=tuple((name, share) for name, share in shares if share >= _LEAST_SHARE),
        share_seed=counts["seed"] / n,
        share_reasoning=counts["reasoning"] / n,
    )


def language(text: str) -> str:
    """Name of a text's language: by its letters, or by its small words where these are Latin; else "other"."""
    letters = [char for char in text[:_READ] if char.isalpha()]
    if not letters:
        return OTHER
    scripts = Counter(
        next((name for low, high, name in _SCRIPTS if low <= ord(char) <= high), "Latin") for char in letters
    )
    if scripts["Japanese"] and scripts["Japanese"] + scripts["Chinese"] > len(letters) / 2:
        return "Japanese"
    script, count = min(scripts.items(), key=lambda pair: (-pair[1], pair[0]))
    if script != "Latin":
        return script if count > len(letters) / 2 else OTHER
    words = text[:_READ].lower().split()
    hits = {name: sum(word.strip(".,!?;:\"'()") in stops for word in words) for name, stops in _STOPS.items()}
    best = min(hits, key=lambda name: (-hits[name], name))
    return best if hits[best] else OTHER


def _parsed(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _tool_calls(response: dict[str, Any]) -> int:
    choices = response.get("choices")
    first = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    message = first.get("message")
    calls = (message if isinstance(message, dict) else response).get("tool_calls")
    return len(calls) if isinstance(calls, list) else 0


def _asked(messages: Sequence[Any]) -> str:
    """The newest text of a user, for its language only; beside images it stands in parts."""
    for message in reversed(messages):
        if isinstance(message, dict) and message.get("role") == "user":
            content = message.get("content")
            parts = content if isinstance(content, list) else [{"text": content}]
            texts = [part["text"] for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str)]
            if texts:
                return " ".join(texts)
    return ""
