"""Every format is known by its own shape."""

import json
from typing import Any

import pytest

from agentopt.lib.errors import Invalid
from ingestion.formats import detection
from tests.ingestion.conftest import portkey_row
from tests.ingestion.formats import test_helicone, test_langfuse, test_litellm, test_openai, test_transcript, test_usage

SAMPLES: dict[str, tuple[str, dict[str, Any]]] = {
    "a Portkey export": ("portkey", portkey_row(1)),
    "a Portkey LogObject": ("portkey", {"_id": "a", "request": {"body": {}}, "response": {}, "metrics": {}}),
    "OpenAI-style bodies": ("openai", {"request": test_openai.REQUEST, "response": test_openai.RESPONSE}),
    "an OpenAI batch": ("openai", {"custom_id": "a", "body": test_openai.REQUEST}),
    "bodies with a trace": ("openai", {"id": "a", "trace_id": "t", "created_at": 1, "request": test_openai.REQUEST}),
    "Langfuse's API": ("langfuse", test_langfuse.API),
    "Langfuse's blob export": ("langfuse", test_langfuse.BLOB),
    **{f"Langfuse: {name}": ("langfuse", row) for name, row in test_langfuse.OTHERS.items()},
    "Helicone": ("helicone", test_helicone.ROW),
    "LiteLLM's payload": ("litellm", test_litellm.PAYLOAD),
    "LiteLLM's spend logs": ("litellm", test_litellm.SPEND),
    "a transcript": ("transcript", test_transcript.row()),
    "a bare conversation": ("transcript", {"messages": test_transcript.MESSAGES, "model": "m"}),
    "usage": ("usage", test_usage.ROW),
}


@pytest.mark.parametrize(("name", "row"), SAMPLES.values(), ids=SAMPLES.keys())
def test_a_format_is_found_by_looking_and_reads_its_rows(name: str, row: dict[str, Any]) -> None:
    line = json.dumps(row).encode()

    assert detection.detect([line]) == name
    assert detection.detect([b"broken", b"[]", line]) == name


def test_what_was_seen_is_said_with_the_formats_we_know() -> None:
    with pytest.raises(Invalid, match=r"its rows have city, zip\. Name it with --format: portkey, openai, langfuse"):
        detection.detect([b'{"city": "Rome", "zip": 1}'])

    with pytest.raises(Invalid, match="its first rows are no JSON objects"):
        detection.detect([b"a,b", b"[1]"])
