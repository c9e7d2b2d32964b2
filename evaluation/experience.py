"""What earlier runs of a project showed, read from their rows."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from django.db.models import Avg, Count, F, Sum

from evaluation.learning import Experience, Seen
from evaluation.models import Evaluation, Replay, Verdict
from projects.models import Project

RUNS = 20
_LATENCIES = 5_000
_LEAST_FOR_P95 = 30


def read(project: Project) -> Experience:
    """What the models of this project's earlier runs wrote and took, and how far its last forecasts were off."""
    called = Replay.objects.filter(
        sample__evaluation__project=project, source=Replay.Source.CALLED, status=Replay.Status.ANSWERED
    )
    name = F("candidate__offer__name")
    rows = called.values(name=name).annotate(
        n=Count("pk"), tokens=Avg("output_tokens"), latency=Avg("latency_us")
    )  # fmt: skip
    latencies: dict[str, list[int]] = {}
    recent = called.filter(latency_us__isnull=False).order_by("-pk").values_list(name, "latency_us")
    for model, latency_us in recent[:_LATENCIES]:
        latencies.setdefault(model, []).append(latency_us)
    models = {
        row["name"]: Seen(
            answers=row["n"],
            mean_output_tokens=None if row["tokens"] is None else float(row["tokens"]),
            mean_latency_s=None if row["latency"] is None else float(row["latency"]) / 1e6,
            p95_latency_s=_p95_s(latencies.get(row["name"], [])),
        )
        for row in rows.order_by("name")
    }
    return Experience(models, tuple(_ratios(project)))


def _p95_s(latencies_us: list[int]) -> float | None:
    if len(latencies_us) < _LEAST_FOR_P95:
        return None
    return sorted(latencies_us)[-(-95 * len(latencies_us) // 100) - 1] / 1e6


def _ratios(project: Project) -> list[float]:
    """Actual over expected cost of the last runs that came to their end; answers out of the cache count as if paid.

    Expected as it was before runs had moved it, or each run would unlearn what the one before had taught.
    """
    done = list(project.evaluations.filter(state=Evaluation.State.DONE).order_by("-number")[:RUNS])
    worth = _worth([row.pk for row in done])
    found = [(_unlearned(row.forecast), worth.get(row.pk, 0)) for row in done]
    return [actual / expected for expected, actual in found if expected and actual]


def _unlearned(forecast: dict[str, Any]) -> int | None:
    """Of rows from before there was a correction: the expected cost."""
    return forecast.get("cost_unlearned_nanousd", forecast.get("cost_expected_nanousd"))


def _worth(evaluations: Sequence[int]) -> Counter[int]:
    answers = Replay.objects.filter(sample__evaluation__in=evaluations).exclude(source=Replay.Source.LOGGED)
    verdicts = Verdict.objects.filter(replay__sample__evaluation__in=evaluations)
    found: Counter[int] = Counter()
    for rows in (answers.values_list("sample__evaluation"), verdicts.values_list("replay__sample__evaluation")):
        for pk, worth in rows.annotate(worth=Sum("cost_nanousd")).order_by():
            found[pk] += int(worth or 0)
    return found
