"""How calls use a model: shares and languages, never a text."""

import json
from typing import Any

import pytest

from evaluation import traffic


def _body(text: str = "Where is the order?", **more: Any) -> str:
    return json.dumps({"messages": [{"role": "user", "content": text}], **more})


def _called(n: int) -> str:
    calls = [{"function": {"name": "secret_tool", "arguments": "{}"}}] * n
    return json.dumps({"choices": [{"message": {"tool_calls": calls}}]})


def test_shares_are_counted_over_the_calls_that_can_be_read() -> None:
    found = traffic.read(
        [
            (_body(tool_choice="required", seed=0, reasoning_effort="low"), _called(2)),
            (_body(response_format={"type": "json_schema", "json_schema": {"name": "x"}}), _called(1)),
            (_body(response_format={"type": "json_object"}, tool_choice="auto"), ""),
            (_body(tool_choice={"type": "function", "function": {"name": "secret_tool"}}), "no json"),
            ("[1]", ""),
            ("", ""),
        ]
    )

    assert found.to_json() == {
        "n_read": 4,
        "share_parallel_tools": 0.25,
        "share_forced_tool": 0.5,
        "share_json_mode": 0.25,
        "share_json_schema": 0.25,
        "languages": {"English": 1.0},
        "share_seed": 0.25,
        "share_reasoning": 0.25,
    }


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Wie bekomme ich die Lieferung, und wann?", "German"),
        ("Où est ma commande, et que faire avec le colis ?", "French"),
        ("¿Dónde está mi pedido? No lo encuentro por ningún lado", "Spanish"),
        ("Где мой заказ?", "Cyrillic"),
        ("注文はどこですか", "Japanese"),
        ("我的订单在哪里", "Chinese"),
        ("내 주문은 어디에 있나요", "Korean"),
        ("12345 ???", "other"),
        ("", "other"),
        ("xyzzy", "other"),
    ],
)
def test_a_language_is_told_by_its_letters_or_its_small_words(text: str, language: str) -> None:
    assert traffic.language(text) == language


def test_words_beside_an_image_tell_the_language() -> None:
    parts = [
        {"type": "image_url", "image_url": {"url": "x"}},
        {"type": "text", "text": "Wie bekomme ich die Lieferung, und wann?"},
    ]

    found = traffic.read([(json.dumps({"messages": [{"role": "user", "content": parts}]}), "")])

    assert found.languages == (("German", 1.0),)


def test_nothing_that_can_be_read_is_not_known() -> None:
    assert traffic.read([("{}", ""), ("broken", "")]).share_json_mode is None


def test_a_large_log_is_read_evenly_and_repeatably() -> None:
    found = traffic.spread(list(range(1000)), most=4)

    assert found == [0, 250, 500, 750]
    assert traffic.spread([3, 1], most=4) == [3, 1]
