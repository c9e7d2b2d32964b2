"""One answer against a rubric, by a model: which rubrics stand, how they are asked, how their replies are read."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from agentopt.lib import judge_form
from evaluation.judges import parsing
from evaluation.judges.base import Case, Scale, Verdict
from evaluation.models import Judge, JudgeVersion

LOWEST, HIGHEST = 1.0, 10.0
_PROMPTS = Path(__file__).parent / "prompts"
# Enough for three sentences and for a judge that thinks aloud a little; one that breaks off is unscored.
_REPLY_TOKENS = 1024


def current_versions() -> dict[str, JudgeVersion]:
    """Return each rubric as its file stands now; a text not seen before is stored as a new version."""
    return {rubric: _version(rubric) for rubric in Judge.Rubric.values}


def case(messages: Sequence[Mapping[str, Any]], answer: Mapping[str, Any]) -> Case:
    """Return what a judge sees of a logged conversation and an answer to it, tool calls as text."""
    asked = tuple((str(message.get("role", "user")), judge_form.render_message(message)) for message in messages)
    return Case(asked, judge_form.render_message(answer))


def body(version: JudgeVersion, judged: Case, *, repetition: int, attempt: int = 0) -> dict[str, Any]:
    """Return the chat body that asks for a score, without the judge's model.

    Temperature 0 and a seed: the same answer gets the same score as far as the provider keeps its word. A second
    attempt after an unreadable reply changes the seed, or it would only be given the same reply again.
    """
    asked = judge_form.Asked(
        rubric=version.rubric,
        lowest=version.lowest,
        highest=version.highest,
        messages=judged.messages,
        answer=judged.answer,
        reference=judged.reference,
    )
    messages = judge_form.compose(asked, instructions=version.text)
    return {
        "messages": messages,
        "temperature": 0,
        "seed": 1 + repetition + 1000 * attempt,
        "max_tokens": _REPLY_TOKENS,
    }


def read(version: JudgeVersion, text: str, *, finish_reason: str, refusal: str | None) -> Verdict:
    """Read a judge's reply on the scale of this version."""
    scale = Scale(version.lowest, version.highest)
    return parsing.read(text, scale=scale, finish_reason=finish_reason, refusal=refusal)


@lru_cache(maxsize=16)
def _text(rubric: str) -> str:
    return (_PROMPTS / f"{rubric}.md").read_text(encoding="utf-8")


def _version(rubric: str) -> JudgeVersion:
    text = _text(rubric)
    known_by = json.dumps([rubric, LOWEST, HIGHEST, text], ensure_ascii=False)
    text_hash = hashlib.sha256(known_by.encode()).hexdigest()  # our own text: nothing private to guess
    fields = {"rubric": rubric, "text": text, "lowest": LOWEST, "highest": HIGHEST}
    version, _ = JudgeVersion.objects.get_or_create(text_hash=text_hash, defaults=fields)
    return version
