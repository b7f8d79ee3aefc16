"""The connection against a server of the test: closing, slow programs, subscriptions, bounds."""

from __future__ import annotations

import asyncio
import gc
import json
import random
import time
import unittest
from typing import Any

import fxcast
from fake import WELCOME, Fake, acknowledge, connection_to, send, settled, tick


async def endless(ws: Any) -> None:
    """Sends ticks of every subscription as fast as they are taken."""
    await send(ws, **WELCOME)
    await acknowledge(ws)
    for seq in range(1, 10**9):
        await send(ws, type="update", data=[tick(seq)])
        await asyncio.sleep(0)


class CloseTest(unittest.IsolatedAsyncioTestCase):
    async def test_at_every_moment(self) -> None:
        """Whenever close comes, it ends soon, and nothing goes on after it."""
        for seed in range(40):
            rng = random.Random(seed)

            async def serve(ws: Any) -> None:
                kind = rng.randrange(5)
                if kind == 4:
                    await endless(ws)
                if kind == 0:
                    await ws.wait_closed()
                await send(ws, **WELCOME)
                if kind == 1:
                    await ws.close(rng.choice((1012, 1011, 4008)))
                elif kind == 2:
                    await ws.send("nonsense")
                else:
                    ws.transport.abort()

            async with Fake(serve) as server:
                states: list[str] = []
                fx = connection_to(server.url, scale=0.02, on_state=states.append)
                ended = 0

                async def iterate(mode: str) -> None:
                    nonlocal ended
                    try:
                        async for q in fx.subscribe(["EUR/USD"], mode=mode):
                            if rng.random() < 0.1:
                                await asyncio.sleep(0.001)
                    except fxcast.GapError:
                        pass
                    ended += 1

                await fx.__aenter__()
                iterator = asyncio.create_task(iterate(rng.choice(("latest", "all"))))
                await asyncio.sleep(rng.choice((0, 0.001, 0.01, 0.03, 0.1)))
                began = time.monotonic()
                await asyncio.gather(*(fx.close() for _ in range(rng.randrange(1, 4))))
                await asyncio.wait_for(iterator, 5)
                self.assertLess(time.monotonic() - began, 5, f"seed {seed}")
                self.assertEqual((fx.state, ended, await settled()), ("closed", 1, set()), f"seed {seed}")
                self.assertEqual(states.count("closed"), 1, f"seed {seed}: {states}")
                connects = server.connects
                await asyncio.sleep(0.02)
                self.assertEqual((server.connects, states[-1]), (connects, "closed"), f"seed {seed}")
                await fx.close()
                with self.assertRaises(StopAsyncIteration):
                    await fx.subscribe(["GBP/USD"]).__anext__()

    async def test_before_it_has_begun(self) -> None:
        fx = connection_to("ws://127.0.0.1:1/ws")
        sub = fx.subscribe(["EUR/USD"])
        await fx.close()
        with self.assertRaises(StopAsyncIteration):
            await sub.__anext__()
        with self.assertRaises(fxcast.FxcastError):
            await fx.ready()
        with self.assertRaises(RuntimeError):
            await fx.__aenter__()

    async def test_iterator_after_a_refusal(self) -> None:
        """What came before the server ended the session is delivered, then the reason is raised."""
        async def serve(ws: Any) -> None:
            await send(ws, **WELCOME)
            await acknowledge(ws)
            await send(ws, type="update", data=[tick(1), tick(2)])
            await ws.close(4001, "session expired")

        async with Fake(serve) as server, connection_to(server.url) as fx:
            sub = fx.subscribe(["EUR/USD"], mode="all")
            self.assertEqual([(await sub.__anext__()).seq, (await sub.__anext__()).seq], [1, 2])
            for _ in range(2):
                with self.assertRaises(fxcast.ConnectionLost) as lost:
                    await sub.__anext__()
                self.assertEqual((lost.exception.code, lost.exception.final), (4001, True))
            with self.assertRaises(fxcast.ConnectionLost):
                await fx.subscribe(["EUR/JPY"]).__anext__()


class QueueTest(unittest.IsolatedAsyncioTestCase):
    async def test_slow_program_in_mode_all(self) -> None:
        """A program that takes nothing holds at most its queue and a message; then nothing is lost."""
        async with Fake(endless) as server, connection_to(server.url) as fx:
            sub = fx.subscribe(["EUR/USD"], mode="all", max_pending=100)
            while not sub._feed.full:
                await asyncio.sleep(0.001)
            await asyncio.sleep(0.2)  # in which a client that does not wait would take more
            self.assertLessEqual(len(sub._feed._queue), 101)
            self.assertEqual([(await sub.__anext__()).seq for _ in range(3000)], list(range(1, 3001)))

    async def test_slow_program_in_mode_latest(self) -> None:
        """A program that takes nothing gets the newest quote, and the number of those before it."""
        async with Fake(endless) as server, connection_to(server.url) as fx:
            sub = fx.subscribe(["EUR/USD"])
            first = await sub.__anext__()
            while (waiting := sub._feed._latest.get("EUR/USD")) is None or waiting.skipped <= 100:
                await asyncio.sleep(0.001)
            q = await sub.__anext__()
            self.assertGreater(q.skipped, 100)
            self.assertEqual(q.seq, first.seq + q.skipped + 1)

    async def test_gap_is_raised_and_the_iterator_goes_on(self) -> None:
        async def serve(ws: Any) -> None:
            await send(ws, **WELCOME)
            await acknowledge(ws)
            await send(ws, type="update", data=[tick(1), tick(5), tick(6)])
            await ws.wait_closed()

        async with Fake(serve) as server, connection_to(server.url) as fx:
            sub = fx.subscribe(["EUR/USD"], mode="all")
            self.assertEqual((await sub.__anext__()).seq, 1)
            with self.assertRaises(fxcast.GapError) as caught:
                await sub.__anext__()
            self.assertEqual(caught.exception.gap[3:], (3, "missing"))
            self.assertEqual([(await sub.__anext__()).seq for _ in range(2)], [5, 6])
            self.assertEqual(sub.positions, {"EUR/USD": ("e", 6)})

    async def test_gap_callback_may_be_a_coroutine_function(self) -> None:
        async def serve(ws: Any) -> None:
            await send(ws, **WELCOME)
            await acknowledge(ws)
            await send(ws, type="update", data=[tick(1), tick(5)])
            await ws.wait_closed()

        gaps: list[fxcast.Gap] = []

        async def on_gap(gap: fxcast.Gap) -> None:
            await asyncio.sleep(0)
            gaps.append(gap)

        async with Fake(serve) as server, connection_to(server.url) as fx:
            sub = fx.subscribe(["EUR/USD"], mode="all", on_gap=on_gap)
            self.assertEqual([(await sub.__anext__()).seq for _ in range(2)], [1, 5])
            self.assertEqual([g.missing for g in gaps], [3])


class SubscriptionTest(unittest.IsolatedAsyncioTestCase):
    async def test_dropped_iterator_unsubscribes(self) -> None:
        """A loop that ends by break leaves no subscription behind, which would fill up."""
        commands: list[dict[str, Any]] = []
        unsubscribed = asyncio.Event()

        async def serve(ws: Any) -> None:
            await send(ws, **WELCOME)
            commands.append(await acknowledge(ws))
            await send(ws, type="update", data=[tick(1)])
            commands.append(await acknowledge(ws))
            unsubscribed.set()
            await ws.wait_closed()

        async with Fake(serve) as server, connection_to(server.url) as fx:
            async for _ in fx.subscribe(["EUR/USD"], mode="all"):
                break
            gc.collect()
            await asyncio.wait_for(unsubscribed.wait(), 5)
            self.assertEqual([(c["op"], c["symbols"]) for c in commands],
                             [("subscribe", ["EUR/USD"]), ("unsubscribe", ["EUR/USD"])])

    async def test_alias_and_refusals(self) -> None:
        async def serve(ws: Any) -> None:
            await send(ws, **WELCOME)
            while True:
                command = json.loads(await ws.recv())
                names = {"GOLD": "XAU/USD"}
                ok = [names.get(s, s) for s in command["symbols"] if not s.startswith("XXX")]
                failed = [{"symbol": s, "code": "unknown_symbol", "message": "no"} for s in command["symbols"] if s.startswith("XXX")]
                await send(ws, type="ack", id=command["id"], op="subscribe", ok=ok, failed=failed)
                await send(ws, type="snapshot", data=[tick(1, s) for s in ok])

        found: list[fxcast.FxcastError] = []
        async with Fake(serve) as server, connection_to(server.url, on_error=found.append) as fx:
            sub = fx.subscribe(["GOLD", "EUR/USD", "XXX/USD"])
            self.assertEqual({(await sub.__anext__()).symbol for _ in range(2)}, {"XAU/USD", "EUR/USD"})
            self.assertEqual((set(sub.symbols), [e.symbol for e in sub.failed]), ({"XAU/USD", "EUR/USD"}, ["XXX/USD"]))
            refused = fx.subscribe(["XXX/JPY"])
            with self.assertRaises(fxcast.CommandError) as caught:
                await refused.__anext__()
            self.assertEqual(caught.exception.code, "unknown_symbol")
            self.assertEqual(len(found), 2)

    async def test_quotes_go_where_the_server_sends_them(self) -> None:
        """An exact name is before wildcards, and of two wildcards the later one is."""
        async def serve(ws: Any) -> None:
            await send(ws, **WELCOME)
            for _ in range(4):
                await acknowledge(ws)
            await send(ws, type="update", data=[tick(1, s) for s in ("EUR/USD", "EUR/JPY", "GBP/JPY", "EUR/CHF", "USD/CHF")])
            await ws.wait_closed()

        async with Fake(serve) as server, connection_to(server.url) as fx:
            subs = {name: fx.subscribe([name], mode="all" if i % 2 else "latest")
                    for i, name in enumerate(("*", "EUR/*", "*/JPY", "EUR/USD"))}
            for name, want in {"EUR/USD": ["EUR/USD"], "*/JPY": ["EUR/JPY", "GBP/JPY"], "EUR/*": ["EUR/CHF"], "*": ["USD/CHF"]}.items():
                got = [(await asyncio.wait_for(subs[name].__anext__(), 5)).symbol for _ in want]
                self.assertEqual(got, want, name)

    async def test_pace(self) -> None:
        commands: list[dict[str, Any]] = []

        async def serve(ws: Any) -> None:
            await send(ws, **WELCOME)
            commands.append(await acknowledge(ws))
            commands.append(await acknowledge(ws))
            await send(ws, type="update", data=[tick(1)])
            await ws.wait_closed()

        async with Fake(serve) as server, connection_to(server.url, pace=(250, True)) as fx:
            await fx.subscribe(["EUR/USD"]).__anext__()
        self.assertEqual([(c["op"], c.get("every_ms"), c.get("align")) for c in commands], [("pace", 250, True), ("subscribe", None, None)])

    async def test_since_of_an_earlier_run(self) -> None:
        async def serve(ws: Any) -> None:
            await send(ws, **WELCOME)
            command = await acknowledge(ws)
            at = command["since"]["EUR/USD"]["seq"]
            await send(ws, type="resumed", symbol="EUR/USD")
            await send(ws, type="update", data=[tick(at + 1), tick(at + 2)])
            await ws.wait_closed()

        async with Fake(serve) as server, connection_to(server.url) as fx:
            sub = fx.subscribe(["EUR/USD"], mode="all", since={"EURUSD": ("e", 41)})
            self.assertEqual([(await sub.__anext__()).seq for _ in range(2)], [42, 43])


class BoundsTest(unittest.IsolatedAsyncioTestCase):
    async def test_callbacks_that_fail(self) -> None:
        """A callback that raises is logged, and harms nothing."""
        async def serve(ws: Any) -> None:
            await send(ws, **WELCOME)
            await acknowledge(ws)
            await send(ws, type="status", symbol="EUR/USD", status="stale")
            await send(ws, type="update", data=[tick(1)])
            await ws.wait_closed()

        def fail(_: object) -> None:
            raise RuntimeError("the callback of the test")

        async with Fake(serve) as server:
            with self.assertLogs("fxcast", "ERROR") as logged:
                async with connection_to(server.url, on_state=fail, on_status=fail, on_error=fail) as fx:
                    self.assertEqual((await fx.subscribe(["EUR/USD"]).__anext__()).seq, 1)
            self.assertIn("the callback of the test", "".join(logged.output))

    async def test_invented_symbols(self) -> None:
        """A server that invents symbols without end is reported, and fills no memory."""
        reported: list[fxcast.FxcastError] = []
        done = asyncio.Event()

        def on_error(error: fxcast.FxcastError) -> None:
            reported.append(error)
            done.set()

        async def serve(ws: Any) -> None:
            await send(ws, **WELCOME)
            await acknowledge(ws)
            for n in range(30_000):
                await send(ws, type="update", data=[tick(1, f"A{n}/USD")])

        async with Fake(serve) as server, connection_to(server.url, on_error=on_error) as fx:
            sub = fx.subscribe(["*"])
            await asyncio.wait_for(done.wait(), 60)
            self.assertIsInstance(reported[0], fxcast.ProtocolError)
            self.assertLessEqual(len(sub._feed.sequences), 20_000)

    async def test_any_message(self) -> None:
        """Whatever a server sends, it is taken or is a ProtocolError; nothing else is raised."""
        messages: list[dict[str, Any]] = [
            {**WELCOME}, {"type": "ack", "id": 1, "op": "subscribe", "ok": ["EUR/USD"], "failed": [{"symbol": "X", "code": "c", "message": "m"}]},
            {"type": "snapshot", "reset": True, "data": [tick(3), tick(9, "GBP/USD")]}, {"type": "update", "data": [tick(4, skipped=3, gap=True)]},
            {"type": "status", "symbol": "EUR/USD", "status": "stale", "since": "2026-11-22T10:15:00Z"}, {"type": "status", "status": "degraded"},
            {"type": "error", "id": 2, "code": "rate_limited", "message": "m", "retry_after_ms": 5}, {"type": "session", "session": {"id": "x"}},
            {"type": "closing", "code": 1012, "reason": "r", "reconnect_after_ms": 100}, {"type": "heartbeat"}, {"type": "resumed", "symbol": "EUR/USD"}]
        values = (None, True, 0, -1, 2**70, 1.5, float("nan"), float("inf"), "", "x" * 70, "EUR/USD", [], [[]], [None], {}, {"a": {}}, [1], "1.1")

        def mutate(rng: random.Random, value: Any) -> Any:
            if rng.random() < 0.15:
                return rng.choice(values)
            if isinstance(value, dict):
                return {k: mutate(rng, v) for k, v in value.items() if rng.random() > 0.05}
            return [mutate(rng, v) for v in value] if isinstance(value, list) else value

        for seed in range(400):
            rng = random.Random(seed)
            fx = connection_to("ws://127.0.0.1:1/ws", on_error=lambda error: None)
            fx._welcome({"limits": {}})
            subs = [fx.subscribe(["EUR/USD", "GBP/*"], mode=rng.choice(("all", "latest"))), fx.subscribe(["*"])]
            for _ in range(60):
                try:
                    if rng.random() < 0.3:
                        fx._commands.next()
                    message = fx._decode(json.dumps(mutate(rng, rng.choice(messages))))
                    fx._welcome(message) if message["type"] == "welcome" else fx._take(message)
                except fxcast.ProtocolError:
                    pass
            self.assertEqual(len(subs), 2)

    async def test_errors_without_end(self) -> None:
        """A server that sends errors as fast as it can does not fill the log."""
        reported: list[fxcast.FxcastError] = []
        done = asyncio.Event()

        def on_error(error: fxcast.FxcastError) -> None:
            reported.append(error)
            if isinstance(error, fxcast.ProtocolError):
                done.set()

        async def serve(ws: Any) -> None:
            await send(ws, **WELCOME)
            for _ in range(10_000):
                await send(ws, type="error", code="bad_json", message="no")

        async with Fake(serve) as server, connection_to(server.url, on_error=on_error):
            await asyncio.wait_for(done.wait(), 30)
            self.assertLess(len(reported), 30)

    async def test_closing_and_then_nothing(self) -> None:
        """A server that says that it closes, and does not, is left after the time for a welcome."""
        lost = asyncio.Event()

        async def serve(ws: Any) -> None:
            await send(ws, type="closing", code=1012, reason="restart", reconnect_after_ms=60000)
            await ws.wait_closed()

        async with Fake(serve) as server, connection_to(server.url, scale=0.02, on_error=lambda error: lost.set()):
            await asyncio.wait_for(lost.wait(), 30)

    async def test_one_socket_at_a_time(self) -> None:
        async def serve(ws: Any) -> None:
            await send(ws, **WELCOME)
            await ws.close(1012)

        async with Fake(serve) as server:
            async with connection_to(server.url, scale=0.02) as fx:
                while server.connects < 12:
                    await asyncio.sleep(0.01)
            self.assertEqual(server.most_open, 1)


if __name__ == "__main__":
    unittest.main()
