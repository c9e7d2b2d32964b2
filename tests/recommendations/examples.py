"""Small evidence documents, worked by hand."""

from typing import Any


def check(metric: str, verdict: str, **numbers: Any) -> dict[str, Any]:
    """One condition of the leader."""
    defaults = {"kind": "margin", "now": 0.85, "then": 0.85, "estimate": -0.001, "low": -0.042, "high": 0.035}
    return {
        **defaults,
        "bound": -0.041,
        "bar": -0.05,
        "p": 0.04,
        "prompts": 150,
        "unscored": 0,
        "metric": metric,
        "verdict": verdict,
    } | numbers


def evidence(*, recommended: bool, code: str, checks: list[dict[str, Any]], **parts: Any) -> dict[str, Any]:
    """A document with what sentences and reasons are made of."""
    return {
        "question": {
            "agent": "Support agent",
            "baseline": "aurora-large",
            "limit": 300,
            "least_prompts": 30,
            "least_units": 20,
        },
        "outcome": {
            "code": code,
            "recommended": "corvus-medium" if recommended else None,
            "leader": "corvus-medium" if checks else None,
            "confidence": 0.866,
            "threshold": 0.7,
            "prompts": 150,
        },
        "checks": checks,
        "estimates": {"cost": {"estimate": 0.66, "low": 0.64, "high": 0.68}},
        "left_out": [],
        "next_step": None,
        "changes": [],
        **parts,
    }
