"""When the client connects again."""

from __future__ import annotations

import random
from collections import deque
from typing import Callable

FIRST_DELAY = (0.2, 1.0)  # seconds, the range of the first wait without advice
MAX_DELAY = 30.0
MAX_ADVICE = 24 * 3600.0  # a longer wait that a server asks for is cut
PER_MINUTE = 10  # connects

# Codes after which a client does not come back; 4009 only without reconnect_after_ms.
LASTING_CODES = frozenset({1002, 1003, 1007, 1008, 1009, 4001, 4009})


class Backoff:
    """Decides when the next connect may begin. No call waits: the caller sleeps.

    A wait that the server advises, unless it is 0, is kept to, and lengthened by up to a tenth, so that the clients
    of one server do not return together. Without advice the wait doubles while connects fail.
    Within any 60 seconds there are at most 10 connects, whatever a server does.
    """

    def __init__(self, now: Callable[[], float],
                 uniform: Callable[[float, float], float] = random.uniform) -> None:
        self._now = now
        self._uniform = uniform
        self._failures = 0
        self._connects: deque[float] = deque(maxlen=PER_MINUTE)

    def connecting(self) -> None:
        """Counts a connect that begins now."""
        self._connects.append(self._now())

    def welcomed(self) -> None:
        """Begins the waits again from the shortest: the server took the client."""
        self._failures = 0

    def delay(self, advice: float | None) -> float:
        """Returns the seconds until the next connect, after one that failed or ended."""
        if advice is not None and advice > 0:
            wait = min(advice, MAX_ADVICE)
            wait += self._uniform(0.0, wait / 10)
        else:
            least, most = (bound * 2.0 ** self._failures for bound in FIRST_DELAY)
            wait = self._uniform(least, min(most, MAX_DELAY))
            self._failures = min(self._failures + 1, 5)  # 6.4 to 30 s
        return max(wait, self.blocked())

    def blocked(self) -> float:
        """Returns the seconds for which the limit of connects per minute forbids another one."""
        if len(self._connects) < PER_MINUTE:
            return 0.0
        return max(self._connects[0] + 60.0 - self._now(), 0.0)
