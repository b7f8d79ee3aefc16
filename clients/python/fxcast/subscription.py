"""A subscription: its quotes, checked and queued for the program's loop."""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from typing import TYPE_CHECKING, Any, Awaitable, Callable, Iterable, Mapping, TypeVar

from .errors import CommandError, FxcastError, GapError, ProtocolError
from .pattern import canonical
from .quote import Candle, Position, Quote, Status
from .sequence import Gap, Sequence

if TYPE_CHECKING:
    from .connection import Connection

S = TypeVar("S", bound="Closing")
OnGap = Callable[[Gap], "Awaitable[None] | None"]

MAX_PENDING = 8192  # quotes that wait for the program in mode "all", unless the caller sets another
MAX_SYMBOLS = 20_000  # of one subscription; a server that invents more is not believed


class Entry:
    """One symbol or wildcard of a subscription, as written until the server has called it by its name."""

    __slots__ = ("name", "key", "feed", "alone", "acked", "leaving", "retry_at")

    def __init__(self, name: str, feed: Feed) -> None:
        self.name = name
        self.key = key(canonical(name), feed.interval)
        self.feed = feed
        self.alone = False  # asked for in a command of its own, so that the answer surely is its own
        self.acked = False  # on this connection; quotes count from then on
        self.leaving = False  # an unsubscribe is under way
        self.retry_at = 0.0  # time before which the server wants no other attempt


def key(name: str, interval: str) -> str:
    """Returns the key of an entry for quotes or, with an interval, for candles."""
    return f"{interval} {name}" if interval else name


class Feed:
    """The queue of a subscription. The connection puts quotes in, the subscription takes them out.

    Mode "latest" holds one quote per symbol: a newer one replaces it and adds up ``skipped``.
    Mode "all" holds every quote; when ``max_pending`` wait, the connection stops reading until half
    of them are taken. The server then slows down, and at last closes with 4008, after which the
    client resumes. Of candles a newer one replaces the running one, and closed ones are all held.
    """

    def __init__(self, names: Iterable[str], every: bool, max_rate: float | None,
                 since: Mapping[str, Position], max_pending: int, day: bool = False, interval: str = "") -> None:
        self.day = day
        self.interval = interval  # of candles; empty: quotes
        self.entries = [Entry(name, self) for name in {canonical(name): name for name in names}.values()]
        self.every = every
        self.max_rate = max_rate
        self.max_pending = max_pending
        self.failed: list[CommandError] = []
        self.sequences: dict[str, Sequence] = {
            canonical(symbol): Sequence(every, Position(*at)) for symbol, at in since.items()}
        self.statuses: dict[str, str] = {}  # the last of each symbol
        self.finished = False
        self._error: FxcastError | None = None
        self._queue: deque[Any] = deque()  # quotes and gaps of mode "all"; of mode "latest" gaps only; closed candles
        self._latest: dict[str, Any] = {}  # quotes and running candles, the oldest pending symbol first
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    def connected(self) -> None:
        """Begins another connection, on which each symbol begins with its own first quote."""
        for sequence in self.sequences.values():
            sequence.last = None

    def take(self, q: Quote, snapshot: bool, reset: bool) -> Status | None:
        """Checks a quote and queues it. Raises ProtocolError if it cannot be right.

        Returns the status of a quote that repeats the last one with another status.
        """
        sequence = self.sequences.get(q.symbol)
        if sequence is None:
            if len(self.sequences) >= MAX_SYMBOLS:
                raise ProtocolError(f"more than {MAX_SYMBOLS} symbols")
            sequence = self.sequences[q.symbol] = Sequence(self.every)
        verdict = sequence.snapshot(q, reset) if snapshot else sequence.update(q)
        if verdict.gap is not None:
            self._put_gap(verdict.gap)
        if not verdict.deliver and sequence.high != q.position:
            return None  # older than the last one
        before, self.statuses[q.symbol] = self.statuses.get(q.symbol), q.status
        if verdict.deliver:
            self._put(q)
        elif before not in (None, q.status):
            return Status(q.symbol, q.status)
        return None

    def _put(self, q: Quote) -> None:
        if self.every:
            self._queue.append(q)
            if len(self._queue) >= self.max_pending:
                self._room.clear()
        else:
            before = self._latest.get(q.symbol)
            if before is not None and before.epoch == q.epoch:
                q = q._replace(skipped=q.skipped + before.skipped + 1, gap=q.gap or before.gap)
            self._latest[q.symbol] = q
        self._arrived.set()

    def put_candle(self, candle: Candle) -> None:
        """Queues a candle."""
        if candle.open:
            self._latest[candle.symbol] = candle
        else:
            self._latest.pop(candle.symbol, None)
            self._queue.append(candle)
            if len(self._queue) >= self.max_pending:
                self._room.clear()
        self._arrived.set()

    def _put_gap(self, gap: Gap) -> None:
        if not self.every and len(self._queue) >= self.max_pending:
            self._queue.popleft()  # the oldest of more gaps than anyone reads
        self._queue.append(gap)
        self._arrived.set()

    def pop(self) -> Any:
        """Returns the next quote, gap or candle, or None."""
        if self._queue:
            item = self._queue.popleft()
            if len(self._queue) <= self.max_pending // 2:
                self._room.set()
            return item
        if self._latest:
            return self._latest.pop(next(iter(self._latest)))
        return None

    async def next(self) -> Any:
        """Waits for the next quote, gap or candle. At the end it raises the reason, or StopAsyncIteration."""
        while True:
            item = self.pop()
            if item is not None:
                return item
            if self.finished:
                if self._error is not None:
                    raise self._error
                raise StopAsyncIteration
            self._arrived.clear()
            await self._arrived.wait()

    @property
    def full(self) -> bool:
        """Reports whether the connection has to wait before it reads on."""
        return not self._room.is_set()

    async def room(self) -> None:
        """Waits until there is room."""
        await self._room.wait()

    def finish(self, error: FxcastError | None) -> None:
        """Ends the feed. What is queued is still delivered, unless the program closed it."""
        if self.finished:
            return
        self.finished, self._error = True, error
        if error is None:
            self._queue.clear()
            self._latest.clear()
        self._room.set()
        self._arrived.set()


class Closing:
    """What all subscriptions have: their end."""

    def __init__(self, connection: Connection, feed: Feed) -> None:
        self._connection = connection
        self._feed = feed

    def close(self) -> None:
        """Ends the subscription; the iterator then stops."""
        self._connection._unsubscribe(self._feed)

    async def __aenter__(self: S) -> S:
        return self

    async def __aexit__(self, *exc: Any) -> None:
        self.close()

    def __del__(self) -> None:
        if not self._feed.finished:
            self._connection._unsubscribe_later(self._feed)


class Subscription(Closing):
    """An asynchronous iterator of quotes; made by ``subscribe`` of a connection.

    It is closed by ``close()``, at the end of ``async with``, or when nothing refers to it.
    """

    def __init__(self, connection: Connection, feed: Feed, on_gap: OnGap | None) -> None:
        super().__init__(connection, feed)
        self._on_gap = on_gap
        self._positions: dict[str, Position] = {}

    @property
    def symbols(self) -> list[str]:
        """The symbols and wildcards, as the server calls them, without refused ones."""
        return [canonical(entry.name) for entry in self._feed.entries]

    @property
    def failed(self) -> list[CommandError]:
        """The refusals of single symbols. If all are refused, the iterator raises the first."""
        return list(self._feed.failed)

    @property
    def positions(self) -> dict[str, Position]:
        """The positions of the last quotes that the iterator returned, for ``since``."""
        return dict(self._positions)

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> Quote:
        while True:
            item = await self._feed.next()
            if isinstance(item, Quote):
                return self._delivered(item)
            if self._on_gap is None:
                raise GapError(item)
            answer = self._on_gap(item)
            if inspect.isawaitable(answer):
                await answer

    def _delivered(self, q: Quote) -> Quote:
        self._positions[q.symbol] = q.position
        return q


class CandleSubscription(Closing):
    """An asynchronous iterator of candles; made by ``candles`` of a connection.

    It is closed by ``close()``, at the end of ``async with``, or when nothing refers to it.
    """

    def __aiter__(self) -> CandleSubscription:
        return self

    async def __anext__(self) -> Candle:
        candle: Candle = await self._feed.next()
        return candle
