"""How many calls go to one provider at once."""

import asyncio
import threading
import time

import pytest

from ingestion.gateway import chat, patience
from ingestion.gateway.base import ChatRequest
from ingestion.gateway.lanes import Lane
from tests.ingestion.gateway.fake import Handler, completion, serving
from tests.loops import run_alone


def test_a_429_halves_the_room_once_a_round_and_answers_win_it_back() -> None:
    async def body() -> None:
        clock = [10.0]
        lane = Lane(lambda: clock[0], 8)
        lane.busy = 8
        lane.limited(began=9.0, retry_after_s=None)
        assert lane.limit == 4
        lane.limited(began=9.5, retry_after_s=None)  # was sent before the cut
        assert lane.limit == 4
        for _ in range(4):  # a round of four: 4 + 1/4 + 1/4.25 + 1/4.485 + 1/4.708 = 4.92
            lane.answered()
        assert lane.limit == pytest.approx(4.92, abs=0.01)
        for _ in range(100):
            lane.answered()
        assert lane.limit == 8
        for moment in range(20, 30):
            clock[0] = float(moment)
            lane.limited(began=clock[0], retry_after_s=None)
        assert lane.limit == 1

    run_alone(body())


def test_a_closed_lane_opens_when_it_was_told_to() -> None:
    async def run() -> float:
        lane = Lane(asyncio.get_running_loop().time, 4)
        began = time.monotonic()
        lane.limited(began=0.0, retry_after_s=0.2)
        await asyncio.wait_for(asyncio.gather(*(lane.enter() for _ in range(1))), 5)
        return time.monotonic() - began

    assert run_alone(run()) >= 0.2


def test_one_who_gives_up_waiting_passes_the_turn_on() -> None:
    async def run() -> None:
        lane = Lane(asyncio.get_running_loop().time, 1)
        await lane.enter()
        first, second = (asyncio.create_task(lane.enter()) for _ in range(2))
        await asyncio.sleep(0)
        lane.leave()
        first.cancel()
        await asyncio.wait_for(second, 5)
        assert lane.busy == 1

    run_alone(run())


def test_a_provider_with_little_room_answers_everything_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WAIT_INITIAL_S", "WAIT_MAX_S", "WAIT_JITTER_S"):
        monkeypatch.setattr(patience, name, 0.05)
    lock, busy = threading.Lock(), [0]

    def narrow(handler: Handler) -> None:
        with lock:
            busy[0] += 1
            refused = busy[0] > 3
        if not refused:
            time.sleep(0.03)
        handler.send(status=429, retry_after="0.05") if refused else handler.send(completion())
        with lock:
            busy[0] -= 1

    with serving(narrow) as fake, chat.ChatSession(fake.endpoint(), in_flight=24) as session:
        asked = [ChatRequest("m", {"messages": []}, f"t{i}", {}, 30, provider="narrow") for i in range(120)]
        sent = [session.submit(one) for one in asked]
        replies = [future.result(60) for future in sent]

    assert len(replies) == 120
    assert len(fake.asked) < 2 * 120  # without a lane every call would be refused again and again


def test_a_call_that_waits_for_room_can_be_withdrawn_and_one_that_was_sent_cannot() -> None:
    with serving(lambda h: h.hang()) as fake, chat.ChatSession(fake.endpoint(), in_flight=1) as session:
        first = session.submit(ChatRequest("m", {"messages": []}, "a", {}, 60))
        second = session.submit(ChatRequest("m", {"messages": []}, "b", {}, 60))
        while not fake.asked:
            time.sleep(0.01)

        assert session.withdraw(first) is False
        assert session.withdraw(second) is True
    assert len(fake.asked) == 1


def test_a_provider_that_says_too_many_stops_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WAIT_INITIAL_S", "WAIT_MAX_S", "WAIT_JITTER_S"):
        monkeypatch.setattr(patience, name, 0.05)
    answered = threading.Semaphore(0)

    def one_limits(handler: Handler) -> None:
        if handler.asked.json()["model"] == "busy":
            handler.send(status=429, retry_after="60")
        else:
            handler.send(completion())
            answered.release()

    with serving(one_limits) as fake, chat.ChatSession(fake.endpoint(), in_flight=4) as session:
        busy = [session.submit(_to("busy", i)) for i in range(30)]
        quick = [session.submit(_to("quick", i)) for i in range(30)]
        replies = [future.result(20) for future in quick]

        assert len(replies) == 30
        assert session.limited() == {"busy"}
        assert not any(future.done() for future in busy)  # told to come again in a minute
    assert sum(one.json()["model"] == "busy" for one in fake.asked) <= 4


def test_a_provider_gets_no_more_at_once_than_it_may() -> None:
    lock, now, most = threading.Lock(), [0], [0]

    def count(handler: Handler) -> None:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.02)
        with lock:
            now[0] -= 1
        handler.send(completion())

    few = {"narrow": 2}
    with serving(count) as fake, chat.ChatSession(fake.endpoint(), in_flight=8, by_provider=few) as session:
        [future.result(20) for future in [session.submit(_to("narrow", i)) for i in range(12)]]

    assert most[0] <= 2


def test_all_providers_together_get_no_more_at_once_than_there_may_be() -> None:
    lock, now, most = threading.Lock(), [0], [0]

    def count(handler: Handler) -> None:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.02)
        with lock:
            now[0] -= 1
        handler.send(completion())

    with serving(count) as fake, chat.ChatSession(fake.endpoint(), in_flight=3) as session:
        sent = [session.submit(_to(f"p{i % 4}", i)) for i in range(24)]
        [future.result(20) for future in sent]

    assert most[0] <= 3


def _to(provider: str, index: int) -> ChatRequest:
    return ChatRequest(provider, {"messages": []}, f"{provider}-{index}", {}, 120, provider=provider)
