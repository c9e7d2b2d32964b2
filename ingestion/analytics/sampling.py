"""Repeatable draws of calls: by the order of their keys, which is random and yet the same on every database.

A key is a keyed hash of the source's id, so calls that follow one another in its order are a random sample, and which
they are hangs neither on the database nor on the order in which calls came. The seed says where to start; after the
last key comes the first.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Case, F, Value, When, Window
from django.db.models.functions import RowNumber

from agentopt.lib.errors import Invalid
from ingestion.analytics.figures import allocate
from ingestion.analytics.requests import Sampling
from ingestion.analytics.rows import Rows, keyed
from ingestion.analytics.sources import Group, Total, folded, in_order

MAX_STRATA = 500


@dataclass(frozen=True)
class Draw:
    """`rows` name calls by key; `ids` are their numbers in this database, in the same order."""

    n: int
    rows: list[dict[str, Any]]
    strata: list[dict[str, Any]]
    ids: list[int]


def start_of(seed: int) -> UUID:
    """The key that a draw starts from."""
    return UUID(bytes=hashlib.sha256(f"agentopt sample {seed}".encode()).digest()[:16])


def draw(request: Sampling, rows: Rows, *, totals: Mapping[Group, Total]) -> Draw:
    """Draw `size` calls.

    Args:
        totals: the calls of each stratum.

    Raises:
        Invalid: more than MAX_STRATA strata.
    """
    strata = in_order(totals)
    if len(strata) > MAX_STRATA:
        raise Invalid(
            f"There are more than {MAX_STRATA} strata.", fields={"strata": "Expected keys with fewer values."}
        )
    sizes = [totals[group].calls for group in strata]
    wanted = dict(zip(strata, allocate(sizes, request.size, equal=request.allocation == "equal"), strict=True))
    start = start_of(request.seed)
    found: Mapping[Group, list[tuple[UUID, int]]] = (
        _by_stratum(rows, request.strata, start, wanted) if request.strata else {(): _plain(rows, start, wanted[()])}
    )
    drawn = [
        (dict(zip(request.strata, group, strict=True)), key, pk) for group in strata for key, pk in found.get(group, [])
    ]
    return Draw(
        n=sum(sizes),
        rows=[{"key": key.hex, "stratum": group} for group, key, _ in drawn],
        strata=[
            {"group": dict(zip(request.strata, group, strict=True)), "n": n, "drawn": len(found.get(group, []))}
            for group, n in zip(strata, sizes, strict=True)
        ],
        ids=[pk for _, _, pk in drawn],
    )


def _plain(rows: Rows, start: UUID, wanted: int) -> list[tuple[UUID, int]]:
    """Along the index of keys, round the end: as fast however many calls there are."""
    ordered = rows.logs.order_by("key").values_list("key", "pk")
    found = list(ordered.filter(key__gte=start)[:wanted])
    return found if len(found) == wanted else [*found, *ordered.filter(key__lt=start)[: wanted - len(found)]]


def _by_stratum(
    rows: Rows, names: Sequence[str], start: UUID, wanted: Mapping[Group, int]
) -> dict[Group, list[tuple[UUID, int]]]:
    places = [f"g{place}" for place in range(len(names))]
    turn = Case(When(key__gte=start, then=Value(0)), default=Value(1))
    ranked = (
        keyed(rows.logs, names)
        .annotate(
            key=F("key"),
            number=F("pk"),
            turn=turn,
            rank=Window(RowNumber(), partition_by=[F(place) for place in places], order_by=[turn, F("key")]),
        )
        .filter(rank__lte=max(wanted.values(), default=0))
    )
    # several use cases may go by one name: the first of each, in order, hold the first of all
    found = folded(((rows.group(row, names), [(row["turn"], row["key"], row["number"])]) for row in ranked), _both)
    return {group: [(key, pk) for _, key, pk in sorted(held)[: wanted[group]]] for group, held in _known(found, wanted)}


def _both(one: list[Any], other: list[Any]) -> list[Any]:
    one.extend(other)
    return one


def _known(found: Mapping[Group, list[Any]], wanted: Mapping[Group, int]) -> Iterator[tuple[Group, list[Any]]]:
    """Without strata that came up between the count and the draw."""
    return ((group, held) for group, held in found.items() if group in wanted)
