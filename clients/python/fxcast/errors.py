"""What can go wrong: everything that this package raises or passes to ``on_error``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .publisher import Published
    from .sequence import Gap


class FxcastError(Exception):
    """The base of all errors of this package."""


class GapError(FxcastError):
    """Ticks are missing. The iterator that raised it goes on with the next quote."""

    def __init__(self, gap: Gap) -> None:
        super().__init__(str(gap))
        self.gap = gap


class ProtocolError(FxcastError):
    """The server sent something that breaks the protocol. The client drops that connection."""


class ConnectError(FxcastError):
    """A connection could not be opened. The client tries again, unless ``final`` is set.

    ``status`` is the HTTP status of a refusal, or None if there was no answer.
    """

    def __init__(self, message: str, status: int | None = None, retry_after: float | None = None,
                 final: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after
        self.final = final


class ConnectionLost(FxcastError):
    """A connection has ended. The client reconnects, unless ``final`` is set.

    ``code`` is the close code, or 1006 if the connection ended without one.
    """

    def __init__(self, code: int, reason: str, final: bool = False) -> None:
        text = f"closed with {code}" if code != 1006 else "the connection was lost"
        super().__init__(f"{text}: {reason}" if reason else text)
        self.code = code
        self.reason = reason
        self.final = final


class CommandError(FxcastError):
    """The server refused a command. ``code`` is its error code, such as ``unknown_symbol``."""

    def __init__(self, code: str, message: str, symbol: str = "") -> None:
        text = f"{code}: {message}" if message else code
        super().__init__(f"{symbol}: {text}" if symbol else text)
        self.code = code
        self.symbol = symbol


class PublishError(FxcastError):
    """Quotes could not be published.

    ``status`` is the HTTP status of the answer, or None without an answer. ``published`` has the
    outcome of the quotes before those that failed. If ``unknown`` is set, the server may have
    accepted some of the quotes that failed, so that sending them again may publish them twice.
    """

    def __init__(self, message: str, status: int | None, published: Published,
                 unknown: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.published = published
        self.unknown = unknown
