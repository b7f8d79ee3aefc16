#!/usr/bin/env python3
"""Publishes the quotes that it reads, one a line: SYMBOL BID ASK.

    echo "EUR/USD 1.08501 1.08513" | FXCAST_URL=http://127.0.0.1:8080 PUBLISH_TOKEN=… ./publish.py

It sends what has come together in one request, prints each quote that is refused, and exits with 0
if all were accepted. It needs clients/python.
"""

import asyncio
import os
import sys

import fxcast


async def main() -> int:
    lines: asyncio.Queue[str | None] = asyncio.Queue(maxsize=10_000)
    loop = asyncio.get_running_loop()

    def read() -> None:
        for line in sys.stdin:
            asyncio.run_coroutine_threadsafe(lines.put(line), loop).result()
        asyncio.run_coroutine_threadsafe(lines.put(None), loop).result()

    reading = loop.run_in_executor(None, read)
    refused = 0
    async with fxcast.Publisher(os.environ["FXCAST_URL"], token=os.environ["PUBLISH_TOKEN"]) as publisher:
        line = await lines.get()
        while line is not None:
            batch = [line.split()]
            while not lines.empty() and (line := lines.get_nowait()) is not None:
                batch.append(line.split())
            done = await publisher.publish({"symbol": symbol, "bid": bid, "ask": ask} for symbol, bid, ask in batch)
            for rejected in done.rejected:
                print(*batch[rejected.index], "is refused:", rejected.message, file=sys.stderr)
            refused += len(done.rejected)
            line = line and await lines.get()
    await reading
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
