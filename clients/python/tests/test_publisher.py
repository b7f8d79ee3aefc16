"""The publishers against an HTTP server that gives scripted answers."""

from __future__ import annotations

import asyncio
import http.server
import json
import threading
import time
import unittest
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import fxcast

Answers = list[tuple[int, dict[str, str], "bytes | None"]]  # status, headers, body; None cuts the connection


class Server:
    """Answers with the given answers, then accepts everything."""

    def __init__(self, answers: Answers) -> None:
        self.requests: list[list[dict[str, Any]]] = []
        self.tokens: set[str] = set()
        self.connections = 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                outer.connections += 1
                super().setup()

            def do_POST(self) -> None:
                quotes = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.requests.append(quotes)
                outer.tokens.add(self.headers["Authorization"])
                status, headers, body = answers.pop(0) if answers else (200, {}, None)
                if status == 0:
                    self.close_connection = True
                    return
                if body is None:
                    body = json.dumps({"accepted": len(quotes), "rejected": []}).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def quotes(n: int) -> list[dict[str, Any]]:
    return [{"symbol": "EUR/USD", "bid": f"1.{i:04}0", "ask": "9.90"} for i in range(n)]


def problem(detail: str) -> bytes:
    return json.dumps({"title": "no", "detail": detail}).encode()


class PublisherTest(unittest.IsolatedAsyncioTestCase):
    async def test_contract(self) -> None:
        with Server([]) as server:
            async with fxcast.Publisher(server.url, token="secret") as p:
                done = await p.publish([{"symbol": "EUR/USD", "bid": "1.1", "ask": "1.2"}])
                self.assertEqual((done.accepted, done.rejected, done.unreplicated), (1, [], []))
                await p.publish([])
                await asyncio.gather(*(p.publish(quotes(3)) for _ in range(10)))
        self.assertEqual((len(server.requests), server.tokens, server.connections), (11, {"Bearer secret"}, 1))

    async def test_cancelled_wait_publishes_nothing_later(self) -> None:
        with Server([(429, {"Retry-After": "1"}, b"")]) as server:
            async with fxcast.Publisher(server.url, token="secret") as p:
                call = asyncio.create_task(p.publish(quotes(1)))
                while not server.requests:
                    await asyncio.sleep(0.001)
                call.cancel()
                with self.assertRaises(asyncio.CancelledError):
                    await call
                await asyncio.sleep(1.3)  # longer than the wait that was advised
        self.assertEqual(len(server.requests), 1)

    async def test_close_ends_a_wait(self) -> None:
        with Server([(503, {"Retry-After": "20"}, problem("shutting down"))]) as server:
            p = fxcast.Publisher(server.url, token="secret")
            call = asyncio.create_task(p.publish(quotes(1)))
            while not server.requests:
                await asyncio.sleep(0.01)
            began = time.monotonic()
            await p.close()
            with self.assertRaises(fxcast.PublishError):
                await call
            self.assertLess(time.monotonic() - began, 5)


class SyncPublisherTest(unittest.TestCase):
    def publish(self, answers: Answers, n: int = 2, retry_for: float = 30.0) -> tuple[fxcast.Published, Server]:
        with Server(answers) as server, fxcast.SyncPublisher(server.url, "secret", retry_for=retry_for) as p:
            return p.publish(quotes(n)), server

    def test_digits(self) -> None:
        with Server([]) as server, fxcast.SyncPublisher(server.url + "/fx/", "secret") as p:
            at = datetime(2026, 11, 22, 12, 15, 0, 123456, timezone(timedelta(hours=2)))
            p.publish([{"symbol": "EUR/USD", "bid": Decimal("1.08450"), "ask": Decimal("1E+1"), "ts": at, "bid_size": 5, "source": None},
                       fxcast.Quote("EUR/USD", Decimal("1.10"), Decimal("1.20"), at, 7, "e", ask_size=Decimal("2.50"))])
        self.assertEqual(server.requests[0], [
            {"symbol": "EUR/USD", "bid": "1.08450", "ask": "10", "ts": "2026-11-22T10:15:00.123456Z", "bid_size": "5", "source": None},
            {"symbol": "EUR/USD", "bid": "1.10", "ask": "1.20", "ts": "2026-11-22T10:15:00.123456Z", "ask_size": "2.50"}])

    def test_bad_input(self) -> None:
        p = fxcast.SyncPublisher("http://127.0.0.1:1", "secret")
        for quote, error in (({"bid": 1.1}, TypeError), ({"bid": True}, TypeError), ("x", TypeError), ({"bid": Decimal("NaN")}, ValueError),
                             ({"ts": datetime(2026, 1, 1)}, ValueError)):
            with self.subTest(quote=quote):
                self.assertRaises(error, p.publish, [quote])

    def test_indexes_over_many_requests(self) -> None:
        first = json.dumps({"accepted": 998, "rejected": [{"index": 0, "reason": "crossed", "message": "m"}, {"index": 999, "reason": "old"}],
                            "unreplicated": [5]}).encode()
        second = json.dumps({"accepted": 499, "rejected": [{"index": 1, "reason": "wide"}], "unreplicated": [0]}).encode()
        done, server = self.publish([(200, {}, first), (200, {}, second)], 1500)
        self.assertEqual([len(r) for r in server.requests], [1000, 500])
        self.assertEqual((done.accepted, done.unreplicated), (1497, [5, 1000]))
        self.assertEqual([(r.index, r.reason) for r in done.rejected], [(0, "crossed"), (999, "old"), (1001, "wide")])

    def test_waits_as_advised(self) -> None:
        began = time.monotonic()
        done, server = self.publish([(429, {"Retry-After": "1"}, problem("slow down")), (503, {}, problem("Redis is lost"))])
        self.assertGreater(time.monotonic() - began, 1.2)
        self.assertEqual((done.accepted, len(server.requests)), (2, 3))

    def test_gives_up(self) -> None:
        with self.assertRaises(fxcast.PublishError) as caught:
            self.publish([(429, {"Retry-After": "60"}, problem("slow down"))], retry_for=1.0)
        self.assertEqual((caught.exception.status, caught.exception.unknown), (429, False))
        with self.assertRaises(fxcast.PublishError) as caught:
            fxcast.SyncPublisher("http://127.0.0.1:1", "secret", retry_for=0.5).publish(quotes(1))
        self.assertEqual((caught.exception.status, caught.exception.unknown), (None, False))

    def test_never_sends_twice(self) -> None:
        """What may have been published is reported, not sent again."""
        for answer in ((0, {}, None), (503, {"Retry-After": "1"}, problem("Redis is lost; 1 of 2 quotes are settled, the others were not accepted")),
                       (503, {"Retry-After": "1"}, problem("Redis is lost; 0 of 2 quotes are settled, the outcome of the others is unknown")),
                       (500, {}, b""), (200, {}, b"nonsense"), (200, {}, b"{}"), (200, {}, b'{"accepted":9,"rejected":[]}'),
                       (200, {}, b'{"accepted":1,"rejected":[{"index":7,"reason":"x"}]}'), (200, {}, b"x" * (2 << 20))):
            with self.subTest(answer=str(answer)[:100]):
                with Server([answer]) as server, fxcast.SyncPublisher(server.url, "secret") as p:
                    with self.assertRaises(fxcast.PublishError) as caught:
                        p.publish(quotes(2))
                    self.assertTrue(caught.exception.unknown)
                    self.assertEqual(len(server.requests), 1)
                    self.assertEqual(p.publish(quotes(2)).accepted, 2)

    def test_refused(self) -> None:
        for status in (400, 401, 403, 413):
            with self.assertRaises(fxcast.PublishError) as caught:
                self.publish([(status, {}, problem("the words of the server"))])
            self.assertEqual((caught.exception.status, caught.exception.unknown), (status, False))
            self.assertIn("the words of the server", str(caught.exception))
            self.assertNotIn("secret", str(caught.exception))


if __name__ == "__main__":
    unittest.main()
