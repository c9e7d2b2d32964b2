"""Answers and verdicts out of recorded files: what was not recorded is not known, and nothing is made up.

A set is a pair of files NAME_prompts and NAME_completions; verdicts stand in NAME_verdicts or as `correct` in the
completions. Files are JSON Lines, gzip or plain.
"""

import gzip
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agentopt.lib import judge_form

REFERENCE_JUDGE = "recorded-reference"
_SUFFIXES = (".jsonl.gz", ".jsonl")


@dataclass(frozen=True)
class Verdict:
    """What a recorded judge said of one answer; score None: its text held no rating."""

    score: float | None
    lowest: float
    highest: float
    text: str


@dataclass
class Recordings:
    """All sets of a folder, ready to be looked up."""

    prompts: dict[str, list[str]] = field(default_factory=dict)  # sha256 of the last user message -> prompt ids
    answers: dict[tuple[str, str], str] = field(default_factory=dict)  # (prompt id, model) -> content
    verdicts: dict[tuple[str, str, str], Verdict] = field(default_factory=dict)  # (prompt id, judge, sha256 of answer)
    models: dict[str, set[str]] = field(default_factory=dict)  # set -> models
    judges: dict[str, set[str]] = field(default_factory=dict)  # set -> judges

    def answer(self, model: str, messages: Sequence[Mapping[str, Any]]) -> str | None:
        """Return what the model answered to the last user message, or None where that was not recorded."""
        texts = [(message.get("role"), judge_form.render_message(message)) for message in messages]
        prompts = self.prompts.get(last_user_sha256(texts), ())
        return next((self.answers[it, model] for it in prompts if (it, model) in self.answers), None)

    def verdict(self, judge: str, asked: judge_form.Asked) -> Verdict | None:
        """Return what the judge said of this prompt and this very text, or None where that was not recorded."""
        prompts = self.prompts.get(last_user_sha256(asked.messages), ())
        keys = [(prompt, judge, sha256(asked.answer)) for prompt in prompts]
        return next((self.verdicts[key] for key in keys if key in self.verdicts), None)

    def names(self, only: str | None = None) -> list[str]:
        """Return the models and judges of one set, or of all, in order of name."""
        sets = [only] if only else sorted(self.models)
        return sorted({name for it in sets for name in self.models.get(it, set()) | self.judges.get(it, set())})


def sha256(text: str) -> str:
    """Hash a text as the recordings do: hex of its UTF-8."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def last_user_sha256(messages: Sequence[tuple[Any, str]]) -> str:
    """Hash the last user message; of no message, the empty text."""
    return sha256(next((text for role, text in reversed(messages) if role == "user"), ""))


def load(folder: Path) -> Recordings:
    """Read every set of a folder.

    Raises:
        ValueError: the folder holds no set.
    """
    found = Recordings()
    stems = {path.name.removesuffix(".gz").removesuffix(".jsonl") for path in folder.iterdir()}
    for name in sorted(stem.removesuffix("_prompts") for stem in stems if stem.endswith("_prompts")):
        if f"{name}_completions" in stems:
            _load_set(found, folder, name)
    if not found.models:
        raise ValueError(f"{folder} holds no NAME_prompts with NAME_completions (.jsonl or .jsonl.gz)")
    return found


def reply(verdict: Verdict, asked: judge_form.Asked) -> str:
    """Return a recorded verdict in the reply form, its score moved to the asked scale.

    A verdict without a score is the recorded text alone, so that whoever asked finds no score in it either.
    """
    if verdict.score is None:
        return verdict.text
    place = (verdict.score - verdict.lowest) / (verdict.highest - verdict.lowest)
    score = asked.lowest + place * (asked.highest - asked.lowest)
    return judge_form.reply(score=score, explanation=verdict.text)


def _find(folder: Path, stem: str) -> Path | None:
    return next((folder / f"{stem}{s}" for s in _SUFFIXES if (folder / f"{stem}{s}").is_file()), None)


def _rows(folder: Path, stem: str) -> Iterator[dict[str, Any]]:
    path = _find(folder, stem)
    if path is None:
        return
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def _load_set(found: Recordings, folder: Path, name: str) -> None:
    for row in _rows(folder, f"{name}_prompts"):
        found.prompts.setdefault(row["user_sha256"], []).append(row["prompt_id"])
    models = found.models.setdefault(name, set())
    judges = found.judges.setdefault(name, set())
    for row in _rows(folder, f"{name}_completions"):
        models.add(row["model"])
        found.answers[row["prompt_id"], row["model"]] = row["content"]
        if isinstance(row.get("correct"), bool):
            judges.add(REFERENCE_JUDGE)
            words = "right" if row["correct"] else "wrong"
            verdict = Verdict(float(row["correct"]), 0.0, 1.0, f"The recorded reference marks this answer {words}.")
            found.verdicts.setdefault((row["prompt_id"], REFERENCE_JUDGE, sha256(row["content"])), verdict)
    for row in _rows(folder, f"{name}_verdicts"):
        judges.add(row["judge"])
        content = found.answers.get((row["prompt_id"], row["model"]))
        if content is not None:
            lowest, highest = row["scale"]
            verdict = Verdict(row["score"], lowest, highest, row["text"])
            found.verdicts.setdefault((row["prompt_id"], row["judge"], sha256(content)), verdict)
