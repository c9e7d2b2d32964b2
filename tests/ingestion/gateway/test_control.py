"""The SDK's traps, each against a real server on loopback; their numbers are those of docs/decisions/0005-wire.md."""

import logging
import subprocess
import sys
import time
from functools import partial
from typing import Any

import httpx
import pytest

from agentopt.lib.errors import Invalid
from ingestion.gateway import errors, open_gateway
from ingestion.gateway.base import Endpoint, GatewayModel
from ingestion.gateway.control import ControlPlane
from ingestion.gateway.exports import LogExports
from projects.models import Connection
from tests.ingestion.gateway.fake import Answer, Fake, Handler, by_path, in_turn, serving

MODELS = {"object": "list", "data": [{"id": "@openai-prod/gpt-4o", "slug": "gpt-4o", "object": "model"}]}


def plane(fake: Fake, **options: Any) -> ControlPlane:
    return ControlPlane(fake.endpoint(**options), timeout_s=1, deadline_s=8)


def failure(answer: Answer, *, models: bool) -> tuple[errors.CallFailed, Fake]:
    with serving(answer) as fake:
        control = plane(fake)
        ask = control.models if models else partial(LogExports(control).state, "e1")
        with pytest.raises(errors.CallFailed) as caught:
            ask()
    return caught.value, fake


BOTH_TREES = pytest.mark.parametrize("models", [True, False], ids=["models", "exports"])


def test_models_are_read_in_the_hosted_and_in_the_plain_spelling() -> None:
    rows = [*MODELS["data"], {"id": "gpt-4o", "owned_by": "openai"}, {"id": "house"}]
    with serving(lambda h: h.send({"object": "list", "data": rows}, x_agentopt_sandbox="1")) as fake:
        control = plane(fake)
        found = control.models()

    assert found == [
        GatewayModel("@openai-prod/gpt-4o", "openai-prod", "gpt-4o"),
        GatewayModel("gpt-4o", "openai", "gpt-4o"),
        GatewayModel("house", "", "house"),
    ]
    assert control.simulated


@BOTH_TREES
def test_trap_1_a_call_that_hangs_ends_in_time_and_trap_3_is_sent_once(models: bool) -> None:
    began = time.monotonic()

    error, fake = failure(lambda h: h.hang(), models=models)

    assert isinstance(error, errors.TimedOut)
    assert time.monotonic() - began < 4
    assert len(fake.asked) == 1


@BOTH_TREES
def test_trap_4_a_429_is_repeated_by_our_policy(models: bool) -> None:
    error, fake = failure(lambda h: h.send(status=429, retry_after="0.05"), models=models)

    assert isinstance(error, errors.RateLimited)
    assert (error.calls, len(fake.asked), error.retry_after_s) == (4, 4, 0.05)


@BOTH_TREES
def test_trap_5_retries_do_not_multiply_and_each_call_has_a_trace_id(models: bool) -> None:
    error, fake = failure(lambda h: h.send(status=500, x_portkey_trace_id=""), models=models)

    assert isinstance(error, errors.GatewayDown)
    assert len(fake.asked) == 4
    assert all(one.headers["x-portkey-trace-id"] for one in fake.asked)


@BOTH_TREES
@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (b"<html>Welcome</html>", "text/html"), (b"", "application/json"), (b"[]", "application/json"),
        (b'{"id": 5, "status": ["x"], "data": [{"id": 7}]}', "application/json"), (b"{}", "application/json"),
        (b"{}", ""), (b"data: {}", "text/event-stream"),
    ],
)  # fmt: skip
def test_trap_7_a_200_that_is_something_else_is_a_bad_answer(models: bool, raw: bytes, kind: str) -> None:
    error, fake = failure(lambda h: h.send(raw, kind=kind), models=models)

    assert isinstance(error, errors.BadAnswer)
    assert len(fake.asked) == 2


@BOTH_TREES
@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, errors.AuthRefused), (403, errors.AuthRefused), (404, errors.Rejected), (302, errors.Rejected)],
)
def test_trap_8_both_exception_trees_become_ours(models: bool, status: int, kind: type[errors.CallFailed]) -> None:
    body = {"error": {"message": "secret words", "code": "AB05"}}

    error, fake = failure(lambda h: h.send(body, status=status, location="http://127.0.0.1:9/"), models=models)

    assert type(error) is kind
    assert (error.upstream_status, error.provider_code, error.detail) == (status, "AB05", "secret words")
    assert "secret words" not in str(error)
    assert error.__cause__ is None
    assert error.__suppress_context__
    assert len(fake.asked) == 1


@BOTH_TREES
def test_a_connection_that_breaks_is_a_gateway_that_is_down(models: bool) -> None:
    error, fake = failure(lambda h: h.disconnect(), models=models)

    assert isinstance(error, errors.GatewayDown)
    assert len(fake.asked) == 4


@BOTH_TREES
def test_a_private_address_is_refused_unless_it_is_allowed(models: bool, settings: Any) -> None:
    settings.ALLOW_PRIVATE_ADDRESSES = False

    error, fake = failure(lambda h: h.send(MODELS), models=models)

    assert isinstance(error, errors.AddressRefused)
    assert fake.asked == []


def test_trap_9_no_object_of_the_sdk_comes_out() -> None:
    with serving(lambda h: h.send(MODELS)) as fake:
        found = plane(fake).models()

    assert str(found[0]) == str(found[0])
    assert type(found[0]).__module__ == "ingestion.gateway.base"


@pytest.mark.parametrize("auth_header", ["x-portkey-api-key", "Authorization"])
@BOTH_TREES
def test_only_our_credentials_are_sent(auth_header: str, models: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_API_KEY", "PORTKEY_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.setenv(name, "of-the-machine")
    monkeypatch.setenv("PORTKEY_PROXY", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with serving(by_path({"GET /models": lambda h: h.send(MODELS), "GET /logs/exports/e1": _ready})) as fake:
        control = plane(fake, auth_header=auth_header)
        if models:
            control.models()
        else:
            LogExports(control).state("e1")

    headers = fake.asked[0].headers
    expected = "Bearer pk-secret-key" if auth_header == "Authorization" else "pk-secret-key"
    assert headers[auth_header.lower()] == expected
    assert [key for key, text in headers.items() if "pk-secret-key" in text] == [auth_header.lower()]
    assert not any("of-the-machine" in text or "OPENAI" in text for text in headers.values())


def _ready(handler: Handler) -> None:
    handler.send({"id": "e1", "status": "success", "total_records": 3, "object": "export"})


def test_the_key_stays_out_of_the_log_at_every_level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with serving(in_turn(lambda h: h.send(status=500), lambda h: h.send(MODELS))) as fake:
        plane(fake).models()

    assert "pk-secret-key" not in caplog.text
    assert fake.url not in caplog.text


def test_the_base_url_is_always_ours_whatever_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "https://api.portkey.ai/v1", "http://127.0.0.1:9/v1"
    )  # trap 16: the SDK reads a variable named so
    with serving(lambda h: h.send(MODELS)) as fake:
        control = plane(fake)
        control.models()

        assert str(control._sdk._client.base_url) == f"{fake.url}/"
        assert str(control._sdk.openai_client.base_url) == f"{fake.url}/"


def test_importing_the_gateway_loads_no_heavy_library() -> None:
    code = (
        "import os, sys, django; os.environ['DJANGO_SETTINGS_MODULE'] = 'tests.settings'; django.setup()\n"
        "import ingestion.gateway\n"
        "print([name for name in ('portkey_ai', 'aiohttp', 'uvloop', 'numpy', 'httpx') if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_a_gateway_without_an_address_or_a_key_is_refused_by_name(settings: Any) -> None:
    settings.PORTKEY_BASE_URL = settings.PORTKEY_API_KEY = ""

    with pytest.raises(Invalid) as caught:
        open_gateway(Connection())

    assert set(caught.value.fields) == {"base_url", "api_key"}


def test_the_instances_key_goes_to_the_instances_address_only(settings: Any) -> None:
    settings.PORTKEY_BASE_URL, settings.PORTKEY_API_KEY = "https://gateway.example/v1", "instance-key"

    assert open_gateway(Connection()).endpoint.api_key == "instance-key"
    assert open_gateway(Connection(base_url="https://gateway.example")).endpoint.api_key == "instance-key"
    for own in ({"base_url": "https://mine.example"}, {"control_url": "https://mine.example/v1"}):
        with pytest.raises(Invalid) as caught:
            open_gateway(Connection(**own))
        assert set(caught.value.fields) == {"api_key"}


def test_an_address_without_a_path_gets_the_apis() -> None:
    gateway = open_gateway(Connection(base_url="https://mine.example/", api_key="k"))

    assert gateway.endpoint == Endpoint("https://mine.example/v1", "https://mine.example/v1", "x-portkey-api-key", "k")
    assert "'k'" not in repr(gateway.endpoint)


def test_httpx_writes_no_addresses_into_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with serving(lambda h: h.send()) as fake:
        httpx.get(f"{fake.url}?signature=secret")

    assert "secret" not in caplog.text
