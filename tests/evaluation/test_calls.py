"""The loop that sends requests: it stops when it must, and stores whatever was paid."""

import itertools
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from agentopt.sandbox.server import Sandbox, running
from evaluation import calls
from evaluation.calls import Ask, End, Ended, Finished, Limits
from ingestion.gateway import ChatRequest, ChatSession, open_gateway, patience
from projects.models import Connection
from tests.evaluation import studies
from tests.ingestion.gateway.fake import Handler, completion, serving

pytestmark = pytest.mark.django_db


def ask(index: int, *, model: str = "corvus-medium", estimate: int | None = None) -> Ask[int]:
    body = {"messages": [{"role": "user", "content": f"Question {index}"}]}
    return Ask(index, ChatRequest(model, body, f"calls-{index}-{time.monotonic_ns()}", {}, 20), estimate)


def limits(**given: Any) -> Limits:
    usual = {"cap_nanousd": 10**12, "spent_nanousd": 0, "deadline": time.monotonic() + 60, "beat": lambda: True}
    return Limits(**{**usual, "concurrency": 4, **given})


def send(
    url: str, asks: Iterator[Ask[int] | None], limit: Limits, *, key: str = studies.KEY, price: int = 0
) -> tuple[Ended[int], list[Finished[int]]]:
    stored: list[Finished[int]] = []
    with open_gateway(Connection(base_url=url, api_key=key)).chat(in_flight=limit.concurrency) as session:
        return calls.send(session, asks, store=stored.extend, cost=lambda _: price, limits=limit), stored


def test_every_request_is_answered_and_stored_once(sandbox: Sandbox) -> None:
    ended, stored = send(sandbox.url, (ask(i) for i in range(25)), limits())

    assert ended.end == End.DONE
    assert sorted(finished.about for finished in stored) == list(range(25))
    assert all(finished.reply is not None and finished.calls == 1 for finished in stored)


def test_the_cap_is_passed_by_the_calls_in_flight_at_most(sandbox: Sandbox) -> None:
    sent = sandbox.chat_calls

    ended, stored = send(sandbox.url, (ask(i) for i in range(50)), limits(cap_nanousd=1000), price=100)

    assert ended.end == End.AT_CAP
    assert 10 <= len(stored) <= 10 + 3
    assert sandbox.chat_calls - sent == len(stored)


def test_known_prices_keep_the_cap_to_the_call(sandbox: Sandbox) -> None:
    ended, stored = send(sandbox.url, (ask(i, estimate=100) for i in range(50)), limits(cap_nanousd=1000), price=100)

    assert ended.end == End.AT_CAP
    assert len(stored) == 10


def test_at_the_deadline_nothing_more_is_sent_and_what_is_in_flight_is_stored(sandbox: Sandbox) -> None:
    limit = limits(deadline=time.monotonic() + 0.2)

    def slow() -> Iterator[Ask[int]]:
        for i in range(1000):
            time.sleep(0.02)
            yield ask(i)

    sent = sandbox.chat_calls
    ended, stored = send(sandbox.url, slow(), limit)

    assert ended.end == End.DEADLINE
    assert 4 <= len(stored) < 20
    assert sandbox.chat_calls - sent == len(stored)


def test_the_next_round_is_prepared_while_one_is_in_flight() -> None:
    """The upstream answers nothing until the whole second round has been prepared."""
    prepared = threading.Event()

    def asks() -> Iterator[Ask[int]]:
        for i in range(8):
            if i == 7:
                prepared.set()
            yield ask(i)

    stored: list[Finished[int]] = []
    with (
        serving(lambda handler: handler.send(completion(), status=200 if prepared.wait(10) else 404)) as fake,
        ChatSession(fake.endpoint(), in_flight=4) as session,
    ):
        calls.send(session, asks(), store=stored.extend, cost=lambda _: 0, limits=limits())

    assert [one.error for one in stored] == [None] * 8


def test_the_room_that_replies_leave_is_filled_while_answers_are_stored() -> None:
    """The second round is answered once the first is being stored, which lasts until calls of the third come."""
    storing, third, asked = threading.Event(), threading.Event(), itertools.count(1)

    def reply(handler: Handler) -> None:
        number = next(asked)
        if number > 4:
            storing.wait(10)
        if number > 8:
            third.set()
        handler.send(completion())

    stored: list[Finished[int]] = []

    def store(batch: list[Finished[int]]) -> None:
        storing.set()
        assert third.wait(10)
        stored.extend(batch)

    with serving(reply) as fake, ChatSession(fake.endpoint(), in_flight=4) as session:
        asks = (ask(i, estimate=1) for i in range(16))
        ended = calls.send(session, asks, store=store, cost=lambda _: 1, limits=limits())

    assert (ended.end, len(stored)) == (End.DONE, 16)


def test_nothing_is_held_ready_where_the_cap_is_near(sandbox: Sandbox) -> None:
    """Answers cost twice what was estimated: only calls that were in flight pass the cap, none that waited."""
    sent = sandbox.chat_calls

    ended, stored = send(sandbox.url, (ask(i, estimate=50) for i in range(200)), limits(cap_nanousd=5000), price=100)

    assert ended.end == End.AT_CAP
    assert 50 <= len(stored) <= 50 + 3
    assert sandbox.chat_calls - sent == len(stored)


def test_a_stop_is_heard_between_chunks_in_which_there_was_nothing_to_ask(sandbox: Sandbox) -> None:
    turns = 0

    def all_answered_before() -> Iterator[Ask[int] | None]:
        nonlocal turns
        while True:
            turns += 1
            time.sleep(0.05)
            yield None

    ended, stored = send(sandbox.url, all_answered_before(), limits(beat=lambda: False))

    assert (ended.end, stored) == (End.STOPPED, [])
    assert turns < 50


def test_a_stop_and_an_error_of_the_beat_keep_what_was_paid(sandbox: Sandbox) -> None:
    def refuse() -> bool:
        raise KeyError("another worker has it")

    stored: list[Finished[int]] = []

    def endless() -> Iterator[Ask[int]]:
        for i in range(10_000):
            time.sleep(0.01)
            yield ask(i)

    stopped, kept = send(sandbox.url, endless(), limits(beat=lambda: False))
    sent = sandbox.chat_calls
    with (
        open_gateway(Connection(base_url=sandbox.url, api_key=studies.KEY)).chat(in_flight=4) as session,
        pytest.raises(KeyError),
    ):
        calls.send(session, endless(), store=stored.extend, cost=lambda _: 0, limits=limits(beat=refuse))

    assert stopped.end == End.STOPPED
    assert kept
    assert sandbox.chat_calls - sent == len(stored) > 0


def test_a_refused_key_stops_at_once_and_stores_nothing(sandbox: Sandbox) -> None:
    ended, stored = send(sandbox.url, (ask(i) for i in range(100)), limits(), key="no-such-key")

    assert ended.end == End.UNREACHABLE
    assert stored == []
    assert len(ended.held) <= 8
    assert ended.error is not None
    assert ended.error.code == "auth_refused"


def test_a_failing_model_is_stored_and_does_not_stop_the_others(sandbox: Sandbox) -> None:
    asks = (ask(i, model="fault-html" if i % 2 else "corvus-medium") for i in range(6))

    ended, stored = send(sandbox.url, asks, limits())

    assert ended.end == End.DONE
    assert {finished.about for finished in stored if finished.error is not None} == {1, 3, 5}


def test_without_a_connection_it_gives_up_and_holds_what_was_not_asked(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("WAIT_INITIAL_S", "WAIT_MAX_S", "WAIT_JITTER_S"):
        monkeypatch.setattr(patience, name, 0.01)
    with running() as gone:
        url = gone.url

    ended, stored = send(url, (ask(i) for i in range(100)), limits(concurrency=16))

    assert ended.end == End.UNREACHABLE
    assert stored == []
    assert all(finished.is_ours for finished in ended.held)
    assert len(ended.held) <= 8 + 16


def test_past_its_deadline_a_slice_still_sends_one_round(sandbox: Sandbox) -> None:
    ended, stored = send(sandbox.url, (ask(i) for i in range(50)), limits(deadline=time.monotonic() - 1))

    assert ended.end == End.DEADLINE
    assert len(stored) == 4


def test_a_provider_that_limits_the_rate_does_not_hold_back_the_others() -> None:
    """Of two providers in turns one answers 429 for a minute: all calls to the other are answered meanwhile."""

    def one_limits(handler: Handler) -> None:
        busy = handler.asked.json()["model"] == "busy"
        handler.send(status=429, retry_after="60") if busy else handler.send(completion())

    def asks() -> Iterator[Ask[str]]:
        for i in range(80):
            provider = ("busy", "quick")[i % 2]
            request = ChatRequest(provider, {"messages": []}, f"{provider}-{i}", {}, 60, provider=provider)
            yield Ask(provider, request)

    stored: list[str] = []
    with serving(one_limits) as fake, ChatSession(fake.endpoint(), in_flight=4) as session:

        def store(batch: list[Finished[str]]) -> None:
            stored.extend(one.about for one in batch)

        # a person stops it once the other provider's calls are through: what waits for the busy one is withdrawn
        limit = limits(beat=lambda: stored.count("quick") < 40)
        limit.deadline = time.monotonic() + 30
        ended = calls.send(session, asks(), store=store, cost=lambda _: 0, limits=limit)

    assert stored == ["quick"] * 40
    assert ended.end == End.STOPPED
