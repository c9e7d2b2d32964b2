"""Answers: figures of a source to the JSON values of each kind of question. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from agentopt.lib import intervals
from ingestion.analytics import figures
from ingestion.analytics.metrics import METRICS, Metric
from ingestion.analytics.requests import Aggregation, Clustering, Correlation, Distribution, Percentiles, Question
from ingestion.analytics.sources import Group, Source, Spread, Total, in_order

QUANTILE_METHOD = "nearest rank"
Row = dict[str, Any]


def answer(request: Question, source: Source) -> Row:
    """The part of an answer that hangs on the kind of question: figures, and the rows up to the limit."""
    if isinstance(request, Aggregation):
        return _aggregation(request, source)
    if isinstance(request, Percentiles):
        return _percentiles(request, source)
    if isinstance(request, Distribution):
        return _distribution(request, source)
    if isinstance(request, Correlation):
        return _correlation(request, source)
    assert isinstance(request, Clustering)  # noqa: S101 - a sample is drawn, not made of figures
    return _clustering(request, source)


def _named(groups: Sequence[str], group: Group) -> dict[str, str | None]:
    return dict(zip(groups, group, strict=True))


def _described(metric: Metric) -> Row:
    return {"name": metric.name, "unit": metric.unit, "better": metric.better}


def _cut(rows: list[Row], limit: int) -> Row:
    return {"rows": rows[:limit], "more": len(rows) > limit}


# ------------------------------------------------------------------------------------------------ aggregation
def _aggregation(request: Aggregation, source: Source) -> Row:
    metric = METRICS[request.metric]
    aggregate = request.aggregate or metric.aggregates[0]
    found = source.totals(request.group_by, request.metric)
    rows = []
    for group in in_order(found):
        one = found[group]
        row: Row = {"group": _named(request.group_by, group), "n": one.known, "unknown": one.calls - one.known}
        row["value"] = _figure(metric, aggregate, one)
        if aggregate == "rate":
            row["interval"] = _share_bounds(one)
        rows.append(row)
    if request.order == "value":
        rows.sort(key=lambda row: (row["value"] is None, -(row["value"] or 0)))
    return {"metric": _described(metric), "aggregate": aggregate, **_n(found.values()), **_cut(rows, request.limit)}


def _n(found: Any) -> Row:
    totals = list(found)
    known = sum(one.known for one in totals)
    return {"n": known, "unknown": sum(one.calls for one in totals) - known}


def _figure(metric: Metric, aggregate: str, one: Total) -> float | int | None:
    if aggregate == "count":
        return one.total if metric.unit == "share" else one.known
    if not one.known:
        return None
    if aggregate == "rate":
        return one.total / one.known
    if aggregate == "mean":
        return one.total / (metric.scale * one.known)
    value = {"sum": one.total, "min": one.low, "max": one.high}[aggregate]
    return None if value is None else metric.shown(value)


def _share_bounds(one: Total) -> list[float] | None:
    """Wilson's interval."""
    if not one.known:
        return None
    found = intervals.wilson(one.total, one.known, z=intervals.normal_quantile(intervals.LEVEL))
    return [found.low, found.high]


# ------------------------------------------------------------------------------------------------ percentiles
def _percentiles(request: Percentiles, source: Source) -> Row:
    metric = METRICS[request.metric]
    found = source.spreads(request.group_by, request.metric)
    rows = [
        {"group": _named(request.group_by, group), **_quantiles(found[group], metric, request.quantiles)}
        for group in in_order(found)
    ]
    n = {"n": sum(row["n"] for row in rows), "unknown": sum(row["unknown"] for row in rows)}
    return {"metric": _described(metric), "method": QUANTILE_METHOD, **n, **_cut(rows, request.limit)}


def _quantiles(spread: Spread, metric: Metric, quantiles: Sequence[float]) -> Row:
    """Values by quantile; `intervals` by order statistics, null where the calls are too few."""
    values: dict[str, float | int | None] = {}
    bounds: dict[str, list[float | int] | None] = {}
    for q in quantiles:
        name = f"{q:g}"
        values[name] = metric.shown(spread.found.quantile(q)) if spread.found.n else None
        ends = spread.found.bounds(q) if spread.found.n else None
        bounds[name] = None if ends is None else [metric.shown(end) for end in ends]
    return {"n": spread.found.n, "unknown": spread.unknown, "values": values, "intervals": bounds}


# ------------------------------------------------------------------------------------------------ distribution
def _distribution(request: Distribution, source: Source) -> Row:
    metric = METRICS[request.metric]
    spread = source.spreads((), request.metric)[()]
    found = figures.histogram(spread.found, bins=request.bins, scale=request.scale)
    edges = [metric.shown(edge) for edge in found.edges]
    rows = [
        {"from": start, "to": end, "n": n} for start, end, n in zip(edges[:-1], edges[1:], found.counts, strict=True)
    ]
    n = {"n": spread.found.n, "unknown": spread.unknown}
    rule = "Freedman-Diaconis" if request.bins is None else "as asked"
    return {"metric": _described(metric), "scale": found.scale, "bins": rule, **n, "rows": rows, "more": False}


# ------------------------------------------------------------------------------------------------ correlation
def _correlation(request: Correlation, source: Source) -> Row:
    is_ranked = request.method == "spearman"
    found = source.together(request.group_by, request.metrics, ranked=is_ranked)
    rows = []
    for group in in_order(found):
        for (x, y), sums in found[group].pairs.items():
            one = figures.correlation(sums, ranked=is_ranked)
            bounds = None if one.low is None else [one.low, one.high]
            rows.append(
                {
                    "group": _named(request.group_by, group),
                    "x": x,
                    "y": y,
                    "n": sums.n,
                    "unknown": found[group].calls - sums.n,
                    "value": one.value,
                    "interval": bounds,
                    "reason": one.reason or None,
                }
            )
    metrics = [_described(METRICS[name]) for name in request.metrics]
    n = sum(one.calls for one in found.values())
    return {"metrics": metrics, "method": request.method, "n": n, **_cut(rows, request.limit)}


# ------------------------------------------------------------------------------------------------ clustering
def _clustering(request: Clustering, source: Source) -> Row:
    """Use cases by size; the calls of none come last."""
    metric = METRICS[request.metric]
    costs = source.totals(("use_case", "model"), "cost")
    spreads = source.spreads(("use_case",), request.metric)
    calls = sum(one.calls for one in costs.values())
    spent = sum(one.total for one in costs.values())
    rows = []
    for group in in_order({(group[0],) for group in costs}):
        of = {key[1]: one for key, one in costs.items() if key[0] == group[0]}
        rows.append(_use_case(group[0], of, calls=calls, spent=spent))
        rows[-1] |= {"figures": _quantiles(spreads[group], metric, request.quantiles)}
    rows.sort(key=lambda row: (row["use_case"] is None, -row["n"]))
    return {"metric": _described(metric), "method": QUANTILE_METHOD, "n": calls, **_cut(rows, request.limit)}


def _use_case(name: str | None, by_model: Mapping[str | None, Total], *, calls: int, spent: int) -> Row:
    total = sum(by_model.values(), Total())
    models = [{"model": model, "n": one.calls} for model, one in sorted(by_model.items(), key=lambda one: one[0] or "")]
    return {
        "use_case": name,
        "n": total.calls,
        "share": total.calls / calls,
        "cost": METRICS["cost"].shown(total.total) if total.known else None,
        "cost_unknown": total.calls - total.known,
        "share_of_cost": total.total / spent if spent and total.known else None,
        "models": sorted(models, key=lambda one: -int(one["n"] or 0)),
    }
