"""What is known to be right for logged prompts: read when an evaluation is opened, and frozen with its samples."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from evaluation.judges.base import LABEL, METADATA
from evaluation.models import Replay
from ingestion.models import LogRecord
from projects.models import Project

# Names under which a program that logs a call may say what would have been right, in the call's metadata.
ANSWER, TOOL_CALLS = "reference_answer", "expected_tool_calls"
LONGEST = 20_000
_AT_ONCE = 500


def read(project: Project, records: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Sample.reference by log record, for those of which something is known; metadata stands before labels."""
    found: dict[int, dict[str, Any]] = {}
    labeled = _labeled(project)
    for start in range(0, len(records), _AT_ONCE):
        rows = LogRecord.objects.filter(project=project, pk__in=records[start : start + _AT_ONCE])
        for pk, metadata in rows.values_list("pk", "metadata"):
            known = of_metadata(metadata if isinstance(metadata, dict) else {})
            if known is None and pk in labeled:
                known = {"source": LABEL, **labeled[pk]}
            if known is not None:
                found[pk] = known
    return found


def _labeled(project: Project) -> dict[int, dict[str, Any]]:
    """By log record, an answer in words to which every person who labeled it gave full marks; the newest."""
    newest: dict[tuple[int, str], tuple[int, float, bool]] = {}
    rows = project.labels.filter(replay__sample__record__removed__isnull=True).exclude(replay__answer="")
    for record, replay, rater, score, harmful in rows.order_by("pk").values_list(
        "replay__sample__record_id", "replay_id", "rater", "score", "harmful"
    ):
        newest[replay, rater] = (record, score, bool(harmful))  # of one person the newest counts
    marks: dict[int, list[bool]] = {}
    records: dict[int, int] = {}
    for (replay, _), (record, score, harmful) in newest.items():
        marks.setdefault(replay, []).append(score >= 1 and not harmful)
        records[replay] = record
    full = sorted(replay for replay, given in marks.items() if all(given))
    answers = dict(Replay.objects.filter(pk__in=full, tool_calls=[]).values_list("pk", "answer"))
    return {
        records[replay]: {"answer": answers[replay][:LONGEST], "tool_calls": None}
        for replay in full
        if replay in answers
    }


def of_metadata(metadata: Mapping[str, Any]) -> dict[str, Any] | None:
    """What a call's metadata says would have been right; None: nothing that can be read."""
    answer, calls = metadata.get(ANSWER), tool_calls_of(metadata.get(TOOL_CALLS))
    answer = answer[:LONGEST] if isinstance(answer, str) and answer.strip() else None
    if answer is None and calls is None:
        return None
    return {"source": METADATA, "answer": answer, "tool_calls": calls}


def tool_calls_of(given: object) -> list[dict[str, Any]] | None:
    """Expected calls in the form of chat completions; they may be given as [{"name", "arguments"}], or as its JSON.

    An empty list says that no call is due; what cannot be read says nothing.
    """
    if isinstance(given, str) and given.strip() and len(given) <= LONGEST:
        try:
            given = json.loads(given)
        except (ValueError, RecursionError):
            return None
    if not isinstance(given, list):
        return None
    calls = [_call(one) for one in given]
    return [call for call in calls if call is not None] if None not in calls else None


def _call(given: object) -> dict[str, Any] | None:
    if not isinstance(given, Mapping):
        return None
    function = given.get("function") if isinstance(given.get("function"), Mapping) else given
    assert isinstance(function, Mapping)  # noqa: S101  # either is one
    name, arguments = function.get("name"), function.get("arguments", {})
    if not isinstance(name, str) or not name:
        return None
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False, sort_keys=True)
    return {"type": "function", "function": {"name": name, "arguments": text}}
