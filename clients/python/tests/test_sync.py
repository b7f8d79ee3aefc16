"""The face without asyncio."""

from __future__ import annotations

import asyncio
import threading
import time
import unittest
from typing import Any, Awaitable, Callable

import fxcast
from fake import WELCOME, Fake, acknowledge, connection_to, send, tick
from fxcast.sync import SyncConnection


class InThread:
    """Runs a server of the tests in a thread of its own."""

    def __init__(self, serve: Callable[[Any], Awaitable[None]]) -> None:
        self._serve = serve
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> str:
        self._thread.start()
        self._fake = asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(10)
        return self._fake.url

    async def _open(self) -> Fake:
        return await Fake(self._serve).__aenter__()

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._fake.__aexit__(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


async def five_and_a_gap(ws: Any) -> None:
    await send(ws, **WELCOME)
    await acknowledge(ws)
    await send(ws, type="update", data=[tick(1), tick(2), tick(5)])
    await ws.wait_closed()


class SyncTest(unittest.TestCase):
    def test_contract(self) -> None:
        with InThread(five_and_a_gap) as url:
            with fxcast.connect_sync(url, token="secret") as fx:
                fx.ready(10)
                self.assertEqual((fx.state, fx.session["role"]), ("live", "user"))
                found = []
                for q in fx.subscribe(["EUR/USD"], mode="all", on_gap=found.append):
                    if q.seq == 5:
                        break
                self.assertEqual([g.missing for g in found], [2])

    def test_gap_is_raised(self) -> None:
        with InThread(five_and_a_gap) as url, fxcast.connect_sync(url, token="secret") as fx:
            sub = fx.subscribe(["EUR/USD"], mode="all")
            self.assertEqual([next(sub).seq, next(sub).seq], [1, 2])
            self.assertRaises(fxcast.GapError, next, sub)
            self.assertEqual(next(sub).seq, 5)
            self.assertEqual(sub.positions, {"EUR/USD": ("e", 5)})

    def test_timeout_loses_nothing(self) -> None:
        """A wait that ends early is taken up by the next one, so no quote falls between them."""
        async def serve(ws: Any) -> None:
            await send(ws, **WELCOME)
            await acknowledge(ws)
            for seq in range(1, 301):
                while timeouts * 10 < seq:  # so that many waits end early
                    await asyncio.sleep(0.0001)
                await send(ws, type="update", data=[tick(seq)])
            await ws.wait_closed()

        timeouts = 0
        with InThread(serve) as url, fxcast.connect_sync(url, token="secret") as fx:
            sub = fx.subscribe(["EUR/USD"], mode="all")
            got: list[int] = []
            while len(got) < 300:
                try:
                    got.append(sub.next(timeout=0.0005).seq)
                except TimeoutError:
                    timeouts += 1
            self.assertEqual(got, list(range(1, 301)))

    def test_close_from_another_thread(self) -> None:
        with InThread(five_and_a_gap) as url:
            for delay in (0.0, 0.01, 0.1):
                fx = fxcast.connect_sync(url, token="secret", on_gap=lambda gap: None)
                with fx:
                    threading.Timer(delay, fx.close).start()
                    try:
                        for _ in fx.subscribe(["EUR/USD"], mode="all"):
                            pass
                    except RuntimeError:  # closed before subscribe
                        pass
                self.assertEqual(fx.state, "closed")
                fx.close()
                self.assertRaises(RuntimeError, fx.subscribe, ["EUR/USD"])

    def test_close_from_a_callback(self) -> None:
        holder: list[SyncConnection] = []

        def on_state(state: str) -> None:
            if state == "live":
                holder[0].close()

        with InThread(five_and_a_gap) as url:
            holder.append(SyncConnection(lambda: connection_to(url, on_state=on_state), None))
            with holder[0] as fx:
                self.assertEqual(list(fx.subscribe(["EUR/USD"])), [])

    def test_refused(self) -> None:
        async def serve(ws: Any) -> None:
            await send(ws, **WELCOME)
            await ws.close(1008, "closed by an operator")

        with InThread(serve) as url, fxcast.connect_sync(url, token="secret", on_error=lambda e: None) as fx:
            with self.assertRaises(fxcast.ConnectionLost):
                for _ in fx.subscribe(["EUR/USD"]):
                    pass
            self.assertIsInstance(fx.error, fxcast.ConnectionLost)

    def test_ready_times_out(self) -> None:
        async def serve(ws: Any) -> None:
            await ws.wait_closed()

        with InThread(serve) as url, fxcast.connect_sync(url, token="secret") as fx:
            began = time.monotonic()
            self.assertRaises(TimeoutError, fx.ready, 0.1)
            self.assertLess(time.monotonic() - began, 5)


if __name__ == "__main__":
    unittest.main()
