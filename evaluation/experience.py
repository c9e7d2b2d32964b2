"""What earlier runs of a project showed, read from their rows; and one run against its forecast."""

from dataclasses import dataclass

from django.db.models import Avg, Count, F, Sum

from evaluation import ledger
from evaluation.learning import Experience, Seen
from evaluation.models import Evaluation, Replay, Verdict
from projects.models import Project

RUNS = 20
_LATENCIES = 5_000
_LEAST_FOR_P95 = 30


@dataclass(frozen=True)
class Line:
    """One figure of a run beside its forecast; None: not known."""

    what: str  # model_calls | judge_calls | prompts | cost_nanousd | minutes
    expected: float | None
    low: float | None
    high: float | None
    actual: float | None

    @property
    def ratio(self) -> float | None:
        """Actual over expected."""
        return self.actual / self.expected if self.expected and self.actual is not None else None


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
    """Actual over expected cost of the last runs that came to their end; answers out of the cache count as if paid."""
    done = project.evaluations.filter(state=Evaluation.State.DONE).order_by("-number")[:RUNS]
    found = [(row.forecast.get("cost_expected_nanousd"), _worth(row)) for row in done]
    return [actual / expected for expected, actual in found if expected and actual]


def _worth(evaluation: Evaluation) -> int:
    answers = Replay.objects.filter(sample__evaluation=evaluation).exclude(source=Replay.Source.LOGGED)
    verdicts = Verdict.objects.filter(replay__sample__evaluation=evaluation)
    return sum(int(rows.aggregate(worth=Sum("cost_nanousd"))["worth"] or 0) for rows in (answers, verdicts))


def against_forecast(evaluation: Evaluation) -> list[Line]:
    """A run beside its forecast, as far as it is. Calls and money are those that were paid: reuse makes them less."""
    said = evaluation.forecast
    counts = ledger.counts(evaluation)
    answers = Replay.objects.filter(sample__evaluation=evaluation).exclude(source=Replay.Source.LOGGED)
    tried = answers.filter(candidate__position__gt=0)
    minutes = None
    if evaluation.started_at is not None and evaluation.ended_at is not None:
        minutes = (evaluation.ended_at - evaluation.started_at).total_seconds() / 60
    return [
        _line("model_calls", said, "replay_calls", counts["model_calls"]),
        _line("judge_calls", said, "judge_calls", counts["judge_calls"]),
        _line("prompts", said, "prompts", tried.values("sample").distinct().count()),
        Line(
            "cost_nanousd", said.get("cost_expected_nanousd"), said.get("cost_p10_nanousd"),
            said.get("cost_p90_nanousd"), counts["spent_nanousd"],
        ),
        Line("minutes", said.get("minutes_expected"), None, None, minutes),
    ]  # fmt: skip


def _line(what: str, said: dict[str, float | None], name: str, actual: float) -> Line:
    return Line(what, said.get(f"{name}_expected"), None, said.get(f"{name}_at_most"), actual)
