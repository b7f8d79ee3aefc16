"""A WebSocket over asyncio streams.

It uses the part of ``websockets`` that does no input and output, which is the same in all versions
from 10 on. The connection is read only when the client asks for a message, so a slow client slows
the server down instead of filling memory. Redirects are not followed: a token goes to one server.
"""

from __future__ import annotations

import asyncio
import email.utils
import json
import ssl
import time
from collections import deque
from typing import Any, Callable, Mapping, Sequence
from urllib.parse import SplitResult

import websockets.client
from websockets.uri import parse_uri

from .clock import Clock
from .errors import ConnectError, ConnectionLost, ProtocolError

# The class got its present name in version 11.
_Protocol: Any = getattr(websockets.client, "ClientProtocol", None) or getattr(websockets.client, "ClientConnection")

MAX_MESSAGE = 1 << 20  # bytes that one message of the server may have
MAX_HEAD = 64 << 10  # bytes of the answer to the handshake
CLOSE_TIMEOUT = 1.0  # seconds for the server to answer a close frame
_MAX_UNSENT = 1 << 20  # bytes that wait for a server which does not read

_TEXT, _BINARY, _CONTINUATION = 1, 2, 0
_LASTING = (401, 403)  # statuses that no later attempt changes


class Socket:
    """One connection. A single task receives; any code of the loop may send."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, protocol: Any, clock: Clock) -> None:
        self._reader = reader
        self._writer = writer
        self._protocol = protocol
        self._messages: deque[str | bytes] = deque()
        self._partial = bytearray()
        self._partial_text = True
        self._end: Exception | None = None
        self._clock = clock
        self.heard = clock.now()  # when the server last sent a message, or a part of one
        self.whole = self.heard  # when the last message was complete

    @classmethod
    async def open(cls, url: SplitResult, headers: Mapping[str, str], subprotocols: Sequence[str],
                   tls: ssl.SSLContext | None, clock: Clock) -> Socket:
        """Opens a connection. Raises ConnectError, which carries the status of a refusal."""
        try:
            return await cls._open(url, headers, subprotocols, tls, clock)
        except OSError as e:
            raise ConnectError(f"cannot connect to {url.hostname}: {e}") from e
        except UnicodeError:
            raise ConnectError(f"bad host name {url.hostname!r}") from None

    @classmethod
    async def _open(cls, url: SplitResult, headers: Mapping[str, str], subprotocols: Sequence[str],
                    tls: ssl.SSLContext | None, clock: Clock) -> Socket:
        secure = url.scheme == "wss"
        context = (tls or ssl.create_default_context()) if secure else None
        reader, writer = await asyncio.open_connection(
            url.hostname, url.port or (443 if secure else 80), ssl=context, limit=MAX_HEAD)
        try:
            protocol = _Protocol(parse_uri(url.geturl()), subprotocols=list(subprotocols), max_size=MAX_MESSAGE)
            request = protocol.connect()
            for name, value in headers.items():
                request.headers[name] = value
            protocol.send_request(request)
            writer.write(b"".join(protocol.data_to_send()))
            head = await _read_head(reader)
            status, fields = _parse_head(head)
            if status != 101:
                raise await _refusal(status, fields, reader)
            protocol.receive_data(head)
            protocol.events_received()
            if protocol.handshake_exc is not None:
                raise ConnectError(f"not a WebSocket server: {protocol.handshake_exc}")
            return cls(reader, writer, protocol, clock)
        except BaseException:
            writer.transport.abort()
            raise

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol that the server chose."""
        chosen = self._protocol.subprotocol
        return None if chosen is None else str(chosen)

    def send(self, text: str) -> None:
        """Sends a message. It does nothing on a connection that has ended."""
        if self._end is None and self._protocol.state == 1:  # OPEN
            self._protocol.send_text(text.encode())
            self._flush()

    async def receive(self) -> str | bytes:
        """Returns the next message. Raises ConnectionLost at the end, ProtocolError for bad frames."""
        while not self._messages:
            if self._end is not None:
                raise self._end
            try:
                data = await self._reader.read(64 << 10)
            except (OSError, ssl.SSLError) as e:
                data, self._end = b"", ConnectionLost(1006, str(e))
            self._take(data)
        return self._messages.popleft()

    def _take(self, data: bytes) -> None:
        protocol = self._protocol
        try:
            if data:
                protocol.receive_data(data)
            else:
                protocol.receive_eof()
            frames = protocol.events_received()
            if not frames or any(int(frame.opcode) <= _BINARY for frame in frames):  # pings do not count
                self.heard = self._clock.now()
            for frame in frames:
                self._frame(frame)
        except ProtocolError as e:
            self._end = self._end or e
        except EOFError:
            pass  # the end was seen before
        self._flush()
        if protocol.parser_exc is not None and data:
            problem = protocol.parser_exc
            text = f"bad frame: {type(problem).__name__} {problem}"
            if type(problem).__name__ == "PayloadTooBig":
                text = f"a message of more than {MAX_MESSAGE} bytes"
            self._end = self._end or ProtocolError(text)
        close = protocol.close_rcvd
        if close is not None:
            self._end = self._end or ConnectionLost(int(close.code), str(close.reason))
        elif not data:
            self._end = self._end or ConnectionLost(1006, "")

    def _frame(self, frame: Any) -> None:
        opcode = int(frame.opcode)
        if opcode in (_TEXT, _BINARY):
            self._partial_text = opcode == _TEXT
            if frame.fin:
                self._message(bytes(frame.data))
                return
            self._partial = bytearray(frame.data)
        elif opcode == _CONTINUATION:
            self._partial += frame.data
            if frame.fin:
                whole, self._partial = bytes(self._partial), bytearray()
                self._message(whole)

    def _message(self, data: bytes) -> None:
        self.whole = self._clock.now()
        if not self._partial_text:
            self._messages.append(data)
            return
        try:
            self._messages.append(data.decode())
        except UnicodeDecodeError:
            raise ProtocolError("text that is not UTF-8") from None

    def _flush(self) -> None:
        data = b"".join(self._protocol.data_to_send())
        if data and not self._writer.is_closing():
            self._writer.write(data)
        if self._writer.transport.get_write_buffer_size() > _MAX_UNSENT:
            self.abort("the server reads nothing")

    def abort(self, reason: str) -> None:
        """Drops the connection; receive then raises ConnectionLost with the reason."""
        self._end = self._end or ConnectionLost(1006, reason)
        self._writer.transport.abort()

    async def close(self, code: int = 1000) -> None:
        """Sends a close frame, waits a moment for the answer, and closes the connection."""
        try:
            if self._protocol.state == 1:  # OPEN
                self._protocol.send_close(code)
                self._flush()
                await self._clock.wait_for(self._drained(), CLOSE_TIMEOUT)
        except OSError:  # TimeoutError too
            pass
        finally:
            self._writer.transport.abort()

    async def _drained(self) -> None:
        """Reads, and drops, what the server still sends until its close frame."""
        while self._protocol.close_rcvd is None:
            data = await self._reader.read(64 << 10)
            if not data:
                return
            self._protocol.receive_data(data)
            self._protocol.events_received()
            if self._protocol.parser_exc is not None:
                return


async def _read_head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        raise ConnectError("the server closed the connection instead of answering") from None
    except asyncio.LimitOverrunError:
        raise ConnectError("the server's answer is no HTTP, or its head is too long") from None


def _parse_head(head: bytes) -> tuple[int, dict[str, str]]:
    first, *lines = head.decode("latin-1").split("\r\n")
    parts = first.split(" ", 2)
    if not first.startswith("HTTP/1.") or len(parts) < 2 or not (parts[1].isascii() and parts[1].isdigit()):
        raise ConnectError("the server does not speak HTTP")
    fields = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if colon:
            fields[name.strip().lower()] = value.strip()
    return int(parts[1][:3]), fields


async def _refusal(status: int, fields: dict[str, str], reader: asyncio.StreamReader) -> ConnectError:
    """Returns the error of an answer other than 101, with the server's words if they come soon."""
    body = b""
    try:
        body = await asyncio.wait_for(reader.read(4 << 10), 0.5)
    except (asyncio.TimeoutError, TimeoutError, OSError):
        pass
    return refused(status, fields.get("retry-after"), body)


def refused(status: int, retry_after: str | None, body: bytes) -> ConnectError:
    """Returns the error of an HTTP answer that refuses a connect, a ticket or a guest session."""
    detail = _detail(body)
    text = f"refused with {status}: {detail}" if detail else f"refused with {status}"
    return ConnectError(text, status, parse_retry_after(retry_after), status in _LASTING)


def _detail(body: bytes) -> str:
    """Returns the detail of an application/problem+json."""
    try:
        problem = json.loads(body)
        detail = problem.get("detail") or problem.get("title")
    except (ValueError, RecursionError, AttributeError):
        return ""
    return detail[:200] if isinstance(detail, str) else ""


def parse_retry_after(value: str | None, now: Callable[[], float] = time.time) -> float | None:
    """Returns the seconds of a Retry-After header: a number or a date."""
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        return max(email.utils.parsedate_to_datetime(value).timestamp() - now(), 0.0)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
