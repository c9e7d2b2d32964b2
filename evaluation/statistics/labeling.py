"""In which order people label pairs, so that few labels tell most about the judges.

What labels are for is the mean of (people's difference − judged difference) over all pairs. Pairs stand in the order of
their judged difference and are taken at the places of a van der Corput sequence (1935) with a random start: any first m
of them cover the whole range evenly, each pair with the same chance, so plain means of labels stand for all pairs and
no label needs a weight. docs/algorithms/agreement.md has what that gains, and why the pairs on which the judges differ
most do not come first.
"""

import hashlib
from collections.abc import Iterator, Mapping

CRITERION = (
    "Pairs are spread evenly over what the judges said, from clearly worse to clearly better, in an order drawn by "
    "chance: any first part of the queue stands for all pairs."
)


def order(differences: Mapping[str, float | None], *, seed: int) -> list[str]:
    """Return the keys of pairs in the order in which they should be labeled.

    Args:
        differences: judged difference, candidate minus baseline, by the pair's key; None: unscored, which comes last,
            since it tells nothing about the judges.
        seed: of the order of equal differences and of the start.
    """
    chance = {key: _uniform(f"{seed} {key}") for key in differences}
    scored = sorted((d, chance[key], key) for key, d in differences.items() if d is not None)
    rest = sorted((chance[key], key) for key, d in differences.items() if d is None)
    start = _uniform(f"start {seed}")
    places = _places(len(scored), start)
    return [scored[place][2] for place in places] + [key for _, key in rest]


def _places(n: int, start: float) -> list[int]:
    """Each of 0 to n − 1 once, any first part of them evenly spread."""
    found: dict[int, None] = {}
    turn = _radical_inverses()
    while len(found) < n:
        found[int((next(turn) + start) % 1.0 * n)] = None
    return list(found)


def _radical_inverses() -> Iterator[float]:
    """0, ½, ¼, ¾, ⅛, …: the digits of 0, 1, 2, … in base two, mirrored at the point."""
    i = 0
    while True:
        x, part, rest = 0.0, 0.5, i
        while rest:
            x, part, rest = x + part * (rest & 1), part / 2, rest >> 1
        yield x
        i += 1


def _uniform(text: str) -> float:
    """A number in [0, 1) that depends on the text alone."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big") / 2**48
