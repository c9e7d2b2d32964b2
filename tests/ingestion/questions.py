"""Questions as hypothesis draws them: such as the schema allows, and such as nobody should ask."""

from datetime import datetime
from typing import Any

from hypothesis import strategies as st

from ingestion.analytics import requests
from ingestion.analytics.metrics import METRICS

MOMENTS = st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(2199, 1, 1)).map(
    lambda at: at.isoformat() + "Z"
)
TEXTS = st.sampled_from(["alpha", "beta", "", "o'brien", '"; DROP TABLE x; --', "%s", "{0}", "ä☃"]) | st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20
)
KEYS = st.sampled_from(["team", "0", "a.b", "a b", "$", "'", "[0]", "->>", "%s", "@", "x" * 100])
GROUPS = st.lists(
    st.sampled_from(requests.GROUPS) | KEYS.map(lambda key: f"metadata.{key}"), max_size=2, unique=True
)  # fmt: skip
FILTERS = st.fixed_dictionaries(
    {},
    optional={
        **{
            name: st.lists(TEXTS, max_size=3)
            for name in ("model", "provider", "prompt_version", "use_case")
        },
        "status": st.lists(st.sampled_from(requests.STATUSES), max_size=3),
        "metadata": st.dictionaries(KEYS, st.lists(TEXTS, max_size=2), max_size=2),
    },
)  # fmt: skip
COMMON: dict[str, Any] = {"since": MOMENTS | st.none(), "until": MOMENTS | st.none(), "filters": FILTERS,
                          "exact": st.booleans()}  # fmt: skip
MEASURED = st.sampled_from(requests.ALLOWED["metrics"])
GROUPED = {"group_by": GROUPS, "limit": st.integers(1, 1000)}
QUANTILES = st.lists(st.integers(1, 999).map(lambda n: n / 1000), min_size=1, max_size=9, unique=True)
FIELDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "aggregation": (
        {"metric": st.sampled_from(list(METRICS))},
        {
            **GROUPED,
            "aggregate": st.none() | st.sampled_from(requests.ALLOWED["aggregate"]),
            "order": st.sampled_from(requests.ALLOWED["order"]),
        },
    ),
    "percentiles": ({"metric": MEASURED}, {**GROUPED, "quantiles": QUANTILES}),
    "distribution": (
        {"metric": MEASURED},
        {"bins": st.none() | st.integers(1, 200), "scale": st.sampled_from(requests.ALLOWED["scale"])},
    ),
    "correlation": (
        {},
        {
            **GROUPED,
            "metrics": st.lists(MEASURED, min_size=2, max_size=6, unique=True),
            "method": st.sampled_from(requests.ALLOWED["method"]),
        },
    ),
    "clustering": ({}, {"metric": MEASURED, "quantiles": QUANTILES, "limit": st.integers(1, 1000)}),
    "sampling": (
        {},
        {
            "size": st.integers(1, 2000),
            "seed": st.integers(0, 2**32 - 1),
            "strata": GROUPS,
            "allocation": st.sampled_from(requests.ALLOWED["allocation"]),
        },
    ),
}


def _of(kind: str) -> Any:
    needed, free = FIELDS[kind]
    return st.fixed_dictionaries({"kind": st.just(kind), **needed}, optional={**free, **COMMON})


def allowed() -> Any:
    """Questions that the schema allows; some still contradict themselves."""
    return st.sampled_from(list(FIELDS)).flatmap(_of)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def hostile(draw: Any) -> Any:
    """A question with one or two things that do not belong there."""
    question: dict[str, Any] = draw(allowed())
    for _ in range(draw(st.integers(1, 2))):
        name = draw(st.sampled_from([*question, "where", "sql", "filters", "group_by", "metric", "__class__"]))
        question[name] = draw(JUNK | TEXTS)
    return question
