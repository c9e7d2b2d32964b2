"""A cube: what many calls come to, by group: counts, exact sums, extremes, products and sketches; adds up in any order.

A group is an hour of a day, provider, model, prompt version, use case, status, and which figures its calls tell: so
within a group each figure is told by all calls or by none, and counts, means and correlations of what is known follow.
Whole numbers throughout. A sum may be wider than 64 bits, so it stands as limbs, each worth 2^32 of the one before,
all but the last below 2^32. Groups stand in one order and limbs are carried, so equal figures are equal bytes.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ingestion import sketches
from ingestion.sketches import Sketches

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

METRICS = ("cost", "source_cost", "latency", "first_token", "input_tokens", "output_tokens", "cached_tokens")
SKETCHED = ("cost", "latency", "first_token", "input_tokens", "output_tokens")
TEXTS = ("provider", "model", "prompt_version")
STATUSES = ("ok", "failed", "refused")
PAIRS = tuple(itertools.combinations_with_replacement(range(len(METRICS)), 2))
"""Pairs of metrics whose products are summed, squares included."""

HOUR, PROVIDER, MODEL, PROMPT_VERSION, USE_CASE, STATUS, TOLD = range(7)
"""Rows of `Cube.keys`; texts are places in `Cube.texts`, a use case is its id or 0, the status a place."""
TELLS_REFUSAL, OWN_PRICE, REPLAYABLE = 7, 8, 9
"""Bits of TOLD after those of METRICS: an answer text tells whether it refuses; our price; no obstacle."""

SUM_LIMBS, PRODUCT_LIMBS = 2, 4
_LIMB, _MASK = 32, (1 << 32) - 1
_N_AMOUNTS = 1 + len(METRICS) * SUM_LIMBS


@dataclass(frozen=True, eq=False)
class Rows:
    """Calls as columns of one length. `figures` has a row a metric, 0 where a call does not tell it (see TOLD)."""

    keys: Ints
    texts: tuple[tuple[str, ...], ...]
    figures: Ints
    more: tuple[Ints, ...] = ()  # what a reader asked for beside the figures


@dataclass(frozen=True, eq=False)
class Cube:
    """Groups in the order of their keys; each array has a column a group.

    `amounts`: calls, then the first limb of each metric's sum, then the second. `lows` and `highs`: 0 where not told.
    `products`: the first limb of each of PAIRS, then the second, and so on; without columns where they were not read.
    `sketches`: of groups that differ by TOLD alone, the first holds the values of all.
    """

    keys: Ints
    texts: tuple[tuple[str, ...], ...]
    amounts: Ints
    lows: Ints
    highs: Ints
    products: Ints
    sketches: Mapping[str, Sketches]

    @property
    def n_groups(self) -> int:
        """How many groups."""
        return int(self.keys.shape[1])


def empty() -> Cube:
    """No calls."""
    import numpy as np

    def none(height: int) -> Ints:
        return np.zeros((height, 0), dtype=np.int64)

    high = len(METRICS)
    texts: tuple[tuple[str, ...], ...] = tuple(() for _ in TEXTS)
    bare = sketches.count(none(1)[0], none(1)[0])
    return Cube(
        none(7), texts, none(_N_AMOUNTS), none(high), none(high), none(len(PAIRS) * PRODUCT_LIMBS),
        dict.fromkeys(SKETCHED, bare),
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------ from calls
def of(rows: Rows) -> Cube:
    """Add up calls."""
    import numpy as np

    if rows.keys.shape[1] == 0:
        return empty()
    order, starts = _grouped(rows.keys)
    figures = rows.figures[:, order]
    sums = _limbs_of_sums(figures, starts)
    sizes = np.diff(starts, append=figures.shape[1])
    group = np.repeat(_alike(rows.keys[:, order[starts]]), sizes)
    told = rows.keys[TOLD][order]
    found = {}
    for metric in SKETCHED:
        place = METRICS.index(metric)
        known = (told >> place & 1).astype(bool)
        found[metric] = sketches.count(group[known], sketches.buckets(figures[place][known]))
    return _canonical(
        Cube(
            keys=rows.keys[:, order[starts]],
            texts=rows.texts,
            amounts=np.vstack([sizes[np.newaxis], sums]),
            lows=np.minimum.reduceat(figures, starts, axis=1),
            highs=np.maximum.reduceat(figures, starts, axis=1),
            products=_limbs_of_products(figures, starts),
            sketches=found,
        )
    )


def _grouped(keys: Ints) -> tuple[Ints, Ints]:
    """An order in which equal keys stand together, ascending, and where each run of them starts."""
    import numpy as np

    code = _codes(keys)
    order = np.argsort(code, kind="stable")
    ordered = code[order]
    return order, np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))


def _alike(keys: Ints) -> Ints:
    """For each of ordered keys the place of the first that differs by TOLD at most: there its values are counted."""
    import numpy as np

    differs = np.concatenate([[True], (keys[:TOLD, 1:] != keys[:TOLD, :-1]).any(axis=0)])
    found: Ints = np.maximum.accumulate(np.where(differs, np.arange(len(differs)), 0))
    return found


def _codes(keys: Ints) -> Ints:
    """One whole number a column, in the order of the columns."""
    import numpy as np

    code, room = np.zeros(keys.shape[1], dtype=np.int64), 1
    for row in keys:
        low, high = int(row.min()), int(row.max())
        if low == high:
            continue
        width = high - low + 1
        if room * width >= 1 << 62:
            code = np.unique(code, return_inverse=True)[1].astype(np.int64)
            room = int(code.max()) + 1
        code, room = code * width + (row - low), room * width
    return code


def _limbs_of_sums(figures: Ints, starts: Ints) -> Ints:
    import numpy as np

    limbs = np.stack(
        [np.add.reduceat(figures & _MASK, starts, axis=1), np.add.reduceat(figures >> _LIMB, starts, axis=1)]
    )
    return _carried(limbs).reshape(-1, len(starts))


def _limbs_of_products(figures: Ints, starts: Ints) -> Ints:
    import numpy as np

    limbs = np.zeros((PRODUCT_LIMBS, len(PAIRS), len(starts)), dtype=np.int64)
    small = [int(row.min()) >= -(2**31) and int(row.max()) < 2**31 for row in figures]
    empty_rows = [not row.any() for row in figures]
    for place, (one, other) in enumerate(PAIRS):
        if empty_rows[one] or empty_rows[other]:
            continue
        if small[one] and small[other]:
            product = figures[one] * figures[other]
            limbs[0, place] = np.add.reduceat(product & _MASK, starts)
            limbs[1, place] = np.add.reduceat(product >> _LIMB, starts)
        else:
            limbs[:, place] = _wide_products(figures[one], figures[other], starts)
    return _carried(limbs).reshape(-1, len(starts))


def _wide_products(one: Ints, other: Ints, starts: Ints) -> Ints:
    """Limbs of sums of products that 64 bits do not hold: by halves, the upper ones signed."""
    import numpy as np

    low_one, high_one, low_other, high_other = one & _MASK, one >> _LIMB, other & _MASK, other >> _LIMB
    out = np.zeros((PRODUCT_LIMBS, len(starts)), dtype=np.int64)
    # below 2^64, so unsigned
    lowest = low_one.astype(np.uint64) * low_other.astype(np.uint64)
    out[0] = np.add.reduceat((lowest & np.uint64(_MASK)).astype(np.int64), starts)
    out[1] = np.add.reduceat((lowest >> np.uint64(_LIMB)).astype(np.int64), starts)
    # an upper half lies in [-2^31, 2^31), so a mixed product lies within 63 bits
    for mixed in (low_one * high_other, high_one * low_other):
        out[1] += np.add.reduceat(mixed & _MASK, starts)
        out[2] += np.add.reduceat(mixed >> _LIMB, starts)
    highest = high_one * high_other
    out[2] += np.add.reduceat(highest & _MASK, starts)
    out[3] += np.add.reduceat(highest >> _LIMB, starts)
    return out


def _carried(limbs: Ints) -> Ints:
    """Limbs with what exceeds each carried into the next; the last takes all the rest, and the sign."""
    for place in range(len(limbs) - 1):
        limbs[place + 1] += limbs[place] >> _LIMB
        limbs[place] &= _MASK
    return limbs


# ------------------------------------------------------------------------------------------------ together
def merge(parts: Iterable[Cube]) -> Cube:
    """The sum of cubes, whatever their order and however they were cut."""
    given = [part for part in parts if part.n_groups]
    if not given:
        return empty()
    return given[0] if len(given) == 1 else added(given)


def added(given: Sequence[Cube]) -> Cube:
    """The sum of cubes, none of them empty, whose keys may repeat."""
    import numpy as np

    texts, keys = _one_dictionary(given)
    order, starts = _grouped(keys)
    group_of = np.empty(keys.shape[1], dtype=np.int64)
    group_of[order] = np.repeat(_alike(keys[:, order[starts]]), np.diff(starts, append=len(order)))
    offsets = np.cumsum([0] + [part.n_groups for part in given])
    found = {}
    for metric in given[0].sketches:
        of = [part.sketches[metric] for part in given]
        group = np.concatenate([group_of[one.group + start] for one, start in zip(of, offsets, strict=False)])
        bucket, weight = np.concatenate([one.bucket for one in of]), np.concatenate([one.count for one in of])
        found[metric] = sketches.count(group, bucket, weight)

    def beside(name: str) -> Ints:
        together = np.concatenate([getattr(part, name) for part in given], axis=1)
        return together[:, order] if together.shape[1] else together

    amounts, products = np.add.reduceat(beside("amounts"), starts, axis=1), beside("products")
    sums = _carried(amounts[1:].reshape(SUM_LIMBS, len(METRICS), -1))
    if products.shape[1]:
        products = np.add.reduceat(products, starts, axis=1)
        products = _carried(products.reshape(PRODUCT_LIMBS, len(PAIRS), -1)).reshape(-1, len(starts))
    return _canonical(
        Cube(
            keys=keys[:, order[starts]],
            texts=texts,
            amounts=np.vstack([amounts[:1], sums.reshape(-1, len(starts))]),
            lows=np.minimum.reduceat(beside("lows"), starts, axis=1),
            highs=np.maximum.reduceat(beside("highs"), starts, axis=1),
            products=products,
            sketches=found,
        )
    )


def _one_dictionary(given: Sequence[Cube]) -> tuple[tuple[tuple[str, ...], ...], Ints]:
    """The texts of all, sorted, and the keys of all with places in them."""
    import numpy as np

    keys = np.concatenate([part.keys for part in given], axis=1)
    texts = []
    for place in range(len(TEXTS)):
        together = tuple(sorted(set(itertools.chain.from_iterable(part.texts[place] for part in given))))
        place_of = {text: n for n, text in enumerate(together)}
        moved = [np.array([place_of[text] for text in part.texts[place]], dtype=np.int64) for part in given]
        row = PROVIDER + place
        keys[row] = np.concatenate([new[part.keys[row]] for new, part in zip(moved, given, strict=True)])
        texts.append(together)
    return tuple(texts), keys


def _canonical(found: Cube) -> Cube:
    """Only the texts that some group has, sorted, and groups in the order of their keys."""
    import numpy as np

    keys, texts = found.keys.copy(), []
    in_order = True
    for place, given in enumerate(found.texts):
        row = PROVIDER + place
        used = sorted({given[n] for n in np.unique(keys[row])})
        texts.append(tuple(used))
        if tuple(used) != tuple(given):
            place_of = {text: n for n, text in enumerate(used)}
            keys[row] = np.array([place_of.get(text, 0) for text in given], dtype=np.int64)[keys[row]]
            in_order = False
    same = replace(found, keys=keys, texts=tuple(texts))
    return same if in_order else _ordered(same)


def _ordered(found: Cube) -> Cube:
    import numpy as np

    order = np.lexsort(found.keys[::-1])
    new_place = np.empty(len(order), dtype=np.int64)
    new_place[order] = np.arange(len(order))
    return Cube(
        keys=found.keys[:, order],
        texts=found.texts,
        amounts=found.amounts[:, order],
        lows=found.lows[:, order],
        highs=found.highs[:, order],
        products=found.products[:, order] if found.products.shape[1] else found.products,
        sketches={
            name: sketches.count(new_place[one.group], one.bucket, one.count) for name, one in found.sketches.items()
        },
    )


def without_hours(found: Cube, hours: Iterable[int]) -> Cube:
    """All but the groups of some hours of the day."""
    import numpy as np

    return only(found, ~np.isin(found.keys[HOUR], list(hours)))


def only(found: Cube, kept: NDArray[np.bool_]) -> Cube:
    """The groups that `kept` marks."""
    import numpy as np

    if kept.all():
        return found
    if not kept.any():
        return empty()
    new_place = np.cumsum(kept) - 1
    chosen = {name: kept[one.group] for name, one in found.sketches.items()}
    return _canonical(
        Cube(
            keys=found.keys[:, kept],
            texts=found.texts,
            amounts=found.amounts[:, kept],
            lows=found.lows[:, kept],
            highs=found.highs[:, kept],
            products=found.products[:, kept] if found.products.shape[1] else found.products,
            sketches={
                name: Sketches(new_place[one.group[mask]], one.bucket[mask], one.count[mask])
                for (name, one), mask in zip(found.sketches.items(), chosen.values(), strict=True)
            },
        )
    )


def without(found: Cube, *rows: int) -> Cube:
    """The same figures with groups no longer told apart by these rows of the keys, such as HOUR."""
    if not found.n_groups:
        return found
    keys, texts = found.keys.copy(), list(found.texts)
    for row in rows:
        keys[row] = 0
        if PROVIDER <= row < PROVIDER + len(TEXTS):
            texts[row - PROVIDER] = ("",)
    return added([replace(found, keys=keys, texts=tuple(texts))])


# ------------------------------------------------------------------------------------------------ figures
def totals(found: Cube, metric: str) -> list[int]:
    """The sum of a metric in each group; 0 where no call tells it."""
    place = METRICS.index(metric)
    limbs = found.amounts[1:].reshape(SUM_LIMBS, len(METRICS), -1)[:, place]
    return _whole(limbs)


def product_sums(found: Cube, one: str, other: str) -> list[int]:
    """The sum of the products of two metrics in each group, over calls that tell both; 0 where none does."""
    pair = tuple(sorted((METRICS.index(one), METRICS.index(other))))
    limbs = found.products.reshape(PRODUCT_LIMBS, len(PAIRS), -1)[:, PAIRS.index(pair)]
    return _whole(limbs)


def _whole(limbs: Ints) -> list[int]:
    columns = limbs.tolist()
    return [sum(limb << _LIMB * place for place, limb in enumerate(one)) for one in zip(*columns, strict=True)]
