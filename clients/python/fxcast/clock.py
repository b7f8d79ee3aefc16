"""The clock of a connection: every time that it waits for or measures passes through here."""

from __future__ import annotations

import asyncio
import time
from typing import Awaitable, TypeVar

T = TypeVar("T")


class Clock:
    """Time in seconds. Tests make it run faster: with scale 0.1 ten of its seconds are one."""

    def __init__(self, scale: float = 1.0) -> None:
        self._scale = scale

    def now(self) -> float:
        """Returns the time since some moment in the past. It never goes back."""
        return time.monotonic() / self._scale

    async def sleep(self, seconds: float) -> None:
        """Waits."""
        await asyncio.sleep(seconds * self._scale)

    async def wait_for(self, awaitable: Awaitable[T], seconds: float | None) -> T:
        """Returns the result, or raises TimeoutError after the time."""
        try:
            return await asyncio.wait_for(awaitable, None if seconds is None else seconds * self._scale)
        except asyncio.TimeoutError:  # TimeoutError itself only since Python 3.11
            raise TimeoutError from None
