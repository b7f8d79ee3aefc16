"""A server for tests that need one of their own; the scenarios have the scripted one."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any, Awaitable, Callable

import websockets

from fxcast import connection, target
from fxcast.clock import Clock

WELCOME = {"type": "welcome", "protocol": "fx.v1", "conn_id": "1", "session": {"id": "s", "role": "user"},
           "limits": {"max_symbols": 200, "commands_per_second": 1000}, "heartbeat_ms": 30000}

logging.getLogger("websockets").setLevel(logging.CRITICAL)


def tick(seq: int, symbol: str = "EUR/USD", **fields: Any) -> dict[str, Any]:
    return {"symbol": symbol, "bid": f"1.{seq:05}", "ask": "9.9", "ts": "2026-11-22T10:15:00.123456Z", "seq": seq, "epoch": "e", **fields}


class Fake:
    """Serves each connection with a coroutine, and counts those that are open."""

    def __init__(self, serve: Callable[[Any], Awaitable[None]]) -> None:
        self._serve = serve
        self.url = ""
        self.connects = self.open = self.most_open = 0

    async def __aenter__(self) -> Fake:
        self._server = await websockets.serve(self._handle, "127.0.0.1", 0, subprotocols=["fx.v1"],  # type: ignore
                                              close_timeout=0.2, max_queue=4, compression=None)
        self.url = f"ws://127.0.0.1:{next(iter(self._server.sockets)).getsockname()[1]}/ws"
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _handle(self, ws: Any, *_: Any) -> None:
        self.connects += 1
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            await self._serve(ws)
        except (websockets.exceptions.ConnectionClosed, OSError):
            pass
        finally:
            self.open -= 1


async def send(ws: Any, **message: Any) -> None:
    await ws.send(json.dumps(message))


async def acknowledge(ws: Any) -> dict[str, Any]:
    """Answers the next command and returns it."""
    command: dict[str, Any] = json.loads(await ws.recv())
    await send(ws, type="ack", id=command["id"], op=command["op"], ok=command.get("symbols", []), failed=[])
    return command


def connection_to(url: str, scale: float = 1.0, **on: Any) -> connection.Connection:
    """Returns a connection whose clock runs faster."""
    clock = Clock(scale)
    return connection.Connection(target.Target(url, "token", None, False, None, clock), on.get("on_gap"), on.get("on_state"),
                                 on.get("on_status"), on.get("on_error"), on.get("pace"), False, clock)


async def settled() -> set[asyncio.Task[Any]]:
    """Returns the tasks of this package that are left, after those that end now."""
    for _ in range(3):
        await asyncio.sleep(0)
    return {t for t in asyncio.all_tasks() if t.get_name().startswith("fxcast")}
