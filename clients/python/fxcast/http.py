"""HTTP for asynchronous code, from the standard library."""

from __future__ import annotations

import asyncio
import http.client
import ssl
import threading
import time
from typing import Callable, Mapping, NamedTuple, TypeVar
from urllib.parse import SplitResult

MAX_ANSWER = 1 << 20  # bytes
TIMEOUT = 10.0  # seconds, for each step

T = TypeVar("T")


class Answer(NamedTuple):
    """An HTTP answer with its whole body."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes


def open_http(url: SplitResult, tls: ssl.SSLContext | None) -> http.client.HTTPConnection:
    """Returns a connection to the host of a URL; the first request opens it."""
    host = url.hostname or ""
    if url.scheme in ("https", "wss"):
        context = tls or ssl.create_default_context()
        return http.client.HTTPSConnection(host, url.port, timeout=TIMEOUT, context=context)
    return http.client.HTTPConnection(host, url.port, timeout=TIMEOUT)


def read_answer(connection: http.client.HTTPConnection) -> Answer:
    """Reads an answer of at most MAX_ANSWER bytes. Raises HTTPException for a longer one."""
    response = connection.getresponse()
    until = time.monotonic() + TIMEOUT
    body = bytearray()
    with response:
        while piece := response.read1(64 << 10):
            body += piece
            if len(body) > MAX_ANSWER:
                raise http.client.HTTPException(f"an answer of more than {MAX_ANSWER} bytes")
            if time.monotonic() > until:
                raise http.client.HTTPException(f"an answer that takes more than {TIMEOUT:.0f} s")
        if response.length:
            raise http.client.IncompleteRead(bytes(body), response.length)
    return Answer(response.status, response.headers, bytes(body))


def request(url: SplitResult, method: str, path: str, headers: Mapping[str, str],
            tls: ssl.SSLContext | None) -> Answer:
    """Sends one request without a body and returns the answer. It blocks."""
    connection = open_http(url, tls)
    try:
        connection.request(method, path, headers=dict(headers))
        return read_answer(connection)
    finally:
        connection.close()


async def in_thread(call: Callable[[], T]) -> T:
    """Returns the result of a blocking call. A cancelled caller does not wait for the call to end."""
    loop = asyncio.get_running_loop()
    result: asyncio.Future[T] = loop.create_future()

    def settle(value: T | None, error: BaseException | None) -> None:
        if result.done():
            return
        if error is not None:
            result.set_exception(error)
        else:
            result.set_result(value)  # type: ignore[arg-type]

    def work() -> None:
        try:
            value, error = call(), None
        except BaseException as e:  # handed to the caller
            value, error = None, e
        try:
            loop.call_soon_threadsafe(settle, value, error)
        except RuntimeError:
            pass  # the loop has ended meanwhile

    threading.Thread(target=work, name="fxcast-http", daemon=True).start()
    return await result
