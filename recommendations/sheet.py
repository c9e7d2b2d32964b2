"""What a recommendation shows alike on its page, on paper and behind a shared link."""

from datetime import datetime
from typing import Any

from evaluation import by_use_case, conditions, noise
from evaluation import plots as evaluation_plots
from evaluation.noise import Floor
from recommendations import explain, plots, sections, selectors
from recommendations.models import Recommendation


def context(recommendation: Recommendation, *, now: datetime) -> dict[str, Any]:
    """Texts, tables and figures, without any address."""
    evidence, floor = recommendation.evidence, noise.floor(recommendation.evaluation)
    figures = [plots.trade(evidence), evaluation_plots.looks(evidence)]
    if not evidence["outcome"]["recommended"]:
        figures.reverse()  # how sure it is comes first where it is not sure
    return {
        "page": selectors.page(recommendation, now=now),
        "evidence": evidence,
        "verdict": sections.verdict(evidence),
        "next_step": explain.next_step(evidence),
        "changes": explain.changes(evidence),
        "tiles": sections.tiles(evidence),
        "checks": conditions.table(evidence),
        "charts": [chart for chart in figures if chart],
        "candidates": sections.candidates(evidence),
        "judges": sections.judge_models(evidence),
        "prices": sections.prices(evidence, recommendation.provenance),
        "versions": sections.versions(evidence, recommendation.provenance),
        "left_out": sections.left_out(evidence),
        "use_cases": by_use_case.lines(evidence),
        "told_apart": bool(evidence.get("use_cases")),
        "mixed": by_use_case.mixed(evidence),
        "study": selectors.study(recommendation, now=now),
        "floor": floor,
        "chance": by_chance(floor),
    }


def by_chance(floor: Floor | None) -> dict[str, str]:
    """How far the model in production differs from itself, by metric, as the checks say differences."""
    return {name: conditions.by_chance(name, vars(one)) for name, one in (floor.metrics.items() if floor else ())}
