"""Our client, the real open-source gateway, and the sandbox as the provider behind it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from agentopt.sandbox.server import Sandbox
from agentopt.sandbox.server import running as sandbox_running
from ingestion.gateway import ChatReply, ChatRequest, Gateway, errors, open_gateway
from projects.models import Connection
from tests.ingestion.gateway.fake import DONE, Fake, completion, event, in_turn, serving
from tests.portkey_gateway import server

TOOLS = [{"type": "function", "function": {"name": "find_order", "parameters": {"type": "object", "properties": {}}}}]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    obstacle = server.install()
    if obstacle:
        pytest.skip(obstacle)  # no npm, or its packages are not installed: what the obstacle says
    with server.running() as url:
        yield url


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with sandbox_running(retry_after_s=0.05) as running:
        yield running


def gateway_to(address: str, upstream: str, *, key: str = "sandbox-support", **config: Any) -> Gateway:
    told = {"provider": "openai", "custom_host": upstream, "api_key": key, **config}
    return open_gateway(Connection(base_url=address, api_key="unused", config=json.dumps(told)))


def ask(gateway: Gateway, model: str = "aurora-large", *, timeout_s: float = 10, **body: Any) -> ChatReply:
    messages = [{"role": "user", "content": "Where is my order K-12345?"}]
    request = ChatRequest(model, {"messages": messages, **body}, f"trace-{model}", {"run": "7"}, timeout_s)
    with gateway.chat() as session:
        return session.submit(request).result(30)


def failure(gateway: Gateway, model: str = "m", **options: Any) -> errors.CallFailed:
    with pytest.raises(errors.CallFailed) as caught:
        ask(gateway, model, **options)
    return caught.value


def upstream_of(fake: Fake) -> str:
    return f"http://127.0.0.1:{fake.port}/v1"


def test_an_answer_comes_through_whole_and_as_a_stream(address: str, sandbox: Sandbox) -> None:
    gateway = gateway_to(address, sandbox.url)

    whole, streamed = ask(gateway), ask(gateway, stream=True)

    assert whole.text or whole.tool_calls
    assert (streamed.text, streamed.tool_calls) == (whole.text, whole.tool_calls)
    assert streamed.usage == whole.usage
    assert streamed.usage.input_tokens
    assert streamed.first_token_us is not None


def test_tools_reach_the_model_and_its_calls_come_back(address: str) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "find_order", "arguments": '{"id": "K-12345"}'}}
    with serving(lambda h: h.send(completion(None, tool_calls=[call]))) as fake:
        reply = ask(gateway_to(address, upstream_of(fake)), "m", tools=TOOLS, seed=7)

    assert fake.asked[0].json()["tools"] == TOOLS
    assert fake.asked[0].json()["seed"] == 7
    assert reply.tool_calls[0]["function"]["arguments"] == '{"id": "K-12345"}'


def test_tools_are_called_in_a_stream_too(address: str) -> None:
    first = {"index": 0, "id": "c1", "type": "function", "function": {"name": "find_order", "arguments": '{"id"'}}
    rest = {"index": 0, "function": {"arguments": ': "K-12345"}'}}
    pieces = [event(choices=[{"index": 0, "delta": {"tool_calls": [part]}}]) for part in (first, rest)]
    end = event(choices=[{"index": 0, "delta": {}, "finish_reason": "tool_calls"}])
    usage = event(choices=[], usage={"prompt_tokens": 9, "completion_tokens": 4})
    with serving(lambda h: h.stream(*pieces, end, usage, DONE)) as fake:
        reply = ask(gateway_to(address, upstream_of(fake)), "m", tools=TOOLS, stream=True)

    assert [call["function"] for call in reply.tool_calls] == [{"name": "find_order", "arguments": '{"id": "K-12345"}'}]
    assert (reply.finish_reason, reply.usage.input_tokens, reply.usage.output_tokens) == ("tool_calls", 9, 4)
    assert fake.asked[0].json()["stream_options"] == {"include_usage": True}


def test_a_failure_that_passes_is_an_answer_whose_calls_are_counted(address: str) -> None:
    broken, limited = (lambda h: h.send({"error": {"message": "x"}}, status=500)), (lambda h: h.send(
        {"error": {"message": "slow down", "type": "rate_limit"}}, status=429, retry_after="0"))  # fmt: skip
    with serving(in_turn(broken, limited, lambda h: h.send(completion("at last")))) as fake:
        reply = ask(gateway_to(address, upstream_of(fake)), "m")

    assert (reply.text, reply.calls, len(fake.asked)) == ("at last", 3, 3)


def test_a_page_with_an_error_keeps_its_status(address: str) -> None:
    with serving(lambda h: h.send(b"<html>busy</html>", status=404, kind="text/html")) as fake:
        error = failure(gateway_to(address, upstream_of(fake)))

    assert (type(error), error.upstream_status) == (errors.Rejected, 404)
    assert "busy" in error.detail


def test_an_error_in_the_middle_of_a_stream_is_a_bad_answer(address: str) -> None:
    piece = event(choices=[{"index": 0, "delta": {"content": "half an"}}])
    with serving(lambda h: h.stream(piece, event(error={"message": "died", "type": "overloaded"}), DONE)) as fake:
        error = failure(gateway_to(address, upstream_of(fake)), stream=True)

    assert isinstance(error, errors.BadAnswer)


def test_a_gateway_that_refuses_a_request_itself_is_told_from_a_provider(address: str) -> None:
    error = failure(gateway_to(address, "http://10.0.0.1:9/v1"))  # it takes no private address but the loopback

    assert (type(error), error.upstream_status) == (errors.Rejected, 400)
    assert "Invalid custom host" in error.detail


def test_a_wrong_key_of_the_provider_is_a_refused_key(address: str, sandbox: Sandbox) -> None:
    error = failure(gateway_to(address, sandbox.url, key="wrong"), "aurora-large")

    assert (type(error), error.upstream_status, error.calls) == (errors.AuthRefused, 401, 1)


@pytest.mark.parametrize(("status", "kind"), [(429, errors.RateLimited), (500, errors.GatewayDown)])
def test_a_provider_that_fails_keeps_its_status_and_its_words(
    address: str, status: int, kind: type[errors.CallFailed]
) -> None:
    said = {"error": {"message": "the words of the provider", "type": "trouble", "code": "trouble"}}
    with serving(lambda h: h.send(said, status=status)) as fake:
        error = failure(gateway_to(address, upstream_of(fake)))

    assert (type(error), error.upstream_status) == (kind, status)
    assert "the words of the provider" in error.detail
    assert "the words of the provider" not in error.message
    assert error.calls == len(fake.asked) > 1


def test_repeats_of_the_gateway_itself_are_seen_by_the_provider_and_ours_are_counted(address: str) -> None:
    with serving(lambda h: h.send({"error": {"message": "x"}}, status=500)) as fake:
        retrying = gateway_to(address, upstream_of(fake), retry={"attempts": 1, "on_status_codes": [500]})
        error = failure(retrying, timeout_s=20)

    # each of our calls becomes two of the gateway's: that is why a replay's config should have no retry of its own
    assert len(fake.asked) == 2 * error.calls


def test_a_silent_provider_ends_in_our_time(address: str) -> None:
    with serving(lambda h: h.hang()) as fake:
        error = failure(gateway_to(address, upstream_of(fake)), timeout_s=0.5)

    assert isinstance(error, errors.TimedOut)
    assert len(fake.asked) == 1


def test_a_time_limit_of_the_gateway_is_a_time_out(address: str) -> None:
    with serving(lambda h: h.hang()) as fake:
        error = failure(gateway_to(address, upstream_of(fake), request_timeout=300))

    assert (type(error), error.upstream_status) == (errors.TimedOut, 408)


def test_a_page_in_place_of_an_answer_is_a_bad_answer(address: str) -> None:
    with serving(lambda h: h.send(b"<html>busy</html>", kind="text/html")) as fake:
        error = failure(gateway_to(address, upstream_of(fake)))

    assert isinstance(error, errors.BadAnswer)


def test_a_stream_that_breaks_off_is_a_bad_answer(address: str) -> None:
    piece = event(choices=[{"index": 0, "delta": {"content": "half an"}}])
    with serving(lambda h: h.stream(piece)) as fake:
        error = failure(gateway_to(address, upstream_of(fake)), stream=True)

    assert isinstance(error, errors.BadAnswer)


def test_the_model_asked_is_the_model_that_answers(address: str, sandbox: Sandbox) -> None:
    assert ask(gateway_to(address, sandbox.url), "aurora-large").model == "aurora-large"


def test_a_stream_in_many_pieces_is_one_answer(address: str) -> None:
    pieces = [event(choices=[{"index": 0, "delta": {"content": word}}]) for word in ("one ", "two ", "three")]
    end = event(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}])
    with serving(lambda h: h.stream(*pieces, end, DONE)) as fake:
        reply = ask(gateway_to(address, upstream_of(fake)), "m", stream=True)

    assert (reply.text, reply.finish_reason) == ("one two three", "stop")
