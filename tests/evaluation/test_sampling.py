"""The order in which prompts are replayed."""

import numpy as np
import pytest
from numpy.typing import NDArray

from evaluation import sampling


def _log(*, rows: int, seed: int = 1) -> tuple[list[str], list[str]]:
    rng = np.random.default_rng(seed)
    conversations = [f"trace-{i}" for i in rng.integers(0, max(1, rows // 3), rows)]
    use_cases = [("refund", "address", "chat")[i] for i in rng.choice(3, rows, p=(0.6, 0.3, 0.1))]
    return use_cases, conversations


def _reference(segment: NDArray[np.str_], conversation: NDArray[np.str_], seed: int) -> NDArray[np.int64]:
    """The second implementation: as the specification writes it, in loops."""
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(segment.size)
    turn = np.zeros(segment.size, int)
    seen: dict[str, int] = {}
    for i in shuffled:
        name = str(conversation[i])
        turn[i] = seen.get(name, 0)
        seen[name] = int(turn[i]) + 1
    out = []
    for r in range(turn.max() + 1):
        rows = shuffled[turn[shuffled] == r]
        place = np.empty(rows.size)
        for name in np.unique(segment[rows]):
            at = np.flatnonzero(segment[rows] == name)
            place[at] = (np.arange(at.size) + rng.random()) / at.size
        out.append(rows[np.argsort(place, kind="stable")])
    return np.concatenate(out)


@pytest.mark.parametrize(("rows", "seed"), [(1, 0), (2, 7), (37, 7), (400, 3), (2_000, 11)])
def test_the_order_is_that_of_the_reference(rows: int, seed: int) -> None:
    use_cases, conversations = _log(rows=rows, seed=seed)

    got = sampling.order(use_cases, conversations, seed=seed)

    assert got.tolist() == _reference(np.array(use_cases), np.array(conversations), seed).tolist()


def test_every_row_comes_exactly_once() -> None:
    use_cases, conversations = _log(rows=500)

    got = sampling.order(use_cases, conversations, seed=7)

    assert sorted(got.tolist()) == list(range(500))


def test_each_conversation_gives_one_prompt_before_any_gives_a_second() -> None:
    use_cases, conversations = _log(rows=600)
    distinct = len(set(conversations))

    first = [conversations[i] for i in sampling.order(use_cases, conversations, seed=7)[:distinct]]

    assert len(set(first)) == distinct


def test_any_first_rows_of_a_round_hold_every_use_case_in_its_share_to_within_one() -> None:
    use_cases, _ = _log(rows=300)

    got = sampling.order(use_cases, list(range(300)), seed=7)  # 300 conversations: a single round

    shares = {name: use_cases.count(name) / 300 for name in set(use_cases)}
    for m in range(1, 301):
        head = [use_cases[i] for i in got[:m]]
        assert all(abs(head.count(name) - share * m) <= 1 for name, share in shares.items())


def test_another_seed_gives_another_order_and_the_same_seed_the_same() -> None:
    use_cases, conversations = _log(rows=200)

    orders = [sampling.order(use_cases, conversations, seed=seed).tolist() for seed in (7, 7, 8)]

    assert orders[0] == orders[1]
    assert orders[0] != orders[2]


def test_names_of_conversations_do_not_matter() -> None:
    use_cases, conversations = _log(rows=200)
    renamed = [f"x{hash(name) % 10_007}-{name}" for name in conversations]

    assert (
        sampling.order(use_cases, conversations, seed=7).tolist()
        == sampling.order(use_cases, renamed, seed=7).tolist()
    )  # fmt: skip


def test_one_endless_conversation_is_drawn_without_a_pass_per_prompt() -> None:
    got = sampling.order(["chat"] * 200_000, [1] * 200_000, seed=7)

    assert np.unique(got).size == 200_000


def test_no_rows_give_no_order_and_unequal_lengths_are_refused() -> None:
    assert sampling.order([], [], seed=7).size == 0
    with pytest.raises(ValueError, match="conversations: 1 values for 2 rows"):
        sampling.order(["a", "b"], ["c"], seed=7)
