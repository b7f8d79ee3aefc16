"""The connection: one socket at a time, opened again until the program or the server ends it."""

from __future__ import annotations

import asyncio
import logging
import math
import ssl
from typing import Any, Callable, Iterable, Mapping

from .binary import Reader
from .clock import Clock
from .commands import Commands
from .errors import CommandError, ConnectError, ConnectionLost, FxcastError, ProtocolError
from .message import read_message
from .quote import Day, Position, Quote, Status, parse_candle, parse_day, parse_quote, parse_status
from .reconnect import LASTING_CODES, Backoff
from .socket import CLOSE_TIMEOUT, Socket
from .subscription import MAX_PENDING, MAX_SYMBOLS, CandleSubscription, Feed, OnGap, Subscription
from .target import Target, Ticket

log = logging.getLogger("fxcast")

WELCOME_TIMEOUT = 10.0  # seconds from the beginning of a connect
MESSAGE_TIMEOUT = 30.0  # seconds for one message that is still arriving
MIN_SILENCE = 1.0  # seconds without a message that are no fault, whatever heartbeat the server says
MAX_STRAY_ERRORS = 20  # on one connection, that answer no command

TEXT, BINARY = "fx.v1", "fx.v1.pb"  # subprotocols


class Connection:
    """A connection to an fxcast server; see ``connect``."""

    def __init__(self, target: Target, on_gap: OnGap | None, on_state: Callable[[str], object] | None,
                 on_status: Callable[[Status], object] | None, on_error: Callable[[FxcastError], object] | None,
                 pace: tuple[int, bool] | None, binary: bool, clock: Clock,
                 on_day: Callable[[Day], object] | None = None) -> None:
        self._target = target
        self._clock = clock
        self._on_gap, self._on_state, self._on_status, self._on_error = on_gap, on_state, on_status, on_error
        self._on_day = on_day
        self._state = "waiting"
        self._commands = Commands(clock.now)
        self._commands.pace = pace
        self._feeds: dict[Feed, None] = {}
        self._backoff = Backoff(clock.now)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._error: FxcastError | None = None
        self._changed = asyncio.Event()  # of the commands
        self._settled = asyncio.Event()  # live for the first time, or closed
        self._advice: float | None = None  # seconds, of the closing message
        self._closing: tuple[int, str] | None = None  # code and reason in it
        self._subprotocols = [BINARY, TEXT] if binary else [TEXT]
        self._reader: Reader | None = None  # of binary messages
        self._epochs: dict[str, str] = {}
        self._reading = False
        self._stray_errors = 0
        self.session: Mapping[str, Any] = {}  # of the last welcome
        self.limits: Mapping[str, Any] = {}

    @property
    def state(self) -> str:
        """``connecting``, ``live``, ``degraded`` (the server has lost Redis), ``waiting`` or ``closed``."""
        return self._state

    @property
    def error(self) -> FxcastError | None:
        """Why the connection is closed, if the server ended it for good."""
        return self._error

    async def __aenter__(self) -> Connection:
        if self._task is not None or self._state == "closed":
            raise RuntimeError("a connection is entered once")
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(self._run(), name="fxcast")
        return self

    async def __aexit__(self, *exc: Any) -> None:
        await self.close()

    async def ready(self) -> None:
        """Waits until the connection is live for the first time. Raises the reason if it is refused."""
        await self._settled.wait()
        if self._state == "closed":
            raise self._error or FxcastError("the connection is closed")

    async def close(self) -> None:
        """Closes the socket and ends all iterators. It may be called at any time, and repeatedly."""
        task = self._task
        while task is not None and not task.done():
            task.cancel()  # again if asyncio.wait_for swallowed it, which it may before Python 3.12
            await asyncio.wait([task], timeout=2 * CLOSE_TIMEOUT)
        self._finish(None)

    def subscribe(self, symbols: Iterable[str], *, mode: str = "latest", max_rate: float | None = None,
                  since: Mapping[str, Position | tuple[str, int]] | None = None, on_gap: OnGap | None = None,
                  max_pending: int = MAX_PENDING, day: bool = False) -> Subscription:
        """Returns an iterator of quotes; wildcards are ``*``, ``EUR/*`` and ``*/JPY``.

        Mode ``latest`` gives the newest quote of each symbol, at most ``max_rate`` per second, and
        counts the others as ``skipped``. Mode ``all`` gives every tick, resumed after each reconnect
        and, with ``since``, from the positions of an earlier run.

        With ``day`` the callback ``on_day`` of the connection gets the day figures of the symbols.

        A gap calls ``on_gap``, which may be a coroutine function, or else is raised as GapError.
        """
        if isinstance(symbols, str):
            raise TypeError("symbols is a list of names, not one str")
        if mode not in ("latest", "all"):
            raise ValueError(f'mode is "latest" or "all", not {mode!r}')
        if max_rate is not None and (mode == "all" or not 0 <= max_rate < math.inf):
            raise ValueError("max_rate is a number of updates per second, in mode latest")
        if since and mode != "all":
            raise ValueError("since needs mode all")
        if max_pending < 1:
            raise ValueError("max_pending is at least 1")
        feed = Feed(symbols, mode == "all", max_rate,
                    {s: Position(*at) for s, at in (since or {}).items()}, max_pending, day)
        self._add(feed)
        return Subscription(self, feed, on_gap or self._on_gap)

    def candles(self, symbols: Iterable[str], interval: str) -> CandleSubscription:
        """Returns an iterator of candles of an interval: 1m, 5m, 15m, 1h, 4h or 1d.

        It gives the running candle of each symbol, the newest only, and every one that has closed.
        What closes while the client is not connected does not come: the server has it at
        ``/api/v1/quotes/EUR/USD/candles``.
        """
        if isinstance(symbols, str):
            raise TypeError("symbols is a list of names, not one str")
        if not isinstance(interval, str) or not interval:
            raise ValueError("an interval is a name such as 1m")
        feed = Feed(symbols, False, None, {}, MAX_PENDING, interval=interval)
        self._add(feed)
        return CandleSubscription(self, feed)

    def _add(self, feed: Feed) -> None:
        if not feed.entries:
            raise ValueError("no symbols")
        if self._state == "closed":
            feed.finish(self._error)
        else:
            self._commands.add(feed)
            self._feeds[feed] = None
            self._changed.set()

    def pace(self, every_ms: int, *, align: bool = False) -> None:
        """Has quotes sent together, at most every so many milliseconds; 0 ends that."""
        self._commands.pace = check_pace(every_ms, align)
        self._changed.set()

    def _unsubscribe(self, feed: Feed) -> None:
        if self._feeds.pop(feed, feed) is None:
            self._commands.remove(feed)
            self._changed.set()
        feed.finish(None)

    def _unsubscribe_later(self, feed: Feed) -> None:
        """Ends a subscription that nothing refers to; any thread may collect it."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._unsubscribe, feed)

    async def _run(self) -> None:
        error: FxcastError | None = None
        try:
            while error is None:
                error = await self._attempt()
        except asyncio.CancelledError:
            pass  # by close
        except Exception as e:
            log.exception("fxcast: a fault of the client ends the connection")
            error = FxcastError(f"a fault of the client: {type(e).__name__}: {e}")
        finally:
            self._finish(error)

    async def _attempt(self) -> FxcastError | None:
        """Runs one connection and waits until the next may begin. Returns why there is none."""
        if (blocked := self._backoff.blocked()) > 0:
            self._set_state("waiting")
            await self._clock.sleep(blocked)
        self._set_state("connecting")
        self._backoff.connecting()
        self._advice = self._closing = None
        try:
            await self._connect()
            return None
        except ConnectError as e:
            lost: FxcastError = e
            final, advice = e.final, e.retry_after
        except ConnectionLost as e:
            if e.code in (1005, 1006) and self._closing is not None:  # the close frame was lost, or has no code
                e = ConnectionLost(*self._closing)
            lost, advice = e, self._advice
            final = e.code in LASTING_CODES and not (e.code == 4009 and advice is not None)
            e.final = final = final and not (e.code == 4001 and self._target.renew())
        except ProtocolError as e:
            lost, final, advice = e, False, None
        self._report(lost)
        if final:
            return lost
        delay = self._backoff.delay(advice)
        self._set_state("waiting")
        await self._clock.sleep(delay)
        return None

    async def _connect(self) -> None:
        began = self._clock.now()
        try:
            socket = await self._clock.wait_for(self._open(), WELCOME_TIMEOUT)
        except TimeoutError:
            raise ConnectError(f"no answer within {WELCOME_TIMEOUT:.0f} s") from None
        try:
            await self._serve(socket, began + WELCOME_TIMEOUT)
        finally:
            await socket.close()

    async def _open(self) -> Socket:
        url, headers = await self._target.credentials()
        try:
            return await Socket.open(url, {"User-Agent": "fxcast-python", **headers}, self._subprotocols,
                                     self._target.tls, self._clock)
        except ConnectError as e:
            if e.status == 401 and self._target.renew():
                e.final = False
            raise

    async def _serve(self, socket: Socket, until: float) -> None:
        """Reads a connection to its end, which is always an exception. The welcome comes by until."""
        self._reader = Reader() if socket.subprotocol == BINARY else None
        self._epochs = {}
        self._stray_errors = 0
        while (first := await self._first(socket, until))["type"] != "welcome":
            if first["type"] == "closing":  # refused after the upgrade, with the reason in the close frame
                self._take(first)
        silence = self._welcome(first)
        writer = asyncio.create_task(self._write(socket), name="fxcast-writer")
        watch = asyncio.create_task(self._watch(socket, silence), name="fxcast-watch")
        try:
            while True:
                self._reading = True
                message = await socket.receive()
                self._reading = False
                if self._take(self._decode(message)):
                    await asyncio.sleep(0)  # so that quotes replace each other only in a slow program
                if any(feed.full for feed in self._feeds):
                    await self._wait_for_room(socket)
        finally:
            self._reading = False
            for task in (writer, watch):
                task.cancel()
            await asyncio.wait([writer, watch])

    async def _first(self, socket: Socket, until: float) -> Mapping[str, Any]:
        """Returns the next message, which comes by until."""
        try:
            return self._decode(await self._clock.wait_for(socket.receive(), max(until - self._clock.now(), 0.0)))
        except TimeoutError:
            raise ConnectError(f"no welcome within {WELCOME_TIMEOUT:.0f} s") from None

    async def _wait_for_room(self, socket: Socket) -> None:
        """Lets the server wait until the program has taken quotes. That time is not the server's."""
        began = self._clock.now()
        for feed in [f for f in self._feeds if f.full]:
            await feed.room()
        socket.heard = socket.whole = self._clock.now()
        self._commands.extend(socket.heard - began)

    def _welcome(self, message: Mapping[str, Any]) -> float:
        """Begins a connection. Returns the seconds of silence after which it counts as dead."""
        self.session, self.limits = message.get("session") or {}, message.get("limits") or {}
        self._commands.begin(self.limits)
        for feed in self._feeds:
            feed.connected()
        self._changed.set()
        self._backoff.welcomed()
        self._target.welcomed()
        self._set_state("live")
        self._settled.set()
        beat = min(message.get("heartbeat_ms") or 1000, 60_000) / 1000
        return max(3 * beat, MIN_SILENCE)

    async def _watch(self, socket: Socket, silence: float) -> None:
        """Drops a connection on which nothing comes, or on which a command is not answered."""
        while True:
            await self._clock.sleep(silence / 6)
            if not self._silent(socket, silence):
                if self._reading and (late := self._commands.overdue()):
                    socket.abort(f"the server does not answer {late}")
                continue
            await asyncio.sleep(0.1)  # a busy loop may not have read yet what is there
            if self._silent(socket, silence):
                socket.abort(f"nothing came for {silence:.1f} s")
                return

    def _silent(self, socket: Socket, silence: float) -> bool:
        now = self._clock.now()
        return self._reading and (now - socket.heard > silence or now - socket.whole > max(silence, MESSAGE_TIMEOUT))

    async def _write(self, socket: Socket) -> None:
        """Sends commands as they become due."""
        commands = self._commands
        try:
            while True:
                self._changed.clear()
                if (delay := commands.delay()) > 0:
                    await self._clock.sleep(delay)
                    continue
                command, wait = commands.next()
                if command is not None:
                    socket.send(command)
                    continue
                try:
                    await self._clock.wait_for(self._changed.wait(), wait)
                except TimeoutError:
                    pass
        except Exception as e:
            log.exception("fxcast: a fault of the client")
            socket.abort(f"a fault of the client: {e}")

    def _decode(self, message: str | bytes) -> Mapping[str, Any]:
        if isinstance(message, bytes):
            if self._reader is None:
                raise ProtocolError("a binary message")
            return self._reader.read(message)
        return read_message(message)

    def _take(self, message: Mapping[str, Any]) -> bool:
        """Takes a message. Reports whether it has quotes."""
        kind = message["type"]
        if kind == "welcome":
            raise ProtocolError("a second welcome")
        if kind in ("update", "snapshot"):
            for data in message["data"]:
                self._quote(data, kind == "snapshot", message.get("reset") is True)
            return True
        if kind == "status":
            self._take_status(message)
        elif kind == "candle":
            candle = parse_candle(message)
            entry = self._commands.owner(candle.symbol, candle.interval)
            if entry is not None and entry.acked and not entry.leaving and entry.feed in self._feeds:
                entry.feed.put_candle(candle)
        elif kind == "day":
            self._call(self._on_day, parse_day(message))
        elif kind == "ack":
            self._refused(self._commands.ack(message))
            self._changed.set()
        elif kind == "error":
            self._refused(self._commands.error(message))
            self._changed.set()
        elif kind == "closing":
            if message.get("reconnect_after_ms"):
                self._advice = message["reconnect_after_ms"] / 1000
            self._closing = message["code"], (message.get("reason") or "")[:123]
        elif kind == "session":
            self.session = message["session"]
        return False

    def _quote(self, data: object, snapshot: bool, reset: bool) -> None:
        q = data if isinstance(data, Quote) else parse_quote(data)
        entry = self._commands.owner(q.symbol)
        if entry is None:
            return  # unsubscribed meanwhile
        if q.epoch:
            if q.symbol not in self._epochs and len(self._epochs) >= MAX_SYMBOLS:
                raise ProtocolError(f"more than {MAX_SYMBOLS} symbols")
            self._epochs[q.symbol] = q.epoch
        else:
            high = entry.feed.sequences[q.symbol].high if q.symbol in entry.feed.sequences else None
            q = q._replace(epoch=self._epochs.get(q.symbol) or (high.epoch if high else ""))
        if entry.acked and not entry.leaving and entry.feed in self._feeds:
            status = entry.feed.take(q, snapshot, reset)
            if status is not None:
                self._call(self._on_status, status)

    def _take_status(self, message: Mapping[str, Any]) -> None:
        if message.get("symbol") is None:
            if message["status"] in ("degraded", "ok"):
                self._set_state("degraded" if message["status"] == "degraded" else "live")
        else:
            status = parse_status(message)
            entry = self._commands.owner(status.symbol)
            if entry is not None and entry.acked and not entry.leaving:
                if status.symbol in entry.feed.sequences:
                    entry.feed.statuses[status.symbol] = status.status
                self._call(self._on_status, status)

    def _refused(self, refusals: list[tuple[Feed | None, CommandError]]) -> None:
        for feed, error in refusals:
            self._report(error)
            if feed is None:
                self._stray_errors += 1
                if self._stray_errors > MAX_STRAY_ERRORS:
                    raise ProtocolError(f"more than {MAX_STRAY_ERRORS} errors that answer no command")
            if feed is not None and not feed.entries and feed in self._feeds:
                del self._feeds[feed]
                feed.finish(feed.failed[0])

    def _report(self, error: FxcastError) -> None:
        log.log(logging.DEBUG if self._on_error else logging.WARNING, "fxcast: %s", error)
        self._call(self._on_error, error)

    def _set_state(self, state: str) -> None:
        if state != self._state:
            self._state = state
            self._call(self._on_state, state)

    def _call(self, callback: Callable[[Any], object] | None, value: object) -> None:
        if callback is None:
            return
        try:
            callback(value)
        except Exception:
            log.exception("fxcast: a callback failed")

    def _finish(self, error: FxcastError | None) -> None:
        if self._state == "closed":
            return
        self._error = error
        for feed in self._feeds:
            feed.finish(error)
        self._feeds.clear()
        self._set_state("closed")
        self._settled.set()


def check_pace(every_ms: int, align: bool) -> tuple[int, bool]:
    """Returns the pace. Raises ValueError if the server would refuse it."""
    if type(every_ms) is not int or not (every_ms == 0 or 10 <= every_ms <= 60_000):
        raise ValueError("a pace is 0, or 10 to 60000 ms")
    return every_ms, bool(align)


def connect(url: str, token: str | None = None, *, ticket: Ticket | None = None, guest: bool = False,
            on_gap: OnGap | None = None, on_state: Callable[[str], object] | None = None,
            on_status: Callable[[Status], object] | None = None,
            on_error: Callable[[FxcastError], object] | None = None, on_day: Callable[[Day], object] | None = None,
            pace_ms: int = 0, align: bool = False, binary: bool = False, ssl: ssl.SSLContext | None = None) -> Connection:
    """Returns a connection, which ``async with`` opens and closes.

    ``url`` is that of the socket, ``ws://host/ws``, or of the server, ``https://host``. The client
    signs in with the ``token`` of a session, with a one-use ticket that ``ticket()`` returns for
    each connect, or as a ``guest``.

    The callbacks are called in the loop of the connection: ``on_state`` with each new state,
    ``on_status`` when a symbol becomes live, stale, closed or unknown, ``on_day`` with the day figures
    of symbols that were subscribed to with ``day``, ``on_error`` with everything
    that went wrong, also if the client recovers from it. Without ``on_error`` it is logged.

    With ``pace_ms`` quotes come together, at most once in so many milliseconds; with ``align`` at
    multiples of it, so that all clients see the same prices. With ``binary`` they come in a form
    that has about a sixth of the bytes, and takes half as much time again to read in Python.
    """
    pace, clock = check_pace(pace_ms, align), Clock()
    return Connection(Target(url, token, ticket, guest, ssl, clock), on_gap, on_state, on_status, on_error,
                      pace if pace_ms else None, binary, clock, on_day)
