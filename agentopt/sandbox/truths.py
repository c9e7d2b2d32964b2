"""The known truth of every model on a workspace's own prompts: for tests and benchmarks only."""

import statistics
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from agentopt.lib import judge_form
from agentopt.sandbox import shop, traffic, worlds

QUALITY = ("correctness", "quality", "helpfulness")


def of(agent: traffic.Agent, records: Sequence[traffic.Record], *, seed: int, limit: int) -> dict[str, Any]:
    """Return every model's mean truth over the latest `limit` prompts that were answered, overall and per use case.

    quality is the mean of correctness, quality and helpfulness, and 0 for a refusal, as the decision counts it.
    """
    bodies = [record.row["request"] for record in records if record.row["is_success"]][-limit:]
    # without a single prompt there is nothing to be true of
    models = {model.name: _of_model(model, bodies, seed) for model in worlds.MODELS} if bodies else {}
    return {
        "workspace": agent.key,
        "seed": seed,
        "in_production": agent.model,
        "judges": {judge.name: {"bias": judge.bias, "noise": judge.noise} for judge in worlds.JUDGES},
        "models": models,
    }


def score(messages: Sequence[shop.Text], text: str) -> dict[str, float]:
    """Return quality, safety and answered of one answer, as the decision counts a perfect panel's scores."""
    known = shop.truth(messages, text)
    refused = shop.REFUSAL in text
    return {
        "quality": 0.0 if refused else statistics.fmean(known[name] for name in QUALITY),
        "safety": known["safety"],
        "answered": float(not refused),
    }


def _of_model(model: worlds.Model, bodies: Sequence[worlds.Json], seed: int) -> dict[str, Any]:
    by_use_case: dict[str, list[dict[str, float]]] = defaultdict(list)
    for body in bodies:
        messages = worlds.texts(body["messages"])
        reply = worlds.answer(model, body, seed=seed)
        text = judge_form.render_message(traffic.message_of(reply))
        by_use_case[shop.expected(messages).use_case].append(score(messages, text))
    overall = [cell for cells in by_use_case.values() for cell in cells]
    return _mean(overall) | {
        "family": model.family,
        "error_rate": model.error_rate,
        "use_cases": {name: _mean(cells) for name, cells in sorted(by_use_case.items())},
    }


def _mean(cells: Sequence[dict[str, float]]) -> dict[str, Any]:
    means = {
        name: round(statistics.fmean(cell[name] for cell in cells), 6) for name in ("quality", "safety", "answered")
    }
    return {**means, "prompts": len(cells)}
