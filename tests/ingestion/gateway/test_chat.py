"""Chat calls against a real server on loopback."""

import gc
import json
import logging
import threading
import time
from concurrent.futures import CancelledError, wait
from dataclasses import replace
from typing import Any

import pytest

from ingestion.gateway import chat, errors
from ingestion.gateway.base import ChatReply, ChatRequest, Endpoint, Usage
from tests.ingestion.gateway.fake import DONE, Answer, Fake, Handler, completion, event, in_turn, serving

QUESTION = "the secret question of a customer"


def request(**body: Any) -> ChatRequest:
    timeout_s = body.pop("timeout_s", 5.0)
    return ChatRequest(
        model="@openai/gpt-4o",
        body={"messages": [{"role": "user", "content": QUESTION}], **body},
        trace_id="trace-1",
        metadata={"agentopt": "évaluation"},
        timeout_s=timeout_s,
    )


def ask(fake: Fake, one: ChatRequest | None = None, **endpoint: str) -> ChatReply:
    with chat.ChatSession(fake.endpoint(**endpoint), in_flight=2) as session:
        return session.submit(one or request()).result(20)


def failure(answer: Answer, one: ChatRequest | None = None) -> tuple[errors.CallFailed, Fake]:
    with serving(answer) as fake, pytest.raises(errors.CallFailed) as caught:
        ask(fake, one)
    return caught.value, fake


def delta(finish: str | None = None, **fields: Any) -> bytes:
    return event(model="m-1", choices=[{"index": 0, "delta": fields, "finish_reason": finish}])


def test_an_answer_comes_back_with_text_usage_model_and_latency() -> None:
    with serving(lambda h: h.send(completion("hi"))) as fake:
        reply = ask(fake)

    assert (reply.text, reply.finish_reason, reply.model, reply.refusal) == ("hi", "stop", "gpt-4o-2024-08-06", None)
    assert reply.usage == Usage(11, 3, 5)
    assert 0 < reply.latency_us < 5_000_000
    assert (reply.first_token_us, reply.calls, reply.simulated) == (None, 1, False)


def test_a_request_is_sent_as_logged_with_the_model_asked_for() -> None:
    tools = [{"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}}]
    with serving(lambda h: h.send(completion())) as fake:
        ask(fake, request(tools=tools, temperature=0, model="the-logged-one", content=""))

    body = fake.asked[0].json()
    assert fake.paths() == ["POST /v1/chat/completions"]
    assert body["model"] == "@openai/gpt-4o"
    assert (body["tools"], body["temperature"], body["content"]) == (tools, 0, "")
    assert "trace_id" not in body
    assert "metadata" not in body


def test_trap_5_and_6_every_call_carries_trace_id_and_metadata_as_headers() -> None:
    with serving(in_turn(lambda h: h.send(b"", status=500), lambda h: h.send(completion()))) as fake:
        ask(fake)

    assert [one.headers["x-portkey-trace-id"] for one in fake.asked] == ["trace-1", "trace-1"]
    raw = fake.asked[0].headers["x-portkey-metadata"]
    assert raw.isascii()
    assert json.loads(raw) == {"agentopt": "évaluation"}


def test_a_call_without_a_trace_id_is_refused() -> None:
    with serving(lambda h: h.send(completion())) as fake, pytest.raises(ValueError, match="trace id"):
        ask(fake, ChatRequest("m", {"messages": []}, "", {}, 1))

    assert fake.asked == []


@pytest.mark.parametrize(
    ("auth_header", "name", "value"),
    [
        ("x-portkey-api-key", "x-portkey-api-key", "pk-secret-key"),
        ("Authorization", "authorization", "Bearer pk-secret-key"),
        ("x-gateway-key", "x-gateway-key", "pk-secret-key"),
    ],
)
def test_only_the_configured_header_carries_the_key(
    auth_header: str, name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-of-the-machine")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-machine")
    with serving(lambda h: h.send(completion())) as fake:
        ask(fake, auth_header=auth_header)

    headers = fake.asked[0].headers
    assert headers[name] == value
    assert [key for key, text in headers.items() if "pk-secret-key" in text] == [name]
    assert not any("OPENAI" in text or "of-the-machine" in text for text in headers.values())
    assert not any(key.startswith("openai") for key in headers)


def test_a_config_goes_with_a_call_and_an_absent_one_does_not() -> None:
    with serving(lambda h: h.send(completion())) as fake:
        for config in ("pc-1", ""):
            endpoint = replace(fake.endpoint(), config=config)
            with chat.ChatSession(endpoint, in_flight=1) as session:
                session.submit(request()).result(10)

    assert [asked.headers.get("x-portkey-config") for asked in fake.asked] == ["pc-1", None]


def test_trap_1_and_3_a_call_that_hangs_ends_in_time_and_is_sent_once() -> None:
    began = time.monotonic()

    error, fake = failure(lambda h: h.hang(), request(timeout_s=0.3))

    assert isinstance(error, errors.TimedOut)
    assert time.monotonic() - began < 3
    assert (error.calls, len(fake.asked), error.upstream_status) == (1, 1, None)


def test_trap_2_a_408_of_the_gateway_is_a_time_out_and_sent_once() -> None:
    error, fake = failure(lambda h: h.send({"error": {"type": "timeout_error"}}, status=408))

    assert isinstance(error, errors.TimedOut)
    assert len(fake.asked) == 1


def test_trap_4_a_429_is_repeated_after_the_time_it_asks_for() -> None:
    began = time.monotonic()
    with serving(in_turn(lambda h: h.send(status=429, retry_after="0.4"), lambda h: h.send(completion()))) as fake:
        reply = ask(fake)

    assert reply.calls == 2
    assert time.monotonic() - began >= 0.4


def test_a_429_that_asks_for_more_time_than_there_is_fails_at_once() -> None:
    error, fake = failure(lambda h: h.send(status=429, retry_after="60"), request(timeout_s=2))

    assert isinstance(error, errors.RateLimited)
    assert (error.retry_after_s, error.calls, len(fake.asked)) == (60, 1, 1)


@pytest.mark.parametrize(("retry_after", "kind"), [("1.6", errors.RateLimited), ("0.1", errors.TimedOut)])
def test_a_time_out_is_the_models_only_if_its_last_turn_had_half_of_the_time(
    retry_after: str, kind: type[errors.CallFailed]
) -> None:
    limited = in_turn(lambda h: h.send(status=429, retry_after=retry_after), lambda h: h.hang())

    error, fake = failure(limited, request(timeout_s=2.4))

    assert type(error) is kind
    assert (error.calls, len(fake.asked)) == (2, 2)


def test_a_5xx_is_repeated_a_bounded_number_of_times() -> None:
    error, fake = failure(lambda h: h.send({"error": {"message": "boom"}}, status=502))

    assert isinstance(error, errors.GatewayDown)
    assert (error.calls, len(fake.asked), error.upstream_status) == (4, 4, 502)


def test_the_deadline_covers_all_repeats() -> None:
    def slow(handler: Handler) -> None:
        time.sleep(0.2)
        handler.send(status=500)

    error, fake = failure(slow, request(timeout_s=0.5))

    assert isinstance(error, errors.TimedOut)
    assert "gateway_down" in str(error)
    assert len(fake.asked) < 4


def test_a_connection_that_breaks_is_repeated() -> None:
    with serving(in_turn(lambda h: h.disconnect(), lambda h: h.send(completion()))) as fake:
        reply = ask(fake)

    assert reply.calls == 2


def test_nobody_listening_is_a_gateway_that_is_down() -> None:
    endpoint = Endpoint("http://127.0.0.1:9/v1", "http://127.0.0.1:9/v1", "x-portkey-api-key", "k")

    with (
        chat.ChatSession(endpoint, in_flight=1) as session,
        pytest.raises(errors.GatewayDown, match="reached") as caught,
    ):
        session.submit(request()).result(10)

    assert caught.value.__cause__ is None


def test_a_private_address_is_refused_unless_it_is_allowed(settings: Any) -> None:
    settings.ALLOW_PRIVATE_ADDRESSES = False

    error, fake = failure(lambda h: h.send(completion()))

    assert isinstance(error, errors.AddressRefused)
    assert "ALLOW_PRIVATE_ADDRESSES" in str(error)
    assert fake.asked == []


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.Rejected), (401, errors.AuthRefused), (403, errors.AuthRefused), (404, errors.Rejected),
        (412, errors.Rejected), (422, errors.Rejected), (446, errors.Rejected), (302, errors.Rejected),
    ],
)  # fmt: skip
def test_a_4xx_is_never_repeated(status: int, kind: type[errors.CallFailed]) -> None:
    body = {"error": {"message": f"openai error: {QUESTION}", "type": "invalid_request", "code": "model_not_found"}}

    error, fake = failure(lambda h: h.send(body, status=status, location="/elsewhere"))

    assert type(error) is kind
    assert (error.upstream_status, error.provider_code, len(fake.asked)) == (status, "model_not_found", 1)
    assert error.status in (502, 503, 504)  # what our own API answers is never the gateway's status


def test_the_providers_words_and_the_key_stay_out_of_texts_and_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    body = {"error": {"message": f"{QUESTION} pk-secret-key" * 50, "code": QUESTION}}

    error, _fake = failure(lambda h: h.send(body, status=400))

    assert QUESTION in error.detail
    assert len(error.detail) == 300
    for text in (str(error), repr(error), caplog.text, repr(request()), repr(_fake.endpoint())):
        assert QUESTION not in text
        assert "pk-secret-key" not in text
    assert error.__cause__ is None


@pytest.mark.parametrize(
    ("raw", "kind", "word"),
    [
        (b"", "text/html", "nothing"),
        (b"<html>Welcome</html>", "text/html", "HTML"),
        (b'{"html-message": "<html>x</html>"}', "application/json", "no chat completion"),
        (b'{"choices": null, "usage": null}', "application/json", "no chat completion"),
        (b'{"choices": []}', "application/json", "no chat completion"),
        (b'{"choices": [{"finish_reason": "stop"}]}', "application/json", "no chat completion"),
        (b'{"error": {"message": "x", "code": "overloaded"}}', "application/json", "an error (overloaded)"),
        (b'{"choices": [{"mess', "application/json", "no chat completion"),
        (b"\xff\xfe", "application/json", "no chat completion"),
    ],
)
def test_trap_7_a_200_that_is_no_completion_is_a_bad_answer_after_one_repeat(raw: bytes, kind: str, word: str) -> None:
    error, fake = failure(lambda h: h.send(raw, kind=kind))

    assert isinstance(error, errors.BadAnswer)
    assert word in str(error)
    assert (error.calls, len(fake.asked)) == (2, 2)


def test_trap_7_an_html_page_once_is_forgiven() -> None:
    with serving(in_turn(lambda h: h.send(b"<html>", kind="text/html"), lambda h: h.send(completion()))) as fake:
        assert ask(fake).calls == 2


def test_an_empty_answer_of_the_model_is_an_answer() -> None:
    with serving(lambda h: h.send(completion(None))) as fake:
        assert ask(fake).text == ""


def test_tool_calls_refusal_and_content_parts_are_kept() -> None:
    calls = [{"id": "t1", "type": "function", "function": {"name": "find", "arguments": "{}"}}]
    content = [{"type": "text", "text": "a"}, {"type": "image_url"}, {"type": "text", "text": "b"}]
    with serving(lambda h: h.send(completion(content, tool_calls=calls, refusal="I cannot"))) as fake:  # type: ignore[arg-type]
        reply = ask(fake)

    assert (reply.text, reply.tool_calls, reply.refusal) == ("ab", tuple(calls), "I cannot")


def test_missing_usage_is_unknown_and_not_zero() -> None:
    body = {**completion(), "usage": None}
    with serving(lambda h: h.send(body)) as fake:
        assert ask(fake).usage == Usage(None, None, None)


def test_a_reply_that_is_too_large_is_refused_and_not_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat, "MAX_REPLY_BYTES", 100_000)

    error, fake = failure(lambda h: h.send(completion("x" * 200_000)))

    assert isinstance(error, errors.BadAnswer)
    assert "larger" in str(error)
    assert len(fake.asked) == 1


def test_the_sandbox_header_marks_replies_and_failures() -> None:
    with serving(lambda h: h.send(completion(), x_agentopt_sandbox="1")) as fake:
        assert ask(fake).simulated

    error, _fake = failure(lambda h: h.send(status=400, x_agentopt_sandbox="1"))

    assert error.simulated


def test_a_stream_is_put_together_however_it_is_cut() -> None:
    usage = {"prompt_tokens": 7, "completion_tokens": 2}
    whole = b": comment\r\n\r\n" + delta(role="assistant", content="") + delta(content="Grüß ") + delta(content="dich")
    whole += delta("stop") + event(model="m-1", choices=[], usage=usage) + DONE
    with serving(lambda h: h.stream(*(bytes([byte]) for byte in whole))) as fake:
        reply = ask(fake, request(stream=True))

    assert (reply.text, reply.finish_reason, reply.model) == ("Grüß dich", "stop", "m-1")
    assert reply.usage == Usage(7, 2, None)
    assert reply.first_token_us is not None
    assert 0 < reply.first_token_us <= reply.latency_us
    assert fake.asked[0].json()["stream_options"] == {"include_usage": True}


def test_tool_calls_of_a_stream_are_joined() -> None:
    first = {"index": 0, "id": "t1", "type": "function", "function": {"name": "find", "arguments": '{"a"'}}
    pieces = [
        delta(tool_calls=[first]),
        delta(tool_calls=[{"index": 0, "function": {"arguments": ": 1}"}}]),
        delta(tool_calls=[{"index": 1, "id": "t2", "type": "function", "function": {"name": "g", "arguments": "{}"}}]),
        delta("tool_calls"),
        DONE,
    ]
    with serving(lambda h: h.stream(*pieces)) as fake:
        reply = ask(fake, request(stream=True))

    assert [call["id"] for call in reply.tool_calls] == ["t1", "t2"]
    assert reply.tool_calls[0]["function"] == {"name": "find", "arguments": '{"a": 1}'}
    assert reply.finish_reason == "tool_calls"


@pytest.mark.parametrize(
    "pieces",
    [
        (delta(content="half an"),),
        (delta(content="half an"), b"data: {not json}\n\n", DONE),
        (delta(content="half an"), event(error={"message": QUESTION, "code": "overloaded"})),
        (),
    ],
    ids=["cut", "garbage", "error", "empty"],
)
def test_a_broken_stream_is_a_bad_answer(pieces: tuple[bytes, ...]) -> None:
    error, _fake = failure(lambda h: h.stream(*pieces), request(stream=True))

    assert isinstance(error, errors.BadAnswer)
    assert QUESTION not in str(error)


def test_a_stream_request_answered_whole_is_read_all_the_same() -> None:
    with serving(lambda h: h.send(completion("whole"))) as fake:
        reply = ask(fake, request(stream=True))

    assert (reply.text, reply.first_token_us) == ("whole", None)


def test_half_a_surrogate_pair_in_a_logged_prompt_is_sent_as_it_was() -> None:
    with serving(lambda h: h.send(completion())) as fake:
        ask(fake, request(messages=[{"role": "user", "content": "cut \ud83d"}]))

    assert fake.asked[0].json()["messages"][0]["content"] == "cut \ud83d"


def test_at_most_the_given_number_of_calls_is_in_flight() -> None:
    now, most = [0], [0]

    def answer(handler: Handler) -> None:
        now[0] += 1
        most[0] = max(most[0], now[0])
        time.sleep(0.05)
        now[0] -= 1
        handler.send(completion())

    with serving(answer) as fake, chat.ChatSession(fake.endpoint(), in_flight=3) as session:
        wait([session.submit(request()) for _ in range(12)])

    assert 1 <= most[0] <= 3


def test_what_was_there_before_is_not_walked_through_for_cycles_while_calls_are_out() -> None:
    before = gc.get_freeze_count()
    with serving(lambda h: h.send(completion())) as fake, chat.ChatSession(fake.endpoint(), in_flight=1) as session:
        session.submit(request()).result(10)

        assert gc.get_freeze_count() > before + 10_000  # Django alone is more than that

    assert gc.get_freeze_count() == before


def test_a_session_goes_on_after_a_failed_call() -> None:
    turns = in_turn(lambda h: h.send(status=400), lambda h: h.send(completion("second")))
    with serving(turns) as fake, chat.ChatSession(fake.endpoint(), in_flight=1) as session:
        first, second = session.submit(request()), session.submit(request())

        assert isinstance(first.exception(10), errors.Rejected)
        assert second.result(10).text == "second"


def test_leaving_a_session_cancels_what_is_queued_or_in_flight() -> None:
    with serving(lambda h: h.hang()) as fake:
        with chat.ChatSession(fake.endpoint(), in_flight=1) as session:
            flying, queued = session.submit(request(timeout_s=60)), session.submit(request(timeout_s=60))
            while not fake.asked:
                time.sleep(0.01)
            began = time.monotonic()

        assert time.monotonic() - began < 3
        for future in (flying, queued):
            with pytest.raises(CancelledError):
                future.result(0)
        with pytest.raises(RuntimeError, match="closed"):
            session.submit(request())


def test_an_exception_inside_the_block_comes_out_and_the_thread_ends() -> None:
    futures = []

    def fail(fake: Fake) -> None:
        with chat.ChatSession(fake.endpoint(), in_flight=1) as session:
            futures.append(session.submit(request(timeout_s=60)))
            raise KeyError(session._thread.name)

    with serving(lambda h: h.hang()) as fake, pytest.raises(KeyError, match="gateway-chat"):
        fail(fake)

    assert futures[0].cancelled()
    assert not any(thread.name == "gateway-chat" for thread in threading.enumerate())


def test_a_cancelled_call_in_the_queue_is_never_sent() -> None:
    def slow(handler: Handler) -> None:
        time.sleep(0.2)
        handler.send(completion())

    with serving(slow) as fake, chat.ChatSession(fake.endpoint(), in_flight=1) as session:
        first, second = session.submit(request()), session.submit(request())
        second.cancel()
        first.result(10)

    assert len(fake.asked) == 1
