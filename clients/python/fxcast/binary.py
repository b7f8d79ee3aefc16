"""The binary messages of the subprotocol fx.v1.pb; protocol/fx.proto has the rules."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, Iterator, Mapping

from .errors import ProtocolError
from .quote import MAX_SEQ, Quote, parse_price

_MAX_SYMBOLS = 1 << 16
_MAX_TICKS = 1 << 16
_MAX_TEXT = 256  # bytes
_TIMES = 2**53  # microseconds
_PRICES = 10**15
_DIGITS = 15
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)

# Indexes of the numbers of a tick.
_SYMBOL, _TIME, _BID, _SPREAD, _BID_SIZE, _ASK_SIZE, _SEQ, _SEQ_DIGITS, _SEQ_SIZE_DIGITS = range(9)


class Reader:
    """Reads the binary messages of one connection."""

    def __init__(self) -> None:
        self._symbols: dict[int, _Last] = {}

    def read(self, message: bytes) -> Mapping[str, Any]:
        """Returns the message as fx.v1 has it, with the quotes read already. Raises ProtocolError."""
        try:
            return self._read(message)
        except (ValueError, IndexError, OverflowError, UnicodeDecodeError) as e:
            raise ProtocolError(f"a bad binary message: {e}") from None

    def _read(self, message: bytes) -> Mapping[str, Any]:
        ticks: list[bytes] = []
        snapshot = reset = False
        for tag, value, text in _fields(message):
            if tag == 1 << 3 | 2:
                ticks.append(text)
            elif tag == 2 << 3 | 2:
                self._name(text)
            elif tag == 3 << 3:
                snapshot = value != 0
            elif tag == 4 << 3:
                reset = value != 0
        if len(ticks) > _MAX_TICKS:
            raise ValueError("too many ticks")
        quotes = [self._tick(text, snapshot) for text in ticks]
        return {"type": "snapshot" if snapshot else "update", "reset": reset, "data": quotes}

    def _name(self, data: bytes) -> None:
        number, name = 0, ""
        for tag, value, text in _fields(data):
            if tag == 1 << 3:
                number = value
            elif tag == 2 << 3 | 2:
                name = text.decode()
        if not 0 < number < 2**32 or not 0 < len(name) <= 64 or len(self._symbols) >= _MAX_SYMBOLS:
            raise ValueError("a bad symbol")
        if number not in self._symbols:
            self._symbols[number] = _Last(name)
        elif self._symbols[number].name != name:
            raise ValueError(f"the number of {self._symbols[number].name} for {name}")

    def _tick(self, data: bytes, snapshot: bool) -> Quote:
        n: list[int] = []
        texts: dict[int, str] = {}
        cut = size_cut = left_out = 0
        gap = False
        for tag, value, text in _fields(data):
            if tag == 1 << 3 | 2:
                _numbers(text, n)
            elif tag == 1 << 3:  # not packed, as any encoder of Protobuf may write it
                n.append(_signed(value))
            elif tag == 2 << 3:
                cut = _signed(value)
            elif tag == 3 << 3:
                size_cut = _signed(value)
            elif tag == 5 << 3:
                gap = value != 0
            elif tag == 11 << 3:
                left_out = value
            elif tag & 7 == 2 and tag >> 3 in (4, 6, 7, 8, 9, 10):
                if len(text) > _MAX_TEXT:
                    raise ValueError("a text is too long")
                texts[tag >> 3] = text.decode()
        if any(not -_TIMES < v < _TIMES for v in n):
            raise ValueError("a number is too large")
        last = self._symbols.get(abs(n[_SYMBOL]) if n else 0)
        if last is None:
            raise ValueError("a tick of an unknown symbol")
        before = last.seq
        last.apply(n, texts, left_out)
        epoch = texts.get(4, "")
        skipped = max(last.seq - before - 1, 0) if before and not snapshot and not epoch else 0
        return last.quote(texts, cut, size_cut, gap, epoch, skipped)


class _Last:
    """The last quote of a symbol, to which the next one may be a difference."""

    __slots__ = ("name", "n", "seq", "digits", "size_digits", "texts", "size_texts")

    def __init__(self, name: str) -> None:
        self.name = name
        self.n = [0, 0, 0, 0, 0]  # time, bid, spread, bid size, ask size
        self.seq = 0  # of the last quote; 0: there is none
        self.digits = self.size_digits = 0
        self.texts = self.size_texts = False

    def apply(self, n: list[int], texts: Mapping[int, str], left_out: int) -> None:
        """Takes the numbers of a tick: for themselves, or as a difference."""
        n = n[:9] + [0] * (6 - len(n))
        if len(n) > _SEQ:
            n += [0] * (9 - len(n))
            self.seq, self.digits, self.size_digits = n[_SEQ:]
            self.n = [0, 0, 0, 0, 0]
            self.texts, self.size_texts = bool(texts.get(7)), bool(texts.get(9) or texts.get(10))
            if not (1 <= self.seq and 0 <= self.digits <= _DIGITS and 0 <= self.size_digits <= _DIGITS):
                raise ValueError("a bad key")
        elif not self.seq or self.texts or self.size_texts or any(texts.get(field) for field in (7, 8, 9, 10)):
            raise ValueError("a difference to nothing")
        else:
            self.seq += 1 + left_out
        n[_TIME] *= 1 if n[_SYMBOL] < 0 else 1000
        self.n = [a + b for a, b in zip(self.n, n[_TIME:_SEQ])]
        time, bid, spread, bid_size, ask_size = self.n
        if not (0 <= time < _TIMES and 0 <= bid < _PRICES and 0 <= bid + spread < _PRICES and self.seq <= MAX_SEQ
                and 0 <= bid_size <= _PRICES and 0 <= ask_size <= _PRICES and self.texts == bool(texts.get(8))
                and not (self.texts and bid + spread) and not (self.size_texts and bid_size + ask_size)):
            raise ValueError(f"a tick of {self.name} out of range")

    def quote(self, texts: Mapping[int, str], cut: int, size_cut: int, gap: bool, epoch: str, skipped: int) -> Quote:
        """Returns the quote with the digits of its prices."""
        time, bid, spread, bid_size, ask_size = self.n
        if abs(cut) > self.digits or abs(size_cut) > self.size_digits or len(epoch) > 64:
            raise ValueError(f"a tick of {self.name} out of range")
        sizes = [parse_price(texts[field], "size", self.name) if texts.get(field)
                 else _decimal(n - 1, self.size_digits, zeros) if n else None
                 for field, n, zeros in ((9, bid_size, size_cut), (10, ask_size, -size_cut))]
        return Quote(
            self.name,
            parse_price(texts[7], "bid", self.name) if self.texts else _decimal(bid, self.digits, cut),
            parse_price(texts[8], "ask", self.name) if self.texts else _decimal(bid + spread, self.digits, -cut),
            _EPOCH + timedelta(microseconds=time), self.seq, epoch, skipped, sizes[0], sizes[1], gap, texts.get(6) or "live")


def _decimal(n: int, digits: int, cut: int) -> Decimal:
    """Returns n with so many decimals, of which cut zeros are not written."""
    if cut > 0:
        n, rest = divmod(n, 10**cut)
        if rest:
            raise ValueError("more zeros are cut than there are")
        digits -= cut
    return Decimal(f"{n}E-{digits}")  # exact, whatever the program's decimal context


def _signed(value: int) -> int:
    return value >> 1 ^ -(value & 1)


def _numbers(data: bytes, n: list[int]) -> None:
    """Appends packed numbers."""
    value = shift = 0
    for byte in data:
        value |= (byte & 127) << shift
        if byte < 128:
            n.append(value >> 1 ^ -(value & 1))
            value = shift = 0
        elif shift >= 63:
            raise ValueError("a number is too long")
        else:
            shift += 7
    if shift:
        raise ValueError("a number is cut off")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Returns a number and the place after it."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value & (2**64 - 1), at
        shift += 7
        if shift > 63:
            raise ValueError("a number is too long")


def _fields(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yields each field of a Protobuf message: its tag, and its value or its bytes."""
    at, end = 0, len(data)
    while at < end:
        tag, at = _varint(data, at)
        value, text = 0, b""
        kind = tag & 7
        if kind == 0:
            value, at = _varint(data, at)
        elif kind == 2:
            size, at = _varint(data, at)
            text = data[at:at + size]
            at += size
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            raise ValueError("a bad field")
        if tag < 8 or at > end:
            raise ValueError("a field is cut off")
        yield tag, value, text
