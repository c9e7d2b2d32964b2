"""Small evaluations on a sandbox: logs of the invented support agent, its models, its judges."""

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.utils import timezone

from agentopt.sandbox import traffic, worlds
from evaluation import run, services
from evaluation.models import Evaluation
from ingestion import imports
from ingestion.catalog import loader
from ingestion.gateway import Gateway, open_gateway
from projects import services as projects
from projects.models import Project

KEY = traffic.AGENTS[0].key
LOGGED_UNTIL = datetime(2026, 11, 1, tzinfo=UTC)
JUDGE = "judge-oriole"
TAKEN = ("model_calls", "judge_calls", "cached_answers", "cached_verdicts", "spent_nanousd", "saved_nanousd")


def silent(**_progress: Any) -> None:
    """A beat that nobody hears."""


def connect(project: Project, url: str, *, simulated: bool = True) -> Gateway:
    """Point a project at a sandbox; where it simulates, with its catalog."""
    projects.connect(project, by=None, base_url=url, api_key=KEY)
    if simulated:
        loader.load(worlds.catalog(), project=project)
    project.refresh_from_db()
    return open_gateway(project.connection)


def support_log(calls: int) -> list[dict[str, Any]]:
    """Return the last calls of the support agent, as an export has them; a copy, since the sandbox keeps its rows."""
    found = traffic.records(traffic.AGENTS[0], seed=7, now=LOGGED_UNTIL)
    own = [record.row for record in found if record.row["ai_model"] == traffic.AGENTS[0].model]
    return deepcopy(own[-calls:])


def chat_row(index: int, question: str, answer: str, *, model: str = "aurora-large") -> dict[str, Any]:
    """Return one exported call of one user message."""
    return {
        "id": f"call-{index}",
        "trace_id": f"trace-{index}",
        "created_at": f"2026-10-{1 + index % 28:02d}T10:00:00+00:00",
        "request": {"model": model, "messages": [{"role": "user", "content": question}]},
        "response": {
            "object": "chat.completion",
            "model": model,
            "choices": [{"message": {"role": "assistant", "content": answer}, "finish_reason": "stop"}],
        },
        "is_success": True,
        "ai_org": "northlight",
        "ai_model": model,
        "response_status_code": 200,
        "response_time": 900,
    }


def take_in(project: Project, rows: Sequence[dict[str, Any]], folder: Path) -> None:
    """Import rows as a file of the export's form."""
    path = folder / "log.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    imports.import_file(project, path, format="portkey")


def open_study(
    project: Project,
    gateway: Gateway,
    *,
    candidates: Sequence[str] = ("corvus-medium",),
    judges: Sequence[str] = (JUDGE,),
    rubrics: Sequence[str] | None = ("correctness", "safety"),
    limit: int = 40,
    **more: Any,
) -> Evaluation:
    """Open an evaluation by a small panel."""
    services.set_judges(project, list(judges), rubrics=rubrics)
    request = services.EvaluationRequest(candidates=tuple(candidates), limit=limit, **more)
    return services.open_evaluation(project, request, by=None, gateway=gateway, now=timezone.now())


def run_to_end(
    evaluation: Evaluation, gateway: Gateway, *, beat: Callable[..., object] = silent, seconds: float = 60
) -> Evaluation:
    """Advance an evaluation until it stands still."""
    while not run.advance(
        evaluation, gateway=gateway, now=timezone.now, deadline=time.monotonic() + seconds, beat=beat
    ):
        pass
    evaluation.refresh_from_db()
    return evaluation


def record(folder: Path, answers: Mapping[str, Mapping[str, tuple[str, float | None]]]) -> list[dict[str, Any]]:
    """Write recordings for a recorded sandbox and return what the model in production, `old`, logged.

    Args:
        folder: of the recordings.
        answers: by prompt and model: the answer and the recorded judge's score of 1 to 10; None: it held no rating.
    """
    prompts, completions, verdicts = [], [], []
    for index, (prompt, models) in enumerate(answers.items()):
        key = hashlib.sha256(prompt.encode()).hexdigest()
        messages = [{"role": "user", "content": prompt}]
        prompts.append({"prompt_id": str(index), "messages": messages, "user_sha256": key})
        for model, (content, score) in models.items():
            about = {"prompt_id": str(index), "model": model}
            completions.append({**about, "content": content})
            text = "My rating stands below." if score is None else f"Recorded: {score}"
            verdicts.append({**about, "judge": "recorded-judge", "score": score, "scale": [1, 10], "text": text})
    for name, rows in (("prompts", prompts), ("completions", completions), ("verdicts", verdicts)):
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"own_{name}.jsonl").write_text(lines, encoding="utf-8")
    return [
        chat_row(index, prompt, models["old"][0], model="old") for index, (prompt, models) in enumerate(answers.items())
    ]


def said(evaluation: Evaluation) -> dict[str, Any]:
    """The outcome without what it took, and without keys that differ between copies of a study."""
    outcome = dict(evaluation.outcome or {})
    names = {candidate.pk: candidate.offer.name for candidate in evaluation.candidates.select_related("offer")}
    for key in ("recommended", "leader"):
        outcome[key] = names.get(outcome[key])
    outcome["candidates"] = [{**row, "candidate": names[row["candidate"]]} for row in outcome["candidates"]]
    looks = evaluation.looks.order_by("pk").values("candidate__offer__name", "prompts", "chance", "p", "conditions")
    return {**{key: value for key, value in outcome.items() if key not in TAKEN}, "looks": list(looks)}
