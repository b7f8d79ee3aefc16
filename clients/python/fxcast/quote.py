"""Quotes, statuses, candles and day figures, and how they are read from messages."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, Mapping, NamedTuple

from .errors import ProtocolError

MAX_SEQ = 2**63 - 1

_PRICE = re.compile(r"[0-9]{1,64}(?:\.[0-9]{1,64})?")
_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:[Zz]|([+-])(\d\d):(\d\d))",
    re.ASCII)


class Position(NamedTuple):
    """The place of a tick among the accepted ticks of its symbol."""

    epoch: str
    seq: int


class Quote(NamedTuple):
    """One price. Decimals have exactly the digits that the producer sent."""

    symbol: str
    bid: Decimal
    ask: Decimal
    ts: datetime  # UTC, with microseconds
    seq: int
    epoch: str
    skipped: int = 0  # ticks of the symbol that mode "latest" left out before this one
    bid_size: Decimal | None = None
    ask_size: Decimal | None = None
    gap: bool = False  # the price has jumped, and the jump is confirmed
    status: str = "live"  # or "stale", "closed"

    @property
    def position(self) -> Position:
        """The position to resume after, for the argument ``since`` of subscribe."""
        return Position(self.epoch, self.seq)


class Status(NamedTuple):
    """A symbol became ``live``, ``stale``, ``closed`` or ``unknown``."""

    symbol: str
    status: str
    since: datetime | None = None
    source: str | None = None


class Prices(NamedTuple):
    """The first, highest, lowest and last price of an interval."""

    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal


class Candle(NamedTuple):
    """The prices of an interval. While it is ``open``, the interval has not ended."""

    symbol: str
    interval: str
    start: datetime
    bid: Prices
    ask: Prices
    ticks: int
    complete: bool  # false: some quotes may be missing in it
    open: bool


class Day(NamedTuple):
    """Figures of the bid in the trading day."""

    symbol: str
    since: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    previous_close: Decimal | None  # None if it is not known


def parse_time(text: object) -> datetime:
    """Returns the time of an RFC 3339 text, in UTC. More digits than microseconds are cut."""
    match = _TIME.fullmatch(text) if isinstance(text, str) and len(text) <= 64 else None
    if match is None:
        raise ProtocolError(f"bad time {clip(text)}")
    year, month, day, hour, minute, second, fraction, sign, hours, minutes = match.groups()
    micros = int(fraction[:6].ljust(6, "0")) if fraction else 0
    try:
        at = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second), micros,
                      timezone.utc)
        if sign:
            offset = timedelta(hours=int(hours), minutes=int(minutes))
            at = at - offset if sign == "+" else at + offset
    except (ValueError, OverflowError):
        raise ProtocolError(f"bad time {clip(text)}") from None
    return at


def parse_quote(data: object) -> Quote:
    """Reads a quote of a snapshot or an update. ``epoch`` is empty if the message has none."""
    if not isinstance(data, dict):
        raise ProtocolError(f"a quote is not an object: {clip(data)}")
    symbol, epoch, status = data.get("symbol"), data.get("epoch") or "", data.get("status") or "live"
    if not isinstance(symbol, str) or not 0 < len(symbol) <= 64:
        raise ProtocolError(f"bad symbol {clip(symbol)}")
    if not isinstance(epoch, str) or len(epoch) > 64:
        raise ProtocolError(f"{symbol}: bad epoch {clip(epoch)}")
    if not isinstance(status, str) or len(status) > 64:
        raise ProtocolError(f"{symbol}: bad status {clip(status)}")
    return Quote(
        symbol=symbol, bid=parse_price(data.get("bid"), "bid", symbol), ask=parse_price(data.get("ask"), "ask", symbol),
        ts=parse_time(data.get("ts")), seq=_count(data, "seq", symbol, 1, None), epoch=epoch,
        skipped=_count(data, "skipped", symbol, 0, 0),
        bid_size=parse_price(data["bid_size"], "bid_size", symbol) if data.get("bid_size") is not None else None,
        ask_size=parse_price(data["ask_size"], "ask_size", symbol) if data.get("ask_size") is not None else None,
        gap=_flag(data, "gap", symbol), status=status)


def parse_status(message: Mapping[str, Any]) -> Status:
    """Reads the status of a symbol."""
    source, since = message.get("source"), message.get("since")
    return Status(message["symbol"], message["status"], None if since is None else parse_time(since),
                  source if isinstance(source, str) else None)


def parse_candle(message: Mapping[str, Any]) -> Candle:
    """Reads a candle."""
    symbol, interval, data = message.get("symbol"), message.get("interval"), message.get("data")
    if not isinstance(symbol, str) or not 0 < len(symbol) <= 64 or not isinstance(interval, str) or not interval or not isinstance(data, dict):
        raise ProtocolError(f"bad candle {clip(message)}")
    return Candle(symbol, interval, parse_time(data.get("t")), _prices(data.get("bid"), "bid", symbol), _prices(data.get("ask"), "ask", symbol),
                  _count(data, "ticks", symbol, 1, None), _flag(data, "complete", symbol), _flag(data, "open", symbol))


def _flag(data: dict[str, Any], field: str, symbol: str) -> bool:
    value = data.get(field)
    if value is not None and not isinstance(value, bool):
        raise ProtocolError(f"{symbol}: bad {field} {clip(value)}")
    return value is True


def _prices(data: object, field: str, symbol: str) -> Prices:
    if not isinstance(data, list) or len(data) != 4:
        raise ProtocolError(f"{symbol}: bad {field} {clip(data)}")
    return Prices(*(parse_price(text, field, symbol) for text in data))


def parse_day(message: Mapping[str, Any]) -> Day:
    """Reads day figures."""
    symbol, close = message.get("symbol"), message.get("previous_close")
    if not isinstance(symbol, str) or not 0 < len(symbol) <= 64:
        raise ProtocolError(f"bad symbol {clip(symbol)}")
    first, high, low = (parse_price(message.get(field), field, symbol) for field in ("open", "high", "low"))
    return Day(symbol, parse_time(message.get("since")), first, high, low,
               None if close is None else parse_price(close, "previous_close", symbol))


def clip(value: object) -> str:
    """Returns a short text of anything that a server sent, for an error message."""
    if isinstance(value, (str, bytes)):
        return repr(value[:60])
    text = repr(value) if value is None or isinstance(value, (int, float)) else type(value).__name__
    return text[:60]


def parse_price(text: object, field: str, symbol: str) -> Decimal:
    """Returns the price of a decimal text, with its digits."""
    if not isinstance(text, str) or len(text) > 64 or _PRICE.fullmatch(text) is None:
        raise ProtocolError(f"{symbol}: bad {field} {clip(text)}")
    return Decimal(text)


def _count(data: dict[str, Any], field: str, symbol: str, least: int, default: int | None) -> int:
    value = data.get(field)
    if value is None:
        value = default
    if type(value) is not int or not least <= value <= MAX_SEQ:
        raise ProtocolError(f"{symbol}: bad {field} {clip(value)}")
    return value
