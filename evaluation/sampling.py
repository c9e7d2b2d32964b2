"""Which logged prompts are replayed, and in which order."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def order(use_cases: Sequence[str], conversations: Sequence[str] | Sequence[int], *, seed: int) -> NDArray[np.int64]:
    """Return row numbers in the order in which to replay them.

    One prompt of each conversation comes first, drawn in proportion to its prompts, the others after them in further
    rounds. Within such a round any first m rows hold every use case in its share of the round, to within one prompt.
    Same rows as the reference of docs/algorithms/sampling.md, computed by sorting instead of by loops.

    Args:
        use_cases: label of each row; "" is a use case like any other.
        conversations: what the row's conversation is called, of one type.
        seed: stored with the evaluation.

    Rows must be sorted by a stable id before the call: then the order of the log does not matter.

    Raises:
        ValueError: if the two differ in length.
    """
    if len(use_cases) != len(conversations):
        raise ValueError(f"conversations: {len(conversations)} values for {len(use_cases)} rows")
    if not len(use_cases):
        return np.empty(0, np.int64)
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(len(use_cases))
    # two labels are one conversation exactly if they are equal; only the use cases' sorting reaches the result
    label = np.unique(np.asarray(use_cases), return_inverse=True)[1].reshape(-1)[shuffled]
    conversation = np.unique(np.asarray(conversations), return_inverse=True)[1].reshape(-1)[shuffled]
    turn = _count_before(conversation)
    cell = np.unique(turn * (int(label.max()) + 1) + label, return_inverse=True)[1].reshape(-1)
    sizes = np.bincount(cell)
    # evenly spaced places in [0, 1) with a random start per use case and round: any first m rows stay proportional
    place = (_count_before(cell) + rng.random(sizes.size)[cell]) / sizes[cell]
    return np.asarray(shuffled[np.lexsort((place, turn))], np.int64)


def _count_before(groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each row, how many rows of its group stand before it. groups: (n,) numbers from 0 on, none left out."""
    by_group = np.argsort(groups, kind="stable")
    starts = np.concatenate(([0], np.cumsum(np.bincount(groups))[:-1]))
    out = np.empty(groups.size, np.int64)
    out[by_group] = np.arange(groups.size) - starts[groups[by_group]]
    return out
