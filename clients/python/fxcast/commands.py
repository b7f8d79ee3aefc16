"""The commands of a connection: the subscriptions that are wanted, and those that were asked for."""

from __future__ import annotations

import json
from collections import deque
from typing import Any, Callable, Mapping

from .errors import CommandError, ProtocolError
from .pattern import candidates
from .quote import Position, clip
from .subscription import Entry, Feed, key

ACK_TIMEOUT = 10.0  # seconds for the server to answer a command
MAX_NAMES = 100  # in one command
MAX_SINCE = 200
MAX_COMMAND = 30_000  # bytes, below the server's 32,768
REPLACED = {"code": "replaced", "message": "a later subscription of this connection has the same symbol"}


class Command:
    """A command that the server has not answered."""

    __slots__ = ("op", "entries", "until")

    def __init__(self, op: str, entries: list[Entry], until: float) -> None:
        self.op = op
        self.entries = entries
        self.until = until


class Commands:
    """Keeps the subscriptions of the server equal to those of the program.

    ``wanted`` has what the program wants, ``asked`` what this connection has asked for. Changes are
    sent together, so that a thousand calls make a few commands.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.wanted: dict[str, Entry] = {}
        self.pace: tuple[int, bool] | None = None
        self._next_id = 0
        self.begin({})

    def begin(self, limits: Mapping[str, Any]) -> None:
        """Begins a connection with the limits of its welcome: nothing has been asked for."""
        self.asked: dict[str, Entry] = {}
        self._pace_sent: tuple[int, bool] | None = None
        self._unanswered: dict[int, Command] = {}
        self._owners: dict[str, Entry | None] = {}
        self._sent_at: deque[float] = deque()
        self._resume_at = 0.0  # when the allowance of resumed symbols is full again
        self._per_second = _limit(limits, "commands_per_second", 10, 1000)
        self._max_since = min(_limit(limits, "max_symbols", MAX_SINCE, MAX_SINCE), MAX_SINCE)
        for entry in self.wanted.values():
            entry.acked, entry.leaving, entry.retry_at = False, False, 0.0

    def add(self, feed: Feed) -> None:
        """Wants the symbols of a subscription. Raises ValueError if another one has one of them."""
        for entry in feed.entries:
            if entry.key in self.wanted:
                raise ValueError(f"{entry.name} is subscribed already on this connection; close that "
                                 "subscription first, or open a second connection")
        for entry in feed.entries:
            self.wanted[entry.key] = entry

    def remove(self, feed: Feed) -> None:
        """Wants the symbols of a subscription no longer."""
        for entry in feed.entries:
            if self.wanted.get(entry.key) is entry:
                del self.wanted[entry.key]
        self._owners.clear()

    def owner(self, symbol: str, interval: str = "") -> Entry | None:
        """Returns the entry to which the server attributes the quotes of a symbol, or its candles.

        An exact name is before wildcards, then the newer of EUR/* and */USD, then *.
        """
        own = key(symbol, interval)
        if own in self._owners:
            return self._owners[own]
        base, quote, every = (key(name, interval) for name in candidates(symbol))
        entry = self.asked.get(own)
        if entry is None:
            order = {name: i for i, name in enumerate(self.asked) if name in (base, quote)}
            entry = self.asked[max(order, key=order.__getitem__)] if order else self.asked.get(every)
        if len(self._owners) >= 20_000:
            self._owners.clear()
        self._owners[own] = entry
        return entry

    def delay(self) -> float:
        """Returns the seconds until another command may be sent."""
        now = self._clock()
        while self._sent_at and self._sent_at[0] <= now - 1.0:
            self._sent_at.popleft()
        if len(self._sent_at) < max(self._per_second - 1, 1):
            return 0.0
        return self._sent_at[0] + 1.0 - now

    def overdue(self) -> str:
        """Returns the command that the server should have answered, if there is one."""
        now = self._clock()
        return next((c.op for c in self._unanswered.values() if c.op == "subscribe" and c.until < now), "")

    def extend(self, seconds: float) -> None:
        """Gives the server that much more time: the client has not read meanwhile."""
        for command in self._unanswered.values():
            command.until += seconds

    def next(self) -> tuple[str | None, float | None]:
        """Returns the next command, or None and the seconds after which there may be one."""
        if self.pace != self._pace_sent and self.pace is not None:
            self._pace_sent = self.pace
            return self._command("pace", [], every_ms=self.pace[0], align=self.pace[1]), None
        leaving = [e for e in self.asked.values() if e.acked and not e.leaving and e.key not in self.wanted]
        if leaving:
            interval = leaving[0].feed.interval
            leaving = [e for e in leaving if e.feed.interval == interval][:MAX_NAMES]
            for entry in leaving:
                entry.leaving = True
            return self._command("unsubscribe", leaving, symbols=[e.name for e in leaving], **({"candles": interval} if interval else {})), None
        now = self._clock()
        missing = [e for e in self.wanted.values() if self._missing(e)]
        ready = [e for e in missing if e.retry_at <= now]
        if not ready:
            return None, min((e.retry_at - now for e in missing), default=None)
        first = ready[0].feed
        if first.every and self._resume_at > now and any(self._since([e]) for e in ready[:MAX_NAMES]):
            return None, self._resume_at - now
        return self._subscribe(self._batch(ready)), None

    def _missing(self, entry: Entry) -> bool:
        """Reports whether an entry still has to be asked for, and can be."""
        asked = self.asked.get(entry.key)
        return asked is not entry and (asked is None or asked.acked)

    def _batch(self, ready: list[Entry]) -> list[Entry]:
        """Returns the entries that the next subscribe may have, with equal settings and in order."""
        feed, batch = ready[0].feed, ready[:1]
        if batch[0].alone:
            return batch
        for entry in ready[1:MAX_NAMES]:
            if _settings(entry.feed) != _settings(feed):
                break
            if entry.alone or len(self._since(batch + [entry])) > self._max_since:
                break
            batch.append(entry)
        return batch

    def _subscribe(self, batch: list[Entry]) -> str:
        feed = batch[0].feed
        fields: dict[str, Any] = {"symbols": [e.name for e in batch]}
        if feed.interval:
            fields["candles"] = feed.interval
        else:
            fields["mode"] = "all" if feed.every else "latest"
        if feed.max_rate:
            fields["max_rate"] = feed.max_rate
        if feed.day:
            fields["day"] = True
        since = self._since(batch)
        for entry in batch:
            self.asked.pop(entry.key, None)  # the newer of two wildcards is the later one
            self.asked[entry.key] = entry
            entry.acked = False
        self._owners.clear()
        while True:
            if since:
                fields["since"] = {s: {"epoch": at.epoch, "seq": at.seq} for s, at in since.items()}
            if not since or len(json.dumps(fields)) <= MAX_COMMAND:
                break
            since = dict(list(since.items())[:len(since) // 2])
        if since:
            self._resume_at = self._clock() + len(since) / self._per_second
        return self._command("subscribe", batch, **fields)

    def _since(self, batch: list[Entry]) -> dict[str, Position]:
        """Returns the positions that a subscribe resumes after: at most as many as the server takes."""
        since: dict[str, Position] = {}
        for entry in batch:
            feed = entry.feed
            if not feed.every:
                continue
            names = feed.sequences if "*" in entry.key else (entry.key,)
            for symbol in names:
                sequence = feed.sequences.get(symbol)
                if sequence is None or sequence.high is None or not sequence.high.epoch:
                    continue
                if symbol == entry.key or entry.key in candidates(symbol) and symbol not in self.wanted:
                    since[symbol] = sequence.high
                if len(batch) == 1 and len(since) >= self._max_since:
                    return since
        return since

    def _command(self, op: str, entries: list[Entry], **fields: Any) -> str:
        self._next_id += 1
        now = self._clock()
        self._sent_at.append(now)
        self._unanswered[self._next_id] = Command(op, entries, now + ACK_TIMEOUT)
        return json.dumps({"op": op, "id": self._next_id, **fields}, separators=(",", ":"))

    def ack(self, message: Mapping[str, Any]) -> list[tuple[Feed | None, CommandError]]:
        """Takes an ack. Returns the refusals, each with the subscription that it concerns."""
        command = self._answered(message)
        if command is None:
            return []
        granted, failed = message.get("ok") or [], message.get("failed") or []
        self._owners.clear()
        if command.op == "unsubscribe":
            self._left(command)
        refusals: list[tuple[Feed | None, CommandError]] = []
        if command.op != "subscribe":
            return refusals
        refused = {f["symbol"]: f for f in failed if isinstance(f.get("symbol"), str)}
        # One name for each, in order: none was refused, and no two are the same symbol.
        names = granted if len(granted) == len(command.entries) else [None] * len(command.entries)
        for entry, name in zip(command.entries, names):
            if entry.name in granted:
                self._grant(entry, entry.name, refusals)
            elif entry.name in refused:
                refusals.append((entry.feed, self._refuse(entry, refused[entry.name])))
            elif name is not None:
                self._grant(entry, name, refusals)
            elif len(command.entries) > 1:  # again, alone, so that the answer surely is its own
                entry.alone = True
                if self.asked.get(entry.key) is entry:
                    del self.asked[entry.key]
            elif failed:
                refusals.append((entry.feed, self._refuse(entry, failed[0])))
            else:
                raise ProtocolError(f"an ack that does not answer {clip(entry.name)}")
        return refusals

    def _grant(self, entry: Entry, name: str, refusals: list[tuple[Feed | None, CommandError]]) -> None:
        """Takes the server's name of an entry. Another entry that has it too, by another form, is replaced."""
        own = key(name, entry.feed.interval)
        wanted = self.wanted.get(entry.key) is entry
        other = self.wanted.get(own)
        if wanted and other is not None and other is not entry:
            self._forget(other)
            if other.feed is not entry.feed:
                refusals.append((other.feed, self._refuse(other, REPLACED)))
        if own != entry.key:
            self._forget(entry, False)
            if wanted:
                self.wanted[own] = entry
            if wanted or own not in self.asked:
                self.asked[own] = entry
        entry.name, entry.key, entry.acked, entry.alone = name, own, True, False

    def _forget(self, entry: Entry, wholly: bool = True) -> None:
        """Takes an entry out, and wholly out of its subscription too."""
        for entries in (self.wanted, self.asked):
            if entries.get(entry.key) is entry:
                del entries[entry.key]
        if wholly and entry in entry.feed.entries:
            entry.feed.entries.remove(entry)

    def _refuse(self, entry: Entry, refusal: Mapping[str, Any]) -> CommandError:
        self._forget(entry)
        error = CommandError(_text(refusal.get("code")), _text(refusal.get("message")), _text(refusal.get("symbol")) or entry.name)
        entry.feed.failed.append(error)
        return error

    def error(self, message: Mapping[str, Any]) -> list[tuple[Feed | None, CommandError]]:
        """Takes an error message. A command that came too early is sent again later."""
        command = self._answered(message)
        code, retry = _text(message.get("code")), message.get("retry_after_ms")
        if command is None or command.op == "pace":
            return [(None, CommandError(code, _text(message.get("message"))))]
        self._owners.clear()
        later = code == "rate_limited"
        wait = retry / 1000 if later and isinstance(retry, (int, float)) and 0 <= retry < 1e9 else 1.0
        refusals: list[tuple[Feed | None, CommandError]] = []
        for entry in command.entries:
            if command.op == "unsubscribe":
                entry.leaving = False
            elif self.asked.get(entry.key) is entry:
                del self.asked[entry.key]
            entry.retry_at = self._clock() + wait
            if not later:
                refusals.append((entry.feed, self._refuse(entry, message)))
        return refusals

    def _answered(self, message: Mapping[str, Any]) -> Command | None:
        """Returns the command that a message answers. The server answers in order."""
        number = message.get("id")
        if type(number) is not int or number not in self._unanswered:
            return None
        for earlier in [n for n in self._unanswered if n < number and self._unanswered[n].op != "subscribe"]:
            self._left(self._unanswered.pop(earlier))
        return self._unanswered.pop(number)

    def _left(self, command: Command) -> None:
        """Notes that the server sends nothing more for the entries of an unsubscribe."""
        for entry in command.entries:
            if self.asked.get(entry.key) is entry:
                del self.asked[entry.key]
        self._owners.clear()


def _settings(feed: Feed) -> tuple[object, ...]:
    return feed.every, feed.max_rate, feed.day, feed.interval


def _limit(limits: Mapping[str, Any], name: str, default: int, most: int) -> int:
    value = limits.get(name)
    return max(1, min(value, most)) if type(value) is int else default


def _text(value: object) -> str:
    return value[:200] if isinstance(value, str) else ""
