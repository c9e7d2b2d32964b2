"""A recommendation as one JSON document that anybody can recompute, elsewhere and without a database.

The types below are its schema: a bundle carries it, and is checked against it before it is read.
"""

from typing import Any

import msgspec

from agentopt.lib.errors import Invalid
from recommendations.models import Basis, Recommendation
from recommendations.reproduction import engine_hash

FORMAT, VERSION = "agentopt-evidence", 1
LARGEST = 200_000_000  # bytes


class BadBundle(Invalid):
    """A document is no bundle of evidence that this release can recompute."""

    code = "bad_bundle"


# ------------------------------------------------------------------------------------------------ form
class Cell(msgspec.Struct):
    """One call: what became of it, its cost and time, and every score of it by seat and repetition."""

    status: str
    refused: bool | None
    cost_nanousd: int | None
    latency_us: int | None
    scores: list[list[float | None]]
    human: float | None = None


class Line(msgspec.Struct):
    """One prompt: id of its logged call, its conversation by first place, and its calls by arm."""

    record: int
    unit: int
    use_case: str
    cells: list[Cell | None]
    again: Cell | None
    more: list[list[Cell]] = []


class Chair(msgspec.Struct):
    """One place on the panel."""

    rubric: str
    model: str
    exact: bool
    repeats: int
    counts_as: str = ""


class Measured(msgspec.Struct):
    """Everything that was measured on the prompts that a look has reached, in sampling order."""

    columns: int
    chairs: list[Chair]
    limits: dict[str, float]
    baseline: dict[str, float | None]
    times_baseline: bool
    lines: list[Line]
    repeating: dict[str, Any] | None = None


class Arm(msgspec.Struct):
    """A model; costs are of all its answers and of the verdicts on them, null where one is not known."""

    name: str
    provider: str
    answers: int
    cost_nanousd: int | None
    verdicts_nanousd: int | None


class Price(msgspec.Struct):
    """A price with the day from which it was in force."""

    model: str
    valid_from: str
    input_nanousd_per_million: int | None
    output_nanousd_per_million: int | None
    source: str


class Inputs(msgspec.Struct):
    """What the decision rests on."""

    schema: int
    question: dict[str, Any]
    policy: dict[str, Any]
    total: int
    arms: list[Arm]
    pruned: list[dict[str, Any]]
    seats: list[dict[str, Any]]
    verdicts: dict[str, int]
    coverage: dict[str, Any]
    spend: dict[str, Any]
    prices: list[Price]
    samples: list[int]
    measurements: Measured


class Summary(msgspec.Struct):
    """The recommendation itself."""

    id: int
    kind: str
    confidence: float | None
    model: str | None
    reasons: list[dict[str, Any]]
    simulated: bool
    created_at: str
    expires_at: str


class Bundle(msgspec.Struct):
    """Recommendation, inputs, the evidence that follows from them, and what computed it. It holds no prompt."""

    format: str
    version: int
    schema: dict[str, Any]
    recommendation: Summary
    provenance: dict[str, Any]
    inputs: Inputs
    inputs_hash: str
    evidence: dict[str, Any]
    evidence_hash: str


# ------------------------------------------------------------------------------------------------ made and checked
def make(recommendation: Recommendation) -> dict[str, Any]:
    """The bundle of a recommendation.

    Raises:
        Invalid: it is of a release that kept no inputs.
    """
    basis = Basis.objects.filter(recommendation=recommendation).first()
    if basis is None:
        raise Invalid("This recommendation was made by a release that kept no inputs, so there is no bundle of it.")
    return {
        "format": FORMAT,
        "version": VERSION,
        "schema": schema(),
        "recommendation": {
            "id": recommendation.pk,
            "kind": recommendation.kind,
            "confidence": recommendation.confidence,
            "model": recommendation.evidence["outcome"]["leader"],
            "reasons": recommendation.reasons,
            "simulated": recommendation.simulated,
            "created_at": recommendation.created_at.isoformat(),
            "expires_at": recommendation.expires_at.isoformat(),
        },
        "provenance": recommendation.provenance,
        "inputs": basis.inputs,
        "inputs_hash": basis.inputs_hash,
        "evidence": recommendation.evidence,
        "evidence_hash": recommendation.evidence_hash,
    }


def schema() -> dict[str, Any]:
    """The JSON schema (2020-12) of a bundle."""
    found: dict[str, Any] = msgspec.json.schema(Bundle)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **found}


def check(bundle: Any) -> None:
    """Refuse a document that is no bundle of this version.

    Raises:
        BadBundle: naming the first place that is wrong.
    """
    if not isinstance(bundle, dict) or bundle.get("format") != FORMAT:
        raise BadBundle("This is no evidence bundle of agentopt.")
    if bundle.get("version") != VERSION:
        raise BadBundle(f"The bundle is of version {bundle.get('version')!r:.20}; this release reads {VERSION}.")
    try:
        msgspec.convert(bundle, Bundle)
    except msgspec.ValidationError as error:
        raise BadBundle(f"The bundle does not have the form of one: {error}.") from error


def same_engine(bundle: dict[str, Any]) -> bool:
    """Tell whether the code that computed a bundle is the code here; if not, a difference may be the code's."""
    return bool(bundle["provenance"].get("engine") == engine_hash())
