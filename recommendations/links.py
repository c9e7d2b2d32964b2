"""Where the numbers of a recommendation's page come from: the address of the rows behind each."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse

from ingestion.models import LogRecord
from recommendations import followup
from recommendations.models import Recommendation

Evidence = Mapping[str, Any]
Addresses = dict[str, str]


def checks(recommendation: Recommendation) -> Addresses:
    """By metric, of the recommended candidate or the one that came nearest."""
    evidence = recommendation.evidence
    names = [arm["name"] for arm in evidence["candidates"]]
    leader = evidence["outcome"]["leader"]
    own = {"with": names.index(leader)} if leader in names else {}
    cases, costs, replay = (_tab(recommendation, tab) for tab in ("cases", "costs", "replay"))
    every = _query(cases, own)
    return {
        "quality": every,
        "safety": every,
        "answered": _query(cases, own | {"show": "unanswered"}),
        "stability": replay,
        "latency": replay,
        "latency_p95_s": replay,
        "cost": costs,
        "cost_per_call_usd": costs,
        "gain": costs,
    }


def changes(recommendation: Recommendation) -> Addresses:
    """By the name of what would change it."""
    rows, slug = checks(recommendation), recommendation.project.slug
    panel, catalog = _tab(recommendation, "panel"), reverse("ingestion:catalog", args=[slug])
    found = {
        "unscored_as_failures": panel,
        "without_judge": panel,
        "without_largest_unit": rows["quality"],
        "smallest_margin": rows["quality"],
        "margin_needed": rows["quality"],
        "largest_price_factor": catalog,
        "price_factor_needed": catalog,
        "volume": reverse("ingestion:logs", args=[slug]),
    }
    for change in recommendation.evidence["changes"]:
        if "weight_of_" in change["name"]:
            metric = change["name"].split("weight_of_")[1].removesuffix("_needed")
            found[change["name"]] = rows.get(metric, rows["quality"])
    return found


def followed(recommendation: Recommendation, *, switched_at: datetime) -> Addresses:
    """The calls of the two models since the switch, and of the one before up to it."""
    candidate, since = recommendation.candidate, switched_at.isoformat()
    if candidate is None:
        return {}
    before = followup.baseline_names(recommendation.evaluation)
    start = (switched_at - followup.BEFORE).isoformat()
    return {
        "after": _calls(recommendation, followup.names_of(candidate.offer), since=since),
        "before": _calls(recommendation, before, since=start),
        "cases": _tab(recommendation, "cases"),
    }


def _calls(recommendation: Recommendation, names: frozenset[str], *, since: str) -> str:
    """The log page knows one model by the name that the calls carry."""
    own = LogRecord.objects.filter(project=recommendation.project, model__in=sorted(names))
    model = own.order_by().values_list("model", flat=True).first() or min(names)
    return _query(reverse("ingestion:logs", args=[recommendation.project.slug]), {"model": model, "since": since})


def _tab(recommendation: Recommendation, name: str) -> str:
    return reverse(f"evaluation:{name}", args=[recommendation.project.slug, recommendation.evaluation.number])


def _query(address: str, values: Mapping[str, object]) -> str:
    return f"{address}?{urlencode(values)}" if values else address
