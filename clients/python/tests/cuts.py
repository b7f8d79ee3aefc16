"""Clients that are cut again and again, for a test that cuts them: cuts.py TOKEN SYMBOL… -- URL…

Each URL gets a client in mode "all". The line on standard input has the last seq of each symbol.
When every client has them, one line of JSON per client is printed: what it received, and its gaps.
"""

from __future__ import annotations

import asyncio
import json
import sys

import fxcast


class Client:
    def __init__(self, url: str, token: str, symbols: list[str]) -> None:
        self.states: list[str] = []
        self.gaps: list[str] = []
        self.seen: dict[str, list[int]] = {symbol: [] for symbol in symbols}
        self._symbols = symbols
        self._fx = fxcast.connect(url, token, on_state=self.states.append, on_gap=lambda gap: self.gaps.append(str(gap)),
                                  on_error=lambda error: None)
        self._moved = asyncio.Condition()

    async def run(self) -> None:
        async with self._fx:
            async for q in self._fx.subscribe(self._symbols, mode="all"):
                async with self._moved:
                    self.seen[q.symbol].append(q.seq)
                    self._moved.notify_all()

    async def reach(self, last: dict[str, int]) -> None:
        async with self._moved:
            await self._moved.wait_for(lambda: all(self.seen[s][-1:] == [seq] for s, seq in last.items()))


async def main(token: str, symbols: list[str], urls: list[str]) -> None:
    clients = [Client(url, token, symbols) for url in urls]
    running = [asyncio.create_task(client.run()) for client in clients]
    for client in clients:
        await client.reach({})
    last = json.loads(await asyncio.to_thread(sys.stdin.readline))
    try:
        await asyncio.wait_for(asyncio.gather(*(client.reach(last) for client in clients)), 90)
    except asyncio.TimeoutError:
        pass
    for client in clients:
        print(json.dumps({
            "connects": client.states.count("live"), "gaps": client.gaps,
            "symbols": {s: {"first": seen[0], "last": seen[-1], "count": len(seen),
                            "ascending": all(b == a + 1 for a, b in zip(seen, seen[1:]))} if seen else None
                        for s, seen in client.seen.items()}}), flush=True)
    for task in running:
        task.cancel()


if __name__ == "__main__":
    at = sys.argv.index("--")
    asyncio.run(main(sys.argv[1], sys.argv[2:at], sys.argv[at + 1:]))
