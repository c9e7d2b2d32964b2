"""Recorded verdicts of a real judge, asked for and read as in a run: `python -m benchmarks.verdicts --recordings DIR`.

The sandbox plays the judge out of DIR, over HTTP; where its text held no rating it answers with that text alone. Told
is how many verdicts came back with the recorded score, and how many that hold none stayed unscored, by reason.
"""

import argparse
import gzip
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agentopt.settings")
django.setup()

from agentopt.sandbox.server import running  # after setup
from evaluation.judges import rubric, versions
from evaluation.models import JudgeVersion
from ingestion.gateway import ChatRequest, ChatSession
from ingestion.gateway.base import Endpoint

_CLOSE = 1e-9


def _rows(folder: Path, stem: str) -> Iterator[dict[str, Any]]:
    packed, plain = folder / f"{stem}.jsonl.gz", folder / f"{stem}.jsonl"
    text = gzip.decompress(packed.read_bytes()).decode() if packed.is_file() else plain.read_text(encoding="utf-8")
    yield from map(json.loads, filter(None, text.splitlines()))


def measure(folder: Path, name: str, *, url: str) -> dict[str, Any]:
    """Ask for every verdict of a set and compare what is read with what was recorded."""
    prompts = {row["prompt_id"]: row["messages"] for row in _rows(folder, f"{name}_prompts")}
    answers = {(row["prompt_id"], row["model"]): row["content"] for row in _rows(folder, f"{name}_completions")}
    version = JudgeVersion(rubric="quality", text=versions.text_of("quality"), lowest=1.0, highest=10.0)
    found: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    with ChatSession(Endpoint(url, url, "x-portkey-api-key", "recorded"), in_flight=16) as session:
        waiting = []
        for row in _rows(folder, f"{name}_verdicts"):
            said = {"content": answers[row["prompt_id"], row["model"]]}
            body = rubric.body(version, rubric.case({"messages": prompts[row["prompt_id"]]}, said), repetition=0)
            waiting.append((row, session.submit(ChatRequest(row["judge"], body, "verdict", {}, timeout_s=60))))
        for row, future in waiting:
            reply = future.result()
            read = rubric.read(version, reply.text, finish_reason=reply.finish_reason, refusal=reply.refusal)
            found["verdicts"] += 1
            if row["score"] is None:
                found["without a rating"] += 1
                found["of them unscored"] += read.score is None
                reasons[read.reason] += 1
                continue
            lowest, highest = row["scale"]
            place = (row["score"] - lowest) / (highest - lowest)
            found["read as recorded"] += read.score is not None and abs(read.score - place) < _CLOSE
    return {**found, "reasons": dict(reasons)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--recordings", type=Path, required=True)
    parser.add_argument("--set", default="chat")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with running(recordings=arguments.recordings) as sandbox:
        found = measure(arguments.recordings, arguments.set, url=sandbox.url)
    sys.stdout.write(json.dumps(found, indent=None if arguments.json else 2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
