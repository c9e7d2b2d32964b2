"""Recompute a recommendation: from rows, or from a bundle without a database; name the first difference."""

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from django.conf import settings

from recommendations.models import Basis, Recommendation

_ROOT = Path(__file__).resolve().parents[1]
# the files that turn inputs into evidence
_ENGINE = (
    "evaluation/statistics/*.py", "evaluation/measurements.py", "evaluation/repeating.py", "evaluation/findings.py",
    "evaluation/breakdown.py", "evaluation/settling.py", "evaluation/savings.py", "evaluation/conditions.py",
    "evaluation/judges/panel.py", "evaluation/judges/rules.py", "recommendations/evidence.py", "agentopt/lib/money.py",
)  # fmt: skip


@dataclass(frozen=True)
class Difference:
    """The first place where what was stored and what was recomputed differ."""

    path: str
    stored: str
    now: str


def canonical(document: Any) -> str:
    """The one way a document is written, so that equal documents are equal bytes."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def fingerprint(document: Any) -> str:
    """SHA-256 of the canonical form. Inputs and evidence hold numbers and names, no prompt."""
    return hashlib.sha256(canonical(document).encode()).hexdigest()


def provenance(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """What made the numbers: versions of code and libraries, judges, prices, seed and policy."""
    import numpy as np
    import scipy

    return {
        "agentopt": settings.VERSION,
        "engine": engine_hash(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "machine": platform.machine(),
        **_settled(inputs),
    }


def _settled(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """What was settled before the first call, as the inputs have it."""
    return {
        "seed": inputs["question"]["seed"],
        "policy": inputs["policy"],
        "judges": [
            {name: seat[name] for name in ("rubric", "model", "version", "repeats")} for seat in inputs["seats"]
        ],
        "prices": inputs["prices"],
    }


@cache
def engine_hash() -> str:
    """SHA-256 over the code that turns inputs into evidence: tells a changed engine from a changed row."""
    found = hashlib.sha256()
    for pattern in _ENGINE:
        for path in sorted(_ROOT.glob(pattern)):
            found.update(f"{path.relative_to(_ROOT)}\0".encode() + path.read_bytes() + b"\0")
    return found.hexdigest()


def _claimed(
    stated: Mapping[str, Any], provenance: Mapping[str, Any], *, inputs: Mapping[str, Any], evidence: Mapping[str, Any]
) -> Difference | None:
    """What is said around the evidence against it: the outcome, its confidence, and what was settled before."""
    outcome, settled = evidence["outcome"], _settled(inputs)
    follows = {
        "kind": Recommendation.Kind.SWITCH if outcome["recommended"] else Recommendation.Kind.NONE,
        "confidence": outcome["confidence"],
        "model": outcome["leader"],
    }
    told = {name: stated[name] for name in follows}
    known = {name: provenance[name] for name in settled if name in provenance}  # the first releases had fewer
    return first_difference(told, follows, "recommendation") or first_difference(
        known, {name: settled[name] for name in known}, "provenance"
    )


# ------------------------------------------------------------------------------------------------ from rows
def reproduce(recommendation: Recommendation) -> Difference | None:
    """Read the inputs from rows again and recompute the evidence; None: both identical to what was stored.

    Bodies that retention removed are not needed: scores, costs and the order of prompts are rows of their own.
    """
    from recommendations import inputs  # brings numpy and scipy

    evidence, basis = recommendation.evidence, Basis.objects.filter(recommendation=recommendation).first()
    if fingerprint(evidence) != recommendation.evidence_hash:
        return Difference("evidence_hash", recommendation.evidence_hash, fingerprint(evidence))
    agent = evidence["question"]["agent"]  # a project may have got another name since
    now = json.loads(canonical(inputs.read(recommendation.evaluation, agent=agent)))
    if basis is not None:  # recommendations of earlier releases have none
        if fingerprint(basis.inputs) != basis.inputs_hash:
            return Difference("inputs_hash", basis.inputs_hash, fingerprint(basis.inputs))
        found = first_difference(basis.inputs, _as_old(now, basis.inputs, newest=inputs.SCHEMA), "inputs")
        if found is not None:
            return found
    candidate = recommendation.candidate
    said = {
        "kind": recommendation.kind,
        "confidence": recommendation.confidence,
        "model": None if candidate is None else candidate.offer.name,
    }
    return _claimed(said, recommendation.provenance, inputs=now, evidence=evidence) or _recomputed(now, evidence)


def _recomputed(inputs: Mapping[str, Any], evidence: Mapping[str, Any]) -> Difference | None:
    """Compare stored evidence with what the inputs give; of an earlier schema: all that it has."""
    from recommendations.evidence import SCHEMA, Undecided, document

    try:
        again = json.loads(canonical(document(inputs)))
    except Undecided as error:
        return Difference("evidence.outcome", canonical(evidence["outcome"])[:200], str(error))
    return first_difference(evidence, _as_old(again, evidence, newest=SCHEMA))


def _as_old(now: Any, stored: Any, *, newest: int) -> Any:
    """A document of the newest schema without the names that a stored one of an earlier schema does not have."""
    return now if stored.get("schema") == newest else {**_without_new(now, stored), "schema": stored.get("schema")}


def _without_new(now: Any, stored: Any) -> Any:
    if isinstance(stored, dict) and isinstance(now, dict):
        return {key: _without_new(value, stored[key]) for key, value in now.items() if key in stored}
    if isinstance(stored, list) and isinstance(now, list) and len(stored) == len(now):
        return [_without_new(value, old) for value, old in zip(now, stored, strict=True)]
    return now


def first_difference(stored: Any, now: Any, path: str = "evidence") -> Difference | None:
    """The first place, in order of sorted names, where two JSON documents differ."""
    if isinstance(stored, dict) and isinstance(now, dict):
        for key in sorted(stored.keys() | now.keys()):
            if key not in stored or key not in now:
                return Difference(f"{path}.{key}", str(stored.get(key, "absent")), str(now.get(key, "absent")))
            found = first_difference(stored[key], now[key], f"{path}.{key}")
            if found:
                return found
        return None
    if isinstance(stored, list) and isinstance(now, list) and len(stored) == len(now):
        for index, (left, right) in enumerate(zip(stored, now, strict=True)):
            found = first_difference(left, right, f"{path}[{index}]")
            if found:
                return found
        return None
    # 1 and 1.0 are the same JSON number after a round trip through either database
    return None if stored == now else Difference(path, canonical(stored)[:200], canonical(now)[:200])


# ------------------------------------------------------------------------------------------------ from a bundle
def reproduce_bundle(bundle: Any) -> Difference | None:
    """Recompute the evidence of a bundle from its inputs; None: identical. No database is asked.

    Raises:
        BadBundle: it is none, or of a form that this release does not know.
    """
    from recommendations import bundles

    bundles.check(bundle)
    for name in ("inputs", "evidence"):
        if fingerprint(bundle[name]) != bundle[f"{name}_hash"]:
            return Difference(f"{name}_hash", bundle[f"{name}_hash"], fingerprint(bundle[name]))
    given, evidence = bundle["inputs"], bundle["evidence"]
    try:
        said = _claimed(bundle["recommendation"], bundle["provenance"], inputs=given, evidence=evidence)
        return said or _recomputed(given, evidence)
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise bundles.BadBundle(f"Its inputs cannot be read: {type(error).__name__}: {error}") from error
