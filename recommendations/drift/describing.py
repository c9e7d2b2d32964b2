"""What an alert says beside its estimate: levels, segments, related changes. Rows in, plain values out."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from django.db.models import Q

from ingestion.models import Price
from recommendations.drift import columns, detectors, events, references, values
from recommendations.drift.columns import Observations
from recommendations.drift.detectors import Alarm
from recommendations.drift.models import DriftSeries
from recommendations.drift.references import Reference
from recommendations.drift.scales import Array
from recommendations.drift.values import Scope
from recommendations.models import Decision

SEGMENTS = 12
NEAR = timedelta(days=7)
BINS = 24


def figures(
    row: DriftSeries,
    alarm: Alarm,
    reference: Reference,
    recall: Any,
    *,
    after: Observations,
    x_after: Array,
    seen: dict[str, Any],
) -> dict[str, Any]:
    """All that the page of an alert shows and that later calls cannot change."""
    rule = row.rule
    whole = recall.between(row.reference_since, row.reference_until)
    series, mask = values.read(whole, rule.metric, part=row.part, scope=Scope(rule.scope, rule.scope_value))
    x_before = references.scale(series.x, reference, series.worst)
    now, _ = values.read(after, rule.metric, part=row.part)
    before = values.level(series.x, row.view)
    names = dict(recall.project.use_cases.values_list("pk", "name"))
    began = datetime.fromtimestamp(columns.hour_s(alarm.began), UTC)
    scale: dict[str, Any] = {"shift": alarm.shift, "low": alarm.low, "high": alarm.high}
    if alarm.factor is not None:
        scale["factor"] = list(alarm.factor)
    return {
        **scale,
        "rise": alarm.rise,
        "n": alarm.observations,
        "calls": int(after.calls.sum()),
        "before": before,
        "after": values.level(now.x, row.view),
        "reference": {
            "since": row.reference_since.isoformat() if row.reference_since else None,
            "until": row.reference_until.isoformat() if row.reference_until else None,
            "n": reference.n,
        },
        "segments": values.contributions(
            whole.where(mask), after, x_before=x_before, x_after=x_after, names=names
        )[:SEGMENTS],
        "distribution": _distribution(series.x, now.x, share=row.view == "share" and rule.metric != "quality"),
        "related": _related(row, began, alarm, recall=recall, seen=seen, volume=(whole, after)),
        "band": _band(reference, before),
        "also": [],
    }  # fmt: skip


def _band(reference: Reference, before: float | None) -> list[float] | None:
    """Between which levels nothing counts as moved."""
    if before is None:
        return None
    if reference.view == "share":
        return [max(0.0, before - reference.down), min(1.0, before + reference.up)]
    _, low, high = detectors.factors(reference, 0.0, -reference.down, reference.up)
    return [before * low, before * high]


def _distribution(before: Array, after: Array, *, share: bool) -> dict[str, Any] | None:
    """Shares of conversations by value, in the reference and since; a rate has none."""
    before, after = before[np.isfinite(before)], after[np.isfinite(after)]
    if share or not before.size or not after.size:
        return None
    low, high = np.quantile(np.concatenate([before, after]), [0.0, 0.99])
    if high <= low:
        return None
    edges = np.linspace(low, high, BINS + 1)
    sides = [np.histogram(np.minimum(x, high), edges)[0] / x.size for x in (before, after)]
    return {"edges": edges.tolist(), "before": sides[0].tolist(), "after": sides[1].tolist()}


def _related(
    row: DriftSeries,
    began: datetime,
    alarm: Alarm,
    *,
    recall: Any,
    seen: dict[str, Any],
    volume: tuple[Observations, Observations],
) -> list[dict[str, Any]]:
    """What else changed near the change point: new names, prices, the volume."""
    until = datetime.fromtimestamp(columns.hour_s(alarm.at), UTC)
    out = events.between(seen, began - NEAR, until)
    after = volume[1]
    models = [after.named("model")[code] for code in np.unique(after.model)] if len(after) else []
    offered = Q(offer__project=recall.project) | Q(offer__project=None)
    dated = Price.objects.filter(offered, valid_from__gte=(began - NEAR).date(), valid_from__lte=until.date())
    prices = dated.filter(offer__model__in=models).select_related("offer").order_by("valid_from", "pk")
    out += [{"kind": "price", "name": price.offer.model, "at": price.valid_from.isoformat()} for price in prices[:5]]
    decided = Decision.objects.filter(
        recommendation__project=recall.project, kind=Decision.Kind.ACKNOWLEDGED, at__gte=began - NEAR, at__lte=until
    )
    out += [
        {"kind": "decision", "name": str(one.recommendation_id), "at": one.at.isoformat()}
        for one in decided.order_by("at")[:5]
    ]
    days = max((alarm.at - alarm.began) / 24, 1 / 24)
    assert row.reference_since is not None and row.reference_until is not None  # noqa: S101, PT018 - it raised an alarm
    usual = len(volume[0]) / max((row.reference_until - row.reference_since).total_seconds() / 86400, 1e-9)
    if usual and days >= 1 and not 2 / 3 <= (ratio := len(after) / days / usual) <= 1.5:
        out.append({"kind": "volume", "name": "conversations a day", "at": began.isoformat(), "factor": ratio})
    return out
