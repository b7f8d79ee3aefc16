"""Plays the scenarios of clients/conformance with this client."""

from __future__ import annotations

import asyncio
import json
import os
import pathlib
import subprocess
import sys
import urllib.request
from typing import Any

from fxcast import connection, errors, quote, sequence, sync, target
from fxcast.clock import Clock
from fxcast.subscription import CandleSubscription, Subscription

ROOT = pathlib.Path(__file__).resolve().parents[3]
KIT = pathlib.Path(os.environ.get("FXCAST_CONFORMANCE", ROOT / "clients" / "conformance"))
ABILITIES = {"tickets"}
STEP_TIMEOUT = 60.0


class Server:
    """The scripted server, a Go program."""

    def __init__(self) -> None:
        self._program = subprocess.Popen(["go", "run", "./server"], cwd=KIT, stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE, text=True)
        assert self._program.stdout is not None
        self.url = self._program.stdout.readline().strip()
        if not self.url.startswith("http://"):
            raise RuntimeError("the scripted server did not start")

    def close(self) -> None:
        assert self._program.stdin is not None and self._program.stdout is not None
        self._program.stdin.close()
        self._program.wait(timeout=30)
        self._program.stdout.close()

    def call(self, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(self.url + path, data, timeout=60) as answer:
            return json.load(answer)


class Reports:
    """What the client has reported, in the words of the kit."""

    def __init__(self) -> None:
        self.list: list[dict[str, Any]] = []
        self._seen = 0  # reports up to the one that ended the last wait
        self._more = asyncio.Event()

    def add(self, report: str, **fields: object) -> None:
        self.list.append({"report": report, **fields})
        self._more.set()

    async def wait(self, want: dict[str, Any]) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + STEP_TIMEOUT
        while True:
            for i in range(self._seen, len(self.list)):
                if all(self.list[i].get(k) == v for k, v in want.items()):
                    self._seen = i + 1
                    return
            self._more.clear()
            try:
                await asyncio.wait_for(self._more.wait(), until - loop.time())
            except asyncio.TimeoutError:
                raise TimeoutError(f"no report {want}") from None

    def state(self, state: str) -> None:
        self.add("state", state=state)

    def status(self, status: quote.Status) -> None:
        self.add("status", symbol=status.symbol, status=status.status)

    def candle(self, c: quote.Candle) -> None:
        self.add("candle", symbol=c.symbol, interval=c.interval, t=c.start.strftime("%Y-%m-%dT%H:%M:%SZ"),
                 bid=[str(price) for price in c.bid], ask=[str(price) for price in c.ask],
                 ticks=c.ticks, complete=c.complete, open=c.open)

    def day(self, d: quote.Day) -> None:
        self.add("day", symbol=d.symbol, since=d.since.strftime("%Y-%m-%dT%H:%M:%SZ"), open=str(d.open), high=str(d.high),
                 low=str(d.low), previous_close=None if d.previous_close is None else str(d.previous_close))

    def gap(self, gap: sequence.Gap) -> None:
        self.add("gap", symbol=gap.symbol, reason=gap.reason, missing=gap.missing or 0)

    def quote(self, q: quote.Quote, subscription: str) -> None:
        self.add("quote", subscription=subscription, symbol=q.symbol, bid=str(q.bid), ask=str(q.ask), seq=q.seq, epoch=q.epoch, skipped=q.skipped)

    def error(self, error: errors.FxcastError) -> None:
        if isinstance(error, errors.ProtocolError):
            self.add("error", kind="protocol", message=str(error))
        elif isinstance(error, errors.CommandError):
            self.add("error", kind="command", code=error.code, symbol=error.symbol, message=str(error))
        elif isinstance(error, errors.ConnectError) and error.final:
            self.add("error", kind="refused", code=error.status, message=str(error))
        elif isinstance(error, errors.ConnectionLost) and error.final:
            self.add("error", kind="refused", code=error.code, message=str(error))
        else:
            self.add("error", kind="connection", message=str(error))


class AsyncPlayer:
    """Does the steps with the asynchronous client."""

    def __init__(self, run: dict[str, Any]) -> None:
        self.run = run
        self.reports = Reports()
        self._tasks: set[asyncio.Task[None]] = set()
        self._subscriptions: dict[str, Any] = {}
        self._connection = self._open(self.reports)

    def _open(self, to: Any) -> connection.Connection:
        clock = Clock(self.run["scale"])
        token, ticket = self.run["token"], None
        if self.run["auth"] == "ticket":
            token, ticket = None, target.tickets(self.run["url"], token)
        return connection.Connection(target.Target(self.run["url"], token, ticket, False, None, clock),
                                     to.gap, to.state, to.status, to.error, None, self.run["protocol"] == connection.BINARY, clock, to.day)

    async def play(self) -> list[dict[str, Any]]:
        try:
            async with self._connection:
                for step in self.run["client"]:
                    await self._step(step)
        finally:
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=STEP_TIMEOUT)
            for task in self._tasks:
                if not task.done():
                    raise RuntimeError("an iterator has not ended")
        return self.reports.list

    async def _step(self, step: dict[str, Any]) -> None:
        do = step["do"]
        if do == "wait":
            await self.reports.wait(step["for"])
        elif do == "subscribe":
            sub = self._subscriptions[step["name"]] = self._subscribe(step)
            self._tasks.add(asyncio.create_task(self._consume(sub, step["name"])))
        elif do == "candles":
            candles = self._subscriptions[step["name"]] = self._connection.candles(step["symbols"], step["interval"])
            self._tasks.add(asyncio.create_task(self._consume_candles(candles)))
        elif do == "unsubscribe":
            self._subscriptions.pop(step["name"]).close()
        elif do == "churn":
            for _ in range(step["times"]):
                self._subscribe(step).close()
        elif do == "pause":
            await asyncio.sleep(step["ms"] / 1000 * self.run["scale"])
        elif do == "close":
            await self._connection.close()
        else:
            raise ValueError(f"unknown step {do}")

    def _subscribe(self, step: dict[str, Any]) -> Subscription:
        return self._connection.subscribe(step["symbols"], mode=step.get("mode", "latest"), max_rate=step.get("max_rate"),
                                          day=step.get("day", False))

    async def _consume_candles(self, candles: CandleSubscription) -> None:
        try:
            async for c in candles:
                self.reports.candle(c)
        except errors.FxcastError:
            pass

    async def _consume(self, sub: Subscription, name: str) -> None:
        try:
            async for q in sub:
                self.reports.quote(q, name)
        except errors.FxcastError:
            pass  # the connection is closed for good, which on_error has reported


class SyncPlayer(AsyncPlayer):
    """Does the steps with the synchronous client: each iterator in a thread of its own."""

    def __init__(self, run: dict[str, Any]) -> None:
        self._loop = asyncio.get_running_loop()
        super().__init__(run)
        self._sync = sync.SyncConnection(lambda: self._connection, self.reports.gap)
        self._threads: list[asyncio.Future[None]] = []

    def _open(self, to: Any) -> connection.Connection:
        loop = self._loop

        class Crossing:
            """Hands each report to the loop of the test."""

            def __getattr__(self, name: str) -> Any:
                return lambda value: loop.call_soon_threadsafe(getattr(to, name), value)

        return super()._open(Crossing())

    async def play(self) -> list[dict[str, Any]]:
        await asyncio.to_thread(self._sync.__enter__)
        try:
            for step in self.run["client"]:
                await self._step(step)
        finally:
            await asyncio.to_thread(self._sync.close)
            if self._threads:
                await asyncio.wait_for(asyncio.gather(*self._threads), STEP_TIMEOUT)
            await asyncio.sleep(0)  # for reports that are on their way
        return self.reports.list

    async def _step(self, step: dict[str, Any]) -> None:
        if step["do"] == "subscribe":
            sub = await asyncio.to_thread(self._subscribe, step)
            self._subscriptions[step["name"]] = sub
            self._threads.append(asyncio.ensure_future(asyncio.to_thread(self._iterate, sub, step["name"])))
        elif step["do"] == "candles":
            candles = await asyncio.to_thread(self._sync.candles, step["symbols"], step["interval"])
            self._subscriptions[step["name"]] = candles
            self._threads.append(asyncio.ensure_future(asyncio.to_thread(self._iterate_candles, candles)))
        elif step["do"] == "unsubscribe":
            await asyncio.to_thread(self._subscriptions.pop(step["name"]).close)
        elif step["do"] == "close":
            await asyncio.to_thread(self._sync.close)
        elif step["do"] == "churn":
            await asyncio.to_thread(lambda: [self._subscribe(step).close() for _ in range(step["times"])])
        else:
            await super()._step(step)

    def _subscribe(self, step: dict[str, Any]) -> Any:
        try:
            return self._sync.subscribe(step["symbols"], mode=step.get("mode", "latest"), max_rate=step.get("max_rate"),
                                        day=step.get("day", False),
                                        on_gap=lambda gap: self._loop.call_soon_threadsafe(self.reports.gap, gap))
        except RuntimeError:  # a later step than close
            return self._sync

    def _iterate_candles(self, candles: sync.SyncCandles) -> None:
        try:
            for c in candles:
                self._loop.call_soon_threadsafe(self.reports.candle, c)
        except errors.FxcastError:
            pass

    def _iterate(self, sub: Any, name: str) -> None:
        if sub is self._sync:
            return
        try:
            for q in sub:
                self._loop.call_soon_threadsafe(self.reports.quote, q, name)
        except errors.FxcastError:
            pass


class Lateness:
    """Measures by how many seconds the event loop is late. A busy machine makes any client late."""

    async def __aenter__(self) -> Lateness:
        self.most = 0.0
        self._task = asyncio.create_task(self._measure())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _measure(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + 0.01
            await asyncio.sleep(0.01)
            self.most = max(self.most, loop.time() - due)


async def play(server: Server, name: str, player: type[AsyncPlayer], protocol: str = "fx.v1") -> tuple[list[str], bool]:
    """Plays a scenario. Returns the faults, and whether the machine was too late to believe them."""
    run = await asyncio.to_thread(server.call, "/runs", {"scenario": name, "protocol": protocol})
    playing = player(run)
    failure = ""
    async with Lateness() as loop:
        try:
            reports = await playing.play()
        except Exception as e:
            failure, reports = f"{type(e).__name__}: {e}", playing.reports.list
    verdict = await asyncio.to_thread(server.call, f"/runs/{run['id']}/verdict", {"reports": reports})
    faults = list(verdict["faults"])
    if faults or failure:
        faults += [failure, f"reports: {json.dumps(reports[-30:])}", f"seen: {json.dumps(verdict['seen'])[:3000]}"]
    return [f for f in faults if f], verdict["late"] or loop.most > TOO_LATE


TRIES = 3  # if the machine was late each time
TOO_LATE = 0.05  # seconds


async def play_all(server: Server, names: list[str], player: type[AsyncPlayer], protocol: str = "fx.v1") -> dict[str, tuple[list[str], bool]]:
    """Plays scenarios, a few at a time, since they mostly wait. Returns what play returns, by name."""
    turn = asyncio.Semaphore(8)

    async def one(name: str) -> tuple[list[str], bool]:
        async with turn:
            for _ in range(TRIES):
                faults, late = await play(server, name, player, protocol)
                if not faults or not late:
                    break
            return faults, late

    return dict(zip(names, await asyncio.gather(*map(one, names))))


def scenarios(server: Server) -> list[str]:
    """Returns the names of the scenarios that this client can play."""
    return [s["name"] for s in server.call("/scenarios") if set(s["needs"]) <= ABILITIES]


if __name__ == "__main__":  # python3 tests/conformance.py [sync] [binary] [NAME…]
    chosen = sys.argv[1:]
    by = SyncPlayer if "sync" in chosen else AsyncPlayer
    form = connection.BINARY if "binary" in chosen else connection.TEXT
    server = Server()
    try:
        names = [n for n in chosen if n not in ("sync", "binary")] or scenarios(server)
        results = asyncio.run(play_all(server, names, by, form))
    finally:
        server.close()
    for name, (faults, late) in results.items():
        print("ok  " if not faults else "FAIL", name)
        for fault in faults:
            print("      ", fault)
        if faults and late:
            print("       the machine was late")
