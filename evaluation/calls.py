"""The one loop that sends requests: bounded, stopped by cap, deadline or a person, never losing a paid answer.

Errors that are ours (a refused key, no connection, a quota) are held back instead of stored: one after another they
mean that nothing can be asked now, and an evaluation must not fill with rows that say so.
"""

import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from enum import StrEnum
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

from agentopt.lib.errors import GatewayError
from evaluation.budget import Budget, Shortage
from evaluation.purse import Purse, Settled
from ingestion.gateway import ChatReply, ChatRequest, ChatSession
from ingestion.gateway.errors import AddressRefused, AuthRefused, GatewayDown, RateLimited

P = TypeVar("P")
T = TypeVar("T")

MOST_ASIDE = 500  # calls taken that wait for their provider
STORE_EVERY_S = 0.25
MOST_STORED_AT_ONCE = 200
IDLE_S = 1.0
# After so long without a reply there is time for the database: replies come in bursts, and each one frees room that
# stands empty until the next call is sent.
LULL_S = 0.005
_TIMES_ESTIMATE = 4  # answers are rarely that much longer than the logged ones
_SMALLEST_CHUNK, _LARGEST_CHUNK = 50, 200
# So many of our own errors in a row and nothing more is sent; the gateway retried each of them already.
HOPELESS_AFTER = 8


class End(StrEnum):
    """Why the loop ended."""

    DONE = "done"
    AT_CAP = "at_cap"
    DEADLINE = "deadline"
    STOPPED = "stopped"  # by a person, or because the work is another worker's now
    UNREACHABLE = "unreachable"


@dataclass(frozen=True)
class Ask(Generic[T]):
    """A request to send; `about` finds its place when the reply is there."""

    about: T
    request: ChatRequest
    estimate_nanousd: int | None = None  # None: not known, counts nothing against the cap


@dataclass(frozen=True)
class Finished(Generic[T]):
    """What came of a request: a reply or an error, one of them."""

    about: T
    reply: ChatReply | None
    error: GatewayError | None

    @property
    def calls(self) -> int:
        """HTTP requests that were sent, retries included."""
        return int(self.reply.calls if self.reply is not None else getattr(self.error, "calls", 0))

    @property
    def is_ours(self) -> bool:
        """Tell whether the call failed for a reason that says nothing about the model."""
        unconnected = isinstance(self.error, GatewayDown) and self.error.upstream_status is None
        return unconnected or isinstance(self.error, AuthRefused | RateLimited)

    @property
    def is_hopeless(self) -> bool:
        """Tell whether no other call could fare better: the key itself was refused, or the address."""
        refused = isinstance(self.error, AuthRefused) and self.error.upstream_status == 401
        return refused or isinstance(self.error, AddressRefused)


@dataclass(frozen=True)
class Ended(Generic[T]):
    """How a run of the loop ended; `held` are the calls that failed by our own fault and were not stored."""

    end: End
    held: tuple[Finished[T], ...] = ()
    error: GatewayError | None = None


@dataclass
class Limits:
    """When no more is sent: money, time, a person. `spent_nanousd` is kept up with each reply."""

    cap_nanousd: int
    spent_nanousd: int
    deadline: float  # of time.monotonic()
    beat: Callable[[], bool]  # says how far it is and that it lives; False: stop
    concurrency: int  # calls at once; the session has been told the same
    to_do: int = 0  # places that waited when the present step began
    stored: int = 0  # of them, by now
    purse: Purse | None = None  # the caps that others share; None: this loop is alone

    def allow(self, estimate_nanousd: int | None, *, in_flight_nanousd: int) -> bool:
        """Tell whether the cap holds with one more call of this price."""
        budget = Budget(self.cap_nanousd, self.spent_nanousd)
        # at the cap itself nothing more is sent, not even what looks free: an unknown price is not a price of 0
        if self.spent_nanousd >= self.cap_nanousd or not budget.allows(estimate_nanousd, in_flight_nanousd):
            return False
        return self.purse is None or self.purse.take(estimate_nanousd)

    def is_near(self, *, in_flight_nanousd: int) -> bool:
        """Tell whether calls that cost some times their estimates would pass a cap."""
        is_near = self.spent_nanousd + _TIMES_ESTIMATE * in_flight_nanousd > self.cap_nanousd
        return is_near or (self.purse is not None and self.purse.is_short)

    @property
    def shortage(self) -> Shortage | None:
        """The shared cap that refused the last call; None: it was this evaluation's own in dollars, or none."""
        return self.purse.shortage if self.purse is not None else None


@dataclass
class _Loop(Generic[T]):
    session: ChatSession
    store: Callable[[list[Finished[T]]], None]
    cost: Callable[[Finished[T]], int | None]
    limits: Limits
    settled: list[Settled] = field(default_factory=list)  # since the last batch was stored
    done: "SimpleQueue[tuple[Ask[T], Future[ChatReply]]]" = field(default_factory=SimpleQueue)
    prepared: deque[Ask[T]] = field(default_factory=deque)  # to be sent as soon as there is room
    starved: bool = False  # there is room, and nothing prepared
    exhausted: bool = False  # all asks are taken
    ready: list[Finished[T]] = field(default_factory=list)
    held: list[Finished[T]] = field(default_factory=list)
    open: "set[Future[ChatReply]]" = field(default_factory=set)
    aside: dict[str, deque[Ask[T]]] = field(default_factory=dict)  # by provider, until it has room
    n_aside: int = 0
    by_provider: Counter[str] = field(default_factory=Counter)  # submitted and not over
    sent: int = 0
    in_flight: int = 0  # with the session: on their way, or held ready by it
    in_flight_nanousd: int = 0
    streak: int = 0
    end: End | None = None
    raised: Exception | None = None
    batch_began: float = 0.0  # when the first of the calls settled came back
    beat_at: float = field(default_factory=time.monotonic)

    def run(self, asks: Iterator[Ask[T] | None]) -> Ended[T]:
        is_quiet = True
        while True:
            if self.end is None:
                self._feed()
            if is_quiet or self._presses():
                self._catch_up(asks)
            if not self.in_flight and (self.end is not None or self._is_through()):
                break
            ending = self.end is not None
            is_quiet = not self._collect()
            self._tick()
            if ending or self._is_spent():
                self._withdraw()
        self._flush()
        if self.raised is not None:
            raise self.raised
        error = self.held[-1].error if self.held else None
        return Ended(self.end or End.DONE, tuple(self.held), error)

    def _is_spent(self) -> bool:
        return self.limits.spent_nanousd >= self.limits.cap_nanousd

    def _withdraw(self) -> None:
        """Take back what the session holds ready, unless the cap has room for it and there is time."""
        if self.end is not End.AT_CAP or self._is_spent() or time.monotonic() >= self.limits.deadline:
            for future in list(self.open):
                self.session.withdraw(future)

    def _is_through(self) -> bool:
        return self.exhausted and not self.prepared and not self.n_aside

    # ------------------------------------------------------------------------------------------ what takes long
    def _presses(self) -> bool:
        """Tell whether what takes long cannot wait for a lull."""
        return (self.starved and self.end is None) or self._is_due(2 * STORE_EVERY_S)

    def _is_due(self, after_s: float = STORE_EVERY_S) -> bool:
        """Tell whether a batch should be stored."""
        is_old = bool(self.settled) and time.monotonic() - self.batch_began >= after_s
        return is_old or len(self.ready) >= MOST_STORED_AT_ONCE

    def _wants_more(self) -> bool:
        return self.end is None and not self.exhausted and len(self.prepared) < self.limits.concurrency

    def _catch_up(self, asks: Iterator[Ask[T] | None]) -> None:
        """Store what is due or prepare the next calls, one of them; where there is room already, rather the calls."""
        if self._is_due(STORE_EVERY_S * (2 if self.starved else 1)):
            self._flush()
            return
        self.starved = False
        while self._wants_more():
            try:
                ask = next(asks)
            except StopIteration:
                self.exhausted = True
                return
            if ask is None:
                return
            self.prepared.append(ask)

    # ------------------------------------------------------------------------------------------ sending
    def _feed(self) -> None:
        while True:
            # a first round always goes out, or slices that come late would never get anywhere
            began = max(self.sent, self.limits.stored) >= self.limits.concurrency
            if began and time.monotonic() >= self.limits.deadline:
                self.end = End.DEADLINE
                return
            ask = self._next()
            if ask is None:
                return
            if not self._allows(ask):
                self.end = End.AT_CAP
                return
            self._submit(ask)

    def _next(self) -> Ask[T] | None:
        """The next call there is room for; None: there is no room now, or nothing prepared.

        Calls to a provider that limits the rate take no room from the others: of those no more than what the session
        holds for one waits in it, and further ones that come along are set aside.
        """
        limited = self.session.limited()
        for provider, waiting in self.aside.items():
            most = self._most(waiting[0]) if waiting else 0
            if self.by_provider[provider] < most and (provider in limited or self._freely(limited) < most):
                self.n_aside -= 1
                return waiting.popleft()
        while self.n_aside < MOST_ASIDE:
            if not self.prepared:
                self.starved = not self.exhausted and self._freely(limited) < self.limits.concurrency
                return None
            most = self._most(self.prepared[0])
            if self._freely(limited) >= most:
                return None
            ask = self.prepared.popleft()
            provider = ask.request.provider
            if self.by_provider[provider] < most and not self.aside.get(provider):
                return ask
            self.aside.setdefault(provider, deque()).append(ask)
            self.n_aside += 1
        return None

    def _most(self, ask: Ask[T]) -> int:
        """How many calls the session may hold with this one: more than it sends at once, by half.

        So the room a reply leaves is filled at once, whatever this thread is busy with. Not so where a cap is near or
        the price is not known: there each call waits until the cost of the one before is counted.
        """
        n = self.limits.concurrency
        if ask.estimate_nanousd is None or self.limits.is_near(in_flight_nanousd=self.in_flight_nanousd):
            return n
        return n + n // 2

    def _freely(self, limited: Collection[str]) -> int:
        """Calls in flight to providers that limit nothing."""
        return self.in_flight - sum(self.by_provider[provider] for provider in limited)

    def _allows(self, ask: Ask[T]) -> bool:
        if self.limits.allow(ask.estimate_nanousd, in_flight_nanousd=self.in_flight_nanousd):
            return True
        if not self.settled:
            return False
        self._flush()  # calls that are over may have cost less than the room they had
        return self.limits.allow(ask.estimate_nanousd, in_flight_nanousd=self.in_flight_nanousd)

    def _submit(self, ask: Ask[T]) -> None:
        self.sent += 1
        self.in_flight += 1
        self.in_flight_nanousd += ask.estimate_nanousd or 0
        self.by_provider[ask.request.provider] += 1
        future = self.session.submit(ask.request)
        self.open.add(future)
        future.add_done_callback(lambda settled: self.done.put((ask, settled)))

    def _collect(self) -> bool:
        """Take the replies that are there, or wait for one as long as nothing else is to be done; False: none came."""
        came = False
        try:
            self._take(*self.done.get(timeout=self._wait_s()))
            came = True
            while len(self.ready) < MOST_STORED_AT_ONCE:
                self._take(*self.done.get_nowait())
        except Empty:
            pass
        return came

    def _wait_s(self) -> float:
        if not self.in_flight or self.starved:
            return 0.0
        if self._is_due() or self._wants_more():
            return LULL_S
        return max(0.0, self.batch_began + STORE_EVERY_S - time.monotonic()) if self.settled else IDLE_S

    def _take(self, ask: Ask[T], settled: "Future[ChatReply]") -> None:
        self.in_flight -= 1
        self.in_flight_nanousd -= ask.estimate_nanousd or 0
        self.by_provider[ask.request.provider] -= 1
        self.open.discard(settled)
        if not self.settled:
            self.batch_began = time.monotonic()
        try:
            finished = Finished(ask.about, settled.result(), None)
        except CancelledError:  # withdrawn: never sent, and still waiting
            self.end = self.end or End.AT_CAP
            self.settled.append(Settled(ask.estimate_nanousd or 0, 0, 0, is_unpriced=False))
            return
        except GatewayError as error:
            finished = Finished(ask.about, None, error)
        except Exception as error:  # noqa: BLE001  # an error of our own: raised again once nothing is in flight
            self.raised, self.end = self.raised or error, self.end or End.STOPPED
            return
        cost = self.cost(finished)
        self.limits.spent_nanousd += cost or 0
        is_unpriced = finished.reply is not None and cost is None
        self.settled.append(Settled(ask.estimate_nanousd or 0, cost or 0, finished.calls, is_unpriced=is_unpriced))
        if not finished.is_ours:
            self.streak = 0
            self.ready.append(finished)
            return
        self.streak += 1
        self.held.append(finished)
        if self.streak >= HOPELESS_AFTER or finished.is_hopeless:
            self.end = End.UNREACHABLE

    def _flush(self) -> None:
        batch, self.ready = self.ready, []
        settled, self.settled = self.settled, []
        if settled and self.limits.purse is not None:
            self.limits.purse.settle(settled, (lambda: self.store(batch)) if batch else None)
        elif batch:
            self.store(batch)

    def _tick(self) -> None:
        """Show a sign of life; whatever comes of it, the calls in flight are waited for and stored first."""
        if time.monotonic() - self.beat_at < STORE_EVERY_S:
            return
        self.beat_at = time.monotonic()
        try:
            if not self.limits.beat():
                self.end = self.end or End.STOPPED
        except Exception as error:  # noqa: BLE001  # raised again once nothing is in flight
            self.raised, self.end = self.raised or error, self.end or End.STOPPED


def send(
    session: ChatSession,
    asks: Iterable[Ask[T] | None],
    *,
    store: Callable[[list[Finished[T]]], None],
    cost: Callable[[Finished[T]], int | None],
    limits: Limits,
) -> Ended[T]:
    """Send what is asked for, a bounded number at a time, and hand over what comes back.

    Args:
        session: sends requests from a thread of its own.
        asks: taken ahead of the room for them, a round at most, in a lull where there is one. None in between: what
            follows takes time, so look first at what else is to be done. One round is sent even past the deadline.
        store: gets finished calls in batches, every 250 to 500 ms and at most 200 at once, in this thread; it writes
            them in one transaction.
        cost: what a finished call costs, in nano-dollars; counted as it comes, so that the cap does not wait for a
            batch. Not known (None) counts nothing.
        limits: money, time, a person, how many at a time.

    When it stops early the calls in flight are waited for and stored: they are paid.
    """
    return _Loop(session, store, cost, limits).run(iter(asks))


def in_chunks(
    places: Sequence[P], make: Callable[[Sequence[P]], list[Ask[T]]], limits: Limits
) -> Iterator[Ask[T] | None]:
    """Asks for `send`, made a chunk at a time: larger ones cost less, and keep more from others who share the work."""
    start, size = 0, min(limits.concurrency, _LARGEST_CHUNK)  # of the first, which is waited for
    while start < len(places):
        yield from make(places[start : start + size])
        yield None
        start, size = start + size, min(max(2 * limits.concurrency, _SMALLEST_CHUNK), _LARGEST_CHUNK)


def wait(limits: Limits) -> End | None:
    """Wait a moment for what another process is asking; why not to go on, or None."""
    if not limits.beat():
        return End.STOPPED
    if time.monotonic() >= limits.deadline:
        return End.DEADLINE
    time.sleep(STORE_EVERY_S)
    return None
