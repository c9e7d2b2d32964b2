"""Evidence of whole recommendations, worked by hand, and rows that carry it."""

from copy import deepcopy
from datetime import timedelta
from typing import Any

from django.utils import timezone

from evaluation.models import Evaluation
from projects.models import Project
from recommendations import reproduction, services
from recommendations.models import Recommendation
from tests.recommendations import examples

HOSTILE = "</script><script>alert(1)</script>"


def _interval(value: float, low: float, high: float, n: int = 150) -> dict[str, Any]:
    return {"value": value, "low": low, "high": high, "n": n}


def _arm(name: str, state: str, *, cost: float, quality: float, code: str = "", prompts: int = 150) -> dict[str, Any]:
    return {
        "name": name,
        "provider": "northlight",
        "state": state,
        "code": code,
        "quality": _interval(quality, quality - 0.02, quality + 0.02, prompts),
        "answered": _interval(0.99, 0.97, 1.0, prompts),
        "cost_per_1000_usd": _interval(cost, 0.9 * cost, 1.1 * cost, prompts),
        "latency_p95_s": _interval(2.7, 2.5, 2.9, prompts),
        "prompts": prompts,
        "chance": 0.4,
        "difference": None if state == "baseline" else {"value": quality - 0.85, "low": -0.1, "high": 0.1},
    }


def _look(prompts: int, checks: list[dict[str, Any]], *, ranking: bool = False) -> dict[str, Any]:
    return {"prompts": prompts, "ranking": ranking, "chance": 0.5, "p": 0.2, "confidence": 0.5, "checks": checks}


def recommended() -> dict[str, Any]:
    """A switch: four checks shown at the third look."""
    checks = [
        examples.check("quality", "shown", p=0.04),
        examples.check("safety", "shown", now=1.0, then=0.99, estimate=-0.01, low=-0.02, high=0.0, p=0.01),
        examples.check("answered", "shown", now=0.99, then=0.99, estimate=0.0, low=-0.01, high=0.01, p=0.02),
        examples.check("gain", "shown", kind="gain", now=None, then=None, estimate=0.66, low=0.51, high=0.81, bound=0.5,
                       bar=0.1, p=0.001),
    ]  # fmt: skip
    earlier = [{**check, "verdict": "not_shown", "bound": check["bar"] - 0.02, "p": 0.3} for check in checks]
    ranked = [{**check, "verdict": "not_shown", "bound": None, "p": None} for check in checks]
    base = examples.evidence(recommended=True, code="all_conditions_shown", checks=checks)
    return {
        **base,
        "question": base["question"]
        | {"evaluation": 1, "since": "2026-10-01T00:00:00+00:00", "until": "2026-10-31T00:00:00+00:00", "seed": 7},
        "outcome": base["outcome"] | {"conversations": 150, "ranked": False, "reached": 174, "answers": 200},
        "estimates": {
            "cost": {"estimate": 0.66, "low": 0.64, "high": 0.68, "now": 0.00834, "then": 0.00284, "n": 150},
            "latency": {"estimate": 0.3, "low": 0.2, "high": 0.4, "now": 2.0, "then": 1.4, "n": 150},
        },
        "looks": [_look(20, ranked, ranking=True), _look(50, earlier), _look(150, checks)],
        "candidates": [
            _arm("aurora-large", "baseline", cost=8.34, quality=0.85),
            _arm("corvus-medium", "recommended", cost=2.84, quality=0.849, code="all_conditions_shown"),
            _arm("lumen-flash", "dropped_at_ranking", cost=0.49, quality=0.73, code="no_candidate_likely", prompts=20),
        ],
        "pruned": [{"name": "tern-8b", "reasons": [{"code": "no_tools", "text": "No tool calling."}]}],
        "saving": {"monthly_calls": 212_000.0, "now_usd": 1769.0, "then_usd": 601.0, "saving_usd": 1168.0,
                   "low_usd": 1118.0, "high_usd": 1219.0, "n": 150},
        "judges": {"panel": [{"rubric": "quality", "model": "judge-oriole", "version": "abc", "exact": False}],
                   "families": ["oriole"], "scored": 300, "unscored": 0, "disagreement": 0.05, "alone": {}},
        "coverage": {"calls": 1000, "conversations": 500, "replayable": 990,
                     "left_out": [{"code": "images", "label": "holds images", "calls": 10, "cost_share": None}]},
        "spend": {"replays_usd": 1.2, "judges_usd": 3.4, "cap_usd": 25.0, "answers": 200, "answers_reused": 0,
                  "verdicts": 300, "verdicts_reused": 0},
        "worst": [], "better": 48, "same": 59, "worse": 0,
    }  # fmt: skip


def not_shown() -> dict[str, Any]:
    """NO RECOMMENDATION: quality is not shown within the limit, and more prompts would settle it."""
    found = recommended()
    found["outcome"] |= {"code": "evidence_too_weak", "recommended": None, "confidence": 0.64}
    found["checks"][0] |= {"verdict": "not_shown", "bound": -0.055, "p": 0.121}
    found["candidates"][1] |= {"state": "not_shown", "code": "evidence_too_weak"}
    found["next_step"] = {"code": "more_prompts", "prompts": 210, "cost_usd": 1.74}
    return found


def too_few() -> dict[str, Any]:
    """NO RECOMMENDATION before anything was called: no leader, no checks, nothing measured."""
    found = recommended()
    nothing = {"quality": None, "answered": None, "cost_per_1000_usd": None, "latency_p95_s": None, "prompts": 0,
               "chance": None, "difference": None}  # fmt: skip
    found["outcome"] |= {"code": "too_few_prompts", "recommended": None, "leader": None, "confidence": None,
                         "prompts": 0, "conversations": 0, "reached": 0, "answers": 0}  # fmt: skip
    found["candidates"] = [{**arm, **nothing} for arm in found["candidates"][:2]]
    found["candidates"][1] |= {"state": "not_reached", "code": ""}
    found["judges"] |= {"scored": 0, "disagreement": None}
    found["spend"] |= dict.fromkeys(("replays_usd", "judges_usd", "answers", "verdicts"), 0)
    return found | {
        "checks": [], "estimates": {}, "looks": [], "saving": {"unknown": "cost_unknown"},
        "left_out": ["cost_unknown", "latency_unknown"], "next_step": {"code": "more_logs", "missing": 10},
        "better": 0, "same": 0,
    }  # fmt: skip


def finish(project: Project, *, number: int = 1) -> Evaluation:
    """A finished evaluation without rows of its own."""
    return Evaluation.objects.create(
        project=project,
        number=number,
        goal=project.goals.latest("version"),
        state=Evaluation.State.DONE,
        seed=7,
        limit=300,
        window_until=timezone.now(),
        policy={},
        population={},
        selection={},
        forecast={},
        cap_nanousd=25_000_000_000,
        outcome={},
    )


def store(
    project: Project,
    evidence: dict[str, Any],
    *,
    number: int = 1,
    days_old: int = 0,
    simulated: bool = False,
    evaluation: Evaluation | None = None,
) -> Recommendation:
    """A recommendation of a finished evaluation that carries this evidence."""
    made_at = timezone.now() - timedelta(days=days_old)
    kind = Recommendation.Kind.SWITCH if evidence["outcome"]["recommended"] else Recommendation.Kind.NONE
    return Recommendation.objects.create(
        project=project,
        evaluation=evaluation or finish(project, number=number),
        kind=kind,
        confidence=evidence["outcome"]["confidence"],
        reasons=[{"code": evidence["outcome"]["code"], "text": "The deciding reason."}],
        evidence=deepcopy(evidence),
        evidence_hash=reproduction.fingerprint(evidence),
        provenance={"agentopt": "0.1.0", "prices": []},
        simulated=simulated,
        created_at=made_at,
        expires_at=made_at + services.STANDS_FOR,
    )
