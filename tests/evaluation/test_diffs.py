"""Marks on two answers: what they join to, what differs, and what is too long or no JSON."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation import diffs


def _joined(parts: tuple[diffs.Part, ...]) -> str:
    return "".join(part.text for part in parts)


def _only(parts: tuple[diffs.Part, ...]) -> list[str]:
    return [part.text for part in parts if part.only]


def test_words_that_only_one_side_has_are_marked() -> None:
    found = diffs.compare("It takes 3 to 5 days.", "It takes 7 to 14 days.")

    assert _only(found.left) == ["3", "5"]
    assert _only(found.right) == ["7", "14"]
    assert found.mode == "words"


def test_json_is_compared_by_value_whatever_the_order_of_keys() -> None:
    found = diffs.compare('{"b": [1, 2], "a": "x"}', '{"a":"x","b":[1,3]}', mode="json")

    assert found.mode == "json"
    assert _joined(found.left) == 'a: "x"\nb[0]: 1\nb[1]: 2\n'
    assert (_only(found.left), _only(found.right)) == (["b[1]: 2\n"], ["b[1]: 3\n"])


@pytest.mark.parametrize("text", ["no JSON", "1", '"text"', "[" * 100_000])
def test_what_is_no_document_is_compared_by_words_or_lines(text: str) -> None:
    assert diffs.compare(text, '{"a": 1}', mode="json").mode in ("words", "lines")


def test_long_texts_are_compared_by_lines_and_the_longest_not_at_all() -> None:
    wordy = "word " * diffs.MOST_WORDS

    assert diffs.compare(wordy, "a").mode == "lines"
    assert diffs.compare("line\n" * (diffs.MOST_LINES + 1), "a", mode="lines").mode == "off"


@given(st.text(max_size=80), st.text(max_size=80), st.sampled_from(["words", "lines", "off"]))
def test_parts_join_to_the_texts_and_the_unmarked_are_equal(left: str, right: str, mode: str) -> None:
    found = diffs.compare(left, right, mode=mode)

    assert (_joined(found.left), _joined(found.right)) == (left, right)
    if found.mode != "off":
        same = ["".join(part.text for part in side if not part.only) for side in (found.left, found.right)]
        assert same[0] == same[1]


@given(st.dictionaries(st.text(max_size=5), st.integers() | st.lists(st.booleans(), max_size=3), max_size=4))
def test_equal_documents_have_no_mark(document: dict[str, object]) -> None:
    found = diffs.compare(json.dumps(document), json.dumps(document, sort_keys=True, indent=2), mode="json")

    assert not _only(found.left)
    assert not _only(found.right)
