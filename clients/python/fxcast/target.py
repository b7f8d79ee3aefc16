"""The address of a server, and the credentials for it."""

from __future__ import annotations

import asyncio
import http.client
import inspect
import json
import ssl
from http.cookies import CookieError, SimpleCookie
from typing import Awaitable, Callable
from urllib.parse import SplitResult, quote, urlsplit

from .clock import Clock
from .errors import ConnectError, FxcastError
from .http import Answer, in_thread, request
from .socket import refused

Ticket = Callable[[], "str | Awaitable[str]"]

NEW_GUEST_AFTER = 60.0  # seconds before which a guest whose session has ended does not get another


def check_token(token: str) -> str:
    """Returns the token. Raises ValueError, without the token in it, if it fits in no header."""
    if not isinstance(token, str):
        raise TypeError(f"the token is a str, not {type(token).__name__}")
    if not token:
        raise ValueError("the token is empty")
    if "\n" in token or "\r" in token:
        raise ValueError("the token has a newline; strip() it if it comes from a file")
    if not all("!" <= c <= "~" for c in token):
        raise ValueError("the token has characters that no token has, such as a space")
    return token


def parse_url(url: str, schemes: tuple[str, ...]) -> SplitResult:
    """Returns the parts of a URL of one of these schemes. Raises ValueError for any other."""
    if not isinstance(url, str):
        raise TypeError(f"the URL is a str, not {type(url).__name__}")
    if not url.isprintable() or " " in url:
        raise ValueError("the URL has a space or a control character")
    parts = urlsplit(url)
    if parts.scheme not in schemes or not parts.hostname:
        raise ValueError(f"want a URL that begins with {', '.join(s + '://' for s in schemes)} and a host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("the URL has a user or a password; give a token instead")
    parts.port  # raises ValueError for a bad one
    return parts._replace(fragment="")


class Target:
    """The address that the client connects to, and its identity."""

    def __init__(self, url: str, token: str | None, ticket: Ticket | None, guest: bool,
                 tls: ssl.SSLContext | None, clock: Clock) -> None:
        parts = parse_url(url, ("ws", "wss", "http", "https"))
        if (token is not None) + (ticket is not None) + guest > 1:
            raise ValueError("give one of token, ticket and guest")
        scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
        path = parts.path if parts.path not in ("", "/") else "/ws"
        self._url = parts._replace(scheme=scheme, path=path)
        self._api = path.removesuffix("ws").rstrip("/") if path.endswith("/ws") else ""
        self._token = None if token is None else check_token(token)
        self._ticket = ticket
        self._guest = guest
        self._guest_since = 0.0
        self._clock = clock
        self._refused_tickets = 0
        self.tls = tls

    async def credentials(self) -> tuple[SplitResult, dict[str, str]]:
        """Returns the URL and the headers of the next connect. Raises ConnectError."""
        url = self._url
        if self._ticket is not None:
            ticket = await self._get_ticket(self._ticket)
            query = f"ticket={quote(ticket, safe='')}"
            return url._replace(query=f"{url.query}&{query}" if url.query else query), {}
        if self._guest and self._token is None:
            self._token = await self._get_guest()
            self._guest_since = self._clock.now()
        return url, {} if self._token is None else {"Authorization": f"Bearer {self._token}"}

    def welcomed(self) -> None:
        """Notes that the credentials were good."""
        self._refused_tickets = 0

    def renew(self) -> bool:
        """Reports whether there will be other credentials after a 401 or 4001."""
        if self._ticket is not None:  # it may have expired on its way; two in a row have not
            self._refused_tickets += 1
            return self._refused_tickets < 2
        if self._guest and self._token is not None:
            self._token = None
            return self._clock.now() - self._guest_since > NEW_GUEST_AFTER
        return False

    async def _get_ticket(self, ticket: Ticket) -> str:
        try:
            answer = ticket()
            text = await answer if inspect.isawaitable(answer) else answer
        except (FxcastError, asyncio.CancelledError):
            raise
        except Exception as e:
            raise ConnectError(f"no ticket: {type(e).__name__}: {e}") from e
        if not isinstance(text, str) or not text:
            raise ConnectError("no ticket: the callable returned no text")
        return text

    async def _post(self, path: str, headers: dict[str, str]) -> Answer:
        """Returns the answer to a request without a body. Raises ConnectError for a refusal."""
        try:
            answer = await in_thread(lambda: request(self._url, "POST", self._api + path, headers, self.tls))
        except (OSError, http.client.HTTPException, ValueError) as e:
            raise ConnectError(f"{path}: {e}") from e
        if answer.status not in (200, 201):
            raise refused(answer.status, answer.headers.get("Retry-After"), answer.body)
        return answer

    async def request_ticket(self) -> str:
        """Asks for a ticket with the token."""
        answer = await self._post("/api/v1/ws-ticket", {"Content-Length": "0", "Authorization": f"Bearer {self._token}"})
        try:
            return check_token(json.loads(answer.body)["ticket"])
        except (ValueError, TypeError, KeyError, RecursionError):
            raise ConnectError("the answer to the request for a ticket has none") from None

    async def _get_guest(self) -> str:
        """Asks for a guest session. Its token comes as a cookie and serves as the bearer."""
        answer = await self._post("/api/v1/session/guest", {"Content-Length": "0"})
        try:
            cookies: SimpleCookie[str] = SimpleCookie(answer.headers.get("Set-Cookie", ""))
            return check_token(next(iter(cookies.values())).value)
        except (CookieError, StopIteration, ValueError):
            raise ConnectError("no guest session: the answer has no cookie") from None


def tickets(url: str, token: str, *, ssl: ssl.SSLContext | None = None) -> Ticket:
    """Returns the argument ``ticket`` of connect: a function that gets a ticket with a token.

    It is for a token that must not be sent with the upgrade, such as through a proxy that logs headers.
    """
    target = Target(url, token, None, False, ssl, Clock())

    async def ticket() -> str:
        return await target.request_ticket()

    return ticket
