"""The order in which people label."""

import random
import statistics

from hypothesis import given
from hypothesis import strategies as st

from evaluation.statistics import labeling

PAIRS = st.dictionaries(st.text(min_size=1, max_size=4), st.one_of(st.none(), st.floats(-1, 1)), max_size=40)


@given(PAIRS, st.integers(0, 1000))
def test_every_pair_comes_once_and_unscored_ones_last(pairs: dict[str, float | None], seed: int) -> None:
    order = labeling.order(pairs, seed=seed)

    assert sorted(order) == sorted(pairs)
    scored = [pairs[key] is not None for key in order]
    assert scored == sorted(scored, reverse=True)


@given(PAIRS, st.integers(0, 1000))
def test_the_order_does_not_depend_on_how_the_pairs_are_listed(pairs: dict[str, float | None], seed: int) -> None:
    turned = dict(reversed(pairs.items()))

    assert labeling.order(pairs, seed=seed) == labeling.order(turned, seed=seed)


def test_any_first_part_covers_the_whole_range() -> None:
    pairs: dict[str, float | None] = {f"{i}": i / 63 for i in range(64)}

    order = labeling.order(pairs, seed=3)

    for part in (4, 8, 16, 32):
        # one in each of so many equal parts of the range, as in a systematic sample
        assert sorted(int(key) * part // 64 for key in order[:part]) == list(range(part))


def test_each_pair_has_the_same_chance_of_being_early() -> None:
    rng = random.Random(1)  # noqa: S311  # a seeded draw of a test
    pairs: dict[str, float | None] = {f"{i}": rng.gauss(0, 0.2) for i in range(23)}

    early = [key for seed in range(2300) for key in labeling.order(pairs, seed=seed)[:5]]

    counts = [early.count(key) for key in pairs]
    assert statistics.mean(counts) == 500
    assert max(abs(n - 500) for n in counts) < 5 * (500 * 18 / 23) ** 0.5  # binomial, five standard errors


def test_labels_of_the_queue_estimate_the_judges_error_better_than_random_ones() -> None:
    # a judge that exaggerates: people's difference is half of the judged one
    rng = random.Random(5)  # noqa: S311  # a seeded draw of a test
    judged = {f"{i}": rng.uniform(-0.5, 0.5) for i in range(100)}
    rest = {key: 0.5 * d + rng.gauss(0, 0.05) - d for key, d in judged.items()}
    truth = statistics.mean(rest.values())

    queue = [labeling.order(dict(judged), seed=seed)[:15] for seed in range(200)]
    chance = [rng.sample(sorted(judged), 15) for _ in range(200)]

    by_queue, by_chance = (
        statistics.mean((statistics.mean(rest[key] for key in drawn) - truth) ** 2 for drawn in draws)
        for draws in (queue, chance)
    )
    assert by_queue < 0.5 * by_chance
