"""The same client for code without asyncio: notebooks, scripts, bots.

A thread runs the asynchronous client. Quotes, gaps and errors come out in the thread that iterates;
``on_state``, ``on_status``, ``on_day`` and ``on_error`` are called in the thread of the client.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from typing import Any, Callable, Coroutine, Iterable, Mapping, TypeVar

from .connection import Connection, connect
from .errors import CommandError, FxcastError, GapError
from .publisher import SyncPublisher
from .quote import Candle, Position, Quote
from .sequence import Gap
from .subscription import MAX_PENDING, CandleSubscription, Subscription

__all__ = ["SyncCandles", "SyncConnection", "SyncPublisher", "SyncSubscription", "connect_sync"]

T = TypeVar("T")
OnGap = Callable[[Gap], object]

_BATCH = 256  # quotes of mode "all" that cross between the threads at a time


class SyncConnection:
    """A connection to an fxcast server; see ``connect_sync``."""

    def __init__(self, open_connection: Callable[[], Connection], on_gap: OnGap | None) -> None:
        self._on_gap = on_gap
        self._connection = open_connection()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fxcast", daemon=True)
        self._started = self._closed = False
        self._lock = threading.Lock()  # guards the two flags

    def __enter__(self) -> SyncConnection:
        with self._lock:
            if self._started or self._closed:
                raise RuntimeError("a connection is entered once")
            self._started = True
            self._thread.start()
        self._call(self._connection.__aenter__())
        return self

    def __exit__(self, *exc: Any) -> None:
        self.close()

    @property
    def state(self) -> str:
        """``connecting``, ``live``, ``degraded``, ``waiting`` or ``closed``."""
        return self._connection.state

    @property
    def error(self) -> FxcastError | None:
        """Why the connection is closed, if the server ended it for good."""
        return self._connection.error

    @property
    def limits(self) -> Mapping[str, Any]:
        """The limits of the last welcome."""
        return self._connection.limits

    @property
    def session(self) -> Mapping[str, Any]:
        """The session of the last welcome."""
        return self._connection.session

    def ready(self, timeout: float | None = None) -> None:
        """Waits until the connection is live for the first time. Raises the reason if it is refused."""
        self._call(self._connection.ready(), timeout)

    def close(self) -> None:
        """Closes the connection and ends all iterators. Any thread may call it, at any time."""
        if threading.current_thread() is self._thread:  # a callback
            self._loop.create_task(self._connection.close())
            return
        with self._lock:
            first, self._closed = not self._closed, True
        if not self._started:
            if first:
                self._loop.close()
            return
        if not first:
            self._thread.join()
            return
        asyncio.run_coroutine_threadsafe(self._connection.close(), self._loop).result()
        asyncio.run_coroutine_threadsafe(self._end_tasks(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end_tasks(self) -> None:
        """Lets the iterators of other threads see the end, then ends what is left."""
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        if tasks:
            _, pending = await asyncio.wait(tasks, timeout=1.0)
            for task in pending:
                task.cancel()

    def subscribe(self, symbols: Iterable[str], *, mode: str = "latest", max_rate: float | None = None,
                  since: Mapping[str, Position | tuple[str, int]] | None = None, on_gap: OnGap | None = None,
                  max_pending: int = MAX_PENDING, day: bool = False) -> SyncSubscription:
        """Returns an iterator of quotes; see ``Connection.subscribe``."""
        names = symbols if isinstance(symbols, str) else list(symbols)

        async def subscribe() -> Subscription:
            return self._connection.subscribe(names, mode=mode, max_rate=max_rate, since=since, max_pending=max_pending, day=day)

        return SyncSubscription(self, self._call(subscribe()), mode == "all", on_gap or self._on_gap)

    def candles(self, symbols: Iterable[str], interval: str) -> SyncCandles:
        """Returns an iterator of candles; see ``Connection.candles``."""
        names = symbols if isinstance(symbols, str) else list(symbols)

        async def candles() -> CandleSubscription:
            return self._connection.candles(names, interval)

        return SyncCandles(self, self._call(candles()))

    def pace(self, every_ms: int, *, align: bool = False) -> None:
        """Has quotes sent together, at most every so many milliseconds; 0 ends that."""
        async def pace() -> None:
            self._connection.pace(every_ms, align=align)

        self._call(pace())

    def _call(self, coroutine: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
        """Runs a coroutine in the thread of the client and returns its result."""
        future = self._submit(coroutine)
        try:
            return future.result(timeout)
        except concurrent.futures.TimeoutError:
            future.cancel()
            raise TimeoutError(f"nothing within {timeout} s") from None
        except BaseException:
            future.cancel()
            raise

    def _submit(self, coroutine: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Starts a coroutine in the thread of the client."""
        with self._lock:
            if not self._started or self._closed:
                coroutine.close()
                raise RuntimeError("the connection is not open; use it inside its with block")
            return asyncio.run_coroutine_threadsafe(coroutine, self._loop)


class SyncSubscription:
    """An iterator of quotes; made by ``subscribe`` of a connection. One thread iterates at a time."""

    def __init__(self, connection: SyncConnection, subscription: Subscription, every: bool, on_gap: OnGap | None) -> None:
        self._connection = connection
        self._subscription = subscription
        self._most = _BATCH if every else 1  # a batch of mode "latest" would grow old
        self._on_gap = on_gap
        self._batch: list[Quote | Gap] = []
        self._fetching: concurrent.futures.Future[list[Quote | Gap]] | None = None

    @property
    def symbols(self) -> list[str]:
        """The symbols and wildcards, without refused ones."""
        return self._subscription.symbols

    @property
    def failed(self) -> list[CommandError]:
        """The refusals of single symbols."""
        return self._subscription.failed

    @property
    def positions(self) -> dict[str, Position]:
        """The positions of the last quotes that the iterator returned, for ``since``."""
        return self._subscription.positions

    def __iter__(self) -> SyncSubscription:
        return self

    def __next__(self) -> Quote:
        return self.next()

    def next(self, timeout: float | None = None) -> Quote:
        """Returns the next quote. Raises TimeoutError if none comes in time."""
        while True:
            if not self._batch:
                self._batch = self._next_batch(timeout)
                self._batch.reverse()
            item = self._batch.pop()
            if isinstance(item, Quote):
                return self._subscription._delivered(item)
            if self._on_gap is None:
                raise GapError(item)
            self._on_gap(item)

    def _next_batch(self, timeout: float | None) -> list[Quote | Gap]:
        """Waits for a batch. A wait that is interrupted goes on in the next call, so it loses nothing."""
        if self._fetching is None:
            try:
                self._fetching = self._connection._submit(self._fetch())
            except RuntimeError:
                if self._connection._closed:
                    raise StopIteration from None
                raise
        done, _ = concurrent.futures.wait([self._fetching], timeout)
        if not done:
            raise TimeoutError(f"no quote within {timeout} s")
        fetched, self._fetching = self._fetching, None
        try:
            return fetched.result()
        except (StopAsyncIteration, concurrent.futures.CancelledError):
            raise StopIteration from None

    async def _fetch(self) -> list[Quote | Gap]:
        feed = self._subscription._feed
        items = [await feed.next()]
        while len(items) < self._most and (item := feed.pop()) is not None:
            items.append(item)
        return items

    def close(self) -> None:
        """Ends the subscription; the iterator then stops."""
        async def close() -> None:
            self._subscription.close()

        self._batch.clear()
        try:
            self._connection._call(close())
        except RuntimeError:
            if not self._connection._closed:
                raise

    def __enter__(self) -> SyncSubscription:
        return self

    def __exit__(self, *exc: Any) -> None:
        self.close()


class SyncCandles:
    """An iterator of candles; made by ``candles`` of a connection. One thread iterates at a time."""

    def __init__(self, connection: SyncConnection, subscription: CandleSubscription) -> None:
        self._connection = connection
        self._subscription = subscription

    def __iter__(self) -> SyncCandles:
        return self

    def __next__(self) -> Candle:
        try:
            return self._connection._call(self._subscription.__anext__())
        except (StopAsyncIteration, concurrent.futures.CancelledError):
            raise StopIteration from None
        except RuntimeError:
            if self._connection._closed:
                raise StopIteration from None
            raise

    def close(self) -> None:
        """Ends the subscription; the iterator then stops."""
        async def close() -> None:
            self._subscription.close()

        try:
            self._connection._call(close())
        except RuntimeError:
            if not self._connection._closed:
                raise

    def __enter__(self) -> SyncCandles:
        return self

    def __exit__(self, *exc: Any) -> None:
        self.close()


def connect_sync(url: str, token: str | None = None, *, on_gap: OnGap | None = None, **options: Any) -> SyncConnection:
    """Returns a connection, which ``with`` opens and closes; the arguments are those of ``connect``.

    ``on_gap`` is called in the thread that iterates.
    """
    return SyncConnection(lambda: connect(url, token, **options), on_gap)
