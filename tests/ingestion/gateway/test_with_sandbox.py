"""The gateway against the sandbox: the same client, the same wire."""

from collections.abc import Iterator
from typing import Any

import pytest

from agentopt.sandbox.server import Sandbox, running
from ingestion.gateway import ChatReply, ChatRequest, Gateway, errors, open_gateway
from projects.models import Connection

KEY = "sandbox-support"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with running(retry_after_s=0.05) as server:
        yield server


def gateway_to(server: Sandbox) -> Gateway:
    return open_gateway(Connection(base_url=server.url, api_key=KEY))


def ask(gateway: Gateway, model: str, **body: Any) -> ChatReply:
    messages = [{"role": "user", "content": "Where is my order K-12345?"}]
    request = ChatRequest(model, {"messages": messages, **body}, f"trace-{model}", {"run": "7"}, 5)
    with gateway.chat() as session:
        return session.submit(request).result(20)


def test_a_model_of_the_list_answers_whole_and_as_a_stream(sandbox: Sandbox) -> None:
    gateway = gateway_to(sandbox)
    name = gateway.models()[0].name

    whole, streamed = ask(gateway, name), ask(gateway, name, stream=True)

    assert gateway.simulated
    assert whole.simulated
    assert (streamed.text, streamed.tool_calls) == (whole.text, whole.tool_calls)
    assert streamed.usage == whole.usage
    assert streamed.first_token_us is not None


def test_a_model_that_fails_twice_answers_at_the_third_attempt(sandbox: Sandbox) -> None:
    assert ask(gateway_to(sandbox), "fault-flaky-2").calls == 3


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("fault-429", errors.RateLimited),
        ("fault-500", errors.GatewayDown),
        ("fault-disconnect", errors.GatewayDown),
        ("fault-html", errors.BadAnswer),
        ("fault-empty", errors.BadAnswer),
        ("no-such-model", errors.Rejected),
    ],
)
def test_each_trouble_of_the_sandbox_has_its_error(sandbox: Sandbox, model: str, kind: type[errors.CallFailed]) -> None:
    with pytest.raises(errors.CallFailed) as caught:
        ask(gateway_to(sandbox), model)

    assert type(caught.value) is kind


def test_a_wrong_key_is_refused_by_both_stacks(sandbox: Sandbox) -> None:
    gateway = open_gateway(Connection(base_url=sandbox.url, api_key="wrong"))

    with pytest.raises(errors.AuthRefused):
        ask(gateway, "aurora-large")
    with pytest.raises(errors.AuthRefused):
        gateway.models()
