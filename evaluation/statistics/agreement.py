"""How far judges agree with people, with each other and with themselves. Needs no library, so pages may ask it.

Raw agreement is high wherever nearly all answers fall into one category, and says nothing there. So each figure stands
beside its base rate and a coefficient that is 0 at chance, and where chance cannot be told apart there is none.
docs/algorithms/agreement.md has formulas and sources.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agentopt.lib import intervals
from agentopt.lib.intervals import LEVEL, Interval

NO_PAIRS, ONE_CATEGORY = "no_pairs", "one_category"
REASONS = {
    NO_PAIRS: "nothing was rated by both",
    ONE_CATEGORY: "all ratings are the same, so agreement by chance cannot be told from any other",
}
Rating = float | str
Delta = Callable[[int, int], float]  # squared distance of two categories, by their place in the order


@dataclass(frozen=True)
class Coefficient:
    """An agreement corrected for chance: 1 perfect, 0 as by chance, below 0 worse. None: `why` is a key of REASONS."""

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0
    why: str = ""


@dataclass(frozen=True)
class Confusion:
    """What two raters said of the same things: counts[i][j] are those in category i by the first, j by the second."""

    categories: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]

    @property
    def n(self) -> int:
        return sum(map(sum, self.counts))

    @property
    def agreed(self) -> int:
        return sum(row[i] for i, row in enumerate(self.counts))

    @property
    def first(self) -> tuple[int, ...]:
        """How often the first said each."""
        return tuple(sum(row) for row in self.counts)

    @property
    def second(self) -> tuple[int, ...]:
        """How often the second said each."""
        return tuple(sum(column) for column in zip(*self.counts, strict=True))

    @property
    def raw(self) -> Interval | None:
        """The share in which both said the same, with its Wilson interval; None where nothing was rated by both."""
        return share(self.agreed, self.n)

    @property
    def base_rate(self) -> float | None:
        """Largest share that one category has of the second's ratings: what always saying it would agree in."""
        return max(self.second) / self.n if self.n else None


@dataclass(frozen=True)
class OrderConsistency:
    """One judge asked twice about the same two answers, each once read first."""

    n: int  # pairs read in both orders
    unread: int  # pairs with an order that could not be read
    consistent: Interval | None  # share with the same winner in both orders
    first: int  # pairs in which whatever stood first won, both times
    second: int
    lean: Interval | None  # first / (first + second); 0.5: no leaning; None: nothing changed with the order
    kappa: Coefficient


def share(hits: int, n: int, *, level: float = LEVEL) -> Interval | None:
    """A proportion with its Wilson interval; None of nothing."""
    return intervals.wilson(hits, n, z=intervals.normal_quantile(level)) if n else None


def confusion(
    first: Sequence[str | None], second: Sequence[str | None], *, categories: Sequence[str] = ()
) -> Confusion:
    """Count what two raters said of the same things, in the same order; what either left out (None) is left out.

    Args:
        first: of the rows: the judge.
        second: of the columns: people.
        categories: their order; those that are not named follow by name.

    Raises:
        ValueError: if the lengths differ.
    """
    both = [(a, b) for a, b in zip(first, second, strict=True) if a is not None and b is not None]
    seen = {rating for pair in both for rating in pair}
    order = (*categories, *sorted(seen - set(categories)))
    tally = Counter(both)
    return Confusion(tuple(order), tuple(tuple(tally[a, b] for b in order) for a in order))


def kappa(table: Confusion, *, level: float = LEVEL) -> Coefficient:
    """Cohen's kappa (1960) with the large-sample interval of Fleiss, Cohen & Everitt (1969).

    Where all or none agree that interval has no width; it is then the Wilson interval of the raw agreement at the
    same base rates.
    """
    n = table.n
    if not n:
        return Coefficient(None, why=NO_PAIRS)
    rows, columns = [x / n for x in table.first], [x / n for x in table.second]
    expected = sum(r * c for r, c in zip(rows, columns, strict=True))
    if 1 - expected < 1e-12:
        return Coefficient(None, n=n, why=ONE_CATEGORY)
    agreed = table.agreed / n
    value = (agreed - expected) / (1 - expected)
    error = math.sqrt(max(0.0, _kappa_variance(table, value, expected=expected)))
    if table.agreed in {0, n} or error < 1e-9:
        raw = intervals.wilson(table.agreed, n, z=intervals.normal_quantile(level))
        low, high = ((end - expected) / (1 - expected) for end in (raw.low, raw.high))
    else:
        half = intervals.normal_quantile(level) * error
        low, high = value - half, value + half
    return Coefficient(value, max(-1.0, low), min(1.0, high), n)


def _kappa_variance(table: Confusion, value: float, *, expected: float) -> float:
    n, size = table.n, range(len(table.categories))
    rows, columns = [x / n for x in table.first], [x / n for x in table.second]
    p = [[x / n for x in row] for row in table.counts]
    same = math.fsum(p[i][i] * (1 - (rows[i] + columns[i]) * (1 - value)) ** 2 for i in size)
    apart = math.fsum(p[i][j] * (columns[i] + rows[j]) ** 2 for i in size for j in size if i != j)
    rest = (value - expected * (1 - value)) ** 2
    return (same + (1 - value) ** 2 * apart - rest) / ((1 - expected) ** 2 * n)


def alpha(units: Sequence[Sequence[Rating | None]], *, scale: str) -> Coefficient:
    """Krippendorff's alpha (2011) over things that any number of raters rated; None: that rater left it out.

    Args:
        units: per thing, its ratings in any order; one with fewer than two says nothing and is left out.
        scale: nominal, ordinal or interval: how far two ratings are apart.

    Raises:
        ValueError: the scale is none of them, or an interval is asked of words.
    """
    if scale not in _DELTAS:
        raise ValueError(f"scale: {scale}, expected {', '.join(_DELTAS)}")
    known = [[rating for rating in unit if rating is not None] for unit in units]
    paired = [unit for unit in known if len(unit) > 1]
    if not paired:
        return Coefficient(None, why=NO_PAIRS)
    totals = Counter(rating for unit in paired for rating in unit)
    if len(totals) == 1:
        return Coefficient(None, n=len(paired), why=ONE_CATEGORY)
    order = sorted(totals, key=_sortable)
    sizes = [totals[rating] for rating in order]
    delta = _DELTAS[scale](order, sizes)
    place = {rating: i for i, rating in enumerate(order)}
    seen = math.fsum(_apart(Counter(place[r] for r in unit), delta) / (len(unit) - 1) for unit in paired)
    by_chance = _apart(Counter(dict(enumerate(sizes))), delta) / (sum(sizes) - 1)
    return Coefficient(1 - seen / by_chance, n=len(paired))


def _sortable(rating: Rating) -> tuple[bool, Rating]:
    return isinstance(rating, str), rating


def _apart(counts: "Counter[int]", delta: Delta) -> float:
    """Sum of distances over all ordered pairs of different ratings."""
    there = sorted(counts.items())
    return 2 * math.fsum(m * n * delta(a, b) for i, (a, m) in enumerate(there) for b, n in there[i + 1 :])


def _nominal(_order: Sequence[Rating], _sizes: Sequence[int]) -> Delta:
    return lambda a, b: float(a != b)


def _ordinal(_order: Sequence[Rating], sizes: Sequence[int]) -> Delta:
    """Ratings between two, the two themselves by half."""
    upto = [0]
    for size in sizes:
        upto.append(upto[-1] + size)
    return lambda a, b: (upto[b + 1] - upto[a] - (sizes[a] + sizes[b]) / 2) ** 2


def _interval(order: Sequence[Rating], _sizes: Sequence[int]) -> Delta:
    if any(isinstance(rating, str) for rating in order):
        raise ValueError("scale: interval, but a rating is a word")
    values = [float(rating) for rating in order]
    return lambda a, b: (values[a] - values[b]) ** 2


_DELTAS: dict[str, Callable[[Sequence[Rating], Sequence[int]], Delta]] = {
    "nominal": _nominal,
    "ordinal": _ordinal,
    "interval": _interval,
}


def order_consistency(
    shown_first: Sequence[str | None], shown_second: Sequence[str | None], *, names: tuple[str, str] = ("a", "b")
) -> OrderConsistency:
    """Compare a judge's winners of the same pairs in both orders. A winner is named by its answer, not by its place.

    Args:
        shown_first: winners where the first of `names` was read first: one of them, any other word for a tie, or None
            where the reply could not be read.
        shown_second: the same pairs in the same order, with the other read first.
        names: of the two answers.
    """
    both = [(a, b) for a, b in zip(shown_first, shown_second, strict=True) if a is not None and b is not None]
    table = confusion([a for a, _ in both], [b for _, b in both], categories=names)
    first = sum(pair == names for pair in both)
    second = sum(pair == names[::-1] for pair in both)
    return OrderConsistency(
        n=len(both),
        unread=len(shown_first) - len(both),
        consistent=table.raw,
        first=first,
        second=second,
        lean=share(first, first + second),
        kappa=kappa(table),
    )
