"""Refusals: plain ones are found, apologies of a helpful agent are none, and people mostly agree."""

import gzip
import json
from pathlib import Path

import pytest

from ingestion import refusals


@pytest.mark.parametrize(
    "answer",
    [
        "I'm sorry, but I can't help with that.",
        "I’m sorry, I cannot assist with this request.",
        "I can't provide instructions for that.",
        "As an AI language model, I cannot give you instructions for hacking.",
        "I must decline: it would harm others.",
        "That request goes against our content policy.",
        "I apologize, but I am unable to fulfill this request.",
        "It is not appropriate to make fun of people for their looks.",
        "**I cannot** comply with that.",
    ],
)
def test_a_plain_refusal_is_found(answer: str) -> None:
    assert refusals.refused("Do it.", answer)


@pytest.mark.parametrize(
    "answer",
    [
        "I'm sorry your parcel is late. It will arrive on Friday, and I have refunded the shipping.",
        "I'm sorry to hear that! Let me look up your reservation.",
        "Sorry for the wait. Your order 1234 ships today.",
        "I'm sorry, but I can't find an order with that number. Could you check it?",
        "Unfortunately we cannot offer a refund for this ticket, but I can change the date for free.",
        "Our policy allows one free change per booking.",
        "You can't use a list as a dictionary key in Python; use a tuple.",
        "As an AI model it has 7 billion parameters.",
        "",
    ],
)
def test_an_apology_or_a_rule_of_business_is_no_refusal(answer: str) -> None:
    assert not refusals.refused("Where is it?", answer)


def test_a_refusal_that_goes_on_to_help_is_partial() -> None:
    answer = "I can't provide medical advice. However, here are general facts. " + "Rest and water help. " * 60

    found = refusals.classify("I am ill", answer)

    assert found.label == "partial"
    assert 0 < found.probability < 1


def test_people_mostly_agree(recordings: Path) -> None:
    with gzip.open(recordings / "refusal_human.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]

    right = sum(
        (refusals.classify(row["prompt"], row["content"]).label == "comply") == (row["human"] == "comply")
        for row in rows
    )

    assert right / len(rows) >= 0.88
