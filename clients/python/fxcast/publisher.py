"""Publishing quotes over HTTP."""

from __future__ import annotations

import asyncio
import http.client
import json
import random
import re
import select
import ssl
import threading
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any, Iterable, Iterator, Mapping, NamedTuple

from .errors import PublishError
from .http import Answer, in_thread, open_http, read_answer
from .quote import Quote, clip
from .socket import parse_retry_after, refused
from .target import check_token, parse_url

MAX_BODY = 900_000  # bytes of one request, below the server's 1 MiB
MAX_BATCH = 1000  # quotes of one request

# A 503 that was given after some quotes were settled says so.
_SETTLED = re.compile(r"(\d{1,9}) of \d+ quotes are settled, the others were not accepted")
_PARTLY = re.compile(r"quotes are settled")


@dataclass(frozen=True)
class Rejected:
    """A quote that the server refused; ``reason`` is one of docs/prices.md."""

    index: int
    reason: str
    message: str


class Published(NamedTuple):
    """The outcome of a call: how many quotes were accepted, and what is to be known of the others.

    ``unreplicated`` has the indexes of accepted quotes that no replica of Redis has yet. They were
    shown, so they are not to be sent again.
    """

    accepted: int
    rejected: list[Rejected]
    unreplicated: list[int]


class SyncPublisher:
    """Publishes quotes over HTTP; ``publish`` blocks. Several threads may share one.

    An answer 429 or 503 by which nothing was published, and a server that cannot be reached, are
    tried again as advised, for at most ``retry_for`` seconds. What may have been published is never
    sent again: ``publish`` then raises PublishError with ``unknown`` set.
    """

    def __init__(self, url: str, token: str, *, retry_for: float = 30.0, ssl: ssl.SSLContext | None = None) -> None:
        self._url = parse_url(url, ("http", "https"))
        self._path = self._url.path.rstrip("/") + "/api/v1/quotes"
        self._headers = {"Authorization": f"Bearer {check_token(token)}", "Content-Type": "application/json",
                         "User-Agent": "fxcast-python"}
        self._retry_for = retry_for
        self._tls = ssl
        self._lock = threading.Lock()  # held while a call uses the connection
        self._closed = threading.Event()
        self._connection: http.client.HTTPConnection | None = None

    def __enter__(self) -> SyncPublisher:
        return self

    def __exit__(self, *exc: Any) -> None:
        self.close()

    def close(self) -> None:
        """Ends a wait of ``publish``, and closes the connection once no call uses it."""
        self._closed.set()
        if self._lock.acquire(timeout=0.1):
            try:
                self._disconnect()
            finally:
                self._lock.release()

    def publish(self, quotes: Iterable[Mapping[str, Any] | Quote]) -> Published:
        """Publishes quotes and returns the outcome. Prices are str, Decimal or int, never float."""
        return self._publish([encode(q) for q in quotes], threading.Event())

    def _publish(self, texts: list[str], cancelled: threading.Event) -> Published:
        done = Published(0, [], [])
        with self._lock:
            start = 0
            for batch in _batches(texts):
                answer = self._send("[" + ",".join(batch) + "]", done, cancelled)
                done = _add(done, answer, start, len(batch))
                start += len(batch)
        return done

    def _send(self, body: str, done: Published, cancelled: threading.Event) -> dict[str, Any]:
        """Sends one request until it is answered for good."""
        until = time.monotonic() + self._retry_for
        failures = 0
        while True:
            if self._closed.is_set() or cancelled.is_set():
                raise PublishError("the publisher is closed", None, done)
            try:
                answer = self._request(body, done)
                status: int | None = answer.status
                if answer.status == 200:
                    return _decode(answer.body, done)
                problem = refused(answer.status, answer.headers.get("Retry-After"), answer.body)
                if answer.status not in (429, 503) or not _nothing_published(answer):
                    raise PublishError(str(problem), status, done, unknown=answer.status >= 500)
                text, advice = str(problem), problem.retry_after
            except OSError as e:  # not connected, so nothing was sent
                status, text, advice = None, f"cannot connect to {self._url.hostname}: {e}", None
            failures += 1
            wait = random.uniform(0.2, 1.0) * 2.0 ** min(failures - 1, 5) if advice is None else advice * random.uniform(1, 1.1)
            if time.monotonic() + wait > until:
                raise PublishError(text, status, done)
            pause = time.monotonic() + wait
            while (left := pause - time.monotonic()) > 0 and not cancelled.is_set():
                if self._closed.wait(min(left, 0.1)):
                    break

    def _request(self, body: str, done: Published) -> Answer:
        """Sends a request. Raises OSError if it was not sent, PublishError if that is not known."""
        connection = self._connection
        if connection is None or _has_ended(connection):
            self._disconnect()
            connection = open_http(self._url, self._tls)
            try:
                connection.connect()
            except (http.client.HTTPException, ValueError) as e:
                raise PublishError(f"cannot connect: {e}", None, done) from e
            self._connection = connection
        try:
            connection.request("POST", self._path, body.encode(), self._headers)
            answer = read_answer(connection)
        except (OSError, http.client.HTTPException, ValueError) as e:
            self._disconnect()
            raise PublishError(f"no answer, so the outcome is unknown: {type(e).__name__} {e}", None, done, unknown=True) from e
        except BaseException:
            self._disconnect()
            raise
        if connection.sock is None or answer.headers.get("Connection", "").lower() == "close":
            self._disconnect()
        return answer

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Publisher:
    """The same for asynchronous code. Calls are answered in their order."""

    def __init__(self, url: str, token: str, *, retry_for: float = 30.0, ssl: ssl.SSLContext | None = None) -> None:
        self._sync = SyncPublisher(url, token, retry_for=retry_for, ssl=ssl)
        self._turn: asyncio.Lock | None = None

    async def __aenter__(self) -> Publisher:
        return self

    async def __aexit__(self, *exc: Any) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends waits of ``publish``, and closes the connection once no call uses it."""
        self._sync._closed.set()
        await in_thread(self._sync.close)

    async def publish(self, quotes: Iterable[Mapping[str, Any] | Quote]) -> Published:
        """Publishes quotes; see SyncPublisher. A cancelled call may have published them."""
        texts = [encode(q) for q in quotes]
        if self._turn is None:
            self._turn = asyncio.Lock()
        cancelled = threading.Event()
        async with self._turn:
            try:
                return await in_thread(lambda: self._sync._publish(texts, cancelled))
            finally:
                cancelled.set()


def encode(quote: Mapping[str, Any] | Quote) -> str:
    """Returns the JSON of a quote, prices as text with their digits."""
    if isinstance(quote, Quote):
        fields: dict[str, Any] = {"symbol": quote.symbol, "bid": quote.bid, "ask": quote.ask, "ts": quote.ts}
        fields.update((k, v) for k, v in (("bid_size", quote.bid_size), ("ask_size", quote.ask_size)) if v is not None)
    elif isinstance(quote, Mapping):
        fields = dict(quote)
    else:
        raise TypeError(f"a quote is a mapping or a Quote, not {type(quote).__name__}")
    return json.dumps({name: _value(name, value) for name, value in fields.items()}, separators=(",", ":"))


def _value(name: str, value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise ValueError(f"{name} is {value}")
        return format(value, "f")
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError(f"{name} has no time zone")
        return value.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")
    if type(value) is int:
        return str(value)
    raise TypeError(f"{name} is a {type(value).__name__}; give text, or a Decimal" if isinstance(value, float)
                    else f"{name} is a {type(value).__name__}")


def _batches(texts: list[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    size = 0
    for text in texts:
        length = len(text) + 1  # JSON of this module is ASCII
        if batch and (len(batch) >= MAX_BATCH or size + length > MAX_BODY):
            yield batch
            batch, size = [], 0
        batch.append(text)
        size += length
    if batch:
        yield batch


def _decode(body: bytes, done: Published) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise PublishError(f"an answer that is not JSON: {clip(body)}", 200, done, unknown=True)
    return answer


def _add(done: Published, answer: dict[str, Any], start: int, count: int) -> Published:
    """Adds the answer for the quotes from start on."""
    def index(value: object) -> int:
        if type(value) is not int or not 0 <= value < count:
            raise PublishError(f"an answer with a wrong index: {clip(value)}", 200, done, unknown=True)
        return start + value

    accepted, rejected, unreplicated = answer.get("accepted"), answer.get("rejected"), answer.get("unreplicated", [])
    if type(accepted) is not int or not isinstance(rejected, list) or not isinstance(unreplicated, list) \
            or not all(isinstance(r, dict) for r in rejected) or accepted + len(rejected) != count:
        raise PublishError(f"an answer that does not add up: {clip(str(answer))}", 200, done, unknown=True)
    return Published(
        done.accepted + accepted,
        done.rejected + [Rejected(index(r.get("index")), str(r.get("reason", "")), str(r.get("message", ""))) for r in rejected],
        done.unreplicated + [index(i) for i in unreplicated])


def _nothing_published(answer: Answer) -> bool:
    """Reports whether an answer other than 200 means that no quote of the request was accepted."""
    text = answer.body[:4096].decode("utf-8", "replace")
    if _PARTLY.search(text) is None:
        return True
    settled = _SETTLED.search(text)
    return settled is not None and int(settled[1]) == 0


def _has_ended(connection: http.client.HTTPConnection) -> bool:
    """Reports whether the server has closed an idle connection."""

    if connection.sock is None:
        return True
    poll = select.poll()
    poll.register(connection.sock, select.POLLIN)
    return bool(poll.poll(0))
