"""The check that no tick is lost silently, per symbol."""

from __future__ import annotations

from typing import NamedTuple

from .errors import ProtocolError
from .quote import Position, Quote


class Gap(NamedTuple):
    """Ticks of a symbol are missing between two positions, or may be."""

    symbol: str
    after: Position | None  # of the last quote before the gap; None if there was none
    before: Position  # of the quote that follows it
    missing: int | None  # number of ticks; None if it cannot be known
    reason: str  # "missing", "epoch" (the count began again) or "reset" (the server says so)

    def __str__(self) -> str:
        count = "an unknown number of" if self.missing is None else str(self.missing)
        begin = f"{self.after.epoch} {self.after.seq}" if self.after else "the beginning"
        return f"{self.symbol}: {count} ticks are missing between {begin} and {self.before.epoch} {self.before.seq} ({self.reason})"


class Verdict(NamedTuple):
    """What to do with a quote."""

    deliver: bool
    gap: Gap | None = None


DROP = Verdict(False)


class Sequence:
    """The position of one symbol within one subscription."""

    __slots__ = ("every", "last", "high")

    def __init__(self, every: bool, high: Position | None = None) -> None:
        self.every = every  # mode "all"
        self.high = high  # of the last quote that was delivered, on any connection
        self.last: Position | None = None  # of the last quote on this connection

    def snapshot(self, q: Quote, reset: bool) -> Verdict:
        """Takes the quote of a snapshot. A node may be behind the one before it."""
        self.last = q.position
        if self.high is None and reset and self.every:
            self.high = q.position
            return Verdict(True, Gap(q.symbol, None, q.position, None, "reset"))
        return self._advance(q, None)

    def update(self, q: Quote) -> Verdict:
        """Takes the quote of an update. Raises ProtocolError if seq does not grow."""
        last, self.last = self.last, q.position
        if last is not None and last.epoch == q.epoch and q.seq <= last.seq:
            raise ProtocolError(f"{q.symbol}: seq {q.seq} after {last.seq}")
        return self._advance(q, last)

    def _advance(self, q: Quote, last: Position | None) -> Verdict:
        """Decides by the last delivered quote, and in mode "latest" by the one that came before."""
        high, at = self.high, q.position
        if high is not None and high.epoch == at.epoch and at.seq <= high.seq:
            return DROP
        self.high = at
        if self.every:
            if high is None:
                return Verdict(True)
            if high.epoch != at.epoch:
                return Verdict(True, Gap(q.symbol, high, at, None, "epoch"))
            if at.seq > high.seq + 1:
                return Verdict(True, Gap(q.symbol, high, at, at.seq - high.seq - 1, "missing"))
        elif last is not None and last.epoch == at.epoch and at.seq - last.seq - 1 != q.skipped:
            missing = at.seq - last.seq - 1 - q.skipped
            return Verdict(True, Gap(q.symbol, last, at, missing if missing > 0 else None, "missing"))
        return Verdict(True)
