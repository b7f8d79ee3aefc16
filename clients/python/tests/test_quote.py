"""Quotes and names, as the server and people write them."""

from __future__ import annotations

import unittest
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

import fxcast
from fxcast import ProtocolError
from fxcast.pattern import canonical
from fxcast.quote import parse_quote, parse_time
from fxcast.socket import parse_retry_after

GOOD: dict[str, Any] = {"symbol": "EUR/USD", "bid": "1.08450", "ask": "1.0846000000001",
                        "ts": "2026-11-22T10:15:00.123456Z", "seq": 1841}


class QuoteTest(unittest.TestCase):
    def test_digits_and_time(self) -> None:
        q = parse_quote({**GOOD, "epoch": "k3f9", "bid_size": "1.50", "gap": True, "status": "stale", "new": [1]})
        self.assertEqual((str(q.bid), str(q.ask), str(q.bid_size), q.ask_size), ("1.08450", "1.0846000000001", "1.50", None))
        self.assertEqual(q.ts, datetime(2026, 11, 22, 10, 15, 0, 123456, timezone.utc))
        self.assertEqual((q.seq, q.epoch, q.skipped, q.gap, q.status), (1841, "k3f9", 0, True, "stale"))
        long = "0." + "1" * 62
        self.assertEqual(str(parse_quote({**GOOD, "bid": long}).bid), long)

    def test_lies(self) -> None:
        for field, values in {
            "symbol": (None, 7, "", "x" * 65), "seq": (0, -1, "1", 1.0, True, None, 2**63),
            "bid": (None, 1.1, "", "1e5", "-1", "NaN", "Infinity", "1.", ".1", "1,1", "١.١", "1" * 65, [1]),
            "skipped": (-1, "1", 1.5), "epoch": (1, "x" * 65), "ts": (None, 5, "", "yesterday", "2026-13-01T00:00:00Z",
                                                                    "2026-01-01T00:00:00", "0001-01-01T00:00:00+23:59"),
            "status": (1,), "bid_size": ("x", 1),
        }.items():
            for value in values:
                with self.subTest(field=field, value=value), self.assertRaises(ProtocolError):
                    parse_quote({**GOOD, field: value})
        for data in (None, [], "x", 1):
            with self.assertRaises(ProtocolError):
                parse_quote(data)

    def test_times(self) -> None:
        for text, micros, hour in (("2026-11-22T10:15:00Z", 0, 10), ("2026-11-22T10:15:00.5Z", 500000, 10),
                                   ("2026-11-22T10:15:00.1234567+02:00", 123456, 8)):
            at = parse_time(text)
            self.assertEqual((at.microsecond, at.hour, at.tzinfo), (micros, hour, timezone.utc), text)

    def test_names(self) -> None:
        for name, want in {"EURUSD": "EUR/USD", "eur-usd": "EUR/USD", "EUR_USD": "EUR/USD", "btc/usdt": "BTC/USDT",
                           "*": "*", "*/*": "*", "eur/*": "EUR/*", "EUR*": "EUR/*", "*JPY": "*/JPY", "eur_*": "EUR/*",
                           "GOLD": "GOLD", "EURUSD.r": "EURUSD.r", "EURUSD.raw": "EURUSD.raw", "C:EURUSD": "C:EURUSD"}.items():
            self.assertEqual(canonical(name), want)
        for bad in ("", "a\nb", "x" * 65):
            self.assertRaises(ValueError, canonical, bad)
        self.assertRaises(TypeError, canonical, 5)

    def test_retry_after(self) -> None:
        self.assertEqual(parse_retry_after("2"), 2.0)
        self.assertEqual(parse_retry_after("Thu, 01 Jan 1970 00:01:40 GMT", lambda: 90.0), 10.0)
        for bad in (None, "", "-1", "soon", "1e400", "9" * 400 + "x"):
            self.assertIsNone(parse_retry_after(bad), bad)


class ArgumentsTest(unittest.TestCase):
    def test_tokens(self) -> None:
        for token in ("secret\n", "se\rcret", "se cret", "", "sécret", "sec\x00ret"):
            for call in (lambda: fxcast.connect("ws://h/ws", token=token), lambda: fxcast.connect_sync("ws://h/ws", token),
                         lambda: fxcast.Publisher("http://h", token=token), lambda: fxcast.tickets("http://h", token)):
                with self.assertRaises(ValueError) as caught:
                    call()
                if token:
                    self.assertNotIn(token, str(caught.exception))
        self.assertRaises(TypeError, fxcast.connect, "ws://h/ws", b"secret")

    def test_urls(self) -> None:
        for url in ("ftp://h/ws", "ws:///ws", "h:80", "ws://u:p@h/ws", "ws://h/ws\n", "ws://h:99999/ws", "ws://h /ws"):
            with self.subTest(url=url):
                self.assertRaises(ValueError, fxcast.connect, url, "t")
        for url in ("ws://h/ws", "https://h", "http://h/", "wss://h:444/fx/ws", "ws://[::1]:8080/ws"):
            fxcast.connect(url, "t")

    def test_options(self) -> None:
        self.assertRaises(ValueError, fxcast.connect, "ws://h/ws", "t", guest=True)
        for pace in (5, 70_000, -1):
            self.assertRaises(ValueError, fxcast.connect, "ws://h/ws", "t", pace_ms=pace)
        fx = fxcast.connect("ws://h/ws", "t")
        self.assertRaises(TypeError, fx.subscribe, "EUR/USD")
        for options in ({"mode": "some"}, {"mode": "all", "max_rate": 4}, {"max_rate": -1}, {"max_rate": float("nan")},
                        {"since": {"EUR/USD": ("a", 1)}}, {"max_pending": 0}):
            with self.subTest(options=options):
                self.assertRaises(ValueError, fx.subscribe, ["EUR/USD"], **options)
        self.assertRaises(ValueError, fx.subscribe, [])
        first = fx.subscribe(["EURUSD"])
        self.assertRaises(ValueError, fx.subscribe, ["EUR/USD"])
        first.close()
        fx.subscribe(["EUR/USD"])


if __name__ == "__main__":
    unittest.main()
