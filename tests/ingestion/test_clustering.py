"""Texts to labels: the same whatever the order, matched to the old ones, and never quoting what one alone said."""

import json
import random
import zlib
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score

from ingestion import clustering

TOPICS = {
    "refunds": "refund money charged twice invoice credit card statement returned amount bank",
    "delivery": "parcel courier delivery late tracking address driver arrived shipped package",
    "passwords": "password login account locked reset email link sign two-factor code",
    "recipes": "oven flour butter bake minutes sugar dough recipe spoon whisk",
}
FILLER = "need help yesterday again maybe really since think about order friend week monday"


def planted(n: int, *, seed: int = 0, topics: Sequence[str] = tuple(TOPICS)) -> tuple[list[str], list[str]]:
    """Texts of six words of their topic and three words of none, with the topics."""
    rng = random.Random(seed)  # noqa: S311
    filler = FILLER.split()
    names = [rng.choice(topics) for _ in range(n)]
    texts = [" ".join(rng.sample(TOPICS[name].split(), 6) + rng.sample(filler, 3)) for name in names]
    return texts, names


def request(*turns: tuple[str, object]) -> str:
    return json.dumps({"messages": [{"role": role, "content": content} for role, content in turns]})


# ------------------------------------------------------------------------------------------------ texts
def test_a_request_asks_what_its_user_turns_say_and_nothing_of_the_agents_own() -> None:
    said = clustering.asked(
        request(
            ("system", "You are an airline agent."),
            ("user", "Cancel my flight."),
            ("assistant", "Which one?"),
            ("tool", '{"seats": 4}'),
            ("user", [{"type": "text", "text": "The one to Boston."}, {"type": "image_url", "image_url": {}}]),
        )
    )

    assert said == "Cancel my flight.\nThe one to Boston."


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('{"input": "Translate this."}', "Translate this."),
        ('{"prompt": "Once upon"}', "Once upon"),
        ('{"input": [{"role": "user", "content": [{"type": "input_text", "text": "Hello there"}]}]}', "Hello there"),
        ("", ""),
        ("not JSON", ""),
        ("[1, 2]", ""),
        ('{"messages": [3]}', ""),
        ('{"messages": [{"role": "user"}]}', ""),
        ('{"messages": []}', ""),
        ("9f" * 32, ""),
    ],
)
def test_other_bodies_are_read_as_far_as_they_ask_anything(body: str, said: str) -> None:
    assert clustering.asked(body) == said


def test_a_text_of_a_megabyte_is_cut_in_its_middle() -> None:
    said = clustering.asked(request(("user", "start " + "x " * 500_000 + " end")))

    assert said.startswith("start ")
    assert said.endswith(" end")
    assert len(said) <= clustering.MAX_TEXT


@given(st.text(max_size=300))
def test_no_text_breaks_the_reading_of_words(text: str) -> None:
    clustering.asked(text)

    for word in clustering.words(text):
        assert not any(map(str.isdecimal, word))


def test_numbers_account_names_addresses_and_marks_of_redaction_are_no_words() -> None:
    text = "My id mia_li_3668, order W8268610, mail [e-mail removed] or ann@example.com: cancel it"

    assert clustering.words(text) == ["my", "id", "order", "mail", "or", "cancel", "it"]


def test_a_script_without_spaces_is_read_by_pairs_of_characters() -> None:
    assert clustering.words("取消航班") == ["取消", "消航", "航班"]


# ------------------------------------------------------------------------------------------------ fits
def test_planted_kinds_are_found_with_their_number() -> None:
    texts, names = planted(300)

    found = clustering.fit(texts)

    assert found is not None
    assert len(found.model.centers) == 4
    assert adjusted_rand_score(names, found.labels) > 0.95


def test_a_fit_is_the_same_bit_for_bit_each_time() -> None:
    texts, _ = planted(200)
    one, other = clustering.fit(texts, seed=3), clustering.fit(texts, seed=3)

    assert one is not None
    assert other is not None
    assert one.model.to_bytes() == other.model.to_bytes()
    assert one.scores == other.scores


def test_texts_of_one_kind_stay_one_use_case() -> None:
    rng = random.Random(1)  # noqa: S311
    vocabulary = [a + b + c for a in "bdfgk" for b in "aeiou" for c in "lmnrs"]
    texts = [" ".join(rng.sample(vocabulary, 12)) for _ in range(300)]

    found = clustering.fit(texts)

    assert found is not None
    assert len(found.model.centers) == 1


def test_equal_texts_are_one_use_case() -> None:
    found = clustering.fit(["Where is my order and my refund?"] * 30 + ["Bake the dough in the oven"] * 5)

    assert found is not None
    assert len(found.model.centers) <= 2


@pytest.mark.parametrize(
    "texts",
    [
        [],
        [""] * 50,
        ["hello"] * 3,
        ["12 34 56"] * 50,
        ["the and of"] * 50,
        [f"a{chr(97 + n)}q unique" for n in range(9)],
    ],
)
def test_texts_that_share_no_words_are_not_clustered(texts: list[str]) -> None:
    assert clustering.fit(texts) is None


def test_a_stored_model_places_texts_as_the_fitted_one_did() -> None:
    texts, _ = planted(200)
    found = clustering.fit(texts)
    assert found is not None

    again = clustering.Model.from_bytes(found.model.to_bytes())

    placed = clustering.place(again, [*texts, "", "12345", "zzyzx"])
    assert placed.labels[:200].tolist() == found.labels.tolist()
    assert placed.labels[200:].tolist() == [clustering.NOWHERE] * 3
    assert placed.nearness == pytest.approx(found.nearness * 200, rel=1e-4)


def test_a_model_of_another_version_is_refused() -> None:
    header = b"[[9, 1, 1], []]"

    with pytest.raises(ValueError, match="version 9"):
        clustering.Model.from_bytes(zlib.compress(len(header).to_bytes(4, "little") + header))


# ------------------------------------------------------------------------------------------------ labels over time
def test_matching_takes_the_pairs_of_largest_overlap_in_all() -> None:
    # by hand: old 0 = {a, b, c}, old 1 = {d, e}; new 0 = {d, e}, new 1 = {a, b, c}, new 2 = {f}, which has no old
    assert clustering.match([0, 0, 0, 1, 1, -1], [1, 1, 1, 0, 0, 2], old=2, new=3) == [1, 0, None]


def test_too_small_an_overlap_continues_nothing() -> None:
    # overlap of old 0 and new 0: 1 text of 5
    assert clustering.match([0, 0, 0, -1, -1], [0, -1, -1, 0, 0], old=1, new=1) == [None]


@given(st.permutations(range(5)), st.lists(st.integers(0, 4), min_size=40, max_size=80))
def test_renumbered_clusters_are_matched_back(order: list[int], labels: list[int]) -> None:
    matched = clustering.match(labels, [order[label] for label in labels], old=5, new=5)

    for label in set(labels):
        assert matched[order[label]] == label


def test_more_texts_keep_the_labels_of_the_first_fit() -> None:
    texts, _ = planted(600, topics=("refunds", "delivery", "passwords"))
    more, _ = planted(200, seed=5)
    first = clustering.fit(texts[:200])
    assert first is not None

    outcome = clustering.refit(texts + more, old=first.model)

    assert outcome is not None
    found, matched = outcome
    assert sorted(old for old in matched if old is not None) == [0, 1, 2]
    assert matched.count(None) == len(found.model.centers) - 3 == 1  # recipes are new
    labels = np.array([matched[label] if matched[label] is not None else -1 for label in found.labels])
    assert (labels[:200] == first.labels).mean() > 0.98


def test_a_split_halves_one_cluster_and_leaves_the_others() -> None:
    texts, names = planted(300)
    found = clustering.fit(texts, clusters=2)
    assert found is not None
    wide = int(np.bincount(found.labels).argmax())
    inside = [text for text, label in zip(texts, found.labels, strict=True) if label == wide]

    model = clustering.split(found.model, wide, inside)

    assert model is not None
    labels = clustering.place(model, inside).labels
    assert set(labels) == {wide, 2}
    assert (labels == wide).sum() >= (labels == 2).sum()
    kinds = [name for name, label in zip(names, found.labels, strict=True) if label == wide]
    assert adjusted_rand_score(kinds, labels) > 0.3


def test_equal_texts_cannot_be_split() -> None:
    texts, _ = planted(60)
    found = clustering.fit(texts)
    assert found is not None

    assert clustering.split(found.model, 0, [texts[0]] * 30) is None


def test_what_a_person_split_stays_apart_when_fitted_again() -> None:
    texts, _ = planted(400, topics=("refunds", "delivery"))
    first = clustering.fit(texts, clusters=2)
    assert first is not None
    refunds = [text for text, label in zip(texts, first.labels, strict=True) if label == 0]
    model = clustering.split(first.model, 0, refunds)
    assert model is not None
    before = clustering.place(model, texts).labels

    plain = clustering.refit(texts, old=model)
    kept = clustering.refit(texts, old=model, apart=[frozenset({0, 2})])

    assert plain is not None
    assert kept is not None
    assert len(plain[0].model.centers) == 2
    assert sorted(x for x in kept[1] if x is not None) == [0, 1, 2]
    after = np.array([kept[1][label] for label in kept[0].labels])
    assert (after == before).mean() > 0.7


# ------------------------------------------------------------------------------------------------ names
def test_telling_words_are_those_of_the_kind_as_they_are_mostly_written() -> None:
    texts, _ = planted(300)
    found = clustering.fit(texts)
    assert found is not None

    told = clustering.telling_words(texts, found.labels.tolist(), len(found.model.centers))

    for words in told:
        assert any(set(words) <= set(topic.split()) for topic in TOPICS.values())


def test_no_word_of_fewer_than_three_conversations_is_kept_or_told() -> None:
    texts, _ = planted(100)
    texts[0] += " Wolfeschlegelstein"
    texts[1] += " Wolfeschlegelstein"
    found = clustering.fit(texts)
    assert found is not None

    told = clustering.telling_words(texts, found.labels.tolist(), len(found.model.centers))

    assert "wolfeschlegelstein" not in found.model.terms
    assert "wolfeschlegelstein" not in {word for words in told for word in words}
    assert b"wolfe" not in zlib.decompress(found.model.to_bytes())
